"""The table of long-running AWS resources. Another kind is another row; the loop over them is in ``engine.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class RunAddress:
    """How a run of something is addressed: it has no tags, and is found below what it is a run of.

    Attributes:
        parent_parameter: The member of the start request that names what is run.
        describe: The parameters of the describe call, from the parent and the run's name.
        stop: Those of the stop call.
        marker_argument: Where AWS chooses the run's name: the argument by which a retried step knows its own run
            in the list; empty where the step names it.
        runs_path: The list's member that holds the runs.
    """

    parent_parameter: str
    describe: Callable[[str, str], dict[str, Any]]
    stop: Callable[[str, str], dict[str, Any]]
    marker_argument: str = ""
    runs_path: str = ""


@dataclass(frozen=True)
class ResourceKind:
    """How to create, describe, stop and list one kind of resource, and how to read its state.

    Paths into a description are dotted (``JobRun.JobRunState``). Console paths and log places are templates
    over ``name`` and ``region``; a console path may also use ``arn`` and ``parent``.

    Attributes:
        label: What people call it; used in messages.
        create_operation: The client's method that creates it.
        describe_operation: The client's method that describes it.
        stop_operation: The client's method that ends it.
        list_operation: The client's method that lists them.
        name_parameter: The parameter that names it, in all of these but the list.
        arn_path: Its ARN in a description and in the answer to a creation.
        status_path: Its status in a description.
        detail_path: A finer status for progress lines; empty when there is none.
        reason_path: Why it failed.
        running: Statuses that mean: ask again.
        succeeded: Statuses that mean: done.
        failed: Statuses that mean: failed.
        stopped: Statuses that mean: ended before it was done, by somebody's wish.
        stopping: Running statuses on the way to ``stopped``; nobody adopts such a one.
        log_group: The CloudWatch log group.
        log_stream_prefix: What its log streams' names begin with.
        console_path: Its page in the AWS console.
        instance_count: How many instances it has, as far as a description tells: so many log streams are expected.
        waits_before_logs: Detailed statuses in which there is no log yet.
        streams_logs: Whether its log is worth showing while all is well; after a failure it always is.
        numbers_attempts: Whether a failed one's name is spent for good, so that a further attempt takes a suffix.
        service: botocore's name of the service.
        max_name_length: The longest name AWS takes.
        progress: How far a running one is, for progress lines; empty when a description does not tell.
        further_log_groups: Log groups with streams of the same names.
        run_of: How it is addressed, when it is a run of something and not a resource with tags of its own.
        has_history: Whether its events (GetExecutionHistory) are what is shown in place of a log.
        error_path: The name of the error, beside the reason; empty when there is none.
    """

    label: str
    create_operation: str
    describe_operation: str
    stop_operation: str
    list_operation: str
    name_parameter: str
    arn_path: str
    status_path: str
    running: frozenset[str]
    succeeded: frozenset[str]
    failed: frozenset[str]
    stopped: frozenset[str]
    stopping: frozenset[str]
    log_group: str
    log_stream_prefix: str
    console_path: str
    instance_count: Callable[[Mapping[str, Any]], int]
    detail_path: str = ""
    reason_path: str = "FailureReason"
    waits_before_logs: frozenset[str] = frozenset()
    streams_logs: bool = True
    numbers_attempts: bool = True
    service: str = "sagemaker"
    max_name_length: int = 63
    progress: Callable[[Mapping[str, Any]], str] = lambda description: ""
    further_log_groups: tuple[str, ...] = ()
    run_of: RunAddress | None = None
    has_history: bool = False
    error_path: str = ""

    @property
    def ended(self) -> frozenset[str]:
        """Statuses after which nothing changes by itself."""
        return self.succeeded | self.failed | self.stopped


def look_up(description: Mapping[str, Any], path: str) -> Any:
    """Value at a dotted path of a description; ``None`` where a part of it is missing."""
    value: Any = description
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _training_instances(description: Mapping[str, Any]) -> int:
    resources = description.get("ResourceConfig") or {}
    groups = resources.get("InstanceGroups") or []
    return sum(group["InstanceCount"] for group in groups) if groups else resources.get("InstanceCount", 1)


def _tuning_progress(description: Mapping[str, Any]) -> str:
    """How many training jobs a tuning job has in which state, and its best objective so far."""
    counters = description.get("TrainingJobStatusCounters") or {}
    named = {
        "running": counters.get("InProgress", 0),
        "completed": counters.get("Completed", 0),
        "stopped": counters.get("Stopped", 0),
        "failed": counters.get("RetryableError", 0) + counters.get("NonRetryableError", 0),
    }
    parts = [f"{count} {word}" for word, count in named.items() if count]
    best = look_up(description, "BestTrainingJob.FinalHyperParameterTuningJobObjectiveMetric")
    if best:
        parts.append(f"best {best['MetricName']} {best['Value']:g}")
    return ", ".join(parts)


# Statuses: the SageMaker API reference, DescribeTrainingJob, DescribeTransformJob and DescribeProcessingJob.
_RUNNING = frozenset({"InProgress", "Stopping"})
_SUCCEEDED = frozenset({"Completed"})
_FAILED = frozenset({"Failed"})
_STOPPED = frozenset({"Stopped"})
_STOPPING = frozenset({"Stopping"})

TRAINING_JOB = ResourceKind(
    label="training job",
    create_operation="create_training_job",
    describe_operation="describe_training_job",
    stop_operation="stop_training_job",
    list_operation="list_training_jobs",
    name_parameter="TrainingJobName",
    arn_path="TrainingJobArn",
    status_path="TrainingJobStatus",
    detail_path="SecondaryStatus",
    running=_RUNNING,
    succeeded=_SUCCEEDED,
    failed=_FAILED | {"Deleting"},
    stopped=_STOPPED,
    stopping=_STOPPING,
    log_group="/aws/sagemaker/TrainingJobs",
    log_stream_prefix="{name}/",
    console_path="/sagemaker/home?region={region}#/jobs/{name}",
    instance_count=_training_instances,
    waits_before_logs=frozenset({"Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack"}),
)

# Statuses: the SageMaker API reference, DescribeHyperParameterTuningJob. Its log is that of its training jobs.
TUNING_JOB = ResourceKind(
    label="tuning job",
    create_operation="create_hyper_parameter_tuning_job",
    describe_operation="describe_hyper_parameter_tuning_job",
    stop_operation="stop_hyper_parameter_tuning_job",
    list_operation="list_hyper_parameter_tuning_jobs",
    name_parameter="HyperParameterTuningJobName",
    arn_path="HyperParameterTuningJobArn",
    status_path="HyperParameterTuningJobStatus",
    running=_RUNNING,
    succeeded=_SUCCEEDED,
    failed=_FAILED | {"Deleting", "DeleteFailed"},
    stopped=_STOPPED,
    stopping=_STOPPING,
    log_group="/aws/sagemaker/TrainingJobs",
    log_stream_prefix="{name}-",
    console_path="/sagemaker/home?region={region}#/hyper-tuning-jobs/{name}",
    instance_count=lambda description: look_up(description, "TrainingJobStatusCounters.InProgress") or 1,
    streams_logs=False,
    max_name_length=32,
    progress=_tuning_progress,
)

TRANSFORM_JOB = ResourceKind(
    label="transform job",
    create_operation="create_transform_job",
    describe_operation="describe_transform_job",
    stop_operation="stop_transform_job",
    list_operation="list_transform_jobs",
    name_parameter="TransformJobName",
    arn_path="TransformJobArn",
    status_path="TransformJobStatus",
    running=_RUNNING,
    succeeded=_SUCCEEDED,
    failed=_FAILED,
    stopped=_STOPPED,
    stopping=_STOPPING,
    log_group="/aws/sagemaker/TransformJobs",
    log_stream_prefix="{name}/",
    console_path="/sagemaker/home?region={region}#/transform-jobs/{name}",
    instance_count=lambda description: look_up(description, "TransformResources.InstanceCount") or 1,
)

PROCESSING_JOB = ResourceKind(
    label="processing job",
    create_operation="create_processing_job",
    describe_operation="describe_processing_job",
    stop_operation="stop_processing_job",
    list_operation="list_processing_jobs",
    name_parameter="ProcessingJobName",
    arn_path="ProcessingJobArn",
    status_path="ProcessingJobStatus",
    running=_RUNNING,
    succeeded=_SUCCEEDED,
    failed=_FAILED,
    stopped=_STOPPED,
    stopping=_STOPPING,
    log_group="/aws/sagemaker/ProcessingJobs",
    log_stream_prefix="{name}/",
    console_path="/sagemaker/home?region={region}#/processing-jobs/{name}",
    instance_count=lambda description: look_up(description, "ProcessingResources.ClusterConfig.InstanceCount") or 1,
)

# Statuses: the SageMaker API reference, DescribeEndpoint. An endpoint has no stop: ending one means deleting it,
# which frees its name.
ENDPOINT = ResourceKind(
    label="endpoint",
    create_operation="create_endpoint",
    describe_operation="describe_endpoint",
    stop_operation="delete_endpoint",
    list_operation="list_endpoints",
    name_parameter="EndpointName",
    arn_path="EndpointArn",
    status_path="EndpointStatus",
    running=frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"}),
    succeeded=frozenset({"InService"}),
    failed=frozenset({"Failed", "OutOfService", "UpdateRollbackFailed", "Deleting"}),
    stopped=frozenset(),
    stopping=frozenset(),
    log_group="/aws/sagemaker/Endpoints/{name}",
    log_stream_prefix="",
    console_path="/sagemaker/home?region={region}#/endpoints/{name}",
    instance_count=lambda description: max(len(description.get("ProductionVariants") or ()), 1),
    streams_logs=False,
    numbers_attempts=False,
)

# A schedule has a stop, but what a step that is cancelled while it creates one wants is that there is none.
MONITORING_SCHEDULE = ResourceKind(
    label="monitoring schedule",
    create_operation="create_monitoring_schedule",
    describe_operation="describe_monitoring_schedule",
    stop_operation="delete_monitoring_schedule",
    list_operation="list_monitoring_schedules",
    name_parameter="MonitoringScheduleName",
    arn_path="MonitoringScheduleArn",
    status_path="MonitoringScheduleStatus",
    running=frozenset({"Pending"}),
    succeeded=frozenset({"Scheduled", "Stopped"}),
    failed=_FAILED,
    stopped=frozenset(),
    stopping=frozenset(),
    log_group="/aws/sagemaker/ProcessingJobs",
    log_stream_prefix="{name}/",
    console_path="/sagemaker/home?region={region}#/monitoring-schedules/{name}",
    instance_count=lambda description: 1,
    streams_logs=False,
    numbers_attempts=False,
)

# One run of a schedule. It has neither a name nor a describe call: it is found in the list, under its schedule's name.
MONITORING_EXECUTION = ResourceKind(
    label="monitoring execution of",
    create_operation="",
    describe_operation="",
    stop_operation="",
    list_operation="list_monitoring_executions",
    name_parameter="MonitoringScheduleName",
    arn_path="ProcessingJobArn",
    status_path="MonitoringExecutionStatus",
    running=frozenset({"Pending", "InProgress", "Stopping"}),
    # Each end has its own meaning, which whoever waits for it explains.
    succeeded=frozenset({"Completed", "CompletedWithViolations", "Failed", "Stopped"}),
    failed=frozenset(),
    stopped=frozenset(),
    stopping=frozenset(),
    log_group="/aws/sagemaker/ProcessingJobs",
    log_stream_prefix="{name}/",
    console_path="/sagemaker/home?region={region}#/monitoring-schedules/{name}",
    instance_count=lambda description: 1,
    streams_logs=False,
    numbers_attempts=False,
)

# What a schedule runs. It has no status: it exists or it does not.
DATA_QUALITY_JOB_DEFINITION = ResourceKind(
    label="data-quality job definition",
    create_operation="create_data_quality_job_definition",
    describe_operation="describe_data_quality_job_definition",
    stop_operation="delete_data_quality_job_definition",
    list_operation="list_data_quality_job_definitions",
    name_parameter="JobDefinitionName",
    arn_path="JobDefinitionArn",
    status_path="",
    running=frozenset(),
    succeeded=frozenset(),
    failed=frozenset(),
    stopped=frozenset(),
    stopping=frozenset(),
    log_group="/aws/sagemaker/ProcessingJobs",
    log_stream_prefix="{name}/",
    console_path="",
    instance_count=lambda description: 1,
    streams_logs=False,
    numbers_attempts=False,
)

# Statuses: the Glue API reference, JobRun. Glue names a run itself and starts another with every call, so the step
# gives its own run an argument to know it by.
GLUE_SPARK_RUN = ResourceKind(
    label="Glue job run",
    create_operation="start_job_run",
    describe_operation="get_job_run",
    stop_operation="batch_stop_job_run",
    list_operation="get_job_runs",
    name_parameter="JobRunId",
    arn_path="JobRun.Id",
    status_path="JobRun.JobRunState",
    reason_path="JobRun.ErrorMessage",
    running=frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"}),
    succeeded=frozenset({"SUCCEEDED"}),
    failed=frozenset({"FAILED", "TIMEOUT", "ERROR", "EXPIRED"}),
    stopped=frozenset({"STOPPED"}),
    stopping=frozenset({"STOPPING"}),
    log_group="/aws-glue/jobs/output",
    log_stream_prefix="{name}",
    console_path="/gluestudio/home?region={region}#/job/{parent}/run/{name}",
    instance_count=lambda description: 1,
    waits_before_logs=frozenset({"STARTING", "WAITING"}),
    service="glue",
    max_name_length=100,
    run_of=RunAddress(
        "JobName",
        lambda parent, name: {"JobName": parent, "RunId": name},
        lambda parent, name: {"JobName": parent, "JobRunIds": [name]},
        marker_argument="--kfp-sagemaker-run",
        runs_path="JobRuns",
    ),
)
# Spark's error log is Java's, line upon line while all is well; a Python shell job's is the script's own.
GLUE_PYTHON_SHELL_RUN = replace(
    GLUE_SPARK_RUN,
    log_group="/aws-glue/python-jobs/output",
    further_log_groups=("/aws-glue/python-jobs/error",),
)


def _execution_address(state_machine_arn: str, name: str) -> dict[str, Any]:
    # A version's or alias's ARN has a part more, which its executions' have not.
    machine = ":".join(state_machine_arn.split(":")[:7])
    return {"executionArn": f"{machine.replace(':stateMachine:', ':execution:', 1)}:{name}"}


# Statuses: the Step Functions API reference, DescribeExecution.
STATE_MACHINE_EXECUTION = ResourceKind(
    label="state machine execution",
    create_operation="start_execution",
    describe_operation="describe_execution",
    stop_operation="stop_execution",
    list_operation="list_executions",
    name_parameter="name",
    arn_path="executionArn",
    status_path="status",
    reason_path="cause",
    error_path="error",
    running=frozenset({"RUNNING", "PENDING_REDRIVE"}),
    succeeded=frozenset({"SUCCEEDED"}),
    failed=frozenset({"FAILED", "TIMED_OUT"}),
    stopped=frozenset({"ABORTED"}),
    stopping=frozenset(),
    log_group="",
    log_stream_prefix="",
    console_path="/states/home?region={region}#/v2/executions/details/{arn}",
    instance_count=lambda description: 1,
    service="stepfunctions",
    max_name_length=80,
    run_of=RunAddress("stateMachineArn", _execution_address, _execution_address),
    has_history=True,
)

# Runs of what exists: they have a status, and no tags.
RUN_KINDS = (GLUE_SPARK_RUN, GLUE_PYTHON_SHELL_RUN, STATE_MACHINE_EXECUTION)

# The kinds that are created with tags and have a status.
KINDS = (TRAINING_JOB, TUNING_JOB, TRANSFORM_JOB, PROCESSING_JOB, ENDPOINT, MONITORING_SCHEDULE)

"""Faces: the managed monitoring schedule, from creation to deletion."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def create_monitoring_schedule(
    endpoint_name: str,
    role_arn: str,
    output_s3_uri: str,
    statistics_s3_uri: str = "",
    constraints_s3_uri: str = "",
    schedule_expression: str = "cron(0 * ? * * *)",
    data_analysis_start_time: str = "",
    data_analysis_end_time: str = "",
    start_time_offset: str = "",
    end_time_offset: str = "",
    image_uri: str = "",
    target_model: str = "",
    record_preprocessor_s3_uri: str = "",
    post_analytics_processor_s3_uri: str = "",
    container_entrypoint: list = [],
    container_arguments: list = [],
    environment: dict = {},
    publish_cloudwatch_metrics: bool = True,
    instance_type: str = "ml.m5.xlarge",
    instance_count: int = 1,
    volume_size_gb: int = 20,
    max_runtime_seconds: int = 1800,
    subnets: list = [],
    security_group_ids: list = [],
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    enable_network_isolation: bool = False,
    enable_inter_container_traffic_encryption: bool = False,
    schedule_name: str = "",
    schedule_name_prefix: str = "",
    timeout_seconds: int = 900,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", schedule_name=str, schedule_arn=str, job_definition_name=str):
    """Have SageMaker Model Monitor analyse an endpoint's captured data on a schedule, or once.

    For accounts that have the managed service, which is closed to new ones; everybody else puts
    `monitor_data_quality` into a recurring run. Creates a data-quality job definition and the schedule, and waits until
    it is scheduled. Each execution is a processing job AWS charges for. A retried step adopts the schedule it made.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html

    Args:
        endpoint_name: Endpoint with data capture switched on.
        role_arn: ARN of the IAM role of the executions; it reads the captured data and writes the reports.
        output_s3_uri: S3 prefix for the reports; AWS adds endpoint, schedule and hour.
        statistics_s3_uri: S3 URI of the baseline's statistics.json; without it no distributions are compared.
        constraints_s3_uri: S3 URI of the baseline's constraints.json; without it there are no violations.
        schedule_expression: cron(0 * ? * * *) for every hour, a cron such as cron(0 17 ? * * *) for daily or
            cron(0 0/6 ? * * *) for every six hours, in UTC and 0 to 20 minutes late; or NOW, once and at once.
        data_analysis_start_time: Start of the data to analyse, as an ISO 8601 duration from the execution's time such
            as -PT1H; required with NOW.
        data_analysis_end_time: End of it, such as -PT0H; required with NOW.
        start_time_offset: Shifts the start of each window, such as -PT1H, to look further back. Empty:
            not at all.
        end_time_offset: Shifts the end of each window. Empty: not at all.
        image_uri: An analyzer of yours, such as ours in ECR (bring your own container). Empty: AWS's own.
        target_model: Model of a multi-model endpoint to look at; needs our analyzer as `image_uri`. Empty: all.
        record_preprocessor_s3_uri: S3 URI of a Python script with `preprocess_handler`, which changes or drops
            rows. Empty: none.
        post_analytics_processor_s3_uri: S3 URI of a Python script with `postprocess_handler`, which runs at the end.
            Empty: none.
        container_entrypoint: Replaces the entry point of `image_uri`.
        container_arguments: Command line arguments of `image_uri`; numbers are written as text.
        environment: Environment variables of the container, by name.
        publish_cloudwatch_metrics: Whether the container writes each feature's figures to CloudWatch.
        instance_type: Instance type of the executions; sets the price.
        instance_count: Instances of an execution.
        volume_size_gb: Storage of each instance in GB.
        max_runtime_seconds: AWS stops an execution when it has run for so long; less than the schedule's interval.
        subnets: Subnet IDs to run in; empty runs outside of your VPC.
        security_group_ids: Security group IDs; needed exactly when `subnets` is given.
        output_kms_key_id: KMS key that encrypts the reports; empty uses the bucket's default.
        volume_kms_key_id: KMS key that encrypts the volumes; empty uses AWS's own key.
        enable_network_isolation: Cut the container off from all networks.
        enable_inter_container_traffic_encryption: Encrypt traffic between instances.
        schedule_name: Exact name of schedule and job definition; empty derives one from the run.
        schedule_name_prefix: Start of the derived name; empty means monitor.
        timeout_seconds: How long to wait until it is scheduled; then it is deleted and the step fails.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for schedule and job definition, name to value, besides those that name the run.

    Returns:
        schedule_name: Name of the schedule.
        schedule_arn: ARN of the schedule.
        job_definition_name: Name of its data-quality job definition.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The schedule failed; holds AWS's reason.
        NameTakenError: The name belongs to somebody else's schedule.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.monitoring.schedules import schedule

    return schedule.create(**arguments)


@sagemaker_component(cache=False)
def wait_for_monitoring_execution(
    schedule_name: str,
    scheduled_after: str = "",
    accepted_statuses: list = ["Completed", "CompletedWithViolations"],
    timeout_seconds: int = 7200,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple(
    "Outputs",
    status=str,
    explanation=str,
    exit_message=str,
    processing_job_name=str,
    scheduled_time=str,
    statistics_s3_uri=str,
    constraints_s3_uri=str,
    violations_s3_uri=str,
    report_s3_uris=list,
):
    """Wait for an execution of a monitoring schedule, say what its end means, and list its reports.

    Takes the newest execution, or the first one after `scheduled_after`, running or ended; while there is none it waits
    for one. It stops nothing, neither at the deadline nor when the step is cancelled.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListMonitoringExecutions.html

    Args:
        schedule_name: Name of the schedule.
        scheduled_after: ISO 8601 time such as `2026-01-31T12:00:00Z`; executions scheduled before do not count. Empty:
            the newest execution.
        accepted_statuses: With which ends the step succeeds, of Completed, CompletedWithViolations, Failed and Stopped;
            any other one fails it.
        timeout_seconds: How long to wait; AWS begins up to 20 minutes late.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        status: Completed, CompletedWithViolations, Failed or Stopped.
        explanation: What that means, and AWS's reason when there is one.
        exit_message: What the container said at its end.
        processing_job_name: Name of its processing job; empty when none was started.
        scheduled_time: The time it was scheduled for, ISO 8601.
        statistics_s3_uri: S3 URI of statistics.json; empty when there is none.
        constraints_s3_uri: S3 URI of constraints.json; empty when there is none.
        violations_s3_uri: S3 URI of the violations, for `check_violations`; empty when there are none.
        report_s3_uris: S3 URIs of all its reports.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: It failed; holds AWS's reason, the last log lines and the console page.
        JobStoppedError: It was stopped, or its schedule is stopped and has no execution.
        ThresholdError: It found violations, and those are not accepted.
        DeadlineError: No execution ended in time.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.schedules import execution

    query = execution.build_query(
        schedule_name=schedule_name,
        scheduled_after=scheduled_after,
        accepted_statuses=accepted_statuses,
        timeout_seconds=timeout_seconds,
    )
    return execution.wait(open_session(region, assume_role_arn), query)


@sagemaker_component(cache=False)
def start_monitoring_schedule(
    schedule_name: str, timeout_seconds: int = 900, region: str = "", assume_role_arn: str = ""
) -> NamedTuple("Outputs", schedule_name=str):
    """Start a stopped monitoring schedule again, and wait until it is scheduled.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StartMonitoringSchedule.html

    Args:
        schedule_name: Name of the schedule; one that is scheduled already stays so.
        timeout_seconds: How long to wait.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        schedule_name: Name of the schedule, for later steps.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        ResourceMissingError: No such schedule.
        DeadlineError: It took too long.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.schedules import schedule

    session = open_session(region, assume_role_arn)
    return schedule.switch(session, schedule_name, schedule.STARTED, timeout_seconds=timeout_seconds)


@sagemaker_component(cache=False)
def stop_monitoring_schedule(
    schedule_name: str, timeout_seconds: int = 900, region: str = "", assume_role_arn: str = ""
) -> NamedTuple("Outputs", schedule_name=str):
    """Stop a monitoring schedule, so that no further executions begin, and wait until it is stopped.

    An execution that runs goes on. The schedule stays, and can be started again.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopMonitoringSchedule.html

    Args:
        schedule_name: Name of the schedule; one that is stopped already stays so.
        timeout_seconds: How long to wait.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        schedule_name: Name of the schedule, for later steps.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        ResourceMissingError: No such schedule.
        DeadlineError: It took too long.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.schedules import schedule

    session = open_session(region, assume_role_arn)
    return schedule.switch(session, schedule_name, schedule.STOPPED, timeout_seconds=timeout_seconds)


@sagemaker_component(cache=False)
def delete_monitoring_schedule(
    schedule_name: str,
    keep_job_definition: bool = False,
    stop_execution: bool = True,
    timeout_seconds: int = 900,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", deleted=list):
    """Delete a monitoring schedule and its job definition, once no execution of it runs. The reports stay.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteMonitoringSchedule.html

    Args:
        schedule_name: Name of the schedule; one that does not exist is no error.
        keep_job_definition: Whether its job definition stays.
        stop_execution: Whether a running execution is stopped; otherwise it is waited for.
        timeout_seconds: How long to wait for executions and for the schedule to be gone.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        deleted: What was deleted, such as `monitoring-schedule/churn`.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        DeadlineError: It is still there after the time.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.schedules import schedule

    return schedule.delete(
        open_session(region, assume_role_arn),
        schedule_name,
        keep_job_definition=keep_job_definition,
        stop_execution=stop_execution,
        timeout_seconds=timeout_seconds,
    )

"""Training jobs: create, describe, list, stop, update, delete.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sagemaker_emulator.api import common, job_operations
from sagemaker_emulator.api.training_request import DEFAULT_MAX_RUNTIME_SECONDS, check_members
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.jobs.training import KIND, TrainingJob
from sagemaker_emulator.operations import Context, operation
from sagemaker_emulator.runtime.images import ImageRegistry, UnknownImageError
from sagemaker_emulator.runtime.jobs import JobControl

# Answered as they were asked for. Profiler and debugger settings are kept and have no effect: the emulator starts no
# profiling containers. Network isolation, VPC and traffic encryption cannot be enforced for local processes.
_ECHOED = (
    "HyperParameters",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "CheckpointConfig",
    "DebugHookConfig",
    "ExperimentConfig",
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "Environment",
    "RetryStrategy",
    "RemoteDebugConfig",
    "InfraCheckConfig",
)
_SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingEndTime",
    "LastModifiedTime",
    "TrainingJobStatus",
    "SecondaryStatus",
)


@operation("CreateTrainingJob")
async def create_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Validate and store the job, and start it."""
    await check(ctx, params)
    return {"TrainingJobArn": start(ctx, params)}


async def check(ctx: Context, params: dict[str, Any]) -> None:
    """Check a request to train, other than its name.

    Raises:
        ValidationException: A member does not fit the others, the role cannot be used, or S3 lacks what is named.
    """
    role_arn = params["RoleArn"]
    check_members(params)
    _algorithm_specification(params, ctx.app.images)
    ctx.app.aws.check_service_role(ctx, role_arn)
    await asyncio.gather(
        job_operations.check_output(
            ctx, role_arn, params["OutputDataConfig"]["S3OutputPath"], "OutputDataConfig.S3OutputPath"
        ),
        *(_check_channel(ctx, role_arn, channel) for channel in params.get("InputDataConfig", ())),
    )


def start(
    ctx: Context,
    params: dict[str, Any],
    members: dict[str, Any] | None = None,
    on_metric: Callable[[str, float], None] | None = None,
) -> str:
    """Store a job that :func:`check` found right, and start it.

    Args:
        ctx: The call's context.
        params: The request.
        members: Further members of its document, for a job of a tuning job.
        on_metric: Called with the name and value of each metric as the log shows it.

    Returns:
        The job's ARN.

    Raises:
        ResourceInUse: There is a job of that name.
    """
    name = params["TrainingJobName"]
    arn = common.arn(ctx, KIND, name)
    now = ctx.app.clock.now()
    document: dict[str, Any] = {
        **(members or {}),
        "TrainingJobName": name,
        "TrainingJobArn": arn,
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Starting",
        "SecondaryStatusTransitions": [
            {"Status": "Starting", "StartTime": now, "StatusMessage": "Preparing the instances for training"}
        ],
        "HyperParameters": {},
        **{member: params[member] for member in _ECHOED if member in params},
        "AlgorithmSpecification": _algorithm_specification(params, ctx.app.images),
        "OutputDataConfig": {"KmsKeyId": "", **params["OutputDataConfig"]},
        "ResourceConfig": {"VolumeSizeInGB": 0, **params["ResourceConfig"]},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS,
            **params.get("StoppingCondition", {}),
        },
        "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": params.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": params.get("EnableManagedSpotTraining", False),
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    job_operations.insert_job(ctx, KIND, name, document, params)

    async def run(control: JobControl) -> None:
        await TrainingJob(ctx.app, ctx.region, name, on_metric).run(control)

    ctx.app.jobs.start(KIND, ctx.region, name, run)
    return arn


@operation("DescribeTrainingJob")
async def describe_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the job's document."""
    document = job_operations.require_job(ctx, KIND, params["TrainingJobName"])
    if warm_pool := _warm_pool_status(ctx, document):
        document["WarmPoolStatus"] = warm_pool
    return document


@operation("ListTrainingJobs")
async def list_training_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List jobs, the newest first."""
    jobs = ctx.app.store.list(KIND, ctx.region)
    if wanted := params.get("WarmPoolStatusEquals"):
        jobs = [job for job in jobs if _warm_pool_status(ctx, job).get("Status") == wanted]
    if plan_arn := params.get("TrainingPlanArnEquals"):
        jobs = [job for job in jobs if job["ResourceConfig"].get("TrainingPlanArn") == plan_arn]

    def summary(job: dict[str, Any]) -> dict[str, Any]:
        warm_pool = _warm_pool_status(ctx, job)
        listed = {member: job[member] for member in _SUMMARY if member in job}
        return {**listed, "WarmPoolStatus": warm_pool} if warm_pool else listed

    return common.page(
        jobs,
        params,
        name_key="TrainingJobName",
        status_key="TrainingJobStatus",
        summary=summary,
        result_key="TrainingJobSummaries",
    )


@operation("StopTrainingJob")
async def stop_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have the job's containers end; what is in the model folder is uploaded."""
    job_operations.request_stop(ctx, KIND, params["TrainingJobName"])
    return {}


@operation("UpdateTrainingJob")
async def update_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change the profiler's settings, remote debugging or how long the warm pool is kept."""
    name = params["TrainingJobName"]
    document = job_operations.require_job(ctx, KIND, name)
    for member in ("ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig"):
        if member in params:
            document[member] = params[member]
    if "ResourceConfig" in params:
        if not document["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
            raise ValidationException(
                "The ResourceConfig can only be updated for a training job that keeps a warm pool "
                "(KeepAlivePeriodInSeconds)."
            )
        document["ResourceConfig"] |= params["ResourceConfig"]
    document["LastModifiedTime"] = ctx.app.clock.now()
    ctx.app.store.put(KIND, ctx.region, name, document)
    return {"TrainingJobArn": document["TrainingJobArn"]}


@operation("DeleteTrainingJob")
async def delete_training_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a job that has ended."""
    job_operations.delete_job(ctx, KIND, params["TrainingJobName"])
    return {}


async def _check_channel(ctx: Context, role_arn: str, channel: dict[str, Any]) -> None:
    source = channel["DataSource"]["S3DataSource"]
    await job_operations.check_input(
        ctx,
        role_arn,
        source["S3Uri"],
        is_object=source["S3DataType"] != "S3Prefix",
        described_as="input data source",
    )


def _algorithm_specification(params: dict[str, Any], images: ImageRegistry) -> dict[str, Any]:
    specification = {
        "EnableSageMakerMetricsTimeSeries": False,
        "MetricDefinitions": [],
        **params["AlgorithmSpecification"],
    }
    try:
        image = images.resolve(specification["TrainingImage"])
    except UnknownImageError:
        return specification  # the job fails when its image is to be pulled, as on AWS
    own = [{"Name": name, "Regex": regex} for name, regex in image.metric_definitions]
    if specification["MetricDefinitions"] and image.has_fixed_metrics:
        raise ValidationException(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without specifying metric definitions."
        )
    specification["MetricDefinitions"] = specification["MetricDefinitions"] or own
    return specification


def _warm_pool_status(ctx: Context, job: dict[str, Any]) -> dict[str, Any]:
    keep_alive_seconds = job["ResourceConfig"].get("KeepAlivePeriodInSeconds")
    if not keep_alive_seconds:
        return {}
    if job["TrainingJobStatus"] != "Completed":
        status = "InUse" if job["TrainingJobStatus"] == "InProgress" else "Terminated"
        return {"Status": status}
    until = job["TrainingEndTime"] + timedelta(seconds=keep_alive_seconds)
    if ctx.app.clock.now() < until:
        return {"Status": "Available"}
    return {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": keep_alive_seconds}

"""Processing jobs: create, describe, list, stop, delete.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
"""

from __future__ import annotations

import asyncio
from typing import Any

from sagemaker_emulator.api import common, job_operations
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.jobs.processing import KIND, ProcessingJob
from sagemaker_emulator.operations import Context, operation
from sagemaker_emulator.runtime.jobs import JobControl

_ECHOED = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "Environment",
    "NetworkConfig",
    "RoleArn",
    "ExperimentConfig",
)
_SUMMARY = (
    "ProcessingJobName",
    "ProcessingJobArn",
    "CreationTime",
    "ProcessingEndTime",
    "LastModifiedTime",
    "ProcessingJobStatus",
    "FailureReason",
    "ExitMessage",
)


@operation("CreateProcessingJob")
async def create_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Validate and store the job, and start it."""
    name, role_arn = params["ProcessingJobName"], params["RoleArn"]
    _check(params)
    ctx.app.aws.check_service_role(ctx, role_arn)
    outputs = params.get("ProcessingOutputConfig", {}).get("Outputs", ())
    await asyncio.gather(
        *(
            job_operations.check_output(
                ctx, role_arn, output["S3Output"]["S3Uri"], f"ProcessingOutputConfig output {output['OutputName']!r}"
            )
            for output in outputs
        ),
        *(
            job_operations.check_input(
                ctx,
                role_arn,
                given["S3Input"]["S3Uri"],
                is_object=given["S3Input"]["S3DataType"] == "ManifestFile",
                described_as=f"processing input {given['InputName']!r}",
            )
            for given in params.get("ProcessingInputs", ())
        ),
    )
    arn = common.arn(ctx, KIND, name)
    now = ctx.app.clock.now()
    document = {
        "ProcessingJobName": name,
        "ProcessingJobArn": arn,
        "ProcessingJobStatus": "InProgress",
        **{member: params[member] for member in _ECHOED if member in params},
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    job_operations.insert_job(ctx, KIND, name, document, params)

    async def run(control: JobControl) -> None:
        await ProcessingJob(ctx.app, ctx.region, name).run(control)

    ctx.app.jobs.start(KIND, ctx.region, name, run)
    return {"ProcessingJobArn": arn}


@operation("DescribeProcessingJob")
async def describe_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the job's document."""
    return job_operations.require_job(ctx, KIND, params["ProcessingJobName"])


@operation("ListProcessingJobs")
async def list_processing_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List jobs, the newest first."""
    return common.page(
        ctx.app.store.list(KIND, ctx.region),
        params,
        name_key="ProcessingJobName",
        status_key="ProcessingJobStatus",
        summary=lambda job: {member: job[member] for member in _SUMMARY if member in job},
        result_key="ProcessingJobSummaries",
    )


@operation("StopProcessingJob")
async def stop_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have the job's containers end."""
    job_operations.request_stop(ctx, KIND, params["ProcessingJobName"])
    return {}


@operation("DeleteProcessingJob")
async def delete_processing_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a job that has ended."""
    job_operations.delete_job(ctx, KIND, params["ProcessingJobName"])
    return {}


def _check(params: dict[str, Any]) -> None:
    """Raise what AWS checks across members, and refuse what the emulator does not do."""
    cluster = params["ProcessingResources"]["ClusterConfig"]
    if not cluster.get("InstanceType") or not cluster.get("InstanceCount"):
        raise ValidationException(
            "ProcessingResources.ClusterConfig requires InstanceType and InstanceCount; sagemaker-emulator does not "
            "implement InstancePreferences."
        )
    names: list[str] = []
    for given in params.get("ProcessingInputs", ()):
        names.append(given["InputName"])
        _check_input(given)
    for output in params.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        names.append(output["OutputName"])
        _check_output(output)
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValidationException(
            f"Input and output names must be unique within a processing job; repeated: {', '.join(sorted(repeated))}."
        )


def _check_input(given: dict[str, Any]) -> None:
    name = given["InputName"]
    source = given.get("S3Input")
    if not source:
        raise ValidationException(
            f"Processing input {name!r}: sagemaker-emulator reads inputs from S3 only; S3Input is missing."
        )
    if given.get("AppManaged"):
        raise ValidationException(f"Processing input {name!r}: sagemaker-emulator does not implement AppManaged.")
    if source.get("S3InputMode", "File") != "File":
        raise ValidationException(f"Processing input {name!r}: sagemaker-emulator implements S3InputMode File only.")
    _check_local_path(f"Processing input {name!r}", source.get("LocalPath", ""))


def _check_output(output: dict[str, Any]) -> None:
    name = output["OutputName"]
    if not output.get("S3Output") or output.get("AppManaged") or output.get("FeatureStoreOutput"):
        raise ValidationException(
            f"Processing output {name!r}: sagemaker-emulator writes outputs to S3 only; it implements neither "
            "FeatureStoreOutput nor AppManaged."
        )
    _check_local_path(f"Processing output {name!r}", output["S3Output"].get("LocalPath", ""))


def _check_local_path(subject: str, local_path: str) -> None:
    if not local_path.startswith("/opt/ml/processing/"):
        raise ValidationException(
            f'{subject}: LocalPath "{local_path}" is invalid. LocalPath is an absolute path below /opt/ml/processing/.'
        )
    if ".." in local_path.split("/"):
        raise ValidationException(f'{subject}: LocalPath "{local_path}" must not contain "..".')

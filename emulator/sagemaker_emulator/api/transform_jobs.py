"""Batch transform jobs: create, describe, list, stop.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common, job_operations
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.hosting.model_containers import container_definitions
from sagemaker_emulator.jobs.json_path import JsonPath, JsonPathError
from sagemaker_emulator.jobs.transform import DEFAULT_MAX_PAYLOAD_MB, KIND, TransformJob
from sagemaker_emulator.jobs.transform_records import record_format
from sagemaker_emulator.operations import Context, operation
from sagemaker_emulator.runtime.jobs import JobControl

_LARGEST_PAYLOAD_MB = 100

_ECHOED = (
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformResources",
    "ExperimentConfig",
)
_SUMMARY = (
    "TransformJobName",
    "TransformJobArn",
    "CreationTime",
    "TransformEndTime",
    "LastModifiedTime",
    "TransformJobStatus",
    "FailureReason",
)


@operation("CreateTransformJob")
async def create_transform_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Validate and store the job, and start it."""
    name = params["TransformJobName"]
    _check(params)
    model = common.require(
        ctx,
        "model",
        params["ModelName"],
        f'Could not find model "{common.arn(ctx, "model", params["ModelName"])}".',
    )
    if any(container.get("Mode") == "MultiModel" for container in container_definitions(model)):
        raise ValidationException("Batch transform does not support multi-model containers; give a single model.")
    await job_operations.check_output(
        ctx,
        model.get("ExecutionRoleArn", ""),
        params["TransformOutput"]["S3OutputPath"],
        "TransformOutput.S3OutputPath",
    )
    arn = common.arn(ctx, KIND, name)
    now = ctx.app.clock.now()
    document = {
        "TransformJobName": name,
        "TransformJobArn": arn,
        "TransformJobStatus": "InProgress",
        **{member: params[member] for member in _ECHOED if member in params},
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **params["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": "", **params["TransformOutput"]},
        "DataProcessing": {
            "InputFilter": "$",
            "OutputFilter": "$",
            "JoinSource": "None",
            **params.get("DataProcessing", {}),
        },
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    job_operations.insert_job(ctx, KIND, name, document, params)

    async def run(control: JobControl) -> None:
        await TransformJob(ctx.app, ctx.region, name, model).run(control)

    ctx.app.jobs.start(KIND, ctx.region, name, run)
    return {"TransformJobArn": arn}


@operation("DescribeTransformJob")
async def describe_transform_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the job's document."""
    return job_operations.require_job(ctx, KIND, params["TransformJobName"])


@operation("ListTransformJobs")
async def list_transform_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List jobs, the newest first."""
    return common.page(
        ctx.app.store.list(KIND, ctx.region),
        params,
        name_key="TransformJobName",
        status_key="TransformJobStatus",
        summary=lambda job: {member: job[member] for member in _SUMMARY if member in job},
        result_key="TransformJobSummaries",
    )


@operation("StopTransformJob")
async def stop_transform_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """End the job; what is stored already stays."""
    job_operations.request_stop(ctx, KIND, params["TransformJobName"])
    return {}


def _check(params: dict[str, Any]) -> None:
    """Raise what AWS checks across members, and refuse what the emulator does not do."""
    source = params["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise ValidationException(
            f"S3DataType {source['S3DataType']} is not valid for a transform job; use S3Prefix or ManifestFile."
        )
    split_type = params["TransformInput"].get("SplitType", "None")
    if split_type not in ("None", "Line"):
        raise ValidationException(f"sagemaker-emulator does not implement SplitType {split_type}; use None or Line.")
    if params.get("DataCaptureConfig"):
        raise ValidationException("sagemaker-emulator does not implement DataCaptureConfig of CreateTransformJob.")
    max_payload_mb = params.get("MaxPayloadInMB", DEFAULT_MAX_PAYLOAD_MB)
    if max_payload_mb > _LARGEST_PAYLOAD_MB:
        raise ValidationException(
            f"MaxPayloadInMB cannot be greater than {_LARGEST_PAYLOAD_MB}; it is {max_payload_mb}."
        )
    total_mb = params.get("MaxConcurrentTransforms", 0) * max_payload_mb
    if total_mb > _LARGEST_PAYLOAD_MB:
        raise ValidationException(
            f"MaxConcurrentTransforms * MaxPayloadInMB cannot be greater than {_LARGEST_PAYLOAD_MB}; it is {total_mb}."
        )
    _check_data_processing(params, is_split=split_type == "Line")


def _check_data_processing(params: dict[str, Any], *, is_split: bool) -> None:
    processing = params.get("DataProcessing", {})
    for member in ("InputFilter", "OutputFilter"):
        try:
            path = JsonPath(processing.get(member) or "$")
        except JsonPathError as error:
            raise ValidationException(f"DataProcessing.{member}: {error}") from error
        if member == "InputFilter":
            needs_format = not path.is_identity
    content_type = params["TransformInput"].get("ContentType", "")
    needs_format = needs_format or processing.get("JoinSource") == "Input"
    if needs_format and record_format(content_type, is_split=is_split) is None:
        raise ValidationException(
            "DataProcessing needs a TransformInput.ContentType of text/csv, application/jsonlines or application/json; "
            f"it is {content_type!r}."
        )

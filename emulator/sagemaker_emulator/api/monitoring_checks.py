"""What is checked of a monitoring job, wherever it is defined."""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.hosting.deployment_record import ENDPOINT
from sagemaker_emulator.monitoring.job_definition import endpoint_input
from sagemaker_emulator.monitoring.window import WindowError, parse_offset
from sagemaker_emulator.operations import Context
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.s3_transfer import TransferError

_PROCESSING_FOLDER = "/opt/ml/processing/"


def check_definition(ctx: Context, definition: dict[str, Any]) -> None:
    """Check a ``MonitoringJobDefinition``: its endpoint, paths and role.

    Raises:
        ValidationException: Something is wrong, or the emulator does not do it.
    """
    given = definition["MonitoringInputs"][0]
    if "BatchTransformInput" in given:
        raise ValidationException(
            "sagemaker-emulator does not monitor batch transform jobs: give an EndpointInput instead of a "
            "BatchTransformInput."
        )
    if "EndpointInput" not in given:
        raise ValidationException("A monitoring input requires EndpointInput.")
    source = endpoint_input(definition)
    if ctx.app.store.get(ENDPOINT, ctx.region, source["EndpointName"]) is None:
        raise ValidationException(f'Could not find endpoint "{common.arn(ctx, ENDPOINT, source["EndpointName"])}".')
    if source.get("S3InputMode", "File") != "File":
        raise ValidationException("sagemaker-emulator implements S3InputMode File of monitoring inputs only.")
    for member in ("StartTimeOffset", "EndTimeOffset"):
        if member in source:
            check_offset(member, source[member])
    output = definition["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"]
    _check_local_path("EndpointInput", source["LocalPath"])
    _check_local_path("MonitoringOutputs", output["LocalPath"])
    try:
        s3_transfer.parse_uri(output["S3Uri"])
    except TransferError as error:
        raise ValidationException(f"MonitoringOutputs: {error}") from error
    ctx.app.aws.check_service_role(ctx, definition["RoleArn"])


def check_offset(member: str, text: str) -> None:
    """Check an offset from the scheduled time.

    Raises:
        ValidationException: It is no duration.
    """
    try:
        parse_offset(text)
    except WindowError as error:
        raise ValidationException(f"{member}: {error}") from error


def _check_local_path(subject: str, local_path: str) -> None:
    if not local_path.startswith(_PROCESSING_FOLDER) or ".." in local_path.split("/"):
        raise ValidationException(
            f'{subject}: LocalPath "{local_path}" is invalid. LocalPath is an absolute path below {_PROCESSING_FOLDER}.'
        )

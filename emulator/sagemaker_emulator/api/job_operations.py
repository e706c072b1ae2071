"""What the operations of training, processing and transform jobs share, and what happens to jobs around a restart."""

from __future__ import annotations

import asyncio
from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.app import App
from sagemaker_emulator.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagemaker_emulator.jobs.job_record import INTERRUPTED
from sagemaker_emulator.operations import Context, on_start, on_stop
from sagemaker_emulator.runtime import namespace, s3_transfer
from sagemaker_emulator.runtime.s3_transfer import TransferError

_STATUS_KEYS = {
    "training-job": ("TrainingJobStatus", "TrainingEndTime"),
    "processing-job": ("ProcessingJobStatus", "ProcessingEndTime"),
    "transform-job": ("TransformJobStatus", "TransformEndTime"),
}
_UNFINISHED = ("InProgress", "Stopping")


@on_start
async def recover_jobs(app: App) -> None:
    """Clean up after an emulator that was killed: its processes, its folders, and the jobs that were running."""
    await asyncio.to_thread(namespace.current)
    await app.jobs.clear_leftovers()
    now = app.clock.now()
    for kind, (status_key, end_key) in _STATUS_KEYS.items():
        for region, name, document in app.store.all(kind):
            if document[status_key] not in _UNFINISHED:
                continue
            document |= {status_key: "Failed", end_key: now, "LastModifiedTime": now, "FailureReason": INTERRUPTED}
            if transitions := document.get("SecondaryStatusTransitions"):
                transitions[-1].setdefault("EndTime", now)
                failed = {"Status": "Failed", "StartTime": now, "EndTime": now, "StatusMessage": INTERRUPTED}
                document |= {"SecondaryStatus": "Failed", "SecondaryStatusTransitions": [*transitions, failed]}
            app.store.put(kind, region, name, document)


@on_stop
async def end_jobs(app: App) -> None:
    """End the containers of running jobs."""
    await app.jobs.end_all()


def insert_job(ctx: Context, kind: str, name: str, document: dict[str, Any], params: dict[str, Any]) -> None:
    """Store a new job and its tags.

    Args:
        ctx: The call's context.
        kind: The store's kind, which is the ARN's resource type.
        name: The job's name.
        document: What Describe answers.
        params: The request, for its tags.

    Raises:
        ResourceInUse: There is a job of that name.
    """
    try:
        ctx.app.store.insert(kind, ctx.region, name, {**document, "Tags": params.get("Tags", [])})
    except KeyError as error:
        noun = kind.split("-")[0].capitalize()
        raise ResourceInUse(
            f"{noun} job names must be unique within an AWS account and region, and a {noun.lower()} job with this "
            f"name already exists ({common.arn(ctx, kind, name)})"
        ) from error


def require_job(ctx: Context, kind: str, name: str) -> dict[str, Any]:
    """Return a job's document.

    Raises:
        ResourceNotFound: There is no such job; processing and transform jobs have another message than training jobs.
        ValidationException: There is no such training job.
    """
    document = ctx.app.store.get(kind, ctx.region, name)
    if document is not None:
        return document
    if kind == "training-job":
        raise ValidationException("Requested resource not found.")
    raise ResourceNotFound(f"Could not find requested job with name: {name} ({common.arn(ctx, kind, name)})")


def require_running(document: dict[str, Any], kind: str) -> None:
    """Check that a job can be stopped.

    Raises:
        ValidationException: It has ended.
    """
    status = document[_STATUS_KEYS[kind][0]]
    if status not in _UNFINISHED:
        raise ValidationException(
            f"The request was rejected because the {kind.replace('-', ' ')} is in status {status}."
        )


def request_stop(ctx: Context, kind: str, name: str) -> None:
    """Stop a job; one that is being stopped already stays so.

    Raises:
        ValidationException: There is no such job, or it has ended.
        ResourceNotFound: There is no such job.
    """
    document = require_job(ctx, kind, name)
    require_running(document, kind)
    ctx.app.jobs.stop(kind, ctx.region, name)


def delete_job(ctx: Context, kind: str, name: str) -> None:
    """Forget a job that has ended.

    Raises:
        ValidationException: There is no such job.
        ResourceNotFound: There is no such job.
        ResourceInUse: It has not ended.
    """
    document = require_job(ctx, kind, name)
    status = document[_STATUS_KEYS[kind][0]]
    if status in _UNFINISHED:
        raise ResourceInUse(
            f"{kind.replace('-', ' ').capitalize()} {common.arn(ctx, kind, name)} is {status}; stop it first."
        )
    ctx.app.store.delete(kind, ctx.region, name)


async def check_output(ctx: Context, role_arn: str, s3_uri: str, member: str) -> None:
    """Check that the bucket a job is to write to exists.

    Raises:
        ValidationException: It does not, or the location is malformed.
    """
    bucket = _bucket(s3_uri, member)

    def check() -> bool:
        return s3_transfer.bucket_exists(_s3_client(ctx, role_arn), bucket)

    if not await asyncio.to_thread(check):
        raise ValidationException(
            f'The bucket "{bucket}" of {member} "{s3_uri}" does not exist. Please ensure that the bucket exists in the '
            f"selected region ({ctx.region})."
        )


async def check_input(ctx: Context, role_arn: str, s3_uri: str, *, is_object: bool, described_as: str) -> None:
    """Check that something lies at an input.

    Args:
        ctx: The call's context.
        role_arn: Who is going to read it.
        s3_uri: The prefix, or the manifest.
        is_object: Whether it has to be an object, not a prefix.
        described_as: Where it was given, for the message.

    Raises:
        ValidationException: Nothing is there, or the location is malformed.
    """
    bucket = _bucket(s3_uri, described_as)

    def check() -> bool:
        s3 = _s3_client(ctx, role_arn)
        try:
            if is_object:
                return s3_transfer.object_exists(s3, s3_uri)
            return s3_transfer.holds_objects(s3, s3_uri)
        except TransferError:
            return False

    if not await asyncio.to_thread(check):
        raise ValidationException(
            f'No S3 objects found under S3 URL "{s3_uri}" given in {described_as}. Please ensure that the bucket '
            f"exists in the selected region ({ctx.region}), that objects exist under that S3 prefix, and that the role "
            f'"{role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )


def _s3_client(ctx: Context, role_arn: str) -> Any:
    try:
        return ctx.app.aws.client("s3", ctx.region, role_arn)
    except PermissionError as error:
        raise ValidationException(str(error)) from error


def _bucket(s3_uri: str, described_as: str) -> str:
    try:
        return s3_transfer.parse_uri(s3_uri)[0]
    except TransferError as error:
        raise ValidationException(f"{described_as}: {error}") from error

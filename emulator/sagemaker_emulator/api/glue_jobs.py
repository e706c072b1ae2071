"""Glue jobs: create, get, update, delete, list, tag.

https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-job.html
"""

from __future__ import annotations

import uuid
from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.auth import glue_role_arn
from sagemaker_emulator.aws_access import GLUE_PRINCIPAL
from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.jobs import glue
from sagemaker_emulator.jobs.glue import JOB_KIND
from sagemaker_emulator.operations import Context, operation
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.s3_transfer import TransferError

SERVICE = "glue"
_DEFAULT_PAGE_SIZE = 100
_DEFAULT_TIMEOUT_MINUTES = 2880
_SMALLEST_DPU = 0.0625


class InvalidInput(ApiError):  # noqa: N818 - AWS's name
    """A value cannot be."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidInputException", message)


class EntityNotFound(ApiError):  # noqa: N818 - AWS's name
    """There is no such job or run."""

    def __init__(self, message: str) -> None:
        super().__init__("EntityNotFoundException", message)


@operation("CreateJob", service=SERVICE)
async def create_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Check and store a job; the same request again answers the one there is."""
    name = params["Name"]
    settings = {member: value for member, value in params.items() if member != "Tags"}
    existing = ctx.app.store.get(JOB_KIND, ctx.region, name)
    if existing:
        if existing["Request"] != settings:
            raise ApiError(
                "IdempotentParameterMismatchException",
                f"Job with name: {name} already submitted with different configuration",
            )
        return {"Name": name}
    document = _checked(ctx, settings)
    now = ctx.app.clock.now()
    document |= {"Request": settings, "Tags": params.get("Tags", {}), "CreatedOn": now, "LastModifiedOn": now}
    document["Id"] = f"j_{uuid.uuid4().hex}{uuid.uuid4().hex}"
    ctx.app.store.insert(JOB_KIND, ctx.region, name, document)
    return {"Name": name}


@operation("GetJob", service=SERVICE)
async def get_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a job's definition."""
    return {"Job": require_job(ctx, params["JobName"])}


@operation("GetJobs", service=SERVICE)
async def get_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer all jobs' definitions."""
    return _page(ctx.app.store.list(JOB_KIND, ctx.region), params, "Jobs")


@operation("BatchGetJobs", service=SERVICE)
async def batch_get_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the definitions of named jobs."""
    found = {name: ctx.app.store.get(JOB_KIND, ctx.region, name) for name in params["JobNames"]}
    return {
        "Jobs": [job for job in found.values() if job],
        "JobsNotFound": [name for name, job in found.items() if not job],
    }


@operation("ListJobs", service=SERVICE)
async def list_jobs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List the names of jobs, by tags if wanted."""
    wanted = params.get("Tags", {}).items()
    jobs = [job for job in ctx.app.store.list(JOB_KIND, ctx.region) if wanted <= job["Tags"].items()]
    answer = _page(jobs, params, "JobNames")
    return {**answer, "JobNames": [job["Name"] for job in answer["JobNames"]]}


@operation("UpdateJob", service=SERVICE)
async def update_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replace a job's definition: what the update leaves out goes back to its default, as on AWS."""
    name = params["JobName"]
    kept = require_job(ctx, name)
    settings = {"Name": name, **params["JobUpdate"]}
    for member in ("Role", "Command"):
        if member not in settings:
            raise InvalidInput(f"{member} is required: UpdateJob replaces the whole definition")
    document = _checked(ctx, settings)
    kept = {member: kept[member] for member in ("Id", "Tags", "CreatedOn")}
    document |= {"Request": settings, **kept, "LastModifiedOn": ctx.app.clock.now()}
    ctx.app.store.put(JOB_KIND, ctx.region, name, document)
    return {"JobName": name}


@operation("DeleteJob", service=SERVICE)
async def delete_job(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a job; that there is none is no error, and its runs go on."""
    ctx.app.store.delete(JOB_KIND, ctx.region, params["JobName"])
    return {"JobName": params["JobName"]}


@operation("TagResource", service=SERVICE)
async def tag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a job, or change them."""
    job = _tagged(ctx, params)
    job["Tags"] |= params["TagsToAdd"]
    ctx.app.store.put(JOB_KIND, ctx.region, job["Name"], job)
    return {}


@operation("UntagResource", service=SERVICE)
async def untag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take tags from a job."""
    job = _tagged(ctx, params)
    job["Tags"] = {key: value for key, value in job["Tags"].items() if key not in params["TagsToRemove"]}
    ctx.app.store.put(JOB_KIND, ctx.region, job["Name"], job)
    return {}


@operation("GetTags", service=SERVICE)
async def get_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a job's tags."""
    return {"Tags": _tagged(ctx, params)["Tags"]}


def require_job(ctx: Context, name: str) -> dict[str, Any]:
    """Return a job's document.

    Raises:
        EntityNotFound: There is none.
    """
    job = ctx.app.store.get(JOB_KIND, ctx.region, name)
    if job is None:
        raise EntityNotFound(f"Job with name: {name} not found.")
    return job


def capacity_of(settings: dict[str, Any], command: str) -> dict[str, Any]:
    """Return what a job or run says of its size, with the DPUs that come of it.

    Raises:
        InvalidInput: It says it in two ways, or in one that does not fit the command.
    """
    workers, most = settings.get("NumberOfWorkers"), settings.get("MaxCapacity") or settings.get("AllocatedCapacity")
    worker_type = settings.get("WorkerType", "")
    if command == glue.PYTHON_SHELL:
        if worker_type or workers:
            raise InvalidInput("Worker Type and Number of Workers are not supported for Job Command pythonshell.")
        if most not in (None, _SMALLEST_DPU, 1):
            raise InvalidInput("MaxCapacity of a Python shell job is 0.0625 or 1.")
        return {"MaxCapacity": most or _SMALLEST_DPU}
    if most and (worker_type or workers):
        raise InvalidInput("Please do not set Max Capacity if using Worker Type and Number of Workers.")
    if bool(worker_type) != bool(workers):
        raise InvalidInput("Please set both Worker Type and Number of Workers.")
    if worker_type:
        if not (dpus := glue.capacity(worker_type, workers or 0)):
            raise InvalidInput(f"sagemaker-emulator knows no worker type {worker_type} of glueetl")
        return {"WorkerType": worker_type, "NumberOfWorkers": workers, "MaxCapacity": dpus}
    return {"MaxCapacity": float(most or 10)}


def _checked(ctx: Context, settings: dict[str, Any]) -> dict[str, Any]:
    command = settings["Command"]
    if command.get("Name") not in glue.COMMANDS:
        raise InvalidInput(
            f"sagemaker-emulator runs the commands {', '.join(glue.COMMANDS)}, not {command.get('Name')}"
        )
    try:
        s3_transfer.parse_uri(command.get("ScriptLocation", ""))
    except TransferError as error:
        raise InvalidInput(f"Command.ScriptLocation: {error}") from error
    for member in ("CodeGenConfigurationNodes", "JobRunQueuingEnabled", "SourceControlDetails"):
        if settings.get(member):
            raise InvalidInput(f"sagemaker-emulator does not implement {member}")
    role_arn = glue_role_arn(ctx, settings["Role"])
    if not ctx.app.aws.may_assume(role_arn, GLUE_PRINCIPAL):
        raise InvalidInput("Service is unable to assume provided role. Please verify role's TrustPolicy")
    return {
        **settings,
        **capacity_of(settings, command["Name"]),
        "RoleArn": role_arn,
        "MaxRetries": settings.get("MaxRetries", 0),
        "Timeout": settings.get("Timeout", _DEFAULT_TIMEOUT_MINUTES),
        "ExecutionProperty": settings.get("ExecutionProperty", {"MaxConcurrentRuns": 1}),
        "JobMode": settings.get("JobMode", "SCRIPT"),
        "GlueVersion": settings.get("GlueVersion", "5.0" if command["Name"] == glue.SPARK else "3.0"),
    }


def _tagged(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    place, _, name = params["ResourceArn"].partition(":job/")
    if not name or place != f"arn:{ctx.partition}:glue:{ctx.region}:{ctx.account_id}":
        raise InvalidInput(f"sagemaker-emulator tags Glue jobs only, not {params['ResourceArn']}")
    return require_job(ctx, name)


def _page(items: list[dict[str, Any]], params: dict[str, Any], result_key: str) -> dict[str, Any]:
    return common.cut_page(
        items,
        params,
        position=lambda job: (common.sortable(job["Name"]), job["Name"]),
        is_descending=False,
        entry=lambda job: job,
        result_key=result_key,
        default_size=_DEFAULT_PAGE_SIZE,
    )

"""Runs of Glue jobs: start, get, list, stop.

https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-runs.html
"""

from __future__ import annotations

import uuid
from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.api.glue_jobs import SERVICE, EntityNotFound, InvalidInput, capacity_of
from sagemaker_emulator.app import App
from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.jobs import glue
from sagemaker_emulator.jobs.glue import JOB_KIND, RUN_KIND, GlueRun
from sagemaker_emulator.operations import Context, on_start, operation
from sagemaker_emulator.runtime.jobs import JobControl

_DEFAULT_PAGE_SIZE = 200
_FROM_RUN = ("SecurityConfiguration", "NotificationProperty", "ExecutionClass", "Arguments")
_SIZE = ("WorkerType", "NumberOfWorkers", "MaxCapacity", "AllocatedCapacity")


@on_start
async def recover_runs(app: App) -> None:
    """Record as failed what an emulator that ended left running."""
    now = app.clock.now()
    for region, run_id, run in app.store.all(RUN_KIND):
        if run["JobRunState"] in glue.UNFINISHED:
            failed = {"JobRunState": "FAILED", "ErrorMessage": glue.INTERRUPTED, "CompletedOn": now}
            app.store.put(RUN_KIND, region, run_id, {**run, **failed, "LastModifiedOn": now})


@operation("StartJobRun", service=SERVICE)
async def start_job_run(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Store a run and start it."""
    name = params["JobName"]
    job = ctx.app.store.get(JOB_KIND, ctx.region, name)
    if job is None:
        raise EntityNotFound("Failed to start job run due to missing metadata")
    for member in ("JobRunId", "JobRunQueuingEnabled", "ExecutionRoleSessionPolicy"):
        if params.get(member):
            raise InvalidInput(f"sagemaker-emulator does not implement {member} of StartJobRun")
    command = job["Command"]["Name"]
    given: dict[str, str] = {**job.get("DefaultArguments", {}), **params.get("Arguments", {})}
    if problem := glue.unmet(command, given):
        raise InvalidInput(problem)
    if fixed := sorted(set(params.get("Arguments", ())) & set(job.get("NonOverridableArguments", ()))):
        raise InvalidInput(f"Non-overridable arguments cannot be given to a run: {', '.join(fixed)}")
    running = [run for run in _runs_of(ctx, name) if run["JobRunState"] in glue.UNFINISHED]
    if len(running) >= job["ExecutionProperty"].get("MaxConcurrentRuns", 1):
        raise ApiError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
    size = {member: params[member] for member in _SIZE if member in params}
    run_id = f"jr_{uuid.uuid4().hex}{uuid.uuid4().hex}"
    inherited: dict[str, Any] = {
        member: job[member] for member in ("SecurityConfiguration", "ExecutionClass") if member in job
    }
    run = {
        **inherited,
        **{member: params[member] for member in _FROM_RUN if member in params},
        **capacity_of(size or {member: job[member] for member in _SIZE if member in job["Request"]}, command),
        "JobName": name,
        "JobMode": job["JobMode"],
        "Timeout": params.get("Timeout", job["Timeout"]),
        "GlueVersion": job["GlueVersion"],
        "LogGroupName": glue.LOG_GROUPS[command],
        "PredecessorRuns": [],
        # What the run does is the definition as it is now.
        "Job": job
        | {"DefaultArguments": {**job.get("DefaultArguments", {}), **job.get("NonOverridableArguments", {})}},
    }
    _start(ctx.app, ctx.region, run_id, run, attempt=0)
    return {"JobRunId": run_id}


@operation("GetJobRun", service=SERVICE)
async def get_job_run(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a run."""
    return {"JobRun": _require(ctx, params["JobName"], params["RunId"])}


@operation("GetJobRuns", service=SERVICE)
async def get_job_runs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List a job's runs, the newest first."""
    name = params["JobName"]
    runs = _runs_of(ctx, name)
    if not runs and ctx.app.store.get(JOB_KIND, ctx.region, name) is None:
        raise EntityNotFound(f"Job with name: {name} not found.")
    return common.cut_page(
        [_shown(run) for run in runs],
        params,
        position=lambda run: (common.sortable(run["StartedOn"]), run["Id"]),
        is_descending=True,
        entry=lambda run: run,
        result_key="JobRuns",
        default_size=_DEFAULT_PAGE_SIZE,
    )


@operation("BatchStopJobRun", service=SERVICE)
async def batch_stop_job_run(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have runs end."""
    name = params["JobName"]
    stopped, errors = [], []
    for run_id in params["JobRunIds"]:
        named = {"JobName": name, "JobRunId": run_id}
        try:
            state = _require(ctx, name, run_id)["JobRunState"]
            if state not in glue.UNFINISHED:
                raise InvalidInput(f"Job run {run_id} is in state {state} and cannot be stopped")
        except ApiError as error:
            errors.append({**named, "ErrorDetail": {"ErrorCode": error.code, "ErrorMessage": error.message}})
        else:
            ctx.app.jobs.stop(RUN_KIND, ctx.region, run_id)
            stopped.append(named)
    return {"SuccessfulSubmissions": stopped, "Errors": errors}


def _start(app: App, region: str, run_id: str, run: dict[str, Any], attempt: int) -> None:
    """Store and start a run; one that fails is followed by the job's retries, each a run of its own."""
    now = app.clock.now()
    state = {"Id": run_id, "Attempt": attempt, "JobRunState": "STARTING", "StartedOn": now, "LastModifiedOn": now}
    app.store.insert(RUN_KIND, region, run_id, {**run, **state, "ExecutionTime": 0})

    async def work(control: JobControl) -> None:
        state = await GlueRun(app, region, run_id).run(control)
        if state == "FAILED" and attempt < run["Job"]["MaxRetries"]:
            first = run_id.partition("_attempt_")[0]
            again = {**run, "PreviousRunId": run_id}
            _start(app, region, f"{first}_attempt_{attempt + 1}", again, attempt + 1)

    app.jobs.start(RUN_KIND, region, run_id, work)


def _runs_of(ctx: Context, job_name: str) -> list[dict[str, Any]]:
    return [run for run in ctx.app.store.list(RUN_KIND, ctx.region) if run["JobName"] == job_name]


def _require(ctx: Context, job_name: str, run_id: str) -> dict[str, Any]:
    run = ctx.app.store.get(RUN_KIND, ctx.region, run_id)
    if run is None or run["JobName"] != job_name:
        raise EntityNotFound(f"Job run not found: {job_name}, run id {run_id}")
    return _shown(run)


def _shown(run: dict[str, Any]) -> dict[str, Any]:
    # AWS still answers this older member, whole DPUs.
    return {**run, "AllocatedCapacity": int(run["MaxCapacity"])}

"""Monitoring schedules: create, update, start, stop, describe, list, delete.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import (
    common,
    endpoints,  # noqa: F401 - its start hooks end what was left running and start endpoints, before ours goes on
    monitoring_checks,
    monitoring_executions,
)
from sagemaker_emulator.app import App
from sagemaker_emulator.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagemaker_emulator.monitoring import job_definition, schedule_expression
from sagemaker_emulator.monitoring.schedule_expression import ScheduleExpressionError
from sagemaker_emulator.monitoring.schedules import SCHEDULE
from sagemaker_emulator.monitoring.window import WindowError, analysis_window
from sagemaker_emulator.operations import Context, on_start, on_stop, operation

_SUMMARY = (
    "MonitoringScheduleName",
    "MonitoringScheduleArn",
    "CreationTime",
    "LastModifiedTime",
    "MonitoringScheduleStatus",
    "EndpointName",
    "MonitoringJobDefinitionName",
    "MonitoringType",
)


@on_start
async def start_schedules(app: App) -> None:
    """Go on with the schedules."""
    await app.monitoring.start_all()


@on_stop
async def stop_schedules(app: App) -> None:
    """Start no more executions."""
    await app.monitoring.stop_all()


@operation("CreateMonitoringSchedule")
async def create_monitoring_schedule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Check and keep the schedule, and start it."""
    name = params["MonitoringScheduleName"]
    arn = common.arn(ctx, SCHEDULE, name)
    now = ctx.app.clock.now()
    document = {
        "MonitoringScheduleName": name,
        "MonitoringScheduleArn": arn,
        "MonitoringScheduleStatus": "Pending",
        "CreationTime": now,
        "LastModifiedTime": now,
        "Tags": params.get("Tags", []),
        **_checked(ctx, params["MonitoringScheduleConfig"]),
    }
    try:
        ctx.app.store.insert(SCHEDULE, ctx.region, name, document)
    except KeyError as error:
        raise ResourceInUse(
            "Monitoring schedule names must be unique within an AWS account and region, and a monitoring schedule with "
            f"this name already exists ({arn})"
        ) from error
    ctx.app.monitoring.start(ctx.region, name)
    return {"MonitoringScheduleArn": arn}


@operation("UpdateMonitoringSchedule")
async def update_monitoring_schedule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replace the configuration; a stopped schedule stays stopped, the running execution goes on."""
    name = params["MonitoringScheduleName"]
    schedule = _settled(ctx, name)
    changed = _checked(ctx, params["MonitoringScheduleConfig"])
    is_stopped = schedule["MonitoringScheduleStatus"] == "Stopped"
    kept = {key: value for key, value in schedule.items() if key != "MonitoringJobDefinitionName"}
    _put(ctx, {**kept, **changed, "HasRun": False}, "Stopped" if is_stopped else "Pending")
    if not is_stopped:
        ctx.app.monitoring.start(ctx.region, name)
    return {"MonitoringScheduleArn": schedule["MonitoringScheduleArn"]}


@operation("StartMonitoringSchedule")
async def start_monitoring_schedule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Go on with a stopped schedule; a one-time schedule runs once more."""
    schedule = _settled(ctx, params["MonitoringScheduleName"])
    if schedule["MonitoringScheduleStatus"] == "Stopped":
        _put(ctx, {**schedule, "HasRun": False}, "Pending")
        ctx.app.monitoring.start(ctx.region, params["MonitoringScheduleName"])
    return {}


@operation("StopMonitoringSchedule")
async def stop_monitoring_schedule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Start no more executions; the running one goes on."""
    schedule = _settled(ctx, params["MonitoringScheduleName"])
    ctx.app.monitoring.stop(ctx.region, params["MonitoringScheduleName"])
    _put(ctx, schedule, "Stopped")
    return {}


@operation("DescribeMonitoringSchedule")
async def describe_monitoring_schedule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a schedule and its latest execution."""
    schedule = _require(ctx, params["MonitoringScheduleName"])
    if latest := monitoring_executions.latest(ctx, params["MonitoringScheduleName"]):
        schedule["LastMonitoringExecutionSummary"] = latest
    return schedule


@operation("ListMonitoringSchedules")
async def list_monitoring_schedules(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List schedules, the newest first."""
    return common.page(
        common.matching(
            ctx.app.store.list(SCHEDULE, ctx.region),
            EndpointName=params.get("EndpointName"),
            MonitoringJobDefinitionName=params.get("MonitoringJobDefinitionName"),
            MonitoringType=params.get("MonitoringTypeEquals"),
        ),
        params,
        name_key="MonitoringScheduleName",
        status_key="MonitoringScheduleStatus",
        summary=lambda schedule: {member: schedule[member] for member in _SUMMARY if member in schedule},
        result_key="MonitoringScheduleSummaries",
    )


@operation("DeleteMonitoringSchedule")
async def delete_monitoring_schedule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a schedule; its executions stay listed, and the running one goes on."""
    name = params["MonitoringScheduleName"]
    _settled(ctx, name)
    ctx.app.monitoring.stop(ctx.region, name)
    ctx.app.store.delete(SCHEDULE, ctx.region, name)
    return {}


def _require(ctx: Context, name: str) -> dict[str, Any]:
    schedule = ctx.app.store.get(SCHEDULE, ctx.region, name)
    if schedule is None:
        raise ResourceNotFound(f"Monitoring schedule {common.arn(ctx, SCHEDULE, name)} not found")
    return schedule


def _settled(ctx: Context, name: str) -> dict[str, Any]:
    """Return a schedule that can be changed."""
    schedule = _require(ctx, name)
    if schedule["MonitoringScheduleStatus"] == "Pending":
        raise ValidationException("Monitoring schedule in status Pending")
    return schedule


def _put(ctx: Context, schedule: dict[str, Any], status: str) -> None:
    schedule |= {"MonitoringScheduleStatus": status, "LastModifiedTime": ctx.app.clock.now()}
    ctx.app.store.put(SCHEDULE, ctx.region, schedule["MonitoringScheduleName"], schedule)


def _checked(ctx: Context, config: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a schedule's document that come from its configuration, which is checked."""
    named = config.get("MonitoringJobDefinitionName")
    if (named is None) == ("MonitoringJobDefinition" not in config):
        raise ValidationException(
            "MonitoringScheduleConfig requires exactly one of MonitoringJobDefinition and MonitoringJobDefinitionName."
        )
    monitoring_type = config.get("MonitoringType", job_definition.DATA_QUALITY)
    if monitoring_type != job_definition.DATA_QUALITY:
        raise ValidationException(
            f"sagemaker-emulator implements MonitoringType {job_definition.DATA_QUALITY} only, not {monitoring_type}."
        )
    if named is not None and "MonitoringType" not in config:
        raise ValidationException("MonitoringScheduleConfig with MonitoringJobDefinitionName requires MonitoringType.")
    definition = job_definition.of_schedule(ctx.app.store, ctx.region, config)
    if definition is None:
        raise ValidationException(
            f"Could not find job definition {common.arn(ctx, job_definition.JOB_DEFINITION, str(named))}."
        )
    monitoring_checks.check_definition(ctx, definition)
    _check_schedule(ctx, config.get("ScheduleConfig"), definition)
    endpoint_name = job_definition.endpoint_input(definition)["EndpointName"]
    members = {
        "MonitoringScheduleConfig": config,
        "MonitoringType": monitoring_type,
        "EndpointName": endpoint_name,
    }
    return members | ({"MonitoringJobDefinitionName": named} if named else {})


def _check_schedule(ctx: Context, schedule_config: dict[str, Any] | None, definition: dict[str, Any]) -> None:
    if schedule_config is None:
        raise ValidationException("MonitoringScheduleConfig requires ScheduleConfig.")
    for member in ("DataAnalysisStartTime", "DataAnalysisEndTime"):
        if member in schedule_config:
            monitoring_checks.check_offset(member, schedule_config[member])
    try:
        cron = schedule_expression.parse(schedule_config["ScheduleExpression"])
        source = job_definition.endpoint_input(definition)
        analysis_window(schedule_config, source, cron, ctx.app.clock.now())
    except (ScheduleExpressionError, WindowError) as error:
        raise ValidationException(str(error)) from error
    if cron is not None and {"DataAnalysisStartTime", "DataAnalysisEndTime"} & schedule_config.keys():
        raise ValidationException(
            "DataAnalysisStartTime and DataAnalysisEndTime are for ScheduleExpression NOW; a schedule with a cron "
            "expression takes StartTimeOffset and EndTimeOffset of its input."
        )

"""Executions of monitoring schedules: list.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListMonitoringExecutions.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.monitoring.execution import EXECUTION, summary
from sagemaker_emulator.operations import Context, operation

_SUMMARY = (
    "MonitoringScheduleName",
    "ScheduledTime",
    "CreationTime",
    "LastModifiedTime",
    "MonitoringExecutionStatus",
    "ProcessingJobArn",
    "EndpointName",
    "FailureReason",
    "MonitoringJobDefinitionName",
    "MonitoringType",
)


@operation("ListMonitoringExecutions")
async def list_monitoring_executions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List executions, the newest first; also those of schedules that are deleted."""
    before, after = params.get("ScheduledTimeBefore"), params.get("ScheduledTimeAfter")
    executions = [
        execution
        for execution in common.matching(
            _executions(ctx),
            MonitoringScheduleName=params.get("MonitoringScheduleName"),
            EndpointName=params.get("EndpointName"),
            MonitoringJobDefinitionName=params.get("MonitoringJobDefinitionName"),
            MonitoringType=params.get("MonitoringTypeEquals"),
        )
        if (before is None or execution["ScheduledTime"] < before)
        and (after is None or execution["ScheduledTime"] > after)
    ]
    return common.page(
        executions,
        params,
        name_key="ExecutionName",
        status_key="MonitoringExecutionStatus",
        summary=_summary,
        result_key="MonitoringExecutionSummaries",
    )


def latest(ctx: Context, schedule_name: str) -> dict[str, Any] | None:
    """Return the summary of the latest execution of a schedule, or None before the first."""
    executions = common.matching(_executions(ctx), MonitoringScheduleName=schedule_name)
    return _summary(max(executions, key=lambda one: one["ScheduledTime"])) if executions else None


def _executions(ctx: Context) -> list[dict[str, Any]]:
    store = ctx.app.store
    return [summary(store, ctx.region, execution) for execution in store.list(EXECUTION, ctx.region)]


def _summary(execution: dict[str, Any]) -> dict[str, Any]:
    return {member: execution[member] for member in _SUMMARY if member in execution}

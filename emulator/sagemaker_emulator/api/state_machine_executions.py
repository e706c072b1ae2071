"""Executions of state machines: start, describe, stop, list, history.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from sagemaker_emulator.api import common, state_machines
from sagemaker_emulator.api.state_machines import SERVICE
from sagemaker_emulator.app import App
from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.operations import Context, on_start, on_stop, operation
from sagemaker_emulator.workflows.executions import KIND

_LARGEST_INPUT_BYTES = 262_144
_SUMMARY = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "redriveCount")


@on_start
async def recover_executions(app: App) -> None:
    """Record as failed what an emulator that ended left running."""
    app.executions.interrupt()


@on_stop
async def end_executions(app: App) -> None:
    """End the tasks of running executions."""
    await app.executions.end_all()


@operation("StartExecution", service=SERVICE)
async def start_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Start an execution; the same name and input again answer the one that runs."""
    machine = state_machines.require(ctx, params["stateMachineArn"])
    given = params.get("input", "{}")
    _check_input(given)
    name = params.get("name") or str(uuid.uuid4())
    arn = f"{machine['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{name}"
    if existing := ctx.app.store.get(KIND, ctx.region, arn):
        if existing["status"] == "RUNNING" and existing["input"] == given:
            return existing
        raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
    document = {
        "executionArn": arn,
        "stateMachineArn": machine["stateMachineArn"],
        "name": name,
        "status": "RUNNING",
        "startDate": ctx.app.clock.now(),
        "input": given,
        "inputDetails": {"included": True},
        "redriveCount": 0,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "sagemaker-emulator does not implement RedriveExecution",
        "roleArn": machine["roleArn"],
        "definition": machine["definition"],
        "revisionId": machine["revisionId"],
    }
    ctx.app.store.insert(KIND, ctx.region, arn, document)
    ctx.app.executions.start(ctx.region, document)
    return document


@operation("DescribeExecution", service=SERVICE)
async def describe_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer an execution's document."""
    return _require(ctx, params["executionArn"])


@operation("DescribeStateMachineForExecution", service=SERVICE)
async def describe_state_machine_for_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the state machine as it was when the execution started."""
    execution = _require(ctx, params["executionArn"])
    name = execution["stateMachineArn"].rpartition(":")[2]
    return {**execution, "name": name, "updateDate": execution["startDate"]}


@operation("StopExecution", service=SERVICE)
async def stop_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """End an execution and the job it waits for; one that has ended stays as it is."""
    arn = params["executionArn"]
    _require(ctx, arn)
    await ctx.app.executions.stop(arn, params.get("error", ""), params.get("cause", ""))
    return _require(ctx, arn)


@operation("ListExecutions", service=SERVICE)
async def list_executions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List a state machine's executions, the newest first."""
    if "mapRunArn" in params or "stateMachineArn" not in params:
        raise ApiError("ValidationException", "sagemaker-emulator lists the executions of a stateMachineArn only.")
    state_machines.require(ctx, params["stateMachineArn"])
    found = common.matching(
        ctx.app.store.list(KIND, ctx.region),
        stateMachineArn=params["stateMachineArn"],
        status=params.get("statusFilter"),
    )
    return state_machines.page(
        [{member: item[member] for member in _SUMMARY if member in item} for item in found],
        params,
        position=lambda item: (common.sortable(item["startDate"]), item["executionArn"]),
        is_descending=True,
        result_key="executions",
    )


@operation("GetExecutionHistory", service=SERVICE)
async def get_execution_history(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List an execution's events."""
    arn = params["executionArn"]
    _require(ctx, arn)
    events = ctx.app.executions.events(ctx.region, arn)
    if not params.get("includeExecutionData", True):
        events = [_without_data(event) for event in events]
    return state_machines.page(
        events,
        params,
        position=lambda event: (common.sortable(event["id"]), ""),
        is_descending=params.get("reverseOrder", False),
        result_key="events",
    )


def _require(ctx: Context, arn: str) -> dict[str, Any]:
    document = ctx.app.store.get(KIND, ctx.region, arn)
    if document is None:
        raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
    return document


def _check_input(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise ApiError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from error
    if len(text.encode()) > _LARGEST_INPUT_BYTES:
        raise ApiError(
            "InvalidExecutionInput",
            f"Invalid State Machine Execution Input: 'it is longer than {_LARGEST_INPUT_BYTES} bytes'",
        )


def _without_data(event: dict[str, Any]) -> dict[str, Any]:
    hidden = ("input", "output", "parameters")
    return {
        member: {name: item for name, item in value.items() if name not in hidden} if isinstance(value, dict) else value
        for member, value in event.items()
    }

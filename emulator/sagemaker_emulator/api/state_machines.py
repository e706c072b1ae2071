"""State machines of Step Functions: create, describe, update, delete, list, validate, tag.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_emulator.api import common
from sagemaker_emulator.aws_access import STATES_PRINCIPAL
from sagemaker_emulator.errors import AccessDenied, ApiError, ValidationException
from sagemaker_emulator.operations import Context, operation
from sagemaker_emulator.workflows import definition, integrations

SERVICE = "stepfunctions"
KIND = "state-machine"
_DEFAULT_PAGE_SIZE = 100
_KEPT = ("name", "definition", "roleArn", "loggingConfiguration", "tracingConfiguration", "encryptionConfiguration")


class StateMachineDoesNotExist(ApiError):  # noqa: N818 - AWS's name
    """There is no such state machine."""

    def __init__(self, arn: str) -> None:
        super().__init__("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


@operation("CreateStateMachine", service=SERVICE)
async def create_state_machine(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Check and store a state machine; the same request again answers the one there is."""
    _refuse_what_is_missing(params)
    machine = await asyncio.to_thread(definition.parse, params["definition"])
    arn = f"arn:{ctx.partition}:states:{ctx.region}:{ctx.account_id}:stateMachine:{params['name']}"
    await _check_role(ctx, params["roleArn"], machine)
    if existing := ctx.app.store.get(KIND, ctx.region, arn):
        if any(existing[member] != params[member] for member in ("definition", "roleArn")):
            raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        return existing
    document = {
        **{member: params[member] for member in _KEPT if member in params},
        "stateMachineArn": arn,
        "status": "ACTIVE",
        "type": "STANDARD",
        "creationDate": ctx.app.clock.now(),
        "revisionId": str(uuid.uuid4()),
        "Tags": params.get("tags", []),
    }
    ctx.app.store.insert(KIND, ctx.region, arn, document)
    return document


@operation("DescribeStateMachine", service=SERVICE)
async def describe_state_machine(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a state machine's document."""
    return require(ctx, params["stateMachineArn"])


@operation("UpdateStateMachine", service=SERVICE)
async def update_state_machine(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change a state machine; executions that run keep what they started with."""
    _refuse_what_is_missing(params)
    changes = {member: params[member] for member in _KEPT if member in params}
    if not changes:
        raise ApiError("MissingRequiredParameter", "Either the definition, the role ARN or a configuration is required")
    document = require(ctx, params["stateMachineArn"]) | changes
    machine = await asyncio.to_thread(definition.parse, document["definition"])
    await _check_role(ctx, document["roleArn"], machine)
    now = ctx.app.clock.now()
    document |= {"revisionId": str(uuid.uuid4()), "updateDate": now}
    ctx.app.store.put(KIND, ctx.region, document["stateMachineArn"], document)
    return {"updateDate": now, "revisionId": document["revisionId"]}


@operation("DeleteStateMachine", service=SERVICE)
async def delete_state_machine(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a state machine; its executions go on and stay on record."""
    ctx.app.store.delete(KIND, ctx.region, params["stateMachineArn"])
    return {}


@operation("ListStateMachines", service=SERVICE)
async def list_state_machines(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List state machines by name."""
    return page(
        ctx.app.store.list(KIND, ctx.region),
        params,
        position=lambda machine: (common.sortable(machine["name"]), machine["stateMachineArn"]),
        is_descending=False,
        result_key="stateMachines",
    )


@operation("ValidateStateMachineDefinition", service=SERVICE)
async def validate_state_machine_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Say what is wrong with a definition."""
    del ctx

    def problems() -> list[dict[str, Any]]:
        try:
            machine = json.loads(params["definition"])
        except ValueError as error:
            return [{"severity": "ERROR", "code": "INVALID_JSON_DESCRIPTION", "message": str(error)}]
        found = (problem.rpartition(" at ") for problem in definition.problems_of(machine))
        return [
            {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": message, "location": place}
            for message, _, place in found
        ]

    diagnostics = await asyncio.to_thread(problems)
    return {"result": "FAIL" if diagnostics else "OK", "diagnostics": diagnostics, "truncated": False}


@operation("TagResource", service=SERVICE)
async def tag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a state machine, or change them."""
    document = _tagged(ctx, params["resourceArn"])
    tags = {tag["key"]: tag for tag in [*document["Tags"], *params["tags"]]}
    ctx.app.store.put(KIND, ctx.region, params["resourceArn"], {**document, "Tags": list(tags.values())})
    return {}


@operation("UntagResource", service=SERVICE)
async def untag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take tags from a state machine."""
    document = _tagged(ctx, params["resourceArn"])
    left = [tag for tag in document["Tags"] if tag["key"] not in params["tagKeys"]]
    ctx.app.store.put(KIND, ctx.region, params["resourceArn"], {**document, "Tags": left})
    return {}


@operation("ListTagsForResource", service=SERVICE)
async def list_tags_for_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List the tags of a state machine."""
    return {"tags": _tagged(ctx, params["resourceArn"])["Tags"]}


def require(ctx: Context, arn: str) -> dict[str, Any]:
    """Return a state machine's document.

    Raises:
        StateMachineDoesNotExist: There is none; versions and aliases, which are not implemented, are none either.
    """
    document = ctx.app.store.get(KIND, ctx.region, arn)
    if document is None:
        raise StateMachineDoesNotExist(arn)
    return document


def page(
    items: list[dict[str, Any]],
    params: dict[str, Any],
    *,
    position: Callable[[dict[str, Any]], common.Position],
    is_descending: bool,
    result_key: str,
) -> dict[str, Any]:
    """Answer a page as Step Functions spells it; see :func:`~sagemaker_emulator.api.common.cut_page`."""
    spelled = {"NextToken": params.get("nextToken"), "MaxResults": params.get("maxResults") or _DEFAULT_PAGE_SIZE}
    answer = common.cut_page(
        items, spelled, position=position, is_descending=is_descending, entry=lambda item: item, result_key=result_key
    )
    if token := answer.pop("NextToken", None):
        answer["nextToken"] = token
    return answer


async def _check_role(ctx: Context, role_arn: str, machine: dict[str, Any]) -> None:
    """Check, with ``--auth``, that Step Functions may assume the role, and the role make the rules of ``.sync``."""
    if not ctx.app.settings.auth:
        return
    if not ctx.app.aws.may_assume(role_arn, STATES_PRINCIPAL):
        raise AccessDenied(
            "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume "
            f"the provided role: {role_arn}."
        )
    found = (integrations.find(resource).sync for resource in integrations.resources(machine))
    rules = sorted({sync.rule for sync in found if sync and sync.rule})
    try:
        await asyncio.to_thread(_make_rules, ctx, role_arn, rules)
    except (ClientError, PermissionError) as error:
        raise AccessDenied(f"'{role_arn}' is not authorized to create managed-rule: {error}") from error


def _make_rules(ctx: Context, role_arn: str, rules: list[str]) -> None:
    # AWS makes these managed rules, and needs their three events:* rights; here nothing is ever sent to their targets,
    # because tasks that are waited for are described until they end.
    for rule in rules:
        events = ctx.app.aws.client("events", ctx.region, role_arn, STATES_PRINCIPAL)
        events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["sagemaker-emulator.never"]}))
        target = f"arn:{ctx.partition}:states:{ctx.region}:{ctx.account_id}:stateMachine:managed"
        events.put_targets(Rule=rule, Targets=[{"Id": "StepFunctions", "Arn": target, "RoleArn": role_arn}])
        events.describe_rule(Name=rule)


def _refuse_what_is_missing(params: dict[str, Any]) -> None:
    if params.get("type", "STANDARD") != "STANDARD":
        raise ValidationException("sagemaker-emulator implements state machines of type STANDARD only, not EXPRESS.")
    if params.get("publish"):
        raise ValidationException("sagemaker-emulator does not implement versions of state machines (publish).")


def _tagged(ctx: Context, arn: str) -> dict[str, Any]:
    document = ctx.app.store.get(KIND, ctx.region, arn)
    if document is None:
        raise ApiError("ResourceNotFound", f"Resource not found: '{arn}'")
    return document

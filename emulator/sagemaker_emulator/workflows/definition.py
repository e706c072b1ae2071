"""Checks a state machine's definition before it is stored, with all problems at once, each at its place.

What the Amazon States Language has and the emulator does not run (JSONata, distributed maps, activities, callbacks) is
refused here, not when an execution gets there. https://states-language.net/spec.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.workflows import choice_rules, integrations, intrinsics, paths

_COMMON = {"Type", "Comment", "InputPath", "OutputPath", "QueryLanguage"}
_FLOW = {"Next", "End"}
_RESULT = {"Parameters", "ResultSelector", "ResultPath", "Retry", "Catch"}
_FIELDS = {
    "Pass": {*_FLOW, "Result", "ResultPath", "Parameters"},
    "Task": {*_FLOW, *_RESULT, "Resource", "TimeoutSeconds", "TimeoutSecondsPath", "Credentials"}
    | {"HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Choice": {"Choices", "Default"},
    "Wait": {*_FLOW, "Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Succeed": set(),
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
    "Parallel": {*_FLOW, *_RESULT, "Branches"},
    "Map": {*_FLOW, *_RESULT, "ItemProcessor", "Iterator", "ItemsPath", "ItemSelector", "MaxConcurrency"}
    | {"MaxConcurrencyPath"},
}
_NOT_IMPLEMENTED = {
    "Assign": "workflow variables",
    "Arguments": "JSONata",
    "Output": "JSONata",
    "Credentials": "cross-account roles",
    "HeartbeatSeconds": "heartbeats",
    "HeartbeatSecondsPath": "heartbeats",
    "ItemReader": "distributed maps",
    "ItemBatcher": "distributed maps",
    "ResultWriter": "distributed maps",
}
_WAITS = ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")


class InvalidDefinition(ApiError):  # noqa: N818 - AWS's name
    """The definition is not valid, or uses what the emulator does not run."""

    def __init__(self, problems: list[str]) -> None:
        shown = "', '".join(problems)
        super().__init__("InvalidDefinition", f"Invalid State Machine Definition: '{shown}'")


def parse(text: str) -> dict[str, Any]:
    """Return a checked definition.

    Raises:
        InvalidDefinition: With everything that is wrong.
    """
    try:
        definition = json.loads(text)
    except ValueError as error:
        raise InvalidDefinition([f"INVALID_JSON_DESCRIPTION: {error}"]) from error
    problems = list(problems_of(definition))
    if problems:
        raise InvalidDefinition([f"SCHEMA_VALIDATION_FAILED: {problem}" for problem in problems])
    return dict(definition)


def problems_of(definition: Any, place: str = "") -> Iterator[str]:
    """Yield what is wrong with a state machine or a branch of one.

    Args:
        definition: The parsed JSON.
        place: Where it is in the whole, such as ``/States/Both/Branches[0]``.
    """
    if not isinstance(definition, dict) or not isinstance(definition.get("States"), dict) or not definition["States"]:
        yield f"States has to be an object with at least one state at {place or '/'}"
        return
    if definition.get("QueryLanguage", "JSONPath") != "JSONPath":
        yield f"sagemaker-emulator implements QueryLanguage JSONPath only at {place}/QueryLanguage"
    states = definition["States"]
    if definition.get("StartAt") not in states:
        yield f"MISSING_TRANSITION_TARGET: StartAt {definition.get('StartAt')!r} is not a state at {place}/StartAt"
    for name, state in states.items():
        at = f"{place}/States/{name}"
        if not isinstance(state, dict) or state.get("Type") not in _FIELDS:
            yield f"Type has to be one of {', '.join(_FIELDS)} at {at}/Type"
            continue
        yield from _state(state, states, at)
    reached = {definition.get("StartAt")} | {target for state in states.values() for target in _targets(state)}
    yield from (f"UNREACHABLE_STATE: nothing leads to it at {place}/States/{name}" for name in states.keys() - reached)


def _state(state: dict[str, Any], states: dict[str, Any], at: str) -> Iterator[str]:
    kind = state["Type"]
    for field in state:
        if field in _NOT_IMPLEMENTED:
            yield f"sagemaker-emulator does not implement {_NOT_IMPLEMENTED[field]} at {at}/{field}"
        elif field not in _COMMON | _FIELDS[kind]:
            yield f"Field '{field}' is not supported by {kind} states at {at}/{field}"
    if state.get("QueryLanguage", "JSONPath") != "JSONPath":
        yield f"sagemaker-emulator implements QueryLanguage JSONPath only at {at}/QueryLanguage"
    if "Next" in _FIELDS[kind] and ("Next" in state) == bool(state.get("End")):
        yield f"either Next or End is required, and not both at {at}"
    for target in _targets(state):
        if target not in states:
            yield f"MISSING_TRANSITION_TARGET: {target!r} is not a state at {at}"
    for field, value in state.items():
        if field.endswith("Path") and value is not None:
            yield from _path(value, f"{at}/{field}")
        elif field in ("Parameters", "ItemSelector", "ResultSelector"):
            yield from _template(value, f"{at}/{field}")
    for field in ("Retry", "Catch"):
        for index, rule in enumerate(state.get(field, [])):
            if not rule.get("ErrorEquals"):
                yield f"ErrorEquals is required at {at}/{field}[{index}]"
            if field == "Catch" and "Next" not in rule:
                yield f"Next is required at {at}/{field}[{index}]"
    yield from _by_type(kind, state, at)


def _by_type(kind: str, state: dict[str, Any], at: str) -> Iterator[str]:
    if kind == "Task":
        try:
            integrations.check(str(state.get("Resource", "")), state.get("Parameters", {}))
        except ValueError as error:
            yield f"{error} at {at}/Resource"
    elif kind == "Choice":
        if not state.get("Choices"):
            yield f"Choices has to hold at least one rule at {at}"
        for index, rule in enumerate(state.get("Choices", [])):
            if "Next" not in rule:
                yield f"Next is required at {at}/Choices[{index}]"
            yield from _rule(rule, f"{at}/Choices[{index}]")
    elif kind == "Wait" and sum(field in state for field in _WAITS) != 1:
        yield f"exactly one of {', '.join(_WAITS)} is required at {at}"
    elif kind == "Parallel":
        if not state.get("Branches"):
            yield f"Branches has to hold at least one branch at {at}"
        for index, branch in enumerate(state.get("Branches", [])):
            yield from problems_of(branch, f"{at}/Branches[{index}]")
    elif kind == "Map":
        field = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        processor = state.get(field, {})
        if isinstance(processor, dict) and processor.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE":
            yield f"sagemaker-emulator implements inline maps only at {at}/{field}/ProcessorConfig/Mode"
        yield from problems_of(processor, f"{at}/{field}")


def _rule(rule: dict[str, Any], at: str) -> Iterator[str]:
    for field in ("And", "Or"):
        for index, part in enumerate(rule.get(field, [])):
            yield from _rule(part, f"{at}/{field}[{index}]")
    if "Not" in rule:
        yield from _rule(rule["Not"], f"{at}/Not")
    if not {"And", "Or", "Not"} & rule.keys():
        if "Condition" in rule:
            yield f"sagemaker-emulator does not implement JSONata at {at}/Condition"
        elif len(choice_rules.OPERATORS & rule.keys()) != 1:
            yield f"exactly one comparison operator is required at {at}"
        else:
            yield from _path(rule.get("Variable"), f"{at}/Variable")


def _template(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _template(item, f"{at}[{index}]")
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if name.endswith(".$"):
            yield from _path(item, f"{at}/{name}")
        else:
            yield from _template(item, f"{at}/{name}")


def _path(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{value!r} is not a path at {at}"
        return
    try:
        if value.startswith("States."):
            intrinsics.check(value)
        else:
            paths.parse(value)
    except ValueError as error:
        yield f"{error} at {at}"


def _targets(state: Any) -> Iterator[Any]:
    if isinstance(state, dict):
        yield from (state[field] for field in ("Next", "Default") if field in state)
        for field in ("Choices", "Catch"):
            yield from (rule["Next"] for rule in state.get(field, []) if "Next" in rule)

"""Payload templates: ``Parameters``, ``ItemSelector``, ``ResultSelector``, whose ``name.$`` members are looked up."""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.workflows import intrinsics, paths
from sagemaker_emulator.workflows.failures import RUNTIME, StateFailure


def fill_in(template: Any, value: Any, context: dict[str, Any]) -> Any:
    """Return a template with its paths and functions replaced by their values.

    Args:
        template: The template.
        value: The state's input.
        context: The context object.

    Raises:
        StateFailure: ``States.ParameterPathFailure``, or what an intrinsic function fails with.
    """
    if isinstance(template, list):
        return [fill_in(item, value, context) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): _look_up(name, item, value, context)
        if name.endswith(".$")
        else fill_in(item, value, context)
        for name, item in template.items()
    }


def reference(path: str, value: Any, context: dict[str, Any], field: str) -> Any:
    """Return what a path of a state's field selects.

    Args:
        path: The path.
        value: The state's input.
        context: The context object.
        field: The state's field, for the message.

    Raises:
        StateFailure: ``States.Runtime``: it selects nothing.
    """
    try:
        return paths.select(path, value, context)
    except paths.PathError as error:
        raise StateFailure(RUNTIME, f"Invalid path for the field '{field}': {error}") from error


def _look_up(name: str, expression: str, value: Any, context: dict[str, Any]) -> Any:
    try:
        if expression.startswith("States."):
            return intrinsics.evaluate(expression, value, context)
        return paths.select(expression, value, context)
    except paths.PathError as error:
        raise StateFailure(
            "States.ParameterPathFailure",
            f"The JSONPath '{expression}' specified for the field '{name}' could not be found in the input: {error}",
        ) from error

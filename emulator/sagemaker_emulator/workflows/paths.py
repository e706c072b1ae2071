"""Paths of the Amazon States Language: what they select of a state's input, and where a result is put.

``$``, ``.name``, ``['name']``, ``[number]``, ``[start:end]``, ``.*`` and ``[*]``, on the input or, after ``$$``, on the
context object. Filters and ``..`` are refused. https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = re.compile(
    r"""
    \.(?P<field>[^\s.\[\]()*,'"$]+)
    | (?P<wildcard>\.\*|\[\s*\*\s*\])
    | \[\s*(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*\]
    | \[\s*(?P<index>-?\d+)\s*\]
    | \[\s*(?P<start>-?\d*)\s*:\s*(?P<end>-?\d*)\s*\]
    """,
    re.VERBOSE,
)

_Step = str | int | slice | None  # a field, an index, a slice, every member


class PathError(ValueError):
    """A path is malformed, or selects nothing."""


def parse(path: str) -> list[_Step]:
    """Return a path's steps; None stands for the wildcard.

    Raises:
        PathError: It is malformed, or uses what the emulator does not implement.
    """
    position = 2 if path.startswith("$$") else 1
    if not path.startswith("$"):
        raise PathError(f"{path!r} is not a path: it has to begin with $")
    steps: list[_Step] = []
    while position < len(path):
        match = _STEP.match(path, position)
        if not match:
            raise PathError(
                f"{path!r}: sagemaker-emulator does not understand {path[position:]!r}; it implements .name, ['name'], "
                "[number], [start:end] and *"
            )
        steps.append(_step(match))
        position = match.end()
    return steps


def select(path: str, value: Any, context: dict[str, Any]) -> Any:
    """Return what a path selects: one value, or a list where the path has a wildcard or a slice.

    Args:
        path: The path; one that begins with ``$$`` reads the context object.
        value: The state's input.
        context: The context object.

    Raises:
        PathError: It is malformed, or there is no such value.
    """
    steps = parse(path)
    found = [context if path.startswith("$$") else value]
    for step in steps:
        found = [item for parent in found for item in _children(parent, step)]
    if any(step is None or isinstance(step, slice) for step in steps):
        return found
    if not found:
        raise PathError(f"The path {path!r} selects nothing in {_shown(context if path.startswith('$$') else value)}")
    return found[0]


def is_present(path: str, value: Any, context: dict[str, Any]) -> bool:
    """Return whether a path selects a value, null included."""
    try:
        select(path, value, context)
    except PathError:
        return False
    return True


def put(path: str, value: Any, result: Any) -> Any:
    """Return a copy of a value with a result at a reference path, objects on the way made where they are missing.

    Raises:
        PathError: The path does not fit the value, or is no reference path.
    """
    steps = parse(path)
    if any(not isinstance(step, str | int) for step in steps):
        raise PathError(f"{path!r} is not a reference path: it has to name one place")
    return _put(steps, value, result, path)


def _put(steps: list[_Step], value: Any, result: Any, path: str) -> Any:
    if not steps:
        return result
    step, *rest = steps
    if isinstance(step, str) and (value is None or isinstance(value, dict)):
        members = value or {}
        return {**members, step: _put(rest, members.get(step), result, path)}
    if isinstance(step, int) and isinstance(value, list) and 0 <= step < len(value):
        return [*value[:step], _put(rest, value[step], result, path), *value[step + 1 :]]
    raise PathError(f"Unable to apply step {step!r} of the reference path {path!r} to {_shown(value)}")


def _step(match: re.Match[str]) -> _Step:
    if match["field"]:
        return match["field"]
    if match["wildcard"]:
        return None
    if match["quoted"]:
        return re.sub(r"\\(.)", r"\1", match["quoted"][1:-1])
    if match["index"]:
        return int(match["index"])
    return slice(int(match["start"]) if match["start"] else None, int(match["end"]) if match["end"] else None)


def _children(parent: Any, step: _Step) -> list[Any]:
    if step is None:
        return list(parent.values()) if isinstance(parent, dict) else parent if isinstance(parent, list) else []
    if isinstance(step, str):
        return [parent[step]] if isinstance(parent, dict) and step in parent else []
    if not isinstance(parent, list):
        return []
    if isinstance(step, slice):
        return parent[step]
    return [parent[step]] if -len(parent) <= step < len(parent) else []


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 300 else text[:297] + "..."

"""The part of JSONPath that the filters of batch transform understand.

``$``, ``.name``, ``['name', ...]``, ``[number, ...]``, ``[start:end]``, ``.*`` and ``[*]``; negative numbers count from
the end. Table "Supported JSONPath operators" of
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_STEP = re.compile(
    r"""
    \.(?P<child>[A-Za-z_][\w-]*)
    | (?P<wildcard>\.\*|\[\s*\*\s*\])
    | \[\s*(?P<slice>-?\d*\s*:\s*-?\d*)\s*\]
    | \[\s*(?P<numbers>-?\d+(?:\s*,\s*-?\d+)*)\s*\]
    | \[\s*(?P<names>'[^']*'(?:\s*,\s*'[^']*')*|"[^"]*"(?:\s*,\s*"[^"]*")*)\s*\]
    """,
    re.VERBOSE,
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")

_Step = Callable[[Any], Any]


class JsonPathError(ValueError):
    """An expression is malformed, or names something a value does not have."""


class JsonPath:
    """A parsed expression.

    Args:
        expression: Such as ``$[1:]`` or ``$['id','SageMakerOutput']``.

    Raises:
        JsonPathError: It is malformed or uses an operator batch transform does not support.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._steps: list[_Step] = []
        if not expression.startswith("$"):
            raise JsonPathError(f"{expression!r} is not a JSONPath: it has to begin with $")
        position = 1
        while position < len(expression):
            match = _STEP.match(expression, position)
            if not match:
                raise JsonPathError(
                    f"{expression!r}: {expression[position:]!r} is not supported; use .name, ['name'], [number], "
                    "[start:end] or *"
                )
            self._steps.append(_step(match))
            position = match.end()

    @property
    def is_identity(self) -> bool:
        """Whether it selects everything."""
        return not self._steps

    def select(self, value: Any) -> Any:
        """Return what the expression selects: an element, or for several numbers a list, for several names an object.

        Raises:
            JsonPathError: The value has no such element.
        """
        for step in self._steps:
            try:
                value = step(value)
            except (KeyError, IndexError, TypeError) as error:
                raise JsonPathError(f"{self.expression!r} selects nothing in {_shown(value)}") from error
        return value


def _step(match: re.Match[str]) -> _Step:
    if name := match["child"]:
        return lambda value: _members(value)[name]
    if match["wildcard"]:
        return lambda value: list(value.values()) if isinstance(value, dict) else _elements(value)
    if bounds := match["slice"]:
        start, end = (int(bound) if bound.strip() else None for bound in bounds.split(":"))
        return lambda value: _elements(value)[start:end]
    if numbers := match["numbers"]:
        positions = [int(number) for number in numbers.split(",")]
        if len(positions) == 1:
            return lambda value: _elements(value)[positions[0]]
        return lambda value: [_elements(value)[position] for position in positions]
    names = [single or double for single, double in _QUOTED.findall(match["names"])]
    if len(names) == 1:
        return lambda value: _members(value)[names[0]]
    return lambda value: {each: _members(value)[each] for each in names}


def _members(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise TypeError


def _elements(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise TypeError


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."

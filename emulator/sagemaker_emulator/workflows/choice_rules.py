"""The comparisons of a Choice state.

https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sagemaker_emulator.workflows import paths, templates

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _truth(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _moment(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


_TYPES: dict[str, Callable[[Any], Any]] = {"String": _text, "Numeric": _number, "Boolean": _truth, "Timestamp": _moment}
_IS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: _moment(value) is not None,
}
_COMPARISONS = {
    f"{type_name}{order}": (convert, compare)
    for type_name, convert in _TYPES.items()
    for order, compare in _ORDER.items()
    if type_name != "Boolean" or order == "Equals"
}
OPERATORS = frozenset({"IsPresent", "StringMatches", *_IS, *_COMPARISONS, *(f"{name}Path" for name in _COMPARISONS)})
"""Every comparison a rule may have."""


def matches(rule: dict[str, Any], value: Any, context: dict[str, Any]) -> bool:
    """Return whether a choice rule holds.

    Args:
        rule: The rule, valid by the definition's check.
        value: The state's input.
        context: The context object.

    Raises:
        StateFailure: ``States.Runtime``: its variable is not there.
    """
    if "And" in rule:
        return all(matches(part, value, context) for part in rule["And"])
    if "Or" in rule:
        return any(matches(part, value, context) for part in rule["Or"])
    if "Not" in rule:
        return not matches(rule["Not"], value, context)
    name = next(member for member in rule if member in OPERATORS)
    wanted = rule[name]
    if name == "IsPresent":
        return paths.is_present(rule["Variable"], value, context) is wanted
    found = templates.reference(rule["Variable"], value, context, "Variable")
    if name in _IS:
        return _IS[name](found) is wanted
    if name == "StringMatches":
        return isinstance(found, str) and _wildcard(wanted).fullmatch(found) is not None
    if name.endswith("Path"):
        wanted = templates.reference(wanted, value, context, name)
    convert, compare = _COMPARISONS[name.removesuffix("Path")]
    left, right = convert(found), convert(wanted)
    return left is not None and right is not None and compare(left, right)


def _wildcard(pattern: str) -> re.Pattern[str]:
    # An asterisk is any text; "\\*" and "\\\\" are the characters themselves.
    parts = re.findall(r"\\(.)|(\*)|([^\\*]+)", pattern)
    return re.compile(
        "".join(".*" if star else re.escape(escaped or plain) for escaped, star, plain in parts), re.DOTALL
    )

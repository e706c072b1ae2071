"""What a tuning job searches: the ranges of its hyperparameters, and values of them as text.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Autotune's own choices are not documented; a decade to both sides of the hint, searched in logarithms, is ours.
_AUTO_FACTOR = 10
# `Auto` scaling: from this quotient of the bounds on, values are searched in logarithms.
_LOGARITHMIC_QUOTIENT = 100
_TRUTHS = ("true", "false")


class RangeError(ValueError):
    """A range nothing can be chosen from; the message is for the caller of the API."""


@dataclass(frozen=True)
class Number:
    """An integer or continuous hyperparameter.

    Attributes:
        name: The hyperparameter.
        low: Its least value.
        high: Its greatest value.
        is_integer: Whether only whole numbers are meant.
        scaling: ``Linear``, ``Logarithmic`` or ``ReverseLogarithmic``.
    """

    name: str
    low: float
    high: float
    is_integer: bool
    scaling: str

    def contains(self, text: str) -> bool:
        """Whether a value lies in the range."""
        try:
            value = float(text)
        except ValueError:
            return False
        return self.low <= value <= self.high and (not self.is_integer or value == int(value))


@dataclass(frozen=True)
class Choice:
    """A categorical hyperparameter.

    Attributes:
        name: The hyperparameter.
        values: What it may be.
    """

    name: str
    values: tuple[str, ...]

    def contains(self, text: str) -> bool:
        """Whether it may be this."""
        return text in self.values


Space = Mapping[str, Number | Choice]


def parse_space(ranges: Mapping[str, Any], static: Mapping[str, str]) -> Space:
    """Read ``ParameterRanges``.

    Args:
        ranges: As the request has them; hyperparameters of ``AutoParameters`` get a range around their hint.
        static: The hyperparameters that are fixed.

    Raises:
        RangeError: A range is empty or malformed, or a hyperparameter is given twice.
    """
    parameters: list[Number | Choice] = [
        *(_number(each, is_integer=True) for each in ranges.get("IntegerParameterRanges", ())),
        *(_number(each, is_integer=False) for each in ranges.get("ContinuousParameterRanges", ())),
        *(Choice(each["Name"], tuple(each["Values"])) for each in ranges.get("CategoricalParameterRanges", ())),
        *(_automatic(each["Name"], each["ValueHint"]) for each in ranges.get("AutoParameters", ())),
    ]
    names = [parameter.name for parameter in parameters]
    for name in names:
        if names.count(name) > 1:
            raise RangeError(f"The hyperparameter [{name}] has more than one range.")
        if name in static:
            raise RangeError(
                f"The hyperparameter [{name}] is in the static hyperparameters and in the parameter ranges; "
                "it can be in one of them only."
            )
    return {parameter.name: parameter for parameter in parameters}


def grid_size(space: Space) -> int:
    """How many combinations a space of choices has."""
    return math.prod(len(choice.values) for choice in _choices(space))


def grid(space: Space) -> Iterator[dict[str, str]]:
    """Every combination of a space of choices, the last hyperparameter changing fastest.

    Raises:
        RangeError: A hyperparameter is a number: AWS searches grids of categorical ones only.
    """
    combinations: list[dict[str, str]] = [{}]
    for choice in _choices(space):
        combinations = [{**known, choice.name: value} for known in combinations for value in choice.values]
    yield from combinations


def _choices(space: Space) -> list[Choice]:
    choices = [parameter for parameter in space.values() if isinstance(parameter, Choice)]
    if len(choices) < len(space):
        number = next(name for name, parameter in space.items() if isinstance(parameter, Number))
        raise RangeError(
            f"The Grid strategy takes categorical parameter ranges only, and [{number}] is numeric: list its values "
            "in CategoricalParameterRanges."
        )
    return choices


def _number(given: Mapping[str, str], *, is_integer: bool) -> Number:
    name = given["Name"]
    kind = "integer" if is_integer else "continuous"
    try:
        low, high = (float(int(text)) if is_integer else float(text) for text in (given["MinValue"], given["MaxValue"]))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RangeError(
            f"The {kind} range of hyperparameter [{name}] from {given['MinValue']!r} to {given['MaxValue']!r} does not "
            f"have {'integers' if is_integer else 'numbers'} as bounds."
        )
    if low > high:
        raise RangeError(
            f"The MinValue of hyperparameter [{name}], {given['MinValue']}, is greater than its MaxValue, "
            f"{given['MaxValue']}."
        )
    scaling = given.get("ScalingType", "Auto")
    if scaling == "Logarithmic" and low <= 0:
        raise RangeError(f"Logarithmic scaling of hyperparameter [{name}] needs a range with only values above 0.")
    if scaling == "ReverseLogarithmic" and (is_integer or low < 0 or high >= 1):
        raise RangeError(
            f"Reverse logarithmic scaling of hyperparameter [{name}] needs a continuous range with values from 0 up "
            "to, but not including, 1."
        )
    if scaling == "Auto":
        scaling = "Logarithmic" if low > 0 and high / low >= _LOGARITHMIC_QUOTIENT else "Linear"
    return Number(name, low, high, is_integer, scaling)


def _automatic(name: str, hint: str) -> Number | Choice:
    """A range for Autotune: around a number, both truth values, or just what the text says."""
    if hint.lower() in _TRUTHS:
        return Choice(name, _TRUTHS)
    try:
        value = float(hint)
    except ValueError:
        return Choice(name, (hint,))
    if not math.isfinite(value) or value <= 0:
        return Choice(name, (hint,))
    low, high = value / _AUTO_FACTOR, value * _AUTO_FACTOR
    if hint.lstrip("+").isdigit():
        return Number(name, max(1.0, math.floor(low)), math.ceil(high), is_integer=True, scaling="Logarithmic")
    # Fractions are mostly shares and probabilities: they stay below 1.
    return Number(name, low, min(high, 1.0) if value <= 1 else high, is_integer=False, scaling="Logarithmic")

"""The hyperparameters of a built-in algorithm: declared once, parsed from strings, refused in the real one's words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_emulator.containers.contract import CustomerError

AUTO = "auto"


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter.

    Attributes:
        kind: ``integer``, ``number``, ``boolean``, ``string`` or ``list`` (a JSON list of strings).
        default: Its value when not given; ``None`` means it has none.
        required: Whether training refuses to start without it.
        minimum: The least value.
        maximum: The greatest value.
        allowed: The values of a categorical one.
        auto: Whether ``auto`` is a value: the algorithm then chooses.
        minimum_excluded: Whether the least value itself is not allowed.
    """

    kind: str
    default: Any = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    auto: bool = False
    minimum_excluded: bool = False

    def parse(self, name: str, value: Any) -> Any:
        """The value as its Python type.

        Raises:
            CustomerError: The value is not of the kind or out of range.
        """
        text = value if isinstance(value, str) else json.dumps(value)
        text = text.strip()
        if self.auto and text == AUTO:
            return AUTO
        if self.allowed:
            if text not in self.allowed:
                accepted = ", ".join(f"'{choice}'" for choice in self.allowed)
                raise CustomerError(
                    f"The value '{text}' is not valid for the '{name}' hyperparameter which accepts one of the "
                    f"following: {accepted}",
                    caused_by="ValidationError",
                )
            return text
        try:
            parsed = self._convert(text)
        except ValueError:
            raise self._refused(name, text) from None
        if isinstance(parsed, (int, float)) and not isinstance(parsed, bool) and not self._in_range(parsed):
            raise self._refused(name, text)
        return parsed

    def _convert(self, text: str) -> Any:
        if self.kind == "integer":
            return int(text)
        if self.kind == "number":
            return float(text)
        if self.kind == "boolean":
            return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _fail()
        if self.kind == "list":
            items = json.loads(text)
            return [str(item) for item in items] if isinstance(items, list) else _fail()
        return text

    def _in_range(self, value: float) -> bool:
        if value != value:  # NaN compares false with everything
            return False
        if self.minimum is not None and (value < self.minimum or (self.minimum_excluded and value == self.minimum)):
            return False
        return self.maximum is None or value <= self.maximum

    def _refused(self, name: str, text: str) -> CustomerError:
        choices = [f"a string which matches the pattern '^{AUTO}$'"] if self.auto else []
        expected = f"{'an' if self.kind == 'integer' else 'a'} {self.kind}"
        if self.minimum is not None and self.maximum is not None:
            expected += f" between {self.minimum:g} and {self.maximum:g}"
        elif self.minimum is not None:
            expected += f" greater than {self.minimum:g}" if self.minimum_excluded else f" of at least {self.minimum:g}"
        choices.append(expected)
        return CustomerError(
            f"The value '{text}' is not valid for the '{name}' hyperparameter which expects one of the following: "
            + "; or ".join(choices),
            caused_by="ValidationError",
        )


def _fail() -> Any:
    raise ValueError


def parse_hyperparameters(schema: Mapping[str, Hyperparameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Parse what a job gave, fill in defaults, refuse what is unknown, missing or wrong.

    Names with a leading underscore are SageMaker's own (``_tuning_objective_metric``) and pass through.

    Args:
        schema: The algorithm's hyperparameters.
        given: The content of hyperparameters.json.

    Returns:
        A value for every hyperparameter of the schema.

    Raises:
        CustomerError: In the built-in algorithms' wording.
    """
    unknown = [name for name in given if name not in schema and not name.startswith("_")]
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        verb = "was" if len(unknown) == 1 else "were"
        raise CustomerError(
            f"Additional hyperparameters are not allowed ({names} {verb} unexpected)", caused_by="ValidationError"
        )
    missing = [name for name, spec in schema.items() if spec.required and name not in given]
    refuse_missing(missing)
    parsed = {name: spec.default for name, spec in schema.items()}
    parsed.update({name: schema[name].parse(name, value) for name, value in given.items() if name in schema})
    return parsed


def refuse_missing(names: Iterable[str]) -> None:
    """Refuse hyperparameters that are required and were not given.

    Raises:
        CustomerError: There is at least one.
    """
    quoted = ", ".join(f"'{name}'" for name in names)
    if quoted:
        raise CustomerError(
            f"No value(s) were specified for {quoted} which are required hyperparameter(s)", caused_by="ValidationError"
        )

"""Declared drift: changes made to rows on their way to an endpoint, so that an alarm can be rehearsed.

Each change names a column and one thing to do to it. What is changed is decided by a seed, so a rehearsal can be
repeated to the row.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.values import normalise

KINDS = ("shift", "scale", "swap", "nulls", "drop")
_KEYS = ("column", "share", *KINDS)


class _Dropped:
    """The value of a column that is to go."""


_DROPPED = _Dropped()


@dataclass(frozen=True)
class Change:
    """One change of one column.

    Attributes:
        column: Its name, or its number from 0.
        kind: One of ``KINDS``.
        amount: What to add or multiply by, the categories to exchange, or the share of rows that lose their value.
        share: Share of the rows that are changed.
    """

    column: str | int
    kind: str
    amount: Any
    share: float


def parse(drift: Any, column_names: Sequence[str], problems: Problems) -> list[Change]:
    """Read the ``drift`` argument.

    Args:
        drift: Dicts with ``column`` and one of ``KINDS``, and optionally ``share``.
        column_names: The columns' names, where they are known already.
        problems: Takes everything that is wrong.
    """
    if not isinstance(drift, list | tuple):
        problems.add("drift", drift, "a list of changes such as {'column': 'day_minutes', 'shift': 50}")
        return []
    changes = []
    for index, entry in enumerate(drift):
        argument = f"drift[{index}]"
        before = len(problems.found)
        if not isinstance(entry, Mapping):
            problems.add(argument, entry, "a change such as {'column': 'day_minutes', 'shift': 50}")
            continue
        given = normalise(dict(entry))
        for key in sorted(given.keys() - set(_KEYS)):
            problems.add(f"{argument}.{key}", given[key], f"left out; known keys are {', '.join(_KEYS)}")
        kinds = [kind for kind in KINDS if kind in given]
        if len(kinds) != 1:
            problems.add(argument, entry, f"a change with exactly one of {', '.join(KINDS)}")
        _check_column(given.get("column"), column_names, argument, problems)
        share = given.get("share", 1)
        problems.between(f"{argument}.share", share, 0, 1)
        if len(kinds) == 1:
            _check_amount(kinds[0], given[kinds[0]], f"{argument}.{kinds[0]}", problems)
        if len(problems.found) == before:
            amount = _exchange(given[kinds[0]]) if kinds[0] == "swap" else given[kinds[0]]
            changes.append(Change(given["column"], kinds[0], amount, share))
    return changes


def _check_column(column: Any, column_names: Sequence[str], argument: str, problems: Problems) -> None:
    if isinstance(column, bool) or not isinstance(column, str | int) or column == "":
        problems.add(f"{argument}.column", column, "the name of a column, or its number from 0")
    elif isinstance(column, str) and column_names and column not in column_names:
        problems.add(f"{argument}.column", column, f"one of {', '.join(column_names)}")
    elif isinstance(column, int) and (column < 0 or (column_names and column >= len(column_names))):
        problems.add(f"{argument}.column", column, f"a number from 0 to {max(len(column_names) - 1, 0)}")


def _check_amount(kind: str, amount: Any, argument: str, problems: Problems) -> None:
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if kind in ("shift", "scale") and not is_number:
        problems.add(argument, amount, "a number")
    elif kind == "nulls":
        problems.between(argument, amount, 0, 1)
    elif kind == "drop" and amount is not True:
        problems.add(argument, amount, "true")
    elif kind == "swap" and not (
        (isinstance(amount, Mapping) and amount) or (isinstance(amount, list) and len(amount) == 2)
    ):
        problems.add(argument, amount, "two categories such as ['yes', 'no'], or an object of old and new ones")


def _exchange(amount: Any) -> dict[str, str]:
    """Old category to new one, as they are written in a row."""
    pairs = dict(amount) if isinstance(amount, Mapping) else {amount[0]: amount[1], amount[1]: amount[0]}
    return {str(old): str(new) for old, new in pairs.items()}


class Drift:
    """Applies changes to rows.

    Args:
        changes: From :func:`parse`.
        column_names: The columns' names, in order; may be empty when changes name columns by number or rows are dicts.
        seed: Decides which rows are changed where not all are.

    Raises:
        ValueError: A change names a column there is not.
    """

    def __init__(self, changes: Sequence[Change], column_names: Sequence[str], seed: int) -> None:
        self.changes = list(changes)
        self._names = list(column_names)
        # Each change has chances of its own: adding one does not move the others to different rows.
        self._chances: list[Callable[[], float]] = [
            random.Random(f"{seed}/{number}").random  # noqa: S311 - a rehearsal, not a secret
            for number in range(len(self.changes))
        ]
        for change in self.changes:
            if isinstance(change.column, str) and self._names and change.column not in self._names:
                raise ValueError(f"there is no column {change.column!r}; the columns are {', '.join(self._names)}")

    @property
    def column_names(self) -> list[str]:
        """The changed columns, by name where that is known, in the order they were declared."""
        return list(dict.fromkeys(self._name(change.column) for change in self.changes))

    def apply(self, row: Sequence[Any] | Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        """The changed row.

        Args:
            row: The values in the columns' order, or by name.

        Raises:
            ValueError: The row lacks a column that is to be changed, or its value is not a number.
        """
        values: Any = dict(row) if isinstance(row, Mapping) else list(row)
        for change, chance in zip(self.changes, self._chances, strict=True):
            touched = chance() < (change.share * change.amount if change.kind == "nulls" else change.share)
            key = self._key(change.column, values)
            if touched:
                values[key] = _changed(change, values[key])
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if value is not _DROPPED}
        return [value for value in values if value is not _DROPPED]

    def _name(self, column: str | int) -> str:
        return self._names[column] if isinstance(column, int) and column < len(self._names) else str(column)

    def _key(self, column: str | int, values: Any) -> Any:
        if isinstance(values, dict):
            key: Any = self._name(column)
            found = key in values
        else:
            if isinstance(column, str) and not self._names:
                raise ValueError(f"give column_names: rows are lists, and a change names its column {column!r}")
            key = self._names.index(column) if isinstance(column, str) else column
            found = key < len(values)
        if not found:
            raise ValueError(f"it has no column {column!r}")
        return key


def _changed(change: Change, value: Any) -> Any:
    if change.kind == "drop" or value is _DROPPED:
        return _DROPPED
    if change.kind == "nulls":
        return None
    if change.kind == "swap":
        return change.amount.get(str(value), value)
    if value in (None, ""):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"column {change.column!r} holds {value!r}, which is not a number to {change.kind}") from None
    moved = number + change.amount if change.kind == "shift" else number * change.amount
    # What was an integer stays one: the drift is declared in the values, not in their type.
    was_integer = isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())
    return round(moved) if was_integer else round(moved, 6)

"""The profile of a table: everything the reports are made of, mergeable.

The profile of a block of rows, of a file, of one instance's share and of a whole dataset are the same thing; a bigger
one is merged from smaller ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kfp_sagemaker.monitoring.analyzer.categories import Categories
from kfp_sagemaker.monitoring.analyzer.numbers import Numbers

# All text columns together count so many distinct values exactly: 16 bytes each.
_DISTINCT_VALUES = 8_000_000
_DISTINCT_VALUES_OF_A_COLUMN = (4_096, 131_072)


def distinct_limit(columns: int) -> int:
    """How many distinct values of a text column are counted exactly, so that all columns stay within bounds."""
    least, most = _DISTINCT_VALUES_OF_A_COLUMN
    return max(least, min(most, _DISTINCT_VALUES // max(1, columns)))


@dataclass
class ColumnProfile:
    """What is known of one column.

    A value is Integral, Fractional or a String by how it is written, as in Deequ; empty values, nulls, NaN and
    infinities are missing. Numbers that a reader parsed as numbers are in ``numbers``; values it took as text are all
    in ``categories``, and those of them that are numbers are in ``numbers_in_text`` as well. Which of the ways a
    block took makes no difference to the inferred type.

    Attributes:
        missing: Empty, null or not finite.
        not_finite: How many of the missing ones were NaN or infinite.
        integral: Whole numbers.
        fractional: Other numbers.
        text: Values that are no numbers.
        numbers: Of what was read as numbers.
        numbers_in_text: Of the numbers among what was read as text.
        categories: Counts of what was read as text; None when nothing was.
    """

    missing: int = 0
    not_finite: int = 0
    integral: int = 0
    fractional: int = 0
    text: int = 0
    numbers: Numbers = field(default_factory=Numbers)
    numbers_in_text: Numbers = field(default_factory=Numbers)
    categories: Categories | None = None

    @property
    def present(self) -> int:
        """Values that are there."""
        return self.integral + self.fractional + self.text

    @property
    def completeness(self) -> float:
        """Share of the rows that have a value."""
        rows = self.present + self.missing
        return self.present / rows if rows else 0.0

    @property
    def inferred_type(self) -> str:
        """``Integral``, ``Fractional``, ``String`` or, without any value, ``Unknown``."""
        if self.text:
            return "String"
        if self.fractional:
            return "Fractional"
        return "Integral" if self.integral else "Unknown"

    def all_numbers(self) -> Numbers:
        """Every number of the column."""
        if not self.numbers_in_text.count:
            return self.numbers
        merged = Numbers()
        merged.merge(self.numbers)
        merged.merge(self.numbers_in_text)
        return merged

    def merge(self, other: ColumnProfile) -> None:
        """Take in the profile of more rows."""
        self.missing += other.missing
        self.not_finite += other.not_finite
        self.integral += other.integral
        self.fractional += other.fractional
        self.text += other.text
        self.numbers.merge(other.numbers)
        self.numbers_in_text.merge(other.numbers_in_text)
        if self.categories is None:
            self.categories = other.categories
        elif other.categories is not None:
            self.categories.merge(other.categories)


@dataclass
class Profile:
    """What is known of a table.

    Attributes:
        rows: How many.
        columns: By name, in the order of the table.
    """

    rows: int = 0
    columns: dict[str, ColumnProfile] = field(default_factory=dict)

    def merge(self, other: Profile) -> None:
        """Take in the profile of more rows. A column one of the two lacks was missing there."""
        for name in other.columns:
            self.columns.setdefault(name, ColumnProfile(missing=self.rows))
        self.rows += other.rows
        for name, column in self.columns.items():
            mine = other.columns.get(name)
            if mine is None:
                column.missing += other.rows
            else:
                column.merge(mine)

    @classmethod
    def merged(cls, profiles: Iterable[Profile]) -> Profile:
        """One profile of all."""
        whole = cls()
        for profile in profiles:
            whole.merge(profile)
        return whole

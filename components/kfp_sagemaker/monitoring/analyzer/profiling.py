"""From a block of rows to its profile."""

from __future__ import annotations

import numpy as np
import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer.categories import Categories
from kfp_sagemaker.monitoring.analyzer.literals import FRACTIONAL, INTEGRAL, NOT_FINITE
from kfp_sagemaker.monitoring.analyzer.numbers import Numbers
from kfp_sagemaker.monitoring.analyzer.profile import ColumnProfile, Profile, distinct_limit
from kfp_sagemaker.monitoring.analyzer.quantiles import FloatArray

_NESTED = (pl.List, pl.Array, pl.Struct, pl.Binary, pl.Object)


def profile_frame(frame: pl.DataFrame, seed: int = 0) -> Profile:
    """Profile a block of rows.

    Args:
        frame: The rows.
        seed: Of the offsets at which distributions are sampled: the same data gives the same sketches to sample from.

    Raises:
        DataError: A column holds lists, objects or bytes.
    """
    random = np.random.default_rng(seed)
    limit = distinct_limit(frame.width)
    return Profile(frame.height, {column.name: _profile_column(column, limit, random) for column in frame})


def _profile_column(column: pl.Series, limit: int, random: np.random.Generator) -> ColumnProfile:
    kind = column.dtype
    if isinstance(kind, _NESTED):
        raise DataError(f"column {column.name!r} holds {kind}: the analyzer takes flat tables; flatten it first")
    if kind == pl.Null:
        return ColumnProfile(missing=len(column))
    if kind.is_integer():
        numbers = Numbers.of(_values(column), random)
        return ColumnProfile(missing=len(column) - numbers.count, integral=numbers.count, numbers=numbers)
    if kind.is_float() or kind.is_decimal():
        numbers = Numbers.of(_values(column), random)
        missing = len(column) - numbers.count
        return ColumnProfile(missing, missing - column.null_count(), fractional=numbers.count, numbers=numbers)
    return _profile_text(column if kind == pl.String else column.cast(pl.String), limit, random)


def _profile_text(column: pl.Series, limit: int, random: np.random.Generator) -> ColumnProfile:
    values = column.drop_nulls() if column.null_count() else column
    if values.is_empty():
        return ColumnProfile(missing=len(column))
    categories, distinct = Categories.of(values, limit)
    parsed = distinct.str.strip_chars().cast(pl.Float64, strict=False)
    if parsed.null_count() == len(parsed):
        return ColumnProfile(missing=len(column) - len(values), text=len(values), categories=categories)
    return _profile_numbers_in_text(column, values, random)


def _profile_numbers_in_text(column: pl.Series, values: pl.Series, random: np.random.Generator) -> ColumnProfile:
    """The rare case: some values of a text column are numbers. Each value is looked at."""
    stripped = values.str.strip_chars()
    not_finite = stripped.str.contains(NOT_FINITE)
    integral = stripped.str.contains(INTEGRAL)
    fractional = stripped.str.contains(FRACTIONAL)
    numbers = stripped.filter(integral | fractional).cast(pl.Float64, strict=False)
    kept = values.filter(~not_finite)
    profile = ColumnProfile(missing=len(column) - len(kept), not_finite=int(not_finite.sum()))
    profile.integral, profile.fractional = int(integral.sum()), int(fractional.sum())
    profile.text = len(kept) - profile.integral - profile.fractional
    profile.numbers_in_text = Numbers.of(_values(numbers), random)
    if len(kept):
        profile.categories, _ = Categories.of(kept, distinct_limit(1))
    return profile


def _values(column: pl.Series) -> FloatArray:
    """The numbers of a column without nulls, in an array of its own."""
    present = column.drop_nulls() if column.null_count() else column
    return present.to_numpy().astype(np.float64)

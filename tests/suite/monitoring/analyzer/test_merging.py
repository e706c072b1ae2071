"""Merging the profiles of shares gives what one pass gives, whatever the table and wherever it is cut."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer import shards
from kfp_sagemaker.monitoring.analyzer.blocks import Block
from kfp_sagemaker.monitoring.analyzer.categories import Categories
from kfp_sagemaker.monitoring.analyzer.checks import find_violations, measure_drift
from kfp_sagemaker.monitoring.analyzer.csv_blocks import CsvParser
from kfp_sagemaker.monitoring.analyzer.documents import constraints_document, statistics_document
from kfp_sagemaker.monitoring.analyzer.numbers import Numbers
from kfp_sagemaker.monitoring.analyzer.profile import Profile
from kfp_sagemaker.monitoring.analyzer.profiling import profile_frame

NUMBERS = st.floats(-1e9, 1e9).map(lambda value: repr(round(value, 3)))
INTEGERS = st.integers(-(10**6), 10**6).map(str)
WORDS = st.text(alphabet="abcé東 ", max_size=4)
VALUES = st.one_of(
    st.just(""), INTEGERS, NUMBERS, WORDS.map(str.strip), st.sampled_from(["NaN", "-inf", "1e5", "+3", "true"])
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of a few columns, each of one kind of values or of all mixed."""
    kinds = draw(st.lists(st.sampled_from([INTEGERS, NUMBERS, WORDS.map(str.strip), VALUES]), min_size=2, max_size=4))
    return draw(st.lists(st.tuples(*kinds).map(list), min_size=1, max_size=60))


def profile_of(rows: list[list[str]], parser: CsvParser | None = None) -> Profile:
    width = len(rows[0])
    text = "".join(",".join(f'"{value}"' if value.strip() != value else value for value in row) + "\n" for row in rows)
    parser = parser or CsvParser([f"c{at}" for at in range(width)], {})
    return profile_frame(parser.parse(Block("table.csv", text.encode(), 1)))


def comparable(value: Any) -> Any:
    """A document with its numbers rounded: sums depend on their order."""
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.9g}") if abs(value) > 1e-6 else 0.0
    return value


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_merged_shares_give_the_report_of_one_pass(rows: list[list[str]], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)), max_size=4)) | {0, len(rows)})
    whole = profile_of(rows)
    shares = [profile_of(rows[start:end]) for start, end in pairwise(cuts)]
    merged = Profile.merged(shards.from_bytes(shards.to_bytes(share)) for share in shares)

    for name, column in whole.columns.items():
        other = merged.columns[name]
        assert (other.inferred_type, other.missing, other.present, other.text) == (
            column.inferred_type,
            column.missing,
            column.present,
            column.text,
        )
    mixed = {name for name, column in whole.columns.items() if column.text and column.present != column.text}
    assert comparable(_without(statistics_document(merged), mixed)) == comparable(
        _without(statistics_document(whole), mixed)
    )
    assert comparable(_without(constraints_document(merged), mixed)) == comparable(
        _without(constraints_document(whole), mixed)
    )


def _without(document: dict[str, Any], names: set[str]) -> dict[str, Any]:
    # What a share takes for a number it lists as numbers are written: "1.50" of one pass is "1.5" of a share.
    return document | {"features": [each for each in document["features"] if each["name"] not in names]}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_large_shares_differ_by_the_error_of_the_sketch_only(seed: int, shares: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=40_000) * 10.0 ** random.integers(-3, 6)
    whole = Numbers.of(values.copy(), random)
    merged = Numbers()
    for part in np.array_split(values, shares):
        merged.merge(Numbers.of(part.copy(), random))

    assert merged.count == whole.count == 40_000
    assert merged.mean == pytest.approx(values.mean(), abs=1e-12 * np.abs(values).max())
    assert merged.standard_deviation == pytest.approx(values.std())
    assert (merged.minimum, merged.maximum) == (values.min(), values.max())
    ordered = np.sort(values)
    for numbers in (whole, merged):
        levels = numbers.sketch.levels()
        items = np.concatenate([np.array(level) for level in levels])
        weights = np.concatenate([np.full(len(level), 1 << at) for at, level in enumerate(levels)])
        order = np.argsort(items)
        assert weights.sum() == 40_000
        estimated = np.cumsum(weights[order]) / 40_000
        true = np.searchsorted(ordered, items[order], side="right") / 40_000
        # The single-sided error DataSketches states for k = 2048 with 99 % confidence is 0.13 %; 0.5 % is far beyond.
        assert np.abs(estimated - true).max() < 0.005


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 300), max_size=200), min_size=1, max_size=6))
def test_counts_of_categories_are_exact_below_the_limit(parts: list[list[int]]) -> None:
    merged = Categories(1_000)
    for part in parts:
        merged.merge(Categories.of(pl.Series([f"v{value}" for value in part], dtype=pl.String), 1_000)[0])
    everything = [f"v{value}" for part in parts for value in part]
    assert merged.distinct_count == len(set(everything))
    assert dict(merged.most_frequent(1_000)) == {value: everything.count(value) for value in set(everything)}


def test_distinct_values_beyond_the_limit_are_estimated_and_the_frequent_ones_kept() -> None:
    random = np.random.default_rng(5)
    merged = Categories(16_384)
    for _ in range(8):
        common = [f"common{value}" for value in random.integers(0, 5, 20_000)]
        rare = [f"rare{value}" for value in random.integers(0, 1_000_000, 40_000)]
        merged.merge(Categories.of(pl.Series([*common, *rare]), 16_384)[0])

    expected = 1_000_000 * (1 - (1 - 1e-6) ** 320_000) + 5
    assert not merged.is_exact
    assert merged.distinct_count == pytest.approx(expected, rel=0.03)
    top = merged.most_frequent(5)
    assert {value for value, _ in top} == {f"common{value}" for value in range(5)}
    assert sum(count for _, count in top) == 160_000
    assert len(merged.hashes) < 32_768


def test_the_violations_of_merged_shares_are_those_of_one_pass() -> None:
    random = np.random.default_rng(2)
    columns = {"a": random.normal(size=3_000), "s": random.choice(["x", "y", "z"], 3_000)}
    frame = pl.DataFrame(columns)
    drifted = frame.with_columns(pl.col("a") + 1.0, pl.lit("new").alias("s"))
    baseline = _baseline_of(profile_frame(frame))
    whole = profile_frame(drifted)
    merged = Profile.merged(profile_frame(drifted[at : at + 700]) for at in range(0, 3_000, 700))

    one, other = (
        [
            (each.feature_name, each.constraint_check_type)
            for each in find_violations(p, baseline, measure_drift(p, baseline))
        ]
        for p in (whole, merged)
    )
    assert one == other
    assert ("a", "baseline_drift_check") in one
    assert ("s", "categorical_values_check") in one


def _baseline_of(profile: Profile) -> Any:
    import json
    import tempfile
    from pathlib import Path

    from kfp_sagemaker.monitoring.analyzer.baseline import read_baseline

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "statistics.json").write_text(json.dumps(statistics_document(profile)))
        (Path(folder) / "constraints.json").write_text(json.dumps(constraints_document(profile)))
        return read_baseline(folder, folder, "", lambda: pytest.fail("no session is needed"))


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="damaged"):
        shards.from_bytes(b"PK\x03\x04 nonsense")

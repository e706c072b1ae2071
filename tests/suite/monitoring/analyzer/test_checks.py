"""The six checks, their thresholds and overrides, and the distances behind them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_sagemaker.monitoring.analyzer.distances import (
    Distribution,
    categorical_distance,
    chi_squared_p_value,
    numerical_distance,
)
from kfp_sagemaker.monitoring.analyzer.options import Result
from tests.suite.monitoring.analyzer.conftest import Analyze, checks

RANDOM = np.random.default_rng(3)
ROWS = 2_000


def table(shift: float = 0.0, plans: str = "aaabbc", rows: int = ROWS) -> str:
    amounts = RANDOM.normal(50 + shift, 5, rows)
    lines = [f"{amounts[at]:.4f},{at % 90},{plans[at % len(plans)]}\n" for at in range(rows)]
    return "amount,age,plan\n" + "".join(lines)


@pytest.fixture
def baseline(analyze: Analyze) -> Result:
    return analyze(table())


@pytest.fixture
def compare(analyze: Analyze, baseline: Result, against: Any, tmp_path: Path) -> Callable[..., Result]:
    """Analyses data against the baseline, with parts of the baseline's constraints replaced."""

    def run(
        content: str, config: dict[str, Any] | None = None, overrides: dict[str, Any] | None = None, **options: Any
    ) -> Result:
        constraints = json.loads(json.dumps(baseline.constraints))
        constraints["monitoring_config"].update(config or {})
        for each in constraints["features"]:
            each.update((overrides or {}).get(each["name"], {}))
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(constraints))
        return analyze(content, **(against(baseline) | {"baseline_constraints": str(path)} | options))

    return run


def test_the_same_data_violates_nothing(compare: Callable[..., Result]) -> None:
    result = compare(table())
    assert result.violations == []
    assert result.status == "Completed"
    assert result.exit_message == "Completed: Job completed successfully with no violations."
    assert json.loads(Path(result.output_files["violations"]).read_text()) == {"violations": []}


def test_each_check_finds_its_own(compare: Callable[..., Result]) -> None:
    found = {
        "drift": compare(table(shift=5)),
        "type": compare(table().replace(",7,", ",7.5,")),
        "completeness": compare(table().replace(",8,", ",,")),
        "missing": compare("\n".join(line.rsplit(",", 1)[0] for line in table().splitlines()) + "\n"),
        "extra": compare(
            "\n".join(f"{line},{at if at else 'more'}" for at, line in enumerate(table().splitlines())) + "\n"
        ),
        "categories": compare(table(plans="aaabbcd")),
    }
    assert checks(found["drift"]) == {("amount", "baseline_drift_check")}
    assert checks(found["type"]) == {("age", "data_type_check")}
    assert checks(found["completeness"]) == {("age", "completeness_check")}
    assert checks(found["missing"]) == {("plan", "missing_column_check")}
    assert checks(found["extra"]) == {("more", "extra_column_check")}
    assert checks(found["categories"]) == {("plan", "categorical_values_check")}
    assert found["drift"].exit_message == "CompletedWithViolations: Job completed successfully with 1 violations."
    assert found["drift"].violations[0].description == (
        f"Baseline drift distance: {found['drift'].drift['amount']} exceeds threshold: 0.1"
    )


def test_the_share_of_another_type_is_exact(compare: Callable[..., Result]) -> None:
    lines = table(rows=1_000).splitlines()
    lines[1:4] = [line.replace(f",{at},", ",x,") for at, line in enumerate(lines[1:4])]
    [violation] = [
        each for each in compare("\n".join(lines)).violations if each.constraint_check_type == "data_type_check"
    ]
    assert violation.description == (
        "Data type match requirement is not met. Expected data type: Integral, Expected match: 100.0%. "
        "Observed: Only 99.7% of data is Integral."
    )


@pytest.mark.parametrize(
    ("content", "config"),
    [
        (table(shift=5), {"distribution_constraints": {"comparison_threshold": 0.9}}),
        (table(shift=5), {"distribution_constraints": {"perform_comparison": "Disabled"}}),
        (table().replace(",7,", ",7.5,"), {"datatype_check_threshold": 0.9}),
        (table(plans="aaabbcd"), {"domain_content_threshold": 0.8}),
        (table(shift=5, plans="xyz").replace(",7,", ",,"), {"evaluate_constraints": "Disabled"}),
    ],
)
def test_thresholds_of_the_file(compare: Callable[..., Result], content: str, config: dict[str, Any]) -> None:
    assert checks(compare(content))
    assert checks(compare(content, config)) == set()


@pytest.mark.parametrize("spelling", ["monitoringConfigOverrides", "monitoring_config_overrides"])
def test_a_feature_overrides_the_file(compare: Callable[..., Result], spelling: str) -> None:
    content = table(shift=5, plans="xyz")
    others = {("plan", "baseline_drift_check"), ("plan", "categorical_values_check")}
    assert checks(compare(content)) == others | {("amount", "baseline_drift_check")}
    lenient = {"amount": {spelling: {"distribution_constraints": {"comparison_threshold": 0.9}}}}
    assert checks(compare(content, overrides=lenient)) == others
    silent = {"plan": {spelling: {"evaluate_constraints": "Disabled"}}}
    assert checks(compare(content, overrides=silent)) == {("amount", "baseline_drift_check")}


def test_robust_allows_for_few_rows_and_simple_does_not(compare: Callable[..., Result]) -> None:
    content = table(shift=1, rows=20)
    constraints = {"comparison_threshold": 0.1, "categorical_comparison_threshold": 1.0}
    robust = compare(content, {"distribution_constraints": constraints | {"comparison_method": "Robust"}})
    simple = compare(content, {"distribution_constraints": constraints | {"comparion_method": "linf_simple"}})
    assert robust.drift["amount"] == max(0, simple.drift["amount"] - 1.8 * math.sqrt((20 + ROWS) / (20 * ROWS)))
    assert ("amount", "baseline_drift_check") in checks(simple)
    assert ("amount", "baseline_drift_check") not in checks(robust)


@pytest.mark.parametrize("where", ["file", "option"])
def test_chi_squared(compare: Callable[..., Result], where: str) -> None:
    config = {"distribution_constraints": {"categorical_drift_method": "ChiSquared"}} if where == "file" else {}
    options = {"categorical_drift_method": "ChiSquared"} if where == "option" else {}
    same = compare(table(), config, **options)
    shifted = compare(table(plans="aabbcc"), config, **options)
    assert checks(same) == set()
    assert same.drift["plan"] > 0.9
    assert checks(shifted) == {("plan", "baseline_drift_check")}
    assert shifted.drift["plan"] < 1e-9


def test_the_baseline_of_the_container_is_read(analyze: Analyze, tmp_path: Path) -> None:
    """Without a sketch, a threshold for both kinds of drift, and members the analyzer knows nothing of."""
    statistics = {
        "version": 0,
        "dataset": {"item_count": 100},
        "features": [
            {
                "name": "_c0",
                "inferred_type": "Fractional",
                "numerical_statistics": {
                    "common": {"num_present": 100, "num_missing": 0},
                    "mean": 0.5,
                    "distribution": {
                        "kll": {
                            "buckets": [
                                {"lower_bound": at / 10, "upper_bound": (at + 1) / 10, "count": 10.0}
                                for at in range(10)
                            ]
                        }
                    },
                },
            },
            {
                "name": "_c1",
                "inferred_type": "String",
                "string_statistics": {
                    "common": {"num_present": 100, "num_missing": 0},
                    "distinct_count": 2.0,
                    "distribution": {
                        "categorical": {"buckets": [{"value": "a", "count": 50}, {"value": "b", "count": 50}]}
                    },
                },
            },
        ],
    }
    constraints = {
        "version": 0,
        "features": [
            {
                "name": "_c0",
                "inferred_type": "Fractional",
                "completeness": 1.0,
                "num_constraints": {"is_non_negative": True},
            },
            {"name": "_c1", "inferred_type": "String", "completeness": 1.0, "somethingNew": 1},
        ],
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "distribution_constraints": {"comparison_threshold": 0.2, "comparison_method": "linf_robust"},
        },
    }
    for name, document in (("statistics", statistics), ("constraints", constraints)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    options = {"baseline_statistics": str(tmp_path), "baseline_constraints": str(tmp_path)}
    even = "".join(f"{at / 1000},{'ab'[at % 2]}\n" for at in range(1_000))
    lower = "".join(f"{at / 3000},a\n" for at in range(1_000))
    assert checks(analyze(even, "csv_no_header", **options)) == set()
    found = checks(analyze(lower, "csv_no_header", **options))
    assert found == {("_c0", "baseline_drift_check"), ("_c1", "baseline_drift_check")}


def test_columns_without_names_that_are_too_few_or_too_many(analyze: Analyze, baseline: Result, against: Any) -> None:
    few = analyze("1,2\n", "csv_no_header", **against(baseline))
    assert checks(few) == {("Missing columns", "missing_column_check")}
    assert few.violations[0].description == (
        "There are missing columns in current dataset. Number of columns in current dataset: 2, "
        "Number of columns in baseline constraints: 3"
    )
    many = analyze("1,2,a,4\n", "csv_no_header", **against(baseline))
    assert checks(many) == {("Extra columns", "extra_column_check")}


def test_a_baseline_of_statistics_alone_compares_distributions(analyze: Analyze, baseline: Result) -> None:
    result = analyze(table(shift=5), baseline_statistics=baseline.output_files["statistics"])
    assert checks(result) == {("amount", "baseline_drift_check")}


def test_domains_are_of_few_values_that_repeat(analyze: Analyze) -> None:
    rows = "".join(f"id{at},{'xyz'[at % 3]}\n" for at in range(60))
    features = {each["name"]: each for each in analyze("id,kind\n" + rows).constraints["features"]}
    assert features["kind"]["string_constraints"] == {"domains": ["x", "y", "z"]}
    assert "string_constraints" not in features["id"]


def test_non_negative_numbers_are_noted(analyze: Analyze) -> None:
    features = analyze("a,b\n0,-1\n5,1\n").constraints["features"]
    assert [each["num_constraints"]["is_non_negative"] for each in features] == [True, False]


NUMBERS = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(NUMBERS, NUMBERS)
def test_the_simple_distance_is_that_of_kolmogorov_and_smirnov(first: list[float], second: list[float]) -> None:
    distance = numerical_distance(Distribution.of_levels([first]), Distribution.of_levels([second]), is_robust=False)
    points = np.array(first + second)
    shares = [(np.array(each) <= points[:, None]).mean(axis=1) for each in (first, second)]
    assert distance == pytest.approx(np.abs(shares[0] - shares[1]).max())


COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 500), min_size=1)


@settings(max_examples=100, deadline=None)
@given(COUNTS, COUNTS)
def test_the_categorical_distance_is_the_largest_difference_of_shares(
    first: dict[str, int], second: dict[str, int]
) -> None:
    one, other = (Distribution(counts=each, total=sum(each.values())) for each in (first, second))
    shares = [abs(first.get(key, 0) / one.total - second.get(key, 0) / other.total) for key in "abcdefgh"]
    assert categorical_distance(one, other, is_robust=False) == pytest.approx(max(shares))
    robust = max(0.0, max(shares) - 1.8 * math.sqrt((one.total + other.total) / (one.total * other.total)))
    assert categorical_distance(one, other, is_robust=True) == pytest.approx(robust)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(50, 400), st.integers(30, 400)), min_size=3, max_size=40))
def test_the_p_value_is_scipys(pairs: list[tuple[int, int]]) -> None:
    observed, expected = np.array(pairs, float).T
    current = Distribution(counts={str(at): int(each) for at, each in enumerate(observed)}, total=int(observed.sum()))
    baseline = Distribution(counts={str(at): int(each) for at, each in enumerate(expected)}, total=int(expected.sum()))
    reference = scipy.stats.chisquare(observed, expected / expected.sum() * observed.sum()).pvalue
    assert chi_squared_p_value(current, baseline) == pytest.approx(reference, rel=1e-9, abs=1e-14)


def test_small_categories_are_joined_before_the_test() -> None:
    baseline = Distribution(counts={"a": 500, "b": 490, "c": 5, "d": 5}, total=1_000)
    current = Distribution(counts={"a": 50, "b": 48, "c": 2}, total=100)
    # Expected 50, 49, 0.5 and 0.5: the small ones are joined with each other, then with b; two categories of 10 remain.
    assert chi_squared_p_value(current, baseline) == pytest.approx(scipy.stats.chisquare([50, 50], [50, 50]).pvalue)
    assert math.isnan(chi_squared_p_value(current, Distribution(counts={"a": 9}, total=9)))

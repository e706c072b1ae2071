"""``statistics.json`` and ``constraints.json`` as the Model Monitor container writes them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kfp_sagemaker.monitoring.analyzer.categories import Categories
from kfp_sagemaker.monitoring.analyzer.numbers import Numbers
from kfp_sagemaker.monitoring.analyzer.profile import ColumnProfile, Profile, distinct_limit
from kfp_sagemaker.monitoring.analyzer.quantiles import C, K

BUCKETS = 10
# The most frequent values listed of a text column. AWS names no number.
LISTED_CATEGORIES = 1_000
# A text column whose values are no more than these, and occur twice each on average, gets a domain: the container
# has one "for small cardinality".
LARGEST_DOMAIN = 100


def statistics_document(profile: Profile) -> dict[str, Any]:
    """The statistics of a profile."""
    features = [_feature_statistics(name, column) for name, column in profile.columns.items()]
    return {"version": 0.0, "dataset": {"item_count": profile.rows}, "features": features}


def constraints_document(profile: Profile, categorical_drift_method: str = "") -> dict[str, Any]:
    """The constraints that a profile suggests."""
    return {
        "version": 0.0,
        "features": [_feature_constraints(name, column) for name, column in profile.columns.items()],
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": 0.1,
                "comparison_method": "Robust",
                "categorical_comparison_threshold": 0.1,
                "categorical_drift_method": categorical_drift_method or "LInfinity",
            },
        },
    }


def category_counts(column: ColumnProfile) -> Categories:
    """Counts of every value of a text column.

    Those of its values that a reader took for numbers are counted by what the sketch kept of them: exactly when they
    are no more than it holds.
    """
    counts = column.categories
    if counts is None:
        counts = Categories(distinct_limit(1))
    if not column.numbers.count:
        return counts
    whole = Categories.of_counts(_texts_of(column), counts.limit)
    whole.merge(counts)
    return whole


def _texts_of(column: ColumnProfile) -> dict[str, int]:
    """The numbers of a column as text, and how often each occurs."""
    counts: dict[str, int] = {}
    for level, values in enumerate(column.numbers.sketch.levels()):
        for value in values:
            text = str(int(value)) if value.is_integer() and not column.fractional else repr(value)
            counts[text] = counts.get(text, 0) + (1 << level)
    return counts


def _feature_statistics(name: str, column: ColumnProfile) -> dict[str, Any]:
    kind = column.inferred_type
    feature: dict[str, Any] = {"name": name, "inferred_type": kind}
    common = {"num_present": column.present, "num_missing": column.missing}
    if kind == "String":
        counts = category_counts(column)
        buckets = [{"value": value, "count": count} for value, count in counts.most_frequent(LISTED_CATEGORIES)]
        feature["string_statistics"] = {
            "common": common,
            "distinct_count": float(counts.distinct_count),
            "distribution": {"categorical": {"buckets": buckets}},
        }
    elif kind != "Unknown":
        feature["numerical_statistics"] = {"common": common, **_numerical_statistics(column.all_numbers())}
    else:
        feature["string_statistics"] = {
            "common": common,
            "distinct_count": 0.0,
            "distribution": {"categorical": {"buckets": []}},
        }
    return feature


def _numerical_statistics(numbers: Numbers) -> dict[str, Any]:
    levels = numbers.sketch.levels()
    return {
        "mean": numbers.mean,
        "sum": numbers.total,
        "std_dev": numbers.standard_deviation,
        "min": numbers.minimum,
        "max": numbers.maximum,
        "distribution": {
            "kll": {
                "buckets": _buckets(numbers, levels),
                "sketch": {"parameters": {"c": C, "k": float(K)}, "data": levels},
            }
        },
    }


def _buckets(numbers: Numbers, levels: list[list[float]]) -> list[dict[str, float]]:
    """Ten of equal width, each without its upper bound, the last with it."""
    values = np.concatenate([np.array(level, np.float64) for level in levels])
    weights = np.concatenate([np.full(len(level), 1 << at, np.int64) for at, level in enumerate(levels)])
    low, high = numbers.minimum, numbers.maximum
    if math.isfinite((high - low) * BUCKETS):
        bounds = [low + (high - low) * at / BUCKETS for at in range(BUCKETS)] + [high]
    else:  # the width is no float
        bounds = [low * (1 - at / BUCKETS) + high * (at / BUCKETS) for at in range(BUCKETS)] + [high]
    order = np.argsort(values, kind="stable")
    below = np.concatenate(([0], np.cumsum(weights[order])))
    ranks = below[np.searchsorted(values[order], bounds[1:-1], side="left")]
    counts = np.diff(ranks, prepend=0, append=numbers.count)
    return [
        {"lower_bound": bounds[at], "upper_bound": bounds[at + 1], "count": float(counts[at])} for at in range(BUCKETS)
    ]


def _feature_constraints(name: str, column: ColumnProfile) -> dict[str, Any]:
    kind = column.inferred_type
    feature: dict[str, Any] = {"name": name, "inferred_type": kind, "completeness": column.completeness}
    if kind == "String":
        counts = category_counts(column)
        distinct = counts.distinct_count
        if distinct <= LARGEST_DOMAIN and 2 * distinct <= column.present:
            values = [value for value, _ in counts.most_frequent(LARGEST_DOMAIN)]
            feature["string_constraints"] = {"domains": sorted(values)}
    elif kind != "Unknown":
        feature["num_constraints"] = {"is_non_negative": column.all_numbers().minimum >= 0}
    return feature

"""The six checks of Model Monitor: a profile against a baseline."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kfp_sagemaker.monitoring.analyzer.baseline import Baseline, BaselineFeature
from kfp_sagemaker.monitoring.analyzer.categories import CANDIDATES
from kfp_sagemaker.monitoring.analyzer.distances import (
    Distribution,
    categorical_distance,
    chi_squared_p_value,
    numerical_distance,
)
from kfp_sagemaker.monitoring.analyzer.documents import category_counts
from kfp_sagemaker.monitoring.analyzer.options import Violation
from kfp_sagemaker.monitoring.analyzer.profile import ColumnProfile, Profile

DATA_TYPE_CHECK = "data_type_check"
COMPLETENESS_CHECK = "completeness_check"
BASELINE_DRIFT_CHECK = "baseline_drift_check"
MISSING_COLUMN_CHECK = "missing_column_check"
EXTRA_COLUMN_CHECK = "extra_column_check"
CATEGORICAL_VALUES_CHECK = "categorical_values_check"
CHECK_TYPES = (
    DATA_TYPE_CHECK,
    COMPLETENESS_CHECK,
    BASELINE_DRIFT_CHECK,
    MISSING_COLUMN_CHECK,
    EXTRA_COLUMN_CHECK,
    CATEGORICAL_VALUES_CHECK,
)


@dataclass(frozen=True)
class Drift:
    """How far a feature is from its baseline.

    Attributes:
        value: A distance; with ChiSquared, a p-value.
        threshold: Where it begins to be a violation.
        is_p_value: Small values are far then, not near.
    """

    value: float
    threshold: float
    is_p_value: bool = False

    @property
    def is_violation(self) -> bool:
        """Whether it is too far."""
        return self.value < self.threshold if self.is_p_value else self.value > self.threshold


def measure_drift(profile: Profile, baseline: Baseline) -> dict[str, Drift]:
    """The drift of every feature both have, and of one kind: numbers or categories."""
    drifts = {}
    for name, feature in baseline.features.items():
        column = profile.columns.get(name)
        if column is not None and feature.config.perform_comparison:
            drift = _drift(column, feature)
            if drift is not None:
                drifts[name] = drift
    return drifts


def find_violations(profile: Profile, baseline: Baseline, drifts: dict[str, Drift]) -> list[Violation]:
    """Everything the data violates, columns first, then feature by feature in the order of the baseline."""
    if not baseline.config.evaluate_constraints:
        return []
    found = list(_columns(profile, baseline))
    for name, feature in baseline.features.items():
        column = profile.columns.get(name)
        if column is None or not feature.config.evaluate_constraints:
            continue
        found += _data_type(column, feature)
        found += _completeness(column, feature)
        drift = drifts.get(name)
        if drift is not None and drift.is_violation:
            found.append(Violation(name, BASELINE_DRIFT_CHECK, _describe(drift)))
        found += _categorical_values(column, feature)
    return found


def exit_message(violations: list[Violation]) -> str:
    """The message of the job, which begins with the status of the execution."""
    if not violations:
        return "Completed: Job completed successfully with no violations."
    return f"CompletedWithViolations: Job completed successfully with {len(violations)} violations."


def _columns(profile: Profile, baseline: Baseline) -> Iterator[Violation]:
    ignored = {name for name, feature in baseline.features.items() if not feature.config.evaluate_constraints}
    missing = [name for name in baseline.features if name not in profile.columns]
    extra = [name for name in profile.columns if name not in baseline.features]
    counts = (
        f"Number of columns in current dataset: {len(profile.columns)}, "
        f"Number of columns in baseline constraints: {len(baseline.features)}"
    )
    if missing and extra and all(re.fullmatch(r"_c\d+", name) for name in extra):
        # Columns without names, and not as many: which of them are which is not known.
        if len(extra) < len(missing):
            text = f"There are missing columns in current dataset. {counts}"
            yield Violation("Missing columns", MISSING_COLUMN_CHECK, text)
        else:
            text = f"There are extra columns in current dataset. {counts}"
            yield Violation("Extra columns", EXTRA_COLUMN_CHECK, text)
        return
    for name in missing:
        if name not in ignored:
            text = f"There are missing columns in current dataset. {counts}. Missing: {name}"
            yield Violation(name, MISSING_COLUMN_CHECK, text)
    for name in extra:
        text = f"There are extra columns in current dataset. {counts}. Extra: {name}"
        yield Violation(name, EXTRA_COLUMN_CHECK, text)


def _data_type(column: ColumnProfile, feature: BaselineFeature) -> Iterator[Violation]:
    if not column.present or feature.inferred_type not in ("Integral", "Fractional", "String"):
        return
    if feature.inferred_type == "Integral":
        share = column.integral / column.present
    elif feature.inferred_type == "Fractional":
        share = (column.integral + column.fractional) / column.present
    else:
        # Codes such as "12" may occur among text, and are fine; a column of nothing but numbers is no text.
        share = 1.0 if column.text else 0.0
    threshold = feature.config.datatype_check_threshold
    if share < threshold:
        text = (
            f"Data type match requirement is not met. Expected data type: {feature.inferred_type}, "
            f"Expected match: {_percent(threshold)}. "
            f"Observed: Only {_percent(share)} of data is {feature.inferred_type}."
        )
        yield Violation(feature.name, DATA_TYPE_CHECK, text)


def _completeness(column: ColumnProfile, feature: BaselineFeature) -> Iterator[Violation]:
    if feature.completeness is not None and column.completeness < feature.completeness:
        text = (
            f"Data completeness requirement is not met. Expected completeness: {_percent(feature.completeness)}. "
            f"Observed: Only {_percent(column.completeness)} of data is complete."
        )
        yield Violation(feature.name, COMPLETENESS_CHECK, text)


def _categorical_values(column: ColumnProfile, feature: BaselineFeature) -> Iterator[Violation]:
    if feature.domain is None or column.inferred_type != "String":
        return
    listed = category_counts(column).most_frequent(CANDIDATES)
    unknown = [value for value, _ in listed if value not in feature.domain]
    # Values too rare to be listed are not in a domain, which is small, either.
    known = sum(count for value, count in listed if value in feature.domain)
    share = known / column.present
    threshold = feature.config.domain_content_threshold
    if share < threshold:
        examples = ", ".join(repr(value) for value in unknown[:5])
        text = (
            f"Categorical values requirement is not met. Expected match: {_percent(threshold)}. "
            f"Observed: Only {_percent(share)} of data is in the baseline's domain. Unknown values: {examples}"
        )
        yield Violation(feature.name, CATEGORICAL_VALUES_CHECK, text)


def _drift(column: ColumnProfile, feature: BaselineFeature) -> Drift | None:
    baseline, config = feature.distribution, feature.config
    if baseline is None or not column.present or not baseline.total:
        return None
    current = current_distribution(column, baseline)
    if current.is_numerical != baseline.is_numerical:
        return None
    if current.is_numerical:
        distance = numerical_distance(current, baseline, is_robust=config.is_robust)
        return Drift(distance, config.comparison_threshold)
    if config.categorical_drift_method == "ChiSquared":
        p_value = chi_squared_p_value(current, baseline)
        if math.isnan(p_value):
            return None
        return Drift(p_value, config.categorical_comparison_threshold, is_p_value=True)
    distance = categorical_distance(current, baseline, is_robust=config.is_robust)
    return Drift(distance, config.categorical_comparison_threshold)


def current_distribution(column: ColumnProfile, baseline: Distribution | None) -> Distribution:
    """The distribution of a column that has values: of the kind of the baseline, if it has such values.

    When some values of a column are no numbers, the check of the type says so; the others are compared all the same.
    """
    has_numbers = column.integral + column.fractional > 0
    is_text = column.inferred_type == "String"
    if is_text and not (has_numbers and baseline is not None and baseline.is_numerical):
        return Distribution(counts=dict(category_counts(column).most_frequent(CANDIDATES)), total=column.present)
    return Distribution.of_levels(column.all_numbers().sketch.levels())


def _percent(share: float) -> str:
    return f"{round(share * 100, 10)}%"


def _describe(drift: Drift) -> str:
    if drift.is_p_value:
        return f"Baseline drift p-value: {drift.value} is below threshold: {drift.threshold}"
    return f"Baseline drift distance: {drift.value} exceeds threshold: {drift.threshold}"

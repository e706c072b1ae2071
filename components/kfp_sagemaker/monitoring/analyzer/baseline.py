"""Baselines: ``statistics.json`` and ``constraints.json``, in every spelling the real container's files have.

Where two spellings are known, both are read: the documentation and published files differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.monitoring.analyzer.distances import Distribution
from kfp_sagemaker.monitoring.analyzer.files import read_text


@dataclass(frozen=True)
class CheckConfig:
    """Which checks are made, and where they begin to complain: ``monitoring_config``, with a feature's overrides.

    Attributes:
        evaluate_constraints: Make any checks.
        emit_metrics: Publish metrics.
        datatype_check_threshold: Share of the values that is to be of the baseline's type.
        domain_content_threshold: Share of the values that is to be in the baseline's domain.
        perform_comparison: Compare distributions.
        comparison_threshold: Largest distance of numbers.
        is_robust: Allow for the size of the samples.
        categorical_comparison_threshold: Largest distance of categories; with ChiSquared, smallest p-value.
        categorical_drift_method: ``LInfinity`` or ``ChiSquared``.
    """

    evaluate_constraints: bool = True
    emit_metrics: bool = True
    datatype_check_threshold: float = 1.0
    domain_content_threshold: float = 1.0
    perform_comparison: bool = True
    comparison_threshold: float = 0.1
    is_robust: bool = True
    categorical_comparison_threshold: float = 0.1
    categorical_drift_method: str = "LInfinity"

    def overridden(self, members: Mapping[str, Any], where: str) -> CheckConfig:
        """This configuration with what a ``monitoring_config`` or a feature's overrides say in place.

        Raises:
            DataError: A value is not what it must be.
        """
        flat = dict(members) | dict(members.get("distribution_constraints") or {})
        changes: dict[str, Any] = {}
        for name in ("evaluate_constraints", "emit_metrics", "perform_comparison"):
            if name in flat:
                changes[name] = str(flat[name]).lower() in ("enabled", "true")
        for name in (
            "datatype_check_threshold",
            "domain_content_threshold",
            "comparison_threshold",
            "categorical_comparison_threshold",
        ):
            if name in flat:
                changes[name] = _number(flat[name], f"{where}: {name}")
        # The categorical threshold came later: older files have one for both.
        if "comparison_threshold" in changes and "categorical_comparison_threshold" not in changes:
            changes["categorical_comparison_threshold"] = changes["comparison_threshold"]
        method = flat.get("comparison_method", flat.get("comparion_method"))
        if method is not None:
            changes["is_robust"] = str(method).lower().removeprefix("linf_") != "simple"
        drift_method = flat.get("categorical_drift_method")
        if drift_method is not None:
            changes["categorical_drift_method"] = "ChiSquared" if "chi" in str(drift_method).lower() else "LInfinity"
        return replace(self, **changes)


@dataclass(frozen=True)
class BaselineFeature:
    """What the baseline says of one feature.

    Attributes:
        name: Of the feature.
        inferred_type: ``Integral``, ``Fractional``, ``String`` or ``Unknown``.
        completeness: Share of the rows that is to have a value; None when nothing is said.
        domain: Values that may occur; None when any may.
        distribution: What to compare with; None when the statistics lack the feature.
        config: Of its checks.
    """

    name: str
    inferred_type: str
    completeness: float | None
    domain: frozenset[str] | None
    distribution: Distribution | None
    config: CheckConfig


@dataclass(frozen=True)
class Baseline:
    """A baseline.

    Attributes:
        features: In the order of the constraints, or of the statistics when there are no constraints.
        config: Of the file.
    """

    features: dict[str, BaselineFeature] = field(default_factory=dict)
    config: CheckConfig = field(default_factory=CheckConfig)


def read_baseline(
    statistics: str, constraints: str, drift_method: str, session: Callable[[], Session]
) -> Baseline | None:
    """Read a baseline.

    Args:
        statistics: Location of ``statistics.json``; empty when there is none.
        constraints: Location of ``constraints.json``; empty when there is none.
        drift_method: In place of the ``categorical_drift_method`` of the file; may be empty.
        session: Opens the session for S3.

    Returns:
        None when both are empty.

    Raises:
        DataError: A file does not exist or is not what it should be.
    """
    if not statistics and not constraints:
        return None
    known = _read(statistics, "statistics.json", session) if statistics else {}
    rules = _read(constraints, "constraints.json", session) if constraints else {}
    config = CheckConfig().overridden(rules.get("monitoring_config") or {}, constraints)
    if drift_method:
        config = replace(config, categorical_drift_method=drift_method)
    by_name = {str(feature["name"]): feature for feature in known.get("features", [])}
    ruled = {str(feature["name"]): feature for feature in rules.get("features", [])}
    features = {}
    for name in ruled or by_name:
        features[name] = _feature(name, ruled.get(name, {}), by_name.get(name, {}), config, drift_method, constraints)
    return Baseline(features, config)


def _feature(
    name: str, rules: dict[str, Any], known: dict[str, Any], config: CheckConfig, drift_method: str, where: str
) -> BaselineFeature:
    overrides = rules.get("monitoringConfigOverrides") or rules.get("monitoring_config_overrides") or {}
    own = config.overridden(overrides, f"{where}: feature {name!r}")
    if drift_method:
        own = replace(own, categorical_drift_method=drift_method)
    domain = (rules.get("string_constraints") or {}).get("domains")
    completeness = rules.get("completeness")
    return BaselineFeature(
        name,
        str(rules.get("inferred_type") or known.get("inferred_type") or "Unknown"),
        None if completeness is None else _number(completeness, f"{where}: completeness of {name!r}"),
        frozenset(map(str, domain)) if domain else None,
        _distribution(known, name),
        own,
    )


def _distribution(feature: dict[str, Any], name: str) -> Distribution | None:
    try:
        if (numerical := feature.get("numerical_statistics")) is not None:
            kll = numerical["distribution"]["kll"]
            data = (kll.get("sketch") or {}).get("data") or []
            if data:
                return Distribution.of_levels(data)
            return Distribution.of_buckets(kll["buckets"])
        if (text := feature.get("string_statistics")) is not None:
            buckets = text["distribution"]["categorical"]["buckets"]
            counts = {str(bucket["value"]): int(bucket["count"]) for bucket in buckets}
            total = int(text["common"]["num_present"])
            return Distribution(counts=counts, total=max(total, sum(counts.values())))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the baseline's statistics of {name!r} are not in Model Monitor's format: {error!r}"
        ) from error
    return None


def _read(location: str, name: str, session: Callable[[], Session]) -> dict[str, Any]:
    if not location.startswith("s3://") and Path(location).is_dir():
        location = str(Path(location) / name)
    elif location.startswith("s3://") and not location.endswith(".json"):
        location = f"{location.rstrip('/')}/{name}"
    try:
        document = json.loads(read_text(location, session))
    except ValueError as error:
        raise DataError(f"the baseline {location} is not valid JSON: {error}") from error
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not all(isinstance(each, dict) and "name" in each for each in features):
        raise DataError(f"the baseline {location} is no {name} of Model Monitor: it has no list of features with names")
    found: dict[str, Any] = document
    return found


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise DataError(f"{where} is {value!r}; a number is expected")
    return number

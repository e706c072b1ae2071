"""The work of ``check_violations``: reads a violations report and decides whether the run may go on.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-violations.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kfp_sagemaker.aws.artifacts import Artifact
from kfp_sagemaker.aws.errors import ThresholdError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring import reports
from kfp_sagemaker.monitoring.quality import page

CHECKS = (
    "data_type_check",
    "completeness_check",
    "baseline_drift_check",
    "missing_column_check",
    "extra_column_check",
    "categorical_values_check",
)
_SHOWN = 20


class Checked(NamedTuple):
    """What the step returns."""

    violation_count: int
    violated_features: list[str]
    table: dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """What is allowed, checked; the attributes are the component's arguments."""

    violations_s3_uri: str
    checks: tuple[str, ...]
    ignored_features: tuple[str, ...]
    allowed_violations: int
    expected_features: tuple[str, ...]
    title: str


def build_rule(
    *,
    violations_s3_uri: str,
    checks: Sequence[str] = (),
    ignored_features: Sequence[str] = (),
    allowed_violations: int = 0,
    expected_features: Sequence[str] = (),
    title: str = "Violations",
) -> Rule:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("check_violations")
    problems.s3_uri("violations_s3_uri", violations_s3_uri)
    for index, check in enumerate(checks):
        problems.one_of(f"checks[{index}]", check, CHECKS)
        problems.required(f"checks[{index}]", check)
    problems.between("allowed_violations", allowed_violations, 0)
    if expected_features and allowed_violations:
        problems.add("allowed_violations", allowed_violations, "0, because expected_features says what is allowed")
    both = sorted(set(expected_features) & set(ignored_features))
    if both:
        problems.add("ignored_features", both, "different from expected_features")
    problems.raise_if_any()
    return Rule(
        violations_s3_uri,
        tuple(checks) or CHECKS,
        tuple(ignored_features),
        int(allowed_violations),
        tuple(expected_features),
        title,
    )


def check(session: Session, rule: Rule, *, report: Artifact, log_metric: Callable[[str, float], None]) -> Checked:
    """Read the report, show it, and judge it.

    Args:
        session: The step's session.
        rule: From :func:`build_rule`.
        report: Gets the HTML page.
        log_metric: Takes each figure.

    Raises:
        ThresholdError: There are more violations than allowed, or others than expected.
        DataError: It is no violations report.
        ResourceMissingError: It does not exist.
    """
    found = reports.read_violations(session, rule.violations_s3_uri) if rule.violations_s3_uri else []
    counted = [item for item in found if _counts(rule, item)]
    features = list(dict.fromkeys(item["feature_name"] for item in counted))
    verdict = judge(rule, counted)
    by_check = Counter(item["constraint_check_type"] for item in counted)
    log_metric("violation_count", len(counted))
    log_metric("violated_feature_count", len(features))
    for name in CHECKS:
        log_metric(name, by_check[name])
    html = page.of_violations(rule.title, verdict or "As it should be.", counted)
    ignored = [item for item in found if item not in counted]
    if ignored:
        html.add_table("Not counted", page.VIOLATION_COLUMNS, page.violation_rows(ignored))
    html.write(report.path)
    report.metadata.update({"violations_s3_uri": rule.violations_s3_uri, "violation_count": len(counted)})
    print(f"{len(counted)} violations counted, {len(ignored)} not", flush=True)
    if verdict:
        raise ThresholdError(_message(rule, verdict, counted))
    table = {"columns": page.VIOLATION_COLUMNS, "rows": page.violation_rows(counted)}
    return Checked(len(counted), features, table)


def judge(rule: Rule, counted: Sequence[Mapping[str, str]]) -> str:
    """What is wrong with these violations, in a sentence; empty when nothing is."""
    violated = {item["feature_name"] for item in counted}
    if rule.expected_features:
        quiet = [name for name in rule.expected_features if name not in violated]
        others = sorted(violated - set(rule.expected_features))
        parts = [f"expected violations of {', '.join(quiet)}, and there are none"] if quiet else []
        parts += [f"did not expect violations of {', '.join(others)}"] if others else []
        return "; ".join(parts)
    if len(counted) > rule.allowed_violations:
        return f"{len(counted)} violations of {len(violated)} features, {rule.allowed_violations} allowed"
    return ""


def _counts(rule: Rule, item: Mapping[str, str]) -> bool:
    return item["constraint_check_type"] in rule.checks and item["feature_name"] not in rule.ignored_features


def _message(rule: Rule, verdict: str, counted: Sequence[Mapping[str, str]]) -> str:
    lines = [
        f"  - {item['feature_name']}: {item['constraint_check_type']}: {item['description']}"
        for item in counted[:_SHOWN]
    ]
    if len(counted) > _SHOWN:
        lines.append(f"  - and {len(counted) - _SHOWN} more")
    return "\n".join([f"{rule.violations_s3_uri}: {verdict}" + (":" if lines else ""), *lines])

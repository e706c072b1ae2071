"""The HTML page a step shows of an analysis: the analyzer's own, or tables of what AWS's container found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.artifacts import Artifact
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.html_report import HtmlReport
from kfp_sagemaker.monitoring.reports import Reports

VIOLATION_COLUMNS = ["feature", "check", "description"]


def write(session: Session, artifact: Artifact, found: Reports, otherwise: Callable[[], HtmlReport]) -> None:
    """Write the artifact's page.

    Args:
        session: The step's session.
        artifact: Gets the page.
        found: The analysis's reports; the analyzer's page is among them.
        otherwise: Makes a page where there is none.
    """
    if not found.report:
        otherwise().write(artifact.path)
        return
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(s3.read_bytes(session, found.report))


def of_statistics(title: str, statistics: Mapping[str, Any]) -> HtmlReport:
    """A table of the features' statistics, as AWS's container wrote them."""
    rows = [_row(feature) for feature in statistics.get("features") or ()]
    columns = ["feature", "type", "present", "missing", "mean", "standard deviation", "minimum", "maximum", "distinct"]
    count = (statistics.get("dataset") or {}).get("item_count", 0)
    return HtmlReport(title, f"{count:,} rows").add_table("Features", columns, rows)


def of_violations(
    title: str, subtitle: str, violations: Iterable[Mapping[str, str]], heading: str = "Violations"
) -> HtmlReport:
    """A table of violations."""
    return HtmlReport(title, subtitle).add_table(heading, VIOLATION_COLUMNS, violation_rows(violations))


def violation_rows(violations: Iterable[Mapping[str, str]]) -> list[list[str]]:
    """A table row a violation."""
    return [[item["feature_name"], item["constraint_check_type"], item["description"]] for item in violations]


def _row(feature: Mapping[str, Any]) -> Sequence[Any]:
    numbers = feature.get("numerical_statistics") or {}
    strings = feature.get("string_statistics") or {}
    common = (numbers or strings).get("common") or {}
    figures = [numbers.get(key) for key in ("mean", "std_dev", "min", "max")]
    return [
        feature.get("name"),
        feature.get("inferred_type"),
        common.get("num_present"),
        common.get("num_missing"),
        *figures,
        strings.get("distinct_count"),
    ]

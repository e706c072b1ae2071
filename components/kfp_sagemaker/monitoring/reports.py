"""The reports an analysis leaves in S3, by the names Model Monitor's container and ours give them.

Formats: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-results.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.s3 import list_objects, read_bytes
from kfp_sagemaker.aws.session import Session

STATISTICS, CONSTRAINTS, REPORT = "statistics.json", "constraints.json", "report.html"
# The container's name, and the one some pages of the documentation have.
VIOLATIONS = ("constraint_violations.json", "constraints_violations.json")


@dataclass(frozen=True)
class Reports:
    """S3 URIs of the reports of one analysis; empty where there is none."""

    statistics: str = ""
    constraints: str = ""
    violations: str = ""
    report: str = ""

    @property
    def uris(self) -> list[str]:
        """Those that exist."""
        return [uri for uri in (self.statistics, self.constraints, self.violations, self.report) if uri]


def find_reports(uris: Iterable[str]) -> Reports:
    """The reports among some objects."""
    by_name = {uri.rpartition("/")[2]: uri for uri in uris}
    violations = next((by_name[name] for name in VIOLATIONS if name in by_name), "")
    return Reports(by_name.get(STATISTICS, ""), by_name.get(CONSTRAINTS, ""), violations, by_name.get(REPORT, ""))


def list_reports(session: Session, prefix: str) -> Reports:
    """The reports below an S3 prefix."""
    return find_reports(item.uri for item in list_objects(session, prefix.rstrip("/") + "/"))


def read_document(session: Session, uri: str, member: str) -> dict[str, Any]:
    """Read one of the JSON reports.

    Args:
        session: The step's session.
        uri: The object.
        member: What it must hold, such as ``violations``.

    Raises:
        DataError: It is not JSON, or not such a report.
        ResourceMissingError: It does not exist.
    """
    try:
        document = json.loads(read_bytes(session, uri).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{uri} is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get(member), list | dict):
        raise DataError(f"{uri} is no report of an analysis: it has no {member!r}")
    return document


def read_violations(session: Session, uri: str) -> list[dict[str, str]]:
    """The entries of ``constraint_violations.json``, with the keys ``feature_name``, ``constraint_check_type`` and
    ``description``.

    Raises:
        DataError: It is no such report.
    """
    found = []
    for number, entry in enumerate(read_document(session, uri, "violations")["violations"], start=1):
        try:
            found.append({key: str(entry[key]) for key in ("feature_name", "constraint_check_type", "description")})
        except (KeyError, TypeError):
            raise DataError(
                f"{uri}: violation {number} lacks feature_name, constraint_check_type or description: {entry!r}"
            ) from None
    return found

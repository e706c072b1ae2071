"""What traffic to send, checked before the first request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.aws.s3 import parse_uri
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.endpoints import rows as row_formats
from kfp_sagemaker.endpoints.invocation_plan import MAX_CONCURRENCY
from kfp_sagemaker.endpoints.invocation_plan import Plan as InvocationPlan
from kfp_sagemaker.monitoring.traffic import drift as drifts

CONTENT_TYPES = (row_formats.CSV, row_formats.JSON, row_formats.JSON_LINES)


@dataclass(frozen=True)
class Plan:
    """One call of the component ``send_traffic``; the attributes are its arguments.

    Attributes:
        invocation: What each request has in common.
        changes: The declared drift.
        row_count: Rows to send; 0 for as many as there are, or as the duration allows.
        duration_seconds: For how long to send; 0 for no limit.
    """

    invocation: InvocationPlan
    rows: Sequence[Any]
    input_s3_uri: str
    has_header: bool
    column_names: Sequence[str]
    changes: Sequence[drifts.Change]
    row_count: int
    duration_seconds: float
    seed: int


def build(
    *,
    endpoint_name: str,
    rows: Sequence[Any] = (),
    input_s3_uri: str = "",
    has_header: bool = False,
    column_names: Sequence[str] = (),
    label_first: bool = False,
    drift: Sequence[Any] = (),
    row_count: int = 0,
    duration_seconds: float = 0.0,
    rows_per_second: float = 0.0,
    rows_per_request: int = 1,
    target_models: Sequence[str] = (),
    content_type: str = row_formats.CSV,
    accept: str = "",
    target_variant: str = "",
    max_concurrency: int = 4,
    max_attempts: int = 5,
    max_failed_percent: float = 0.0,
    seed: int = 0,
) -> Plan:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("send_traffic")
    problems.required("endpoint_name", endpoint_name)
    problems.name("endpoint_name", endpoint_name)
    problems.required("content_type", content_type)
    problems.one_of("content_type", content_type, CONTENT_TYPES)
    problems.name("target_variant", target_variant)
    problems.between("row_count", row_count, 0)
    problems.between("duration_seconds", duration_seconds, 0)
    problems.between("rows_per_second", rows_per_second, 0)
    problems.between("rows_per_request", rows_per_request, 1, 10_000)
    problems.between("max_concurrency", max_concurrency, 1, MAX_CONCURRENCY)
    problems.between("max_attempts", max_attempts, 1, 100)
    problems.between("max_failed_percent", max_failed_percent, 0, 100)
    for index, name in enumerate(target_models):
        problems.matches(f"target_models[{index}]", name, r"\S.{0,1023}", "the name of an archive below the prefix")
    if bool(rows) == bool(input_s3_uri):
        problems.add("rows", f"{len(rows)} rows", "given, or else input_s3_uri, and not both")
    if problems.s3_uri("input_s3_uri", input_s3_uri) and input_s3_uri:
        key = parse_uri(input_s3_uri)[1]
        if not key or key.endswith("/"):
            problems.add("input_s3_uri", input_s3_uri, "an object and not a prefix")
    if has_header and (rows or content_type != row_formats.CSV):
        problems.add("has_header", has_header, "false for anything but a CSV object")
    if has_header and column_names:
        problems.add("column_names", list(column_names), "left out, because has_header names the columns")
    changes = drifts.parse(drift, column_names, problems)
    problems.raise_if_any()
    shared = {
        "EndpointName": endpoint_name,
        "ContentType": content_type,
        "Accept": accept,
        "TargetVariant": target_variant,
    }
    return Plan(
        InvocationPlan(
            request={key: value for key, value in shared.items() if value},
            rows=(),
            input_s3_uri="",
            output_s3_uri="",
            target_models=list(target_models) or [""],
            target_model_pairing="every",
            label_first=label_first,
            content_type=content_type,
            rows_per_request=int(rows_per_request),
            max_concurrency=int(max_concurrency),
            max_requests_per_second=rows_per_second / rows_per_request,
            max_attempts=int(max_attempts),
            max_failed_percent=max_failed_percent,
            include_input=False,
        ),
        rows,
        input_s3_uri,
        has_header,
        tuple(column_names),
        changes,
        int(row_count),
        duration_seconds,
        int(seed),
    )

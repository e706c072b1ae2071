"""An endpoint's metrics over a window, from CloudWatch.

CloudWatch shows a figure a minute or two after the fact, and ListMetrics a new metric up to fifteen minutes later. So
the variants come from the endpoint itself (from ListMetrics only when it is gone already), the metrics from a table,
and reading can wait until the expected number of invocations is there.

API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import ResourceMissingError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints import hosting
from kfp_sagemaker.endpoints.metric_query import MetricKind, Query

_STATISTICS = ("SampleCount", "Sum", "Minimum", "Maximum")
_MAX_QUERIES = 500  # GetMetricData
_MAX_PAUSE_SECONDS = 15.0


@dataclass(frozen=True)
class Point:
    """What was measured in one period."""

    timestamp: float
    count: float
    total: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Series:
    """A metric of one variant, or of all of them together (empty ``variant_name``)."""

    kind: MetricKind
    variant_name: str
    points: tuple[Point, ...]

    def value(self, point: Point) -> float:
        """What the metric says in a period: the sum of a count, the average of the rest."""
        return point.total if self.kind.is_count else point.total / point.count

    def summary(self) -> dict[str, Any]:
        """Figures over the whole window."""
        count = sum(point.count for point in self.points)
        total = sum(point.total for point in self.points)
        return {
            "sum": total,
            "average": total / count,
            "minimum": min(point.minimum for point in self.points),
            "maximum": max(point.maximum for point in self.points),
            "last": self.value(self.points[-1]),
            "sample_count": count,
            "unit": self.kind.unit,
        }


@dataclass(frozen=True)
class Result:
    """What was read: a series a metric and variant, and those over all variants; only metrics with data."""

    endpoint_name: str
    start: float
    end: float
    period_seconds: int
    variant_names: tuple[str, ...]
    by_variant: tuple[Series, ...]
    overall: tuple[Series, ...]
    without_data: tuple[str, ...]

    def values(self) -> dict[str, dict[str, Any]]:
        """Figures by metric."""
        return {series.kind.name: series.summary() for series in self.overall}

    def series(self) -> dict[str, list[list[float]]]:
        """Points by metric: seconds since the epoch and value."""
        return {
            series.kind.name: [[point.timestamp, round(series.value(point), 6)] for point in series.points]
            for series in self.overall
        }


def read(
    session: Session,
    query: Query,
    *,
    timing: Timing = hosting.REAL_TIME,
    wall_clock: Callable[[], float] = time.time,
    sink: Callable[[str], None] = print_line,
) -> Result:
    """Read the metrics, waiting for the expected invocations.

    Args:
        session: The step's session.
        query: From ``metric_query.build_query``.
        timing: Clock and sleep for the waiting.
        wall_clock: Seconds since the epoch.
        sink: Takes the lines of the step's log.

    Raises:
        ResourceMissingError: There is no such endpoint, and there are no metrics of one.
    """
    variants = query.variant_names or tuple(_variants(session, query))
    begin = timing.now()
    start = query.start or (query.end or wall_clock()) - query.window_seconds
    pause = 1.0
    while True:
        result = _read_once(session, query, variants, start, query.end or wall_clock())
        seen = next((series.summary()["sum"] for series in result.overall if series.kind.name == "Invocations"), 0)
        waited = timing.now() - begin
        if seen >= query.expected_invocations:
            break
        if waited >= query.max_wait_seconds:
            sink(
                f"WARNING: CloudWatch shows {seen:,.0f} of {query.expected_invocations:,} invocations of "
                f"{query.endpoint_name} after {waited:.0f} s; the figures are of those."
            )
            break
        sink(f"CloudWatch shows {seen:,.0f} of {query.expected_invocations:,} invocations; waiting")
        timing.sleep(min(pause, query.max_wait_seconds - waited))
        pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)
    return result


def _variants(session: Session, query: Query) -> Iterator[str]:
    """The endpoint's variants; of one that is deleted already, those CloudWatch knows."""
    description = hosting.describe_endpoint(session, query.endpoint_name)
    if description is not None:
        for member in ("ProductionVariants", "ShadowProductionVariants"):
            yield from (variant["VariantName"] for variant in description.get(member) or ())
        return
    names: dict[str, None] = {}
    with aws_errors(f"listing the metrics of endpoint {query.endpoint_name}"):
        pages = (
            session.client("cloudwatch")
            .get_paginator("list_metrics")
            .paginate(Dimensions=[{"Name": "EndpointName", "Value": query.endpoint_name}])
        )
        for page in pages:
            for metric in page["Metrics"]:
                dimensions = {item["Name"]: item["Value"] for item in metric["Dimensions"]}
                if "VariantName" in dimensions:
                    names[dimensions["VariantName"]] = None
    if not names:
        raise ResourceMissingError(
            f"endpoint {query.endpoint_name} does not exist in {session.region}, and CloudWatch has no metrics of one "
            "of that name",
            operation="DescribeEndpoint",
        )
    yield from names


def _read_once(session: Session, query: Query, variants: Sequence[str], start: float, end: float) -> Result:
    # CloudWatch aligns periods to the clock: a window that is not would lose its first period.
    period = query.period_seconds
    first, last = math.floor(start / period) * period, math.ceil(end / period) * period
    wanted = [(kind, variant) for kind in query.kinds for variant in variants]
    found = _fetch(session, query.endpoint_name, wanted, period, first, max(last, first + period))
    by_variant = tuple(Series(kind, variant, points) for (kind, variant), points in found.items() if points)
    overall = tuple(merged for kind in query.kinds if (merged := _merge(kind, by_variant)) is not None)
    with_data = {series.kind for series in overall}
    missing = tuple(kind.name for kind in query.kinds if kind not in with_data)
    return Result(query.endpoint_name, first, last, period, tuple(variants), by_variant, overall, missing)


def _fetch(
    session: Session,
    endpoint_name: str,
    wanted: Sequence[tuple[MetricKind, str]],
    period_seconds: int,
    start: float,
    end: float,
) -> dict[tuple[MetricKind, str], tuple[Point, ...]]:
    queries = [
        {
            "Id": f"m{index}_{statistic.lower()}",
            "ReturnData": True,
            "MetricStat": {
                "Metric": {
                    "Namespace": kind.namespace,
                    "MetricName": kind.name,
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": endpoint_name},
                        {"Name": "VariantName", "Value": variant},
                    ],
                },
                "Period": period_seconds,
                "Stat": statistic,
            },
        }
        for index, (kind, variant) in enumerate(wanted)
        for statistic in _STATISTICS
    ]
    figures: dict[str, dict[float, float]] = {}
    with aws_errors(f"reading the metrics of endpoint {endpoint_name}"):
        paginator = session.client("cloudwatch").get_paginator("get_metric_data")
        for i in range(0, len(queries), _MAX_QUERIES):
            for page in paginator.paginate(
                MetricDataQueries=queries[i : i + _MAX_QUERIES],
                StartTime=datetime.fromtimestamp(start, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
                ScanBy="TimestampAscending",
            ):
                for result in page["MetricDataResults"]:
                    values = zip(result["Timestamps"], result["Values"], strict=True)
                    figures.setdefault(result["Id"], {}).update((moment.timestamp(), value) for moment, value in values)
    return {key: tuple(_points(figures, f"m{index}")) for index, key in enumerate(wanted)}


def _points(figures: Mapping[str, Mapping[float, float]], query_id: str) -> Iterator[Point]:
    counts, totals, minima, maxima = (figures.get(f"{query_id}_{name.lower()}", {}) for name in _STATISTICS)
    for moment in sorted(counts):
        if counts[moment] > 0 and moment in totals:
            yield Point(moment, counts[moment], totals[moment], minima.get(moment, 0.0), maxima.get(moment, 0.0))


def _merge(kind: MetricKind, by_variant: Iterable[Series]) -> Series | None:
    """A metric over all variants: samples of the same period put together."""
    moments: dict[float, list[Point]] = {}
    for series in by_variant:
        if series.kind == kind:
            for point in series.points:
                moments.setdefault(point.timestamp, []).append(point)
    points = tuple(
        Point(
            moment,
            sum(point.count for point in group),
            sum(point.total for point in group),
            min(point.minimum for point in group),
            max(point.maximum for point in group),
        )
        for moment, group in sorted(moments.items())
    )
    return Series(kind, "", points) if points else None

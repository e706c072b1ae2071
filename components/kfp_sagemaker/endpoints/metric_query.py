"""What to read of an endpoint's metrics: the table of metrics SageMaker publishes, and a checked query.

Metrics: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_sagemaker.aws.validation import Problems

INVOCATION_NAMESPACE = "AWS/SageMaker"
INSTANCE_NAMESPACE = "/aws/sagemaker/Endpoints"
MAX_POINTS = 500


@dataclass(frozen=True)
class MetricKind:
    """A metric SageMaker publishes for a variant.

    Attributes:
        name: Its name in CloudWatch.
        namespace: Its namespace.
        unit: CloudWatch's unit.
        is_count: Whether its sum is what it says; of the others it is the average.
    """

    name: str
    namespace: str
    unit: str
    is_count: bool = False


KINDS = (
    MetricKind("Invocations", INVOCATION_NAMESPACE, "Count", is_count=True),
    MetricKind("LoadedModelCount", INSTANCE_NAMESPACE, "Count"),
    MetricKind("MemoryUtilization", INSTANCE_NAMESPACE, "Percent"),
    MetricKind("ModelCacheHit", INVOCATION_NAMESPACE, "None"),
    MetricKind("ModelLatency", INVOCATION_NAMESPACE, "Microseconds"),
    MetricKind("OverheadLatency", INVOCATION_NAMESPACE, "Microseconds"),
    MetricKind("ModelLoadingTime", INVOCATION_NAMESPACE, "Microseconds"),
    MetricKind("ModelLoadingWaitTime", INVOCATION_NAMESPACE, "Microseconds"),
    MetricKind("ModelDownloadingTime", INVOCATION_NAMESPACE, "Microseconds"),
    MetricKind("ModelUnloadingTime", INVOCATION_NAMESPACE, "Microseconds"),
    MetricKind("InvocationsPerInstance", INVOCATION_NAMESPACE, "None", is_count=True),
    MetricKind("Invocation4XXErrors", INVOCATION_NAMESPACE, "None", is_count=True),
    MetricKind("Invocation5XXErrors", INVOCATION_NAMESPACE, "None", is_count=True),
    MetricKind("InvocationModelErrors", INVOCATION_NAMESPACE, "None", is_count=True),
    MetricKind("CPUUtilization", INSTANCE_NAMESPACE, "Percent"),
    MetricKind("DiskUtilization", INSTANCE_NAMESPACE, "Percent"),
    MetricKind("GPUUtilization", INSTANCE_NAMESPACE, "Percent"),
    MetricKind("GPUMemoryUtilization", INSTANCE_NAMESPACE, "Percent"),
)
METRIC_NAMES = tuple(kind.name for kind in KINDS)


@dataclass(frozen=True)
class Query:
    """What to read, checked. Times are seconds since the epoch; an ``end`` of 0 means now."""

    endpoint_name: str
    window_seconds: int
    start: float
    end: float
    period_seconds: int
    variant_names: tuple[str, ...]
    kinds: tuple[MetricKind, ...]
    expected_invocations: int
    max_wait_seconds: int


def build_query(
    *,
    endpoint_name: str,
    window_seconds: int = 900,
    start_time: str = "",
    end_time: str = "",
    period_seconds: int = 60,
    variant_names: Sequence[str] = (),
    metric_names: Sequence[str] = (),
    expected_invocations: int = 0,
    max_wait_seconds: int = 300,
) -> Query:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("endpoint_metrics")
    problems.required("endpoint_name", endpoint_name)
    problems.name("endpoint_name", endpoint_name)
    problems.between("expected_invocations", expected_invocations, 0)
    problems.between("max_wait_seconds", max_wait_seconds, 0)
    problems.between("window_seconds", window_seconds, 1)
    period_fits = period_seconds in (1, 5, 10, 30) or (period_seconds > 0 and period_seconds % 60 == 0)
    if not period_fits:
        problems.add("period_seconds", period_seconds, "1, 5, 10, 30 or a multiple of 60")
    for index, name in enumerate(metric_names):
        problems.one_of(f"metric_names[{index}]", name, METRIC_NAMES)
    start, end = (
        _parse_time(name, text, problems) for name, text in (("start_time", start_time), ("end_time", end_time))
    )
    if start and end and start >= end:
        problems.add("start_time", start_time, f"before end_time, which is {end_time}")
    length = (end or time.time()) - start if start else window_seconds
    if period_fits and length / period_seconds > MAX_POINTS:
        least = 60 * math.ceil(length / MAX_POINTS / 60)
        problems.add("period_seconds", period_seconds, f"at least {least} for a window of {length:,.0f} seconds")
    problems.raise_if_any()
    return Query(
        endpoint_name,
        int(window_seconds),
        start,
        end,
        int(period_seconds),
        tuple(variant_names),
        tuple(kind for kind in KINDS if not metric_names or kind.name in metric_names),
        int(expected_invocations),
        int(max_wait_seconds),
    )


def _parse_time(argument: str, text: str, problems: Problems) -> float:
    if not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problems.add(argument, text, "a time in ISO 8601 such as 2026-01-31T12:00:00Z")
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

"""The metrics of endpoints: collected by the invocation path as plain numbers, sent to CloudWatch once a second.

An invocation appends to lists and never waits for CloudWatch. A flush condenses each list into at most
``MAX_DISTINCT_VALUES`` values with counts, which keeps SampleCount, Sum, Average, Minimum and Maximum exact and the
percentiles close, and puts them with one PutMetricData call.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

INVOCATION_NAMESPACE = "AWS/SageMaker"
INSTANCE_NAMESPACE = "/aws/sagemaker/Endpoints"

FLUSH_INTERVAL_SECONDS = 1.0
MAX_DISTINCT_VALUES = 20
MAX_KEPT_VALUES = 100_000
"""Values of one metric kept while CloudWatch does not answer; beyond them the oldest are dropped."""
_MAX_DATA_PER_CALL = 1000

_UNITS = {
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
    "ModelSetupTime": "Microseconds",
    "ModelLoadingWaitTime": "Microseconds",
    "ModelUnloadingTime": "Microseconds",
    "ModelDownloadingTime": "Microseconds",
    "ModelLoadingTime": "Microseconds",
    "CPUUtilization": "Percent",
    "MemoryUtilization": "Percent",
    "DiskUtilization": "Percent",
}
_INSTANCE_METRICS = {"CPUUtilization", "MemoryUtilization", "DiskUtilization", "LoadedModelCount"}

logger = logging.getLogger(__name__)


class VariantMetrics:
    """The metrics of one variant that were not sent yet.

    Args:
        region: The endpoint's region.
        endpoint_name: The dimension ``EndpointName``.
        variant_name: The dimension ``VariantName``.
    """

    def __init__(self, region: str, endpoint_name: str, variant_name: str) -> None:
        self.region = region
        self.dimensions = [
            {"Name": "EndpointName", "Value": endpoint_name},
            {"Name": "VariantName", "Value": variant_name},
        ]
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    def record(self, name: str, value: float) -> None:
        """Add one value of a metric."""
        self._values[name].append(value)

    def drain(self) -> list[tuple[str, list[float]]]:
        """Take out everything recorded since the last time."""
        taken = list(self._values.items())
        self._values = defaultdict(list)
        return taken

    def put_back(self, name: str, values: list[float]) -> None:
        """Return values that could not be sent."""
        self._values[name] = (values + self._values[name])[-MAX_KEPT_VALUES:]


class MetricPublisher:
    """Sends the metrics of all variants to CloudWatch.

    Args:
        app: Gives the CloudWatch client.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = asyncio.Lock()

    async def flush(self, sources: Sequence[VariantMetrics]) -> None:
        """Send what the sources recorded; what CloudWatch does not take is sent with the next flush."""
        async with self._lock:
            batches: defaultdict[tuple[str, str], list[_Series]] = defaultdict(list)
            for source in sources:
                for name, values in source.drain():
                    namespace = INSTANCE_NAMESPACE if name in _INSTANCE_METRICS else INVOCATION_NAMESPACE
                    batches[source.region, namespace].append(_Series(source, name, values))
            for (region, namespace), series in batches.items():
                for start in range(0, len(series), _MAX_DATA_PER_CALL):
                    await self._send(region, namespace, series[start : start + _MAX_DATA_PER_CALL])

    async def _send(self, region: str, namespace: str, series: list[_Series]) -> None:
        try:
            await asyncio.to_thread(self._put_metric_data, region, namespace, series)
        except Exception:
            logger.exception("%d metrics of %s in %s could not be sent; trying again", len(series), namespace, region)
            for one in series:
                one.source.put_back(one.name, one.values)

    def _put_metric_data(self, region: str, namespace: str, series: list[_Series]) -> None:
        timestamp = self._app.clock.now()
        self._app.aws.client("cloudwatch", region).put_metric_data(
            Namespace=namespace, MetricData=[one.datum(timestamp) for one in series]
        )


@dataclass(frozen=True, slots=True)
class _Series:
    """The values of one metric of one variant on their way to CloudWatch."""

    source: VariantMetrics
    name: str
    values: list[float]

    def datum(self, timestamp: datetime) -> dict[str, Any]:
        values, counts = condense(self.values)
        return {
            "MetricName": self.name,
            "Dimensions": self.source.dimensions,
            "Timestamp": timestamp,
            "Unit": _UNITS.get(self.name, "None"),
            "Values": values,
            "Counts": counts,
        }


def condense(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return at most ``MAX_DISTINCT_VALUES`` values with counts that have the same sum, count, minimum and maximum.

    Few distinct values stay what they are. Many are sorted and cut into groups of neighbours, each standing as its
    mean; the smallest and the largest stand alone.

    Args:
        values: At least one value.
    """
    distinct = Counter(values)
    if len(distinct) <= MAX_DISTINCT_VALUES:
        return list(distinct), [float(count) for count in distinct.values()]
    ordered = sorted(values)
    groups = [ordered[:1], *_groups(ordered[1:-1], MAX_DISTINCT_VALUES - 2), ordered[-1:]]
    return [sum(group) / len(group) for group in groups], [float(len(group)) for group in groups]


def _groups(ordered: list[float], number: int) -> Iterator[list[float]]:
    bounds = [len(ordered) * index // number for index in range(number + 1)]
    for start, end in itertools.pairwise(bounds):
        yield ordered[start:end]

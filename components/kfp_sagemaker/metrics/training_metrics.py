"""The metrics of a training job as time series, from CloudWatch.

CloudWatch keeps the points of a second for 3 hours, then their minutes for 15 days, five minutes for 63 days and hours
for 455 days. A job's time is therefore read in pieces, each at the finest period that is still kept. ListMetrics knows
what was active in the last two weeks only, and a new metric up to fifteen minutes late; so the names come from the
job's description as well.

API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.errors import AwsCallError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.metrics.training_jobs import TrainingJob, describe_job

NAMESPACE = "/aws/sagemaker/TrainingJobs"
# Amazon CloudWatch User Guide, "Metrics retention": period in seconds, and for how many seconds it is kept.
RETENTION = ((1, 3 * 3600), (60, 15 * 86_400), (300, 63 * 86_400), (3600, 455 * 86_400))
RETENTION_TEXT = (
    "CloudWatch keeps points of a second for 3 hours, of a minute for 15 days, of 5 minutes for 63 days and of an "
    "hour for 455 days; older points are averages of the coarser period."
)
_MAX_QUERIES = 500  # GetMetricData
# Points leave their retention while they are being read.
_MARGIN_SECONDS = 120
_INSTANCE_METRICS = ("CPUUtilization", "DiskUtilization", "GPUMemoryUtilization", "GPUUtilization", "MemoryUtilization")

Row = tuple[datetime, str, float]


@dataclass(frozen=True)
class Metric:
    """What CloudWatch calls a metric: a name and the one dimension SageMaker gives it."""

    name: str
    dimension: str
    value: str

    @property
    def label(self) -> str:
        """The name, and for a metric of a host the host."""
        return self.name if self.dimension == "TrainingJobName" else f"{self.name} ({self.value.rpartition('/')[2]})"


@dataclass
class Series:
    """One metric over time, in compact arrays: 16 bytes a point.

    Attributes:
        metric_name: The metric.
        timestamps: Seconds since the epoch, ascending.
        values: The average of the period that begins at each of them.
    """

    metric_name: str
    timestamps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.timestamps)


@dataclass(frozen=True)
class Piece:
    """A stretch of time to be read at one period; all in seconds, the bounds since the epoch."""

    start: float
    end: float
    period_seconds: int


def read_series(
    session: Session,
    job: str | TrainingJob,
    *,
    metric_names: Sequence[str] = (),
    include_instance_metrics: bool = False,
    now: float | None = None,
) -> list[Series]:
    """Read the metrics of a training job.

    Args:
        session: The session; it needs ``cloudwatch:ListMetrics``, ``cloudwatch:GetMetricData`` and, for a job given by
            its name, ``sagemaker:DescribeTrainingJob``.
        job: The job, or its name.
        metric_names: Only these; empty for all there are.
        include_instance_metrics: Also the hosts' processor, memory, disk and GPU, as ``CPUUtilization (algo-1)``.
        now: Seconds since the epoch; None asks the clock.

    Returns:
        A series a metric that has points, by name.

    Raises:
        ResourceMissingError: There is no such job.
        AwsCallError: CloudWatch could not answer.
    """
    if isinstance(job, str):
        job = describe_job(session, job)
    moment = time.time() if now is None else now
    metrics = discover(session, job, include_instance_metrics=include_instance_metrics)
    if metric_names:
        metrics = [metric for metric in metrics if metric.name in metric_names]
    end = job.end_time.timestamp() + 1 if job.end_time else moment
    found = {metric: Series(metric.label) for metric in metrics}
    for piece in pieces(job.start_time.timestamp(), end, moment):
        _read_piece(session, job.name, found, piece)
    return sorted((series for series in found.values() if series.timestamps), key=lambda series: series.metric_name)


def discover(session: Session, job: TrainingJob, *, include_instance_metrics: bool = False) -> list[Metric]:
    """What metrics a job has or may have: those CloudWatch lists, and those its description names.

    Args:
        session: The session.
        job: The job.
        include_instance_metrics: Also those of its hosts.
    """
    listed = _list_metrics(session, "TrainingJobName", job.name)
    names = dict.fromkeys([*listed, *job.final_metrics, *job.metric_definitions])
    metrics = [Metric(name, "TrainingJobName", job.name) for name in names]
    if include_instance_metrics:
        hosts = [f"{job.name}/algo-{number}" for number in range(1, job.instance_count + 1)]
        metrics += [Metric(name, "Host", host) for host in hosts for name in _INSTANCE_METRICS]
    return metrics


def pieces(start: float, end: float, now: float) -> list[Piece]:
    """Cut a time into pieces, each with the finest period CloudWatch still keeps of it; the oldest piece first.

    Args:
        start: First second.
        end: Last second.
        now: What the ages are counted from.

    Returns:
        The pieces; what is older than 455 days is in none.
    """
    found: list[Piece] = []
    finer_period = 0
    for period, retention_seconds in RETENTION:
        # A piece begins on a full period of the coarser one before it, so that no period is read twice or in part.
        coarser = next((each for each, _ in RETENTION if each > period), period)
        oldest = math.ceil((now - retention_seconds + _MARGIN_SECONDS) / coarser) * coarser
        first = max(math.floor(start / period) * period, oldest)
        if first < end:
            last = math.ceil(end / period) * period if not finer_period else end
            found.append(Piece(first, last, period))
            finer_period = period
            end = first
        if start >= oldest:
            break
    return found[::-1]


def rows(series: Iterable[Series]) -> Iterator[Row]:
    """The series as tidy rows: time in UTC, metric name, value; metric after metric, each in the order of time."""
    for each in series:
        for moment, value in zip(each.timestamps, each.values, strict=True):
            yield datetime.fromtimestamp(moment, UTC), each.metric_name, value


def _list_metrics(session: Session, dimension: str, value: str) -> list[str]:
    with aws_errors(f"listing the metrics of {value}"):
        pages = (
            session.client("cloudwatch")
            .get_paginator("list_metrics")
            .paginate(Namespace=NAMESPACE, Dimensions=[{"Name": dimension, "Value": value}])
        )
        return [metric["MetricName"] for page in pages for metric in page["Metrics"]]


def _read_piece(session: Session, job_name: str, found: dict[Metric, Series], piece: Piece) -> None:
    metrics = list(found)
    for start in range(0, len(metrics), _MAX_QUERIES):
        batch = {metric: found[metric] for metric in metrics[start : start + _MAX_QUERIES]}
        counts = {metric: len(series) for metric, series in batch.items()}
        _get_metric_data(session, job_name, batch, piece)
        empty = {metric: series for metric, series in batch.items() if len(series) == counts[metric]}
        if piece.period_seconds == RETENTION[0][0] and empty:
            # Published without high resolution, a metric has no seconds from the start.
            minutes = Piece(math.floor(piece.start / 60) * 60, math.ceil(piece.end / 60) * 60, 60)
            _get_metric_data(session, job_name, empty, minutes)


def _get_metric_data(session: Session, job_name: str, batch: dict[Metric, Series], piece: Piece) -> None:
    by_id = {f"m{index}": series for index, series in enumerate(batch.values())}
    queries = [
        {
            "Id": query_id,
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": metric.dimension, "Value": metric.value}],
                },
                "Period": piece.period_seconds,
                "Stat": "Average",
            },
        }
        for query_id, metric in zip(by_id, batch, strict=True)
    ]
    if not queries:
        return
    request: dict[str, Any] = {
        "MetricDataQueries": queries,
        "StartTime": datetime.fromtimestamp(piece.start, UTC),
        "EndTime": datetime.fromtimestamp(piece.end, UTC),
        "ScanBy": "TimestampAscending",
    }
    with aws_errors(f"reading the metrics of training job {job_name}"):
        for page in session.client("cloudwatch").get_paginator("get_metric_data").paginate(**request):
            for result in page["MetricDataResults"]:
                if result.get("StatusCode") in ("InternalError", "Forbidden"):
                    raise AwsCallError(
                        f"CloudWatch could not read {result.get('Label', result['Id'])} of training job {job_name}: "
                        f"{result['StatusCode']} {result.get('Messages', '')}",
                        operation="GetMetricData",
                        code=result["StatusCode"],
                    )
                series = by_id[result["Id"]]
                series.timestamps.extend(moment.timestamp() for moment in result["Timestamps"])
                series.values.extend(result["Values"])

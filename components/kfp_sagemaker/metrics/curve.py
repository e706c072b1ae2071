"""Learning curves as data: the tidy CSV they are kept in, and what a chart needs of them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.metrics.training_metrics import Series, rows

COLUMNS = ("timestamp", "metric_name", "value")
JOB_COLUMN = "training_job_name"
# What SageMaker's algorithms put before the name of what they measure: these belong into one chart.
_DATASETS = frozenset({"train", "training", "validation", "valid", "val", "test", "eval"})
# More points than a chart is wide only cost time and space.
_MOST_POINTS = 1000


@dataclass(frozen=True)
class Curve:
    """A metric of a job over time.

    Attributes:
        metric_name: The metric.
        job_name: The training job; empty where all curves are of one.
        timestamps: Seconds since the epoch, ascending.
        values: One a timestamp.
    """

    metric_name: str
    job_name: str
    timestamps: Sequence[float]
    values: Sequence[float]

    @classmethod
    def from_series(cls, series: Series, job_name: str = "") -> Curve:
        """From what CloudWatch answered."""
        return cls(series.metric_name, job_name, series.timestamps, series.values)

    def elapsed(self, start: float) -> list[tuple[float, float]]:
        """Seconds since a start, and values; of many points only the ends and the extremes of each stretch."""
        points = [(moment - start, value) for moment, value in zip(self.timestamps, self.values, strict=True)]
        if len(points) <= _MOST_POINTS:
            return points
        kept = [points[0]]
        stretch = -(-len(points) // (_MOST_POINTS // 2))
        for first in range(0, len(points), stretch):
            part = points[first : first + stretch]
            kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
        return [*kept, points[-1]]


@dataclass(frozen=True)
class Chart:
    """Curves that belong together.

    Attributes:
        title: What they measure.
        lines: Label and curve of each.
    """

    title: str
    lines: tuple[tuple[str, Curve], ...]


def charts(curves: Iterable[Curve]) -> list[Chart]:
    """One chart for what is measured: of one job its data sets together, of several jobs a line each."""
    every = list(curves)
    has_jobs = len({curve.job_name for curve in every}) > 1
    grouped: dict[str, list[tuple[str, Curve]]] = {}
    for curve in every:
        dataset, colon, topic = curve.metric_name.partition(":")
        if has_jobs:
            grouped.setdefault(curve.metric_name, []).append((curve.job_name, curve))
        elif colon and dataset.lower() in _DATASETS:
            grouped.setdefault(topic, []).append((dataset, curve))
        else:
            grouped.setdefault(curve.metric_name, []).append((curve.metric_name, curve))
    return [Chart(title, tuple(lines)) for title, lines in sorted(grouped.items())]


def starts(curves: Iterable[Curve]) -> dict[str, float]:
    """When each job's first point was, the zero of its curves."""
    found: dict[str, float] = {}
    for curve in curves:
        if curve.timestamps:
            first = curve.timestamps[0]
            found[curve.job_name] = min(first, found.get(curve.job_name, first))
    return found


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit to show a length of time in, and its seconds."""
    for name, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 3 * size:
            return name, size
    return "seconds", 1.0


def write_csv(target: IO[str], jobs: Mapping[str, Sequence[Series]], *, with_job_column: bool) -> int:
    """Write the series of jobs as tidy CSV.

    Args:
        target: An open text file.
        jobs: Job name to its series.
        with_job_column: Whether a fourth column says which job a row is of.

    Returns:
        The number of rows.
    """
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([*COLUMNS, JOB_COLUMN] if with_job_column else COLUMNS)
    count = 0
    for job_name, series in jobs.items():
        job = (job_name,) if with_job_column else ()
        for moment, name, value in rows(series):
            # Five times as fast as strftime.
            text = moment.isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
            writer.writerow((text, name, value, *job))
            count += 1
    return count


def read_csv(text: str) -> dict[str, list[Any]]:
    """The columns of an exported CSV.

    Args:
        text: The file.

    Returns:
        Column name to values: ``timestamp`` and names as text, ``value`` as float.

    Raises:
        DataError: It is no such file, or a line of it is broken.
    """
    lines = csv.reader(io.StringIO(text))
    header = next(lines, [])
    if missing := [name for name in COLUMNS if name not in header]:
        raise DataError(
            f"this is no file of training metrics: its first line has no column {', '.join(missing)}; "
            "is it what export_training_metrics wrote to training-metrics/, and not the object with the URL?"
        )
    values: dict[str, list[Any]] = {name: [] for name in header}
    position = header.index("value")
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        if len(line) != len(header):
            raise DataError(f"line {number} has {len(line)} columns and not {len(header)}: is the file whole?")
        try:
            line_value = float(line[position])
        except ValueError as error:
            raise DataError(f"line {number}: value {line[position]!r} is no number") from error
        for name, item in zip(header, line, strict=True):
            values[name].append(line_value if name == "value" else item)
    return values


def curves_of(columns: Mapping[str, Sequence[Any]]) -> list[Curve]:
    """The curves of the columns of an exported CSV.

    Raises:
        DataError: A timestamp is none.
    """
    jobs = columns.get(JOB_COLUMN) or itertools.repeat("")
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for job, name, moment, value in zip(  # noqa: B905 - jobs may be endless
        jobs, columns["metric_name"], _times(columns["timestamp"]), columns["value"]
    ):
        points.setdefault((name, job), []).append((moment, value))
    found = []
    for (name, job), each in points.items():
        timestamps, values = zip(*sorted(each), strict=True)
        found.append(Curve(name, job, timestamps, values))
    return found


def _times(texts: Iterable[str]) -> Iterator[float]:
    for text in texts:
        try:
            yield datetime.fromisoformat(text).timestamp()
        except ValueError as error:
            raise DataError(f"timestamp {text!r} is none, must be like 2026-01-31T12:00:00Z") from error

"""The work of `export_training_metrics`: curves from CloudWatch to a CSV, a presigned URL, and a page.

For people whose own identity may not read CloudWatch: whoever has the URL has the curves.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.presigned_url import MAX_EXPIRES_SECONDS, presign_get
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.metrics import training_jobs
from kfp_sagemaker.metrics.curve import Curve, write_csv
from kfp_sagemaker.metrics.learning_curves import build_page
from kfp_sagemaker.metrics.training_jobs import TrainingJob
from kfp_sagemaker.metrics.training_metrics import RETENTION, RETENTION_TEXT, Series, read_series

FOLDER = "training-metrics"
# CloudWatch shows a point a minute or two after the fact; after a quarter of an hour nothing more is to come.
_SETTLED_SECONDS = 900
_MAX_PAUSE_SECONDS = 15.0
# S3 refuses signatures that are off by 15 minutes; less than this is no matter.
_TOLERATED_SKEW_SECONDS = 60


@dataclass(frozen=True)
class Export:
    """What to export, checked; the arguments of the component."""

    bucket: str
    job_name: str = ""
    job_name_prefix: str = ""
    job_status: str = "Completed"
    tuning_job_name: str = ""
    metric_names: tuple[str, ...] = ()
    include_instance_metrics: bool = False
    prefix: str = ""
    url_key: str = "pre_url.txt"
    url_expires_seconds: int = 7200
    max_wait_seconds: int = 180

    @property
    def url_s3_uri(self) -> str:
        """Where the URL goes."""
        return s3.join_uri(f"s3://{self.bucket}", self.prefix, self.url_key)


class Outputs(NamedTuple):
    """What the step returns."""

    job_name: str
    metrics_s3_uri: str
    url_s3_uri: str
    url_expires_at: str
    metric_names: list[str]


def build(*, metric_names: Sequence[str] = (), **arguments: Any) -> Export:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    export = Export(metric_names=tuple(metric_names), **arguments)
    problems = Problems("export_training_metrics")
    problems.matches("bucket", export.bucket, r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of an S3 bucket")
    problems.name("job_name", export.job_name)
    problems.name("job_name_prefix", export.job_name_prefix)
    problems.name("tuning_job_name", export.tuning_job_name, 32)
    given = [name for name in (export.job_name, export.job_name_prefix, export.tuning_job_name) if name]
    if len(given) != 1:
        problems.add("job_name, job_name_prefix, tuning_job_name", given, "exactly one of them")
    problems.one_of("job_status", export.job_status, ("", *training_jobs.STATUSES))
    if not export.url_key.strip("/") or export.url_key.endswith("/"):
        problems.add("url_key", export.url_key, "the key of an object, such as pre_url.txt")
    problems.between("url_expires_seconds", export.url_expires_seconds, 1, MAX_EXPIRES_SECONDS)
    problems.between("max_wait_seconds", export.max_wait_seconds, 0)
    problems.raise_if_any()
    return export


def run(
    session: Session,
    export: Export,
    *,
    page_path: str | Path,
    log_metric: Callable[[str, float], None],
    timing: Timing = Timing(),  # noqa: B008 - frozen
    wall_clock: Callable[[], float] = time.time,
    sink: Callable[[str], None] = print_line,
) -> Outputs:
    """Export a job's metrics, or those of all trials of a tuning job.

    Args:
        session: The step's session.
        export: From :func:`build`.
        page_path: The page with the learning curves.
        log_metric: Takes the last value of each metric.
        timing: Clock and sleep for the waiting.
        wall_clock: Seconds since the epoch.
        sink: Takes the lines of the step's log; never the URL.

    Returns:
        The job and where things are; not the URL.
    """
    subject, names = _jobs(session, export)
    jobs = [training_jobs.describe_job(session, name) for name in names]
    return export_jobs(
        session,
        export,
        subject,
        jobs,
        page_path=page_path,
        log_metric=log_metric,
        timing=timing,
        wall_clock=wall_clock,
        sink=sink,
    )


def export_jobs(
    session: Session,
    export: Export,
    subject: str,
    jobs: Sequence[TrainingJob],
    *,
    page_path: str | Path,
    log_metric: Callable[[str, float], None],
    timing: Timing = Timing(),  # noqa: B008 - frozen
    wall_clock: Callable[[], float] = time.time,
    sink: Callable[[str], None] = print_line,
) -> Outputs:
    """Export jobs that are known already; the other arguments are those of :func:`run`.

    Args:
        subject: What the export is named after: the job, or the tuning job.
        jobs: The training jobs.
    """
    found = _read(session, export, jobs, timing=timing, wall_clock=wall_clock, sink=sink)
    of_tuning_job = bool(export.tuning_job_name)
    why = [_why_none(job, wall_clock()) for job in jobs if not found[job.name]]
    for text in why:
        sink(f"WARNING: {text}")
    for name, series in found.items():
        for each in series:
            log_metric(f"{name}/{each.metric_name}" if of_tuning_job else each.metric_name, each.values[-1])
    curves = [
        Curve.from_series(each, name if of_tuning_job else "") for name, series in found.items() for each in series
    ]
    kind = "Tuning job" if of_tuning_job else "Training job"
    subtitle = (
        f"{len(jobs)} training jobs" if of_tuning_job else f"{jobs[0].status}, started {_clock(jobs[0].start_time)}"
    )
    build_page(f"{kind} {subject}", subtitle, curves, why).write(page_path)

    now = datetime.fromtimestamp(wall_clock(), UTC)
    name = f"{subject}_metrics_{now:%Y%m%d%H%M%S}.csv"
    metrics_s3_uri = s3.join_uri(f"s3://{export.bucket}", export.prefix, FOLDER, name)
    count = _upload(session, metrics_s3_uri, found, with_job_column=of_tuning_job, sink=sink)
    metric_names = sorted({each.metric_name for series in found.values() for each in series})
    sink(f"{subject}: {count:,} points of {len(metric_names)} metrics to {metrics_s3_uri}")
    url = presign_get(session, metrics_s3_uri, export.url_expires_seconds)
    for warning in url.warnings:
        sink(f"WARNING: {warning}")
    s3.write_text(session, export.url_s3_uri, url.url + "\n")
    sink(f"Its presigned URL is in {export.url_s3_uri}, good until {_clock(url.expires_at)}")
    return Outputs(subject, metrics_s3_uri, export.url_s3_uri, f"{url.expires_at:%Y-%m-%dT%H:%M:%SZ}", metric_names)


def write_page(
    session: Session,
    description: Mapping[str, Any],
    path: str | Path,
    *,
    timing: Timing = Timing(),  # noqa: B008 - frozen
) -> None:
    """Write only the page, of a job that was just described: what `train` does with ``export_metrics``.

    Args:
        session: The step's session.
        description: Of ``DescribeTrainingJob``.
        path: The page.
        timing: Clock and sleep for the waiting.
    """
    job = TrainingJob.from_description(description)
    found = _read(session, Export(bucket=""), [job], timing=timing, wall_clock=time.time, sink=print_line)
    series = found[job.name]
    why = [] if series else [_why_none(job, time.time())]
    subtitle = f"{job.status}, started {_clock(job.start_time)}"
    build_page(f"Training job {job.name}", subtitle, [Curve.from_series(each) for each in series], why).write(path)


def _jobs(session: Session, export: Export) -> tuple[str, list[str]]:
    """What the export is named after, and its training jobs."""
    if export.tuning_job_name:
        return export.tuning_job_name, [job.name for job in training_jobs.list_trials(session, export.tuning_job_name)]
    name = export.job_name or training_jobs.newest_job(session, export.job_name_prefix, export.job_status)
    return name, [name]


def _read(
    session: Session,
    export: Export,
    jobs: Sequence[TrainingJob],
    *,
    timing: Timing,
    wall_clock: Callable[[], float],
    sink: Callable[[str], None],
) -> dict[str, list[Series]]:
    """The series of each job, once CloudWatch has the last points of those that ended just now."""
    begin, pause = timing.now(), 2.0
    found: dict[str, list[Series]] = {}
    for job in jobs:
        while True:
            found[job.name] = read_series(
                session,
                job,
                metric_names=export.metric_names,
                include_instance_metrics=export.include_instance_metrics,
                now=wall_clock(),
            )
            late = _late(job, found[job.name], export.metric_names, wall_clock())
            waited = timing.now() - begin
            if not late:
                break
            if waited >= export.max_wait_seconds:
                sink(
                    f"WARNING: after {waited:.0f} s CloudWatch still lacks the last points of {', '.join(late)} of "
                    f"{job.name}; what is there is exported."
                )
                break
            sink(f"CloudWatch does not show the last points of {', '.join(late)} of {job.name} yet; waiting")
            timing.sleep(min(pause, export.max_wait_seconds - waited))
            pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)
    return found


def _late(job: TrainingJob, series: Sequence[Series], metric_names: Sequence[str], now: float) -> list[str]:
    """The metrics that SageMaker has seen later than CloudWatch shows, of a job that ended just now."""
    if job.end_time is None or now - job.end_time.timestamp() > _SETTLED_SECONDS:
        return []
    shown = {each.metric_name: each.timestamps[-1] for each in series}
    return [
        name
        for name, moment in job.final_metrics.items()
        if (not metric_names or name in metric_names) and shown.get(name, 0.0) < moment.timestamp() // 60 * 60
    ]


def _why_none(job: TrainingJob, now: float) -> str:
    """Why a job has no curves."""
    if now - job.start_time.timestamp() > RETENTION[-1][1]:
        return f"training job {job.name} has no metrics any more: {RETENTION_TEXT}"
    if not job.metric_definitions:
        return (
            f"training job {job.name} emitted no metrics: it has no metric definitions. Give train metric_definitions, "
            "each with a name and a regular expression whose first group is the value in a line of the log."
        )
    shown = "; ".join(f"{name} = {pattern}" for name, pattern in job.metric_definitions.items())
    state = "has emitted no metrics yet" if job.end_time is None else "emitted no metrics"
    return f"training job {job.name} {state}: no line of its log matched its metric definitions: {shown}"


def _upload(
    session: Session,
    uri: str,
    found: Mapping[str, Sequence[Series]],
    *,
    with_job_column: bool,
    sink: Callable[[str], None],
) -> int:
    bucket, key = s3.parse_uri(uri)
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        count = write_csv(file, found, with_job_column=with_job_column)
        file.flush()
        file.seek(0)
        with aws_errors(f"writing {uri}"):
            answer = session.client("s3").put_object(
                Bucket=bucket, Key=key, Body=file.buffer, ContentType="text/csv; charset=utf-8"
            )
    _warn_of_skew(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""), sink)
    return count


def _warn_of_skew(date: str, sink: Callable[[str], None]) -> None:
    """A URL is good by S3's clock, and signed by this machine's."""
    match = re.match(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    if match is None:
        return
    ahead = datetime.now(UTC).timestamp() - parsedate_to_datetime(match[0]).timestamp()
    if abs(ahead) > _TOLERATED_SKEW_SECONDS:
        effect = "begins and ends so much later" if ahead > 0 else "ends so much earlier"
        sink(
            f"WARNING: this machine's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} S3's: the "
            f"URL it signs {effect}. Set the clock (NTP); at 15 minutes S3 refuses every call."
        )


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

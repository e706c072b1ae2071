"""Which training jobs there are, and what of one matters for its metrics.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTrainingJobs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.errors import ResourceMissingError
from kfp_sagemaker.aws.session import Session

STATUSES = ("Completed", "Failed", "InProgress", "Stopped", "Stopping")


@dataclass(frozen=True)
class JobSummary:
    """A line of a listing.

    Attributes:
        name: The training job.
        status: One of ``STATUSES``.
        creation_time: When it was created, UTC.
        end_time: When it ended, UTC; None while it runs.
    """

    name: str
    status: str
    creation_time: datetime
    end_time: datetime | None


@dataclass(frozen=True)
class TrainingJob:
    """A training job as its metrics see it.

    Attributes:
        name: The training job.
        status: One of ``STATUSES``.
        start_time: When training began, or the job was created.
        end_time: When it ended; None while it runs.
        instance_count: Its hosts, which are named algo-1, algo-2 ...
        metric_definitions: Name to regular expression; built-in algorithms bring theirs.
        final_metrics: When each metric was seen last, by SageMaker's own account.
    """

    name: str
    status: str
    start_time: datetime
    end_time: datetime | None
    instance_count: int
    metric_definitions: Mapping[str, str]
    final_metrics: Mapping[str, datetime]

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> TrainingJob:
        """From what ``DescribeTrainingJob`` answers."""
        resources = description.get("ResourceConfig", {})
        groups = resources.get("InstanceGroups") or [resources]
        definitions = description["AlgorithmSpecification"].get("MetricDefinitions") or ()
        final: dict[str, datetime] = {}
        for metric in description.get("FinalMetricDataList") or ():
            final[metric["MetricName"]] = max(metric["Timestamp"], final.get(metric["MetricName"], metric["Timestamp"]))
        return cls(
            name=description["TrainingJobName"],
            status=description["TrainingJobStatus"],
            start_time=description.get("TrainingStartTime", description["CreationTime"]),
            end_time=description.get("TrainingEndTime"),
            instance_count=sum(group.get("InstanceCount", 1) for group in groups),
            metric_definitions={definition["Name"]: definition["Regex"] for definition in definitions},
            final_metrics=final,
        )


def describe_job(session: Session, job_name: str) -> TrainingJob:
    """A training job by its name.

    Raises:
        ResourceMissingError: There is none of that name in the region.
    """
    with aws_errors(f"describing training job {job_name}"):
        description = session.client("sagemaker").describe_training_job(TrainingJobName=job_name)
    return TrainingJob.from_description(description)


def list_jobs(
    session: Session, *, name_prefix: str = "", status: str = "", max_jobs: int | None = None
) -> Iterator[JobSummary]:
    """The training jobs of the region, the newest first, page by page.

    Args:
        session: The session.
        name_prefix: What their names start with; empty for all.
        status: One of ``STATUSES``; empty for all.
        max_jobs: How many at most; None for all.

    Yields:
        A summary each.
    """
    return islice(_list_jobs(session, name_prefix, status), max_jobs)


def _list_jobs(session: Session, name_prefix: str, status: str) -> Iterator[JobSummary]:
    request: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending"}
    if name_prefix:
        request["NameContains"] = name_prefix
    if status:
        request["StatusEquals"] = status
    with aws_errors("listing the training jobs"):
        for page in session.client("sagemaker").get_paginator("list_training_jobs").paginate(**request):
            for summary in page["TrainingJobSummaries"]:
                if summary["TrainingJobName"].startswith(name_prefix):
                    yield _summary(summary)


def newest_job(session: Session, name_prefix: str, status: str) -> str:
    """Name of the newest training job with a prefix and a status.

    Raises:
        ResourceMissingError: There is none; names the newest one of another status.
    """
    for found in list_jobs(session, name_prefix=name_prefix, status=status, max_jobs=1):
        return found.name
    other = next(list_jobs(session, name_prefix=name_prefix, max_jobs=1), None)
    hint = f"; the newest with that prefix, {other.name}, is {other.status}" if other else ""
    raise ResourceMissingError(
        f"no training job whose name starts with {name_prefix!r} is {status or 'there'} in {session.region}{hint}",
        operation="ListTrainingJobs",
    )


def list_trials(session: Session, tuning_job_name: str) -> list[JobSummary]:
    """The training jobs of a tuning job that have started, the first one first.

    Raises:
        ResourceMissingError: There is no such tuning job.
    """
    with aws_errors(f"listing the training jobs of tuning job {tuning_job_name}"):
        pages = (
            session.client("sagemaker")
            .get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
            .paginate(HyperParameterTuningJobName=tuning_job_name, SortBy="CreationTime", SortOrder="Ascending")
        )
        return [_summary(summary) for page in pages for summary in page["TrainingJobSummaries"]]


def _summary(summary: Mapping[str, Any]) -> JobSummary:
    return JobSummary(
        summary["TrainingJobName"],
        summary["TrainingJobStatus"],
        summary["CreationTime"],
        summary.get("TrainingEndTime"),
    )

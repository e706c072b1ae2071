"""What a pipeline run created in SageMaker, found by its tags.

Search knows jobs but neither models nor endpoint configurations, and the Resource Groups Tagging API sees what it tags
only some minutes later. So each kind is listed, newest first and not older than a limit, and the tags of each resource
are read, many at a time.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTags.html
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import tags
from kfp_sagemaker.aws.call_errors import aws_errors, is_missing
from kfp_sagemaker.aws.session import Session

MAX_AGE_DAYS = 30
_CONCURRENCY = 16


@dataclass(frozen=True)
class Listing:
    """How a kind of resource is listed.

    Attributes:
        kind: Ours, such as ``model``.
        operation: The list operation.
        items: The answer's member.
        name: The name's member in an item.
        arn: The ARN's member in an item.
        status: A status to filter by; empty for none.
        stop_operation: How one that runs is stopped; empty for what does not run.
    """

    kind: str
    operation: str
    items: str
    name: str
    arn: str
    status: str = ""
    stop_operation: str = ""


ENDPOINTS = Listing("endpoint", "list_endpoints", "Endpoints", "EndpointName", "EndpointArn")
CONFIGS = Listing(
    "endpoint-config", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"
)
MODELS = Listing("model", "list_models", "Models", "ModelName", "ModelArn")
SCHEDULES = Listing(
    "monitoring-schedule",
    "list_monitoring_schedules",
    "MonitoringScheduleSummaries",
    "MonitoringScheduleName",
    "MonitoringScheduleArn",
)
JOB_DEFINITIONS = Listing(
    "data-quality-job-definition",
    "list_data_quality_job_definitions",
    "JobDefinitionSummaries",
    "MonitoringJobDefinitionName",
    "MonitoringJobDefinitionArn",
)
# Tuning jobs first: one that is stopped starts no more training jobs.
JOBS = (
    Listing(
        "hyper-parameter-tuning-job",
        "list_hyper_parameter_tuning_jobs",
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobArn",
        "InProgress",
        "stop_hyper_parameter_tuning_job",
    ),
    Listing(
        "training-job",
        "list_training_jobs",
        "TrainingJobSummaries",
        "TrainingJobName",
        "TrainingJobArn",
        "InProgress",
        "stop_training_job",
    ),
    Listing(
        "transform-job",
        "list_transform_jobs",
        "TransformJobSummaries",
        "TransformJobName",
        "TransformJobArn",
        "InProgress",
        "stop_transform_job",
    ),
    Listing(
        "processing-job",
        "list_processing_jobs",
        "ProcessingJobSummaries",
        "ProcessingJobName",
        "ProcessingJobArn",
        "InProgress",
        "stop_processing_job",
    ),
)


@dataclass(frozen=True)
class Resource:
    """A resource of the run."""

    name: str
    tags: dict[str, str]


def find(session: Session, listing: Listing, run_id: str) -> list[Resource]:
    """The resources of one kind that carry the run's tag, newest first."""
    client = session.client("sagemaker")
    with ThreadPoolExecutor(_CONCURRENCY, "tags") as pool:
        listed = list(_list(session, listing))
        found = pool.map(lambda item: _tags(client, item[listing.arn]), listed)
        return [
            Resource(item[listing.name], own)
            for item, own in zip(listed, found, strict=True)
            if own.get(tags.RUN_ID) == run_id
        ]


def stop(session: Session, listing: Listing, name: str) -> None:
    """Stop a job; one that has ended meanwhile is no error."""
    with aws_errors(f"stopping {listing.kind} {name}"):
        try:
            getattr(session.client("sagemaker"), listing.stop_operation)(**{listing.name: name})
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationException":
                raise


def _list(session: Session, listing: Listing) -> Iterator[dict[str, Any]]:
    since = datetime.now(UTC) - timedelta(days=MAX_AGE_DAYS)
    filters: dict[str, Any] = {"CreationTimeAfter": since, "SortBy": "CreationTime", "SortOrder": "Descending"}
    if listing.status:
        filters["StatusEquals"] = listing.status
    with aws_errors(f"listing each {listing.kind}"):
        for page in session.client("sagemaker").get_paginator(listing.operation).paginate(**filters):
            yield from page[listing.items]


def _tags(client: Any, arn: str) -> dict[str, str]:
    with aws_errors(f"reading the tags of {arn}"):
        try:
            pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
            return tags.as_mapping(tag for page in pages for tag in page["Tags"])
        except ClientError as error:
            if is_missing(error):  # deleted since it was listed
                return {}
            raise

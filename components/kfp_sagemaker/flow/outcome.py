"""What a run of a flow left in AWS: its jobs, metrics, learning curve; read back for the result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.call_errors import aws_errors, error_code, is_missing
from kfp_sagemaker.aws.errors import AwsCallError, ResourceMissingError
from kfp_sagemaker.aws.handle import ResourceHandle
from kfp_sagemaker.aws.kinds import (
    ENDPOINT,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    ResourceKind,
    look_up,
)
from kfp_sagemaker.aws.names import attempt_name
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.flow.requests import Request
from kfp_sagemaker.flow.result import CurvePoint, Job, JobKind
from kfp_sagemaker.metrics.training_metrics import read_series

METRICS_FILE = "metrics.json"
_MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class _Row:
    """How a kind of job says what it used."""

    kind: JobKind
    resource: ResourceKind
    instances: str
    started: str
    ended: str


_ROWS = {
    "TrainingJob": _Row("training", TRAINING_JOB, "ResourceConfig", "TrainingStartTime", "TrainingEndTime"),
    "HyperParameterTuningJob": _Row(
        "tuning",
        TUNING_JOB,
        "TrainingJobDefinition.ResourceConfig",
        "CreationTime",
        "HyperParameterTuningEndTime",
    ),
    "ProcessingJob": _Row(
        "processing",
        PROCESSING_JOB,
        "ProcessingResources.ClusterConfig",
        "ProcessingStartTime",
        "ProcessingEndTime",
    ),
    "TransformJob": _Row("transform", TRANSFORM_JOB, "TransformResources", "TransformStartTime", "TransformEndTime"),
    "Endpoint": _Row("endpoint", ENDPOINT, "", "", ""),
}


def last_attempts(session: Session, requests: Sequence[Request]) -> dict[str, tuple[int, dict[str, Any]]]:
    """The last attempt of each job that exists, and its description.

    Args:
        session: The session.
        requests: The flow's requests.

    Returns:
        By the job's first name; jobs that do not exist are left out.
    """
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for request in requests:
        row = _ROWS.get(request.noun)
        if row is None:
            continue
        for attempt in range(1, _MAX_ATTEMPTS + 1 if row.resource.numbers_attempts else 2):
            name = attempt_name(request.name, attempt, row.resource.max_name_length)
            description = _describe(session, row.resource, name)
            if description is None:
                break
            found[f"{request.noun} {request.name}"] = (attempt, description)
    return found


def next_attempts(session: Session, requests: Sequence[Request]) -> dict[str, int]:
    """The attempt to make for each job: the last one, or after a failed one the next.

    Args:
        session: The session.
        requests: The flow's requests.

    Returns:
        Kind and name of a job to its attempt; those that do not exist yet are left out.
    """
    attempts = {}
    for key, (attempt, description) in last_attempts(session, requests).items():
        kind = _ROWS[key.partition(" ")[0]].resource
        spent = look_up(description, kind.status_path) in kind.failed | kind.stopped | kind.stopping
        attempts[key] = attempt + spent
    return attempts


def jobs(session: Session, requests: Sequence[Request], started_at: datetime) -> list[Job]:
    """The jobs of a run, as far as they exist.

    Args:
        session: The session.
        requests: The flow's requests.
        started_at: When the run started: what is older is reused.
    """
    found = last_attempts(session, requests)
    made = []
    for request in requests:
        if request.noun == "JobRun":
            made += list(_glue_runs(session, request, started_at))
        elif described := found.get(f"{request.noun} {request.name}"):
            made.append(_job(session, request, described[1], started_at))
    return made


def metrics(session: Session, evaluation_s3_uri: str) -> dict[str, float]:
    """The evaluation's metrics; empty when it left none.

    Args:
        session: The session.
        evaluation_s3_uri: Prefix of what it left; empty for no evaluation.
    """
    if not evaluation_s3_uri:
        return {}
    try:
        content = json.loads(s3.read_text(session, f"{evaluation_s3_uri}/{METRICS_FILE}"))
    except ResourceMissingError:
        return {}
    return {name: float(value) for name, value in content.items()}


def training_description(session: Session, requests: Sequence[Request]) -> dict[str, Any]:
    """Description of the training job whose model is the flow's; empty when there is none."""
    found = last_attempts(
        session, [each for each in requests if each.noun in ("TrainingJob", "HyperParameterTuningJob")]
    )
    for key, (_, description) in found.items():
        if key.startswith("TrainingJob"):
            return description
        best = (description.get("BestTrainingJob") or {}).get("TrainingJobName", "")
        return (_describe(session, TRAINING_JOB, best) if best else None) or {}
    return {}


def learning_curve(session: Session, training: Mapping[str, Any]) -> list[CurvePoint]:
    """The metrics of a training job over time; empty where CloudWatch does not answer, which fails nothing.

    Args:
        session: The session.
        training: Of :func:`training_description`.
    """
    if "TrainingStartTime" not in training:
        return []
    try:
        series = read_series(session, str(training["TrainingJobName"]))
    except AwsCallError:
        return []
    return [
        CurvePoint(each.metric_name, iso(datetime.fromtimestamp(moment, UTC)), step, value)
        for each in series
        for step, (moment, value) in enumerate(zip(each.timestamps, each.values, strict=True))
    ]


def iso(moment: datetime) -> str:
    """A time as the result holds it: ISO 8601 in UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _describe(session: Session, kind: ResourceKind, name: str) -> dict[str, Any] | None:
    with aws_errors(f"looking for {kind.label} {name}"):
        try:
            return ResourceHandle(session, kind, name).describe()
        except ClientError as error:
            if is_missing(error):
                return None
            raise


def _job(session: Session, request: Request, description: Mapping[str, Any], started_at: datetime) -> Job:
    row = _ROWS[request.noun]
    kind = row.resource
    instances = (look_up(description, row.instances) if row.instances else None) or {}
    name = str(description[kind.name_parameter])
    created = description["CreationTime"]
    return Job(
        kind=row.kind,
        name=name,
        status=str(look_up(description, kind.status_path)),
        instance_type=instances.get("InstanceType", ""),
        instance_count=instances.get("InstanceCount", 0),
        billable_seconds=_billable_seconds(row, description),
        url=session.console_url(kind.console_path.format(name=name, region=session.region)),
        logs_url=_logs_url(session, kind.log_group, kind.log_stream_prefix.format(name=name)),
        reused=created < started_at,
    )


def _billable_seconds(row: _Row, description: Mapping[str, Any]) -> int:
    if "BillableTimeInSeconds" in description:
        return int(description["BillableTimeInSeconds"])
    if consumed := look_up(description, "ConsumedResources.RuntimeInSeconds"):
        return int(consumed)
    started, ended = description.get(row.started), description.get(row.ended)
    return max(0, round((ended - started).total_seconds())) if started and ended else 0


def _glue_runs(session: Session, request: Request, started_at: datetime) -> Iterator[Job]:
    with aws_errors(f"looking for runs of Glue job {request.name}"):
        try:
            runs = session.client("glue").get_job_runs(JobName=request.name, MaxResults=1)["JobRuns"]
        except ClientError as error:
            if is_missing(error) or error_code(error) == "EntityNotFoundException":
                return
            raise
    for run in runs:
        seconds = run.get("ExecutionTime", 0)
        yield Job(
            kind="glue",
            name=f"{request.name}/{run['Id']}",
            status=run["JobRunState"],
            billable_seconds=seconds,
            dpu_seconds=float(run.get("DPUSeconds") or seconds * run.get("MaxCapacity", 0)),
            url=session.console_url(f"/gluestudio/home?region={session.region}#/job/{request.name}/run/{run['Id']}"),
            logs_url=_logs_url(session, f"{run.get('LogGroupName', '/aws-glue/jobs')}/output", run["Id"]),
            reused=run["StartedOn"] < started_at,
        )


def _logs_url(session: Session, group: str, stream: str) -> str:
    """Page of a log; the console wants its names encoded twice, with $ for %."""
    encoded = group.replace("/", "$252F")
    prefix = stream.replace("/", "$252F")
    return session.console_url(
        f"/cloudwatch/home?region={session.region}#logsV2:log-groups/log-group/{encoded}"
        f"$3FlogStreamNameFilter$3D{prefix}"
    )

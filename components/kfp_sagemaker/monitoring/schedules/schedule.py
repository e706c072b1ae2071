"""Creates, starts, stops and deletes monitoring schedules.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.call_errors import ACCESS_DENIED, aws_errors, error_code, is_missing
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import DeadlineError
from kfp_sagemaker.aws.kinds import DATA_QUALITY_JOB_DEFINITION, MONITORING_SCHEDULE
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring.schedules.request import Schedule, build_requests

STARTED, STOPPED = "Scheduled", "Stopped"
_REAL_TIME = Timing()
_FIRST_INTERVAL_SECONDS = 0.25
_INTERVAL_GROWTH = 1.5
_MAX_INTERVAL_SECONDS = 15.0


class Created(NamedTuple):
    """The outputs of ``create_monitoring_schedule``."""

    schedule_name: str
    schedule_arn: str
    job_definition_name: str


class Switched(NamedTuple):
    """The output of ``start_monitoring_schedule`` and ``stop_monitoring_schedule``."""

    schedule_name: str


class Deleted(NamedTuple):
    """The output of ``delete_monitoring_schedule``."""

    deleted: list[str]


def create(*, region: str, assume_role_arn: str, **arguments: Any) -> Created:
    """Create the job definition and the schedule, and wait until it is scheduled.

    Args:
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.monitoring.schedules.request.Schedule`.

    Raises:
        InputError: With everything that is wrong.
        JobFailedError: The schedule failed.
    """
    schedule = Schedule(**arguments)
    session = open_session(region, assume_role_arn)
    service_model = session.client("sagemaker").meta.service_model
    requests = build_requests(schedule, region=session.region, service_model=service_model)
    prefix = schedule.schedule_name_prefix or "monitor"
    definition = engine.create(
        session,
        DATA_QUALITY_JOB_DEFINITION,
        requests.definition,
        name=schedule.schedule_name,
        name_prefix=prefix,
        tags=schedule.tags,
    )
    plan = requests.schedule
    plan["MonitoringScheduleConfig"]["MonitoringJobDefinitionName"] = definition.name
    outcome = engine.run(
        session,
        MONITORING_SCHEDULE,
        plan,
        name=schedule.schedule_name,
        name_prefix=prefix,
        tags=schedule.tags,
        timeout_seconds=schedule.timeout_seconds,
    )
    return Created(outcome.name, outcome.arn, definition.name)


def switch(
    session: Session,
    name: str,
    wanted: str,
    *,
    timeout_seconds: float,
    timing: Timing = _REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Switched:
    """Start or stop a schedule and wait until it is so; nothing is done when it is so already.

    Args:
        session: The step's session.
        name: The schedule.
        wanted: ``STARTED`` or ``STOPPED``.
        timeout_seconds: How long to wait.
        timing: Clock and sleep.
        sink: Takes the lines of the step's log.

    Raises:
        ResourceMissingError: There is no such schedule.
        DeadlineError: It took too long.
    """
    subject = "start_monitoring_schedule" if wanted == STARTED else "stop_monitoring_schedule"
    problems = Problems(subject)
    problems.required("schedule_name", name)
    problems.name("schedule_name", name)
    problems.between("timeout_seconds", timeout_seconds, 1)
    problems.raise_if_any()
    client = session.client("sagemaker")
    with aws_errors(f"{subject} {name}"):
        status = client.describe_monitoring_schedule(MonitoringScheduleName=name)["MonitoringScheduleStatus"]
        if status == wanted:
            sink(f"monitoring schedule {name}: {status} already")
            return Switched(name)
        getattr(client, subject)(MonitoringScheduleName=name)
    others = MONITORING_SCHEDULE.succeeded - {wanted}
    kind = replace(MONITORING_SCHEDULE, succeeded=frozenset({wanted}), running=MONITORING_SCHEDULE.running | others)
    engine.wait(session, kind, name, timeout_seconds=timeout_seconds, stream_logs=False, timing=timing, sink=sink)
    return Switched(name)


def delete(
    session: Session,
    name: str,
    *,
    keep_job_definition: bool = False,
    stop_execution: bool = True,
    timeout_seconds: float = 900,
    timing: Timing = _REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Deleted:
    """Delete a schedule, and its job definition, once no execution of it runs.

    Args:
        session: The step's session.
        name: The schedule; one that does not exist is no error.
        keep_job_definition: Whether the job definition stays.
        stop_execution: Whether a running execution is stopped, or else waited for.
        timeout_seconds: How long to wait for executions and for the schedule to be gone.
        timing: Clock and sleep.
        sink: Takes the lines of the step's log.

    Raises:
        DeadlineError: It is still there after the time.
    """
    problems = Problems("delete_monitoring_schedule")
    problems.required("schedule_name", name)
    problems.name("schedule_name", name)
    problems.between("timeout_seconds", timeout_seconds, 1)
    problems.raise_if_any()
    client = session.client("sagemaker")
    description = _describe(client, name)
    if description is None:
        sink(f"monitoring schedule {name} does not exist")
        return Deleted([])
    deleted = []
    deadline = timing.now() + timeout_seconds
    interval = _FIRST_INTERVAL_SECONDS
    asked = False
    while description is not None:
        if not asked:
            _stop_executions(session, name, sink if stop_execution else None)
            asked = _ask_to_delete(client, name)
        if timing.now() >= deadline:
            raise DeadlineError(
                f"monitoring schedule {name} is still {description['MonitoringScheduleStatus']} {timeout_seconds:g} s "
                "after it was to be deleted; an execution may still run: raise timeout_seconds"
            )
        timing.sleep(min(interval, max(deadline - timing.now(), 0.0)))
        interval = min(interval * _INTERVAL_GROWTH, _MAX_INTERVAL_SECONDS)
        last, description = description, _describe(client, name)
    deleted.append(f"monitoring-schedule/{name}")
    definition = last["MonitoringScheduleConfig"].get("MonitoringJobDefinitionName", "")
    if definition and not keep_job_definition and delete_definition(session, definition):
        deleted.append(f"data-quality-job-definition/{definition}")
    sink(f"Deleted {', '.join(deleted)}.")
    return Deleted(deleted)


def delete_definition(session: Session, name: str) -> bool:
    """Delete a data-quality job definition; false when there is none."""
    with aws_errors(f"deleting data-quality job definition {name}"):
        try:
            session.client("sagemaker").delete_data_quality_job_definition(JobDefinitionName=name)
        except ClientError as error:
            if is_missing(error):
                return False
            raise
    return True


def running_executions(client: Any, name: str) -> list[dict[str, Any]]:
    """The executions of a schedule that have not ended."""
    found = []
    for status in ("Pending", "InProgress", "Stopping"):
        pages = client.get_paginator("list_monitoring_executions").paginate(
            MonitoringScheduleName=name, StatusEquals=status
        )
        found += [item for page in pages for item in page["MonitoringExecutionSummaries"]]
    return found


def _stop_executions(session: Session, name: str, sink: Callable[[str], None] | None) -> None:
    """Stop the processing jobs of the running executions; a schedule with one cannot be deleted."""
    if sink is None:
        return
    client = session.client("sagemaker")
    with aws_errors(f"stopping the executions of monitoring schedule {name}"):
        for execution in running_executions(client, name):
            job = str(execution.get("ProcessingJobArn", "")).rpartition("/")[2]
            if job and execution["MonitoringExecutionStatus"] != "Stopping":
                try:
                    client.stop_processing_job(ProcessingJobName=job)
                    sink(f"processing job {job} of monitoring schedule {name}: stopping")
                except ClientError as error:
                    if error_code(error) in ACCESS_DENIED:  # a policy may allow to stop the suite's own jobs only
                        sink(f"processing job {job} of monitoring schedule {name}: waiting, it may not be stopped")
                    elif error_code(error) != "ValidationException" and not is_missing(error):  # it has not just ended
                        raise


def _ask_to_delete(client: Any, name: str) -> bool:
    """Whether AWS took the call; it refuses while an execution runs."""
    with aws_errors(f"deleting monitoring schedule {name}"):
        try:
            client.delete_monitoring_schedule(MonitoringScheduleName=name)
        except ClientError as error:
            if is_missing(error):
                return True
            if error_code(error) in ("ValidationException", "ResourceInUse") and running_executions(client, name):
                return False
            raise
    return True


def _describe(client: Any, name: str) -> dict[str, Any] | None:
    with aws_errors(f"describing monitoring schedule {name}"):
        try:
            return dict(client.describe_monitoring_schedule(MonitoringScheduleName=name))
        except ClientError as error:
            if is_missing(error):
                return None
            raise

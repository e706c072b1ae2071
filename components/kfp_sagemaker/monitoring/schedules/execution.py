"""Waits for an execution of a monitoring schedule and says what its end means.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MonitoringExecutionSummary.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.call_errors import aws_errors, is_missing
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import JobFailedError, JobStoppedError, ThresholdError
from kfp_sagemaker.aws.handle import ResourceHandle
from kfp_sagemaker.aws.kinds import MONITORING_EXECUTION, PROCESSING_JOB
from kfp_sagemaker.aws.logs import LogTail
from kfp_sagemaker.aws.s3 import list_objects
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.termination import Termination
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.waiting import wait_for_end
from kfp_sagemaker.monitoring import window
from kfp_sagemaker.monitoring.reports import Reports, find_reports

# What each end means, and what to do about it.
EXPLANATIONS = {
    "Completed": "the data was analysed and violates none of the baseline's constraints",
    "CompletedWithViolations": "the data was analysed and violates constraints of the baseline: see the violations",
    "Failed": "nothing was analysed; most often there was no captured data in the window, or the role may not read it",
    "Stopped": "it was stopped before it was done, by hand or because its schedule was deleted or stopped",
}
_REAL_TIME = Timing()


class Execution(NamedTuple):
    """The component's outputs."""

    status: str
    explanation: str
    exit_message: str
    processing_job_name: str
    scheduled_time: str
    statistics_s3_uri: str
    constraints_s3_uri: str
    violations_s3_uri: str
    report_s3_uris: list[str]


@dataclass(frozen=True)
class Query:
    """What to wait for, checked."""

    schedule_name: str
    scheduled_after: datetime | None
    accepted_statuses: tuple[str, ...]
    timeout_seconds: float


def build_query(
    *,
    schedule_name: str,
    scheduled_after: str = "",
    accepted_statuses: Sequence[str] = ("Completed", "CompletedWithViolations"),
    timeout_seconds: float = 7200,
) -> Query:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("wait_for_monitoring_execution")
    problems.required("schedule_name", schedule_name)
    problems.name("schedule_name", schedule_name)
    problems.required("accepted_statuses", list(accepted_statuses))
    for index, status in enumerate(accepted_statuses):
        problems.one_of(f"accepted_statuses[{index}]", status, EXPLANATIONS)
    problems.between("timeout_seconds", timeout_seconds, 1)
    after = window.parse_time("scheduled_after", scheduled_after, problems)
    problems.raise_if_any()
    return Query(schedule_name, after, tuple(accepted_statuses), timeout_seconds)


def wait(
    session: Session,
    query: Query,
    *,
    timing: Timing = _REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Execution:
    """Wait for the execution's end.

    Args:
        session: The step's session.
        query: From :func:`build_query`.
        timing: Clock, sleep and chance.
        sink: Takes the lines of the step's log.

    Raises:
        JobFailedError: It failed, or its schedule did, and that is not accepted.
        JobStoppedError: It was stopped, or its schedule is and has none; and that is not accepted.
        ThresholdError: It found violations, and that is not accepted.
        DeadlineError: None has ended in time.
    """
    handle = _ExecutionHandle(session, query)
    description = wait_for_end(
        handle,
        timeout_seconds=query.timeout_seconds,
        stream_logs=False,
        stop_at_deadline=False,
        termination=Termination(),
        timing=timing,
        sink=sink,
    )
    status = str(description["MonitoringExecutionStatus"])
    job_name = str(description.get("ProcessingJobArn", "")).rpartition("/")[2]
    job = _describe_job(session, job_name)
    reason = str(description.get("FailureReason") or job.get("FailureReason") or "")
    reports = _reports(session, job)
    explanation = f"{status}: {EXPLANATIONS[status]}" + (f". Reason: {reason}" if reason else "")
    sink(f"{handle}: {explanation}")
    for uri in reports.uris:
        sink(f"  {uri}")
    if status not in query.accepted_statuses:
        raise _refused(session, handle, status, reason, job_name, reports)
    return Execution(
        status,
        explanation,
        str(job.get("ExitMessage", "")),
        job_name,
        window.iso(description["ScheduledTime"]),
        reports.statistics,
        reports.constraints,
        reports.violations,
        reports.uris,
    )


class _ExecutionHandle(ResourceHandle):
    """The newest execution of a schedule, or the first after a time; it has no name of its own, nor a describe call."""

    def __init__(self, session: Session, query: Query) -> None:
        super().__init__(session, MONITORING_EXECUTION, query.schedule_name)
        self._after = query.scheduled_after

    def describe(self) -> dict[str, Any]:
        """Its summary; empty while there is none."""
        which: dict[str, Any] = {"SortOrder": "Descending"}
        if self._after:
            which = {"SortOrder": "Ascending", "ScheduledTimeAfter": self._after}
        found = self.client.list_monitoring_executions(
            MonitoringScheduleName=self.name, SortBy="ScheduledTime", MaxResults=1, **which
        )["MonitoringExecutionSummaries"]
        if found:
            return dict(found[0])
        self._raise_if_none_will_come()
        return {}

    def state(self, description: Mapping[str, Any]) -> str:
        """Its status in words."""
        return super().state(description) if description else "none has begun yet"

    def _raise_if_none_will_come(self) -> None:
        schedule = self.client.describe_monitoring_schedule(MonitoringScheduleName=self.name)
        status = schedule["MonitoringScheduleStatus"]
        if status == "Failed":
            raise JobFailedError(f"monitoring schedule {self.name} failed", reason=schedule.get("FailureReason", ""))
        if status == "Stopped":
            raise JobStoppedError(
                f"monitoring schedule {self.name} is stopped and has no execution to wait for: start it first"
            )


def _describe_job(session: Session, name: str) -> dict[str, Any]:
    if not name:
        return {}
    with aws_errors(f"describing processing job {name}"):
        try:
            return dict(session.client("sagemaker").describe_processing_job(ProcessingJobName=name))
        except ClientError as error:
            if is_missing(error):
                return {}
            raise


def _reports(session: Session, job: Mapping[str, Any]) -> Reports:
    outputs = (job.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    prefixes = [item["S3Output"]["S3Uri"] for item in outputs if item.get("S3Output")]
    return find_reports([item.uri for prefix in prefixes for item in list_objects(session, prefix.rstrip("/") + "/")])


def _refused(
    session: Session, handle: ResourceHandle, status: str, reason: str, job_name: str, reports: Reports
) -> Exception:
    if status == "CompletedWithViolations":
        return ThresholdError(f"{handle} found violations: see {reports.violations or 'its reports'}")
    lines: list[str] = []
    url = ""
    if job_name:
        tail = LogTail(session, PROCESSING_JOB, job_name, lambda line: None)
        tail.show_last({})
        lines = list(tail.last_lines)
        url = session.console_url(PROCESSING_JOB.console_path.format(name=job_name, region=session.region))
    error = JobStoppedError if status == "Stopped" else JobFailedError
    how = "was stopped" if status == "Stopped" else "failed"
    return error(f"{handle} {how}: {EXPLANATIONS[status]}", reason=reason, log_lines=lines, console_url=url)

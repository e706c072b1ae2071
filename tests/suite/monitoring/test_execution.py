"""Executions of a schedule: which one is waited for, what each end means; starting, stopping, deleting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import (
    DeadlineError,
    InputError,
    JobFailedError,
    JobStoppedError,
    KfpSagemakerError,
    ResourceMissingError,
    ThresholdError,
)
from kfp_sagemaker.monitoring.schedules import execution, schedule
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal

JOB_ARN = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/model-monitoring-1"
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def summary(status: str, **more: str) -> dict[str, Any]:
    return {"MonitoringExecutionStatus": status, "ScheduledTime": NOON, "ProcessingJobArn": JOB_ARN, **more}


def listed(*found: dict[str, Any]) -> dict[str, Any]:
    return {"MonitoringExecutionSummaries": list(found)}


class Objects:
    """S3 with the reports of the execution."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        return [{"Contents": [{"Key": f"{Prefix}{name}", "Size": 1, "ETag": "x"} for name in self.names]}]


def aws(executions: list[Any], *, reports: tuple[str, ...] = (), **scripts: Any) -> tuple[Any, ScriptedClient]:
    sagemaker = ScriptedClient(
        {
            "list_monitoring_executions": executions,
            "describe_monitoring_schedule": {"MonitoringScheduleStatus": "Scheduled"},
            "describe_processing_job": {
                "ExitMessage": "said at the end",
                "ProcessingOutputConfig": {"Outputs": [{"S3Output": {"S3Uri": "s3://bucket/reports"}}]},
            },
            **scripts,
        }
    )
    s3 = ScriptedClient({})
    s3.get_paginator = lambda operation: Objects(*reports)  # type: ignore[method-assign]
    logs = ScriptedClient(
        {
            "describe_log_streams": {"logStreams": [{"logStreamName": "model-monitoring-1/algo-1"}]},
            "get_log_events": {"events": [{"timestamp": 1, "message": "no data"}], "nextForwardToken": "f"},
        }
    )
    return ScriptedSession(sagemaker=sagemaker, s3=s3, logs=logs), sagemaker


def wait(session: Any, clock: ManualClock | None = None, **query: Any) -> execution.Execution:
    built = execution.build_query(**{"schedule_name": "churn", **query})
    return execution.wait(session, built, timing=(clock or ManualClock()).timing(), sink=lambda line: None)


def test_it_waits_until_one_has_begun_and_ended() -> None:
    session, sagemaker = aws(
        [listed(), listed(summary("Pending")), listed(summary("InProgress")), listed(summary("Completed"))],
        reports=("statistics.json", "constraints.json", "report.html"),
    )
    ended = wait(session)
    assert ended == execution.Execution(
        status="Completed",
        explanation="Completed: " + execution.EXPLANATIONS["Completed"],
        exit_message="said at the end",
        processing_job_name="model-monitoring-1",
        scheduled_time="2026-01-31T12:00:00Z",
        statistics_s3_uri="s3://bucket/reports/statistics.json",
        constraints_s3_uri="s3://bucket/reports/constraints.json",
        violations_s3_uri="",
        report_s3_uris=[
            f"s3://bucket/reports/{name}" for name in ("statistics.json", "constraints.json", "report.html")
        ],
    )
    assert sagemaker.named("list_monitoring_executions")[0]["SortOrder"] == "Descending"


def test_only_those_after_a_time_count() -> None:
    session, sagemaker = aws([listed(summary("Completed"))])
    wait(session, scheduled_after="2026-01-31T11:00:00Z")
    (call,) = sagemaker.named("list_monitoring_executions")
    assert call["ScheduledTimeAfter"] == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert call["SortOrder"] == "Ascending"


@pytest.mark.parametrize("name", ["constraint_violations.json", "constraints_violations.json"])
def test_violations_are_found_under_both_names_and_are_no_failure(name: str) -> None:
    session, _ = aws([listed(summary("CompletedWithViolations"))], reports=(name,))
    ended = wait(session)
    assert (ended.status, ended.violations_s3_uri) == ("CompletedWithViolations", f"s3://bucket/reports/{name}")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        ("Failed", JobFailedError, r"failed: nothing was analysed.*Reason: No data.*no data.*Console: https://"),
        ("Stopped", JobStoppedError, "was stopped: it was stopped before it was done"),
        ("CompletedWithViolations", ThresholdError, r"found violations: see s3://bucket/reports/constraint_viol"),
    ],
)
def test_an_end_that_is_not_accepted_fails_and_is_explained(
    status: str, error: type[KfpSagemakerError], message: str
) -> None:
    session, _ = aws([listed(summary(status, FailureReason="No data"))], reports=("constraint_violations.json",))
    with pytest.raises(error, match=rf"(?s)monitoring execution of churn {message}"):
        wait(session, accepted_statuses=["Completed"])


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_an_end_that_is_accepted_is_explained_and_passed_on(status: str) -> None:
    session, _ = aws([listed(summary(status, FailureReason="No data"))])
    ended = wait(session, accepted_statuses=[status])
    assert ended.status == status
    assert ended.explanation == f"{status}: {execution.EXPLANATIONS[status]}. Reason: No data"


def test_an_execution_that_never_got_a_job_is_explained_too() -> None:
    failed = summary("Failed", FailureReason="Job inputs had no data")
    del failed["ProcessingJobArn"]
    session, _ = aws([listed(failed)])
    with pytest.raises(JobFailedError, match="Job inputs had no data"):
        wait(session)


@pytest.mark.parametrize(("status", "error"), [("Failed", JobFailedError), ("Stopped", JobStoppedError)])
def test_a_schedule_that_will_have_none_is_not_waited_for(status: str, error: type[KfpSagemakerError]) -> None:
    schedule_of = {"MonitoringScheduleStatus": status, "FailureReason": "no such role"}
    session, _ = aws([listed()], describe_monitoring_schedule=schedule_of)
    clock = ManualClock()
    with pytest.raises(error, match="monitoring schedule churn"):
        wait(session, clock)
    assert clock.seconds == 0


def test_none_in_time_is_said() -> None:
    session, _ = aws([listed()])
    with pytest.raises(DeadlineError, match="did not finish within 60 s"):
        wait(session, timeout_seconds=60)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError) as caught:
        execution.build_query(schedule_name="a b", accepted_statuses=["Done"], scheduled_after="noon")
    assert [problem.partition(" is ")[0] for problem in caught.value.problems] == [
        "schedule_name",
        "accepted_statuses[0]",
        "scheduled_after",
    ]


@pytest.mark.parametrize(
    ("wanted", "operation"), [("Scheduled", "start_monitoring_schedule"), ("Stopped", "stop_monitoring_schedule")]
)
def test_starting_and_stopping_wait_until_it_is_so(wanted: str, operation: str) -> None:
    other = "Stopped" if wanted == "Scheduled" else "Scheduled"
    states = [
        {"MonitoringScheduleStatus": state, "MonitoringScheduleArn": "arn"}
        for state in (other, other, "Pending", wanted)
    ]
    session, sagemaker = aws([], describe_monitoring_schedule=states, **{operation: {}})
    done = schedule.switch(session, "churn", wanted, timeout_seconds=60, timing=ManualClock().timing(), sink=print)
    assert done.schedule_name == "churn"
    assert sagemaker.operations.count(operation) == 1
    assert len(sagemaker.named("describe_monitoring_schedule")) == 4
    schedule.switch(session, "churn", wanted, timeout_seconds=60, timing=ManualClock().timing(), sink=print)
    assert sagemaker.operations.count(operation) == 1, "it is so already"


class Deleting:
    """A schedule with a running execution, which ends some looks after it was stopped."""

    def __init__(self, refusal_code: str = "") -> None:
        self.looks_left = 3
        self.schedule_exists = True
        self.refusal_code = refusal_code
        self.client = ScriptedClient(
            {
                "describe_monitoring_schedule": self.describe,
                "delete_monitoring_schedule": self.delete,
                "delete_data_quality_job_definition": {},
                "stop_processing_job": refusal(refusal_code) if refusal_code else {},
            }
        )
        self.client.get_paginator = lambda operation: self  # type: ignore[method-assign]
        self.session: Any = ScriptedSession(sagemaker=self.client)

    def paginate(self, StatusEquals: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        running = StatusEquals == "InProgress" and self.looks_left > 0
        return [listed(summary("InProgress")) if running else listed()]

    def describe(self, **_: Any) -> dict[str, Any]:
        self.looks_left -= 1
        if not self.schedule_exists:
            raise refusal("ResourceNotFound", "not found")
        config = {"MonitoringJobDefinitionName": "churn-definition"}
        return {"MonitoringScheduleStatus": "Scheduled", "MonitoringScheduleConfig": config}

    def delete(self, **_: Any) -> dict[str, Any]:
        if self.looks_left > 0:
            raise refusal("ValidationException", "it has an execution in progress")
        self.schedule_exists = False
        return {}


@pytest.mark.parametrize("code", ["", "AccessDeniedException", "ValidationException"])
def test_deleting_waits_for_the_execution_it_stops(code: str) -> None:
    deleting = Deleting(code)
    done = schedule.delete(deleting.session, "churn", timing=ManualClock().timing(), sink=print)
    assert done.deleted == ["monitoring-schedule/churn", "data-quality-job-definition/churn-definition"]
    assert deleting.client.named("stop_processing_job")[0] == {"ProcessingJobName": "model-monitoring-1"}


def test_deleting_can_leave_the_execution_and_the_definition() -> None:
    deleting = Deleting()
    done = schedule.delete(
        deleting.session,
        "churn",
        keep_job_definition=True,
        stop_execution=False,
        timing=ManualClock().timing(),
        sink=print,
    )
    assert done.deleted == ["monitoring-schedule/churn"]
    assert "stop_processing_job" not in deleting.client.operations


def test_a_schedule_that_cannot_be_deleted_in_time_is_said() -> None:
    deleting = Deleting()
    deleting.looks_left = 10_000
    with pytest.raises(DeadlineError, match="an execution may still run"):
        schedule.delete(deleting.session, "churn", timeout_seconds=60, timing=ManualClock().timing(), sink=print)


def test_a_schedule_that_does_not_exist_needs_no_deleting_but_cannot_be_started() -> None:
    session, _ = aws([], describe_monitoring_schedule=refusal("ResourceNotFound", "not found"))
    assert schedule.delete(session, "gone", sink=print).deleted == []
    with pytest.raises(ResourceMissingError, match="gone"):
        schedule.switch(session, "gone", "Scheduled", timeout_seconds=60)

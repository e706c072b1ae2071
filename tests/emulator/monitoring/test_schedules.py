"""Schedules: when they fire, how they are changed, what survives a restart, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.hosting.conftest import ROLE_ARN
from tests.emulator.monitoring.conftest import Monitor

HOURLY = "cron(0 * ? * * *)"


def statuses(executions: list[dict[str, Any]]) -> list[str]:
    return [one["MonitoringExecutionStatus"] for one in executions]


def test_an_hourly_schedule_fires_when_the_clock_reaches_the_hour(open_monitor: Callable[..., Monitor]) -> None:
    monitor = open_monitor()
    monitor.deploy_captured()
    monitor.advance_to_next_hour(minutes_before=10)
    name = monitor.schedule(HOURLY)
    monitor.invoke("1,2")
    assert (
        monitor.sagemaker.list_monitoring_executions(MonitoringScheduleName=name)["MonitoringExecutionSummaries"] == []
    )
    monitor.advance_to_next_hour()
    execution = monitor.execution()
    assert execution["MonitoringExecutionStatus"] == "Completed"
    scheduled = execution["ScheduledTime"].astimezone(UTC)
    assert (scheduled.minute, scheduled.second) == (0, 0)
    environment = monitor.report(execution)["environment"]
    assert environment["start_time"] == f"{scheduled - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert environment["end_time"] == f"{scheduled:%Y-%m-%dT%H:%M:%SZ}"
    # Every hour the clock jumps over is made up for; nothing was captured in them.
    monitor.advance(hours=3)
    executions = monitor.executions(4)
    assert statuses(executions) == ["Completed", "Failed", "Failed", "Failed"]
    assert executions[-1]["ScheduledTime"] - execution["ScheduledTime"] == timedelta(hours=3)
    latest = monitor.settled()["LastMonitoringExecutionSummary"]
    assert latest["ScheduledTime"] == executions[-1]["ScheduledTime"]


def test_offsets_of_the_input_move_the_window(open_monitor: Callable[..., Monitor]) -> None:
    monitor = open_monitor()
    monitor.deploy_captured()
    monitor.advance_to_next_hour(minutes_before=10)
    monitor.invoke("1,2")
    job = monitor.job()
    job["MonitoringInputs"][0]["EndpointInput"] |= {"StartTimeOffset": "-PT2H", "EndTimeOffset": "-PT1H"}
    monitor.schedule(HOURLY, MonitoringJobDefinition=job)
    monitor.advance(hours=1)
    executions = monitor.executions(1)
    assert statuses(executions) == ["Failed"]  # an hour too early for what was captured
    monitor.advance(hours=1)
    assert statuses(monitor.executions(2)) == ["Failed", "Completed"]


def test_a_stopped_schedule_does_not_fire_and_goes_on_when_started(open_monitor: Callable[..., Monitor]) -> None:
    monitor = open_monitor()
    monitor.deploy_captured()
    monitor.advance_to_next_hour(minutes_before=10)
    name = monitor.schedule(HOURLY)
    monitor.sagemaker.stop_monitoring_schedule(MonitoringScheduleName=name)
    assert monitor.settled()["MonitoringScheduleStatus"] == "Stopped"
    monitor.advance(hours=2)
    monitor.sagemaker.start_monitoring_schedule(MonitoringScheduleName=name)
    assert monitor.settled()["MonitoringScheduleStatus"] == "Scheduled"
    monitor.advance(hours=1)
    assert len(monitor.executions(1)) == 1


def test_an_update_changes_when_it_fires(open_monitor: Callable[..., Monitor]) -> None:
    monitor = open_monitor()
    monitor.deploy_captured()
    monitor.advance_to_next_hour(minutes_before=30)
    name = monitor.schedule(HOURLY)
    hour = (monitor.now() + timedelta(hours=3)).hour
    schedule_config = {"ScheduleExpression": f"cron(0 {hour} ? * * *)"}
    monitor.sagemaker.update_monitoring_schedule(
        MonitoringScheduleName=name,
        MonitoringScheduleConfig={"ScheduleConfig": schedule_config, "MonitoringJobDefinition": monitor.job()},
    )
    assert monitor.settled()["MonitoringScheduleConfig"]["ScheduleConfig"] == schedule_config
    monitor.advance(hours=3)
    (execution,) = monitor.executions(1)
    assert execution["ScheduledTime"].astimezone(UTC).hour == hour


def test_schedules_go_on_after_a_kill(open_monitor: Callable[..., Monitor], tmp_path: Any) -> None:
    monitor = open_monitor(state_dir=tmp_path / "state")
    monitor.deploy_captured()
    monitor.advance_to_next_hour(minutes_before=10)
    monitor.schedule(HOURLY)
    monitor.emulator.kill()
    again = open_monitor(state_dir=tmp_path / "state", bucket=monitor.bucket)
    assert again.settled()["MonitoringScheduleStatus"] == "Scheduled"
    again.invoke("1,2")
    again.advance(minutes=15)
    assert again.execution()["MonitoringExecutionStatus"] == "Completed"


def test_schedules_are_listed_and_deleted_and_their_executions_stay(monitor: Monitor) -> None:
    monitor.deploy_captured()
    definition = monitor.definition(monitor.name)
    by_name: dict[str, Any] = {"MonitoringJobDefinitionName": definition, "MonitoringType": "DataQuality"}
    name = monitor.schedule(**by_name)
    other = monitor.schedule(HOURLY, name=f"{monitor.name}-x")
    listed = monitor.sagemaker.list_monitoring_schedules(
        EndpointName=monitor.name, SortBy="Name", SortOrder="Ascending"
    )
    assert [one["MonitoringScheduleName"] for one in listed["MonitoringScheduleSummaries"]] == [name, other]
    (summary,) = monitor.sagemaker.list_monitoring_schedules(MonitoringJobDefinitionName=definition)[
        "MonitoringScheduleSummaries"
    ]
    assert summary["MonitoringScheduleStatus"] == "Scheduled"
    assert summary["MonitoringJobDefinitionName"] == definition
    assert monitor.execution()["MonitoringJobDefinitionName"] == definition
    with pytest.raises(ClientError, match="is used by the monitoring schedule"):
        monitor.sagemaker.delete_data_quality_job_definition(JobDefinitionName=definition)
    monitor.sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name)
    with pytest.raises(monitor.sagemaker.exceptions.ResourceNotFound, match="not found"):
        monitor.sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
    assert len(monitor.executions()) == 1
    monitor.sagemaker.delete_data_quality_job_definition(JobDefinitionName=definition)
    with pytest.raises(monitor.sagemaker.exceptions.ResourceNotFound):
        monitor.sagemaker.describe_data_quality_job_definition(JobDefinitionName=definition)


def test_a_job_definition_is_answered_as_it_was_given(monitor: Monitor) -> None:
    monitor.deploy_captured()
    given: dict[str, Any] = {
        "DataQualityAppSpecification": {"ImageUri": "x", "Environment": {"KEY": "value"}},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    name = monitor.definition(monitor.name, **given)
    described = monitor.sagemaker.describe_data_quality_job_definition(JobDefinitionName=name)
    assert {member: described[member] for member in given} == given
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:data-quality-job-definition/{name}"
    assert described["JobDefinitionArn"] == arn
    (listed,) = monitor.sagemaker.list_data_quality_job_definitions(EndpointName=monitor.name)["JobDefinitionSummaries"]
    assert (listed["MonitoringJobDefinitionName"], listed["MonitoringJobDefinitionArn"]) == (name, arn)
    with pytest.raises(monitor.sagemaker.exceptions.ResourceInUse):
        monitor.definition(name)
    monitor.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "churn"}])
    assert monitor.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "churn"}]


def refused(monitor: Monitor, match: str, expression: str = HOURLY, **config: Any) -> None:
    with pytest.raises(ClientError, match=match) as error:
        monitor.schedule(expression, **config)
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_what_is_wrong_is_refused(monitor: Monitor) -> None:
    monitor.deploy_captured()
    refused(monitor, "Invalid ScheduleExpression", "Hourly: cron(0 * ? * * *)")
    refused(monitor, "Invalid ScheduleExpression", "cron(30 25 ? * * *)")
    refused(monitor, "for ScheduleExpression NOW", window=("-PT1H", "PT0H"))
    refused(monitor, "not an offset", "NOW", window=("-1H", "PT0H"))
    refused(monitor, "before it begins", "NOW", window=("PT0H", "-PT1H"))
    refused(
        monitor, "Could not find job definition", MonitoringJobDefinitionName="missing", MonitoringType="DataQuality"
    )
    refused(monitor, "DataQuality only", MonitoringJobDefinitionName="missing", MonitoringType="ModelQuality")
    job = monitor.job()
    job["MonitoringInputs"][0]["EndpointInput"]["EndpointName"] = "missing"
    refused(monitor, "Could not find endpoint", MonitoringJobDefinition=job)
    refused(monitor, "exactly one of", MonitoringType="DataQuality")
    monitor.schedule(HOURLY)
    with pytest.raises(monitor.sagemaker.exceptions.ResourceInUse, match="already exists"):
        monitor.schedule(HOURLY)


def test_other_kinds_of_monitoring_are_not_implemented(monitor: Monitor) -> None:
    with pytest.raises(ClientError, match="does not implement CreateModelQualityJobDefinition"):
        monitor.sagemaker.create_model_quality_job_definition(
            JobDefinitionName=monitor.name,
            ModelQualityAppSpecification={"ImageUri": "x"},
            ModelQualityJobInput={"GroundTruthS3Input": {}},
            ModelQualityJobOutputConfig={"MonitoringOutputs": [monitor.output()]},
            JobResources={"ClusterConfig": monitor.cluster()},
            RoleArn=ROLE_ARN,
        )

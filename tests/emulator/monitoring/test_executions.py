"""What an execution of a schedule does: its window, its processing job, its statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.emulator.hosting.conftest import ROLE_ARN
from tests.emulator.monitoring.conftest import Monitor

WINDOW = ("-PT1H", "PT0H")


def test_a_schedule_of_now_analyses_captured_data_once(monitor: Monitor) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    monitor.invoke("3,4")
    monitor.schedule(window=WINDOW)
    execution = monitor.execution()
    assert execution["MonitoringExecutionStatus"] == "Completed"
    assert execution["EndpointName"] == monitor.name
    assert execution["MonitoringType"] == "DataQuality"
    assert "FailureReason" not in execution

    seen = monitor.report(execution)
    (folder,) = {path.rpartition("/")[0] for path in seen["files"]}
    assert folder.startswith(f"{monitor.name}/AllTraffic/")
    lines = [json.loads(line) for text in seen["files"].values() for line in text.splitlines()]
    assert [line["captureData"]["endpointInput"]["data"] for line in lines] == ["1,2", "3,4"]
    scheduled = execution["ScheduledTime"].astimezone(UTC)
    expected = {
        "dataset_source": "/opt/ml/processing/input/endpoint",
        "output_path": "/opt/ml/processing/output",
        "start_time": f"{scheduled - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "end_time": f"{scheduled + timedelta(milliseconds=999):%Y-%m-%dT%H:%M:%SZ}",
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": monitor.name,
        "sagemaker_monitoring_schedule_name": monitor.name,
    }
    assert expected.items() <= seen["environment"].items()
    assert json.loads(seen["environment"]["dataset_format"]) == {
        "sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}
    }
    job = monitor.processing_job(execution)
    schedule = monitor.settled()
    assert job["MonitoringScheduleArn"] == schedule["MonitoringScheduleArn"]
    assert job["ProcessingJobName"].startswith("model-monitoring-")
    assert job["RoleArn"] == ROLE_ARN
    assert schedule["LastMonitoringExecutionSummary"]["ProcessingJobArn"] == execution["ProcessingJobArn"]
    assert schedule["MonitoringScheduleStatus"] == "Scheduled"


def test_baseline_scripts_and_metrics_reach_where_they_belong(monitor: Monitor) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    for name in ("constraints.json", "statistics.json", "before.py"):
        monitor.s3.put_object(Bucket=monitor.bucket, Key=f"baseline/{name}", Body=f"the {name}".encode())
    baseline = f"s3://{monitor.bucket}/baseline"
    metric = f"feature_data_{monitor.name}"
    job = monitor.job(METRIC=metric) | {
        "BaselineConfig": {
            "ConstraintsResource": {"S3Uri": f"{baseline}/constraints.json"},
            "StatisticsResource": {"S3Uri": f"{baseline}/statistics.json"},
        }
    }
    job["MonitoringAppSpecification"]["RecordPreprocessorSourceUri"] = f"{baseline}/before.py"
    monitor.schedule(MonitoringJobDefinition=job)
    execution = monitor.execution()
    assert monitor.report(execution)["read"] == {
        "baseline_constraints": "the constraints.json",
        "baseline_statistics": "the statistics.json",
        "record_preprocessor_script": "the before.py",
    }
    now = datetime.now(UTC)
    points = monitor.cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/Endpoint/data-metrics", MetricName=metric, Dimensions=[],
        StartTime=now - timedelta(hours=3), EndTime=now + timedelta(hours=3), Period=86400, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    assert [point["Sum"] for point in points] == [7.5]


@pytest.mark.parametrize(
    ("environment", "status", "reason"),
    [
        ({"MESSAGE": "CompletedWithViolations: 2 violations."}, "CompletedWithViolations", ""),
        ({"MESSAGE": "Error: bad data", "EXIT_CODE": "255"}, "Failed", "exit code: 255"),
    ],
)
def test_the_end_of_the_container_is_the_status(
    monitor: Monitor, environment: dict[str, str], status: str, reason: str
) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    monitor.schedule(MonitoringJobDefinition=monitor.job(**environment))
    execution = monitor.execution()
    assert execution["MonitoringExecutionStatus"] == status
    assert reason in execution.get("FailureReason", "")
    assert monitor.processing_job(execution)["ExitMessage"] == environment["MESSAGE"]


def test_without_data_in_the_window_an_execution_fails_as_on_aws(monitor: Monitor) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    monitor.schedule(window=("-PT3H", "-PT1H"))
    execution = monitor.execution()
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "Job inputs had no data"
    assert "ProcessingJobArn" not in execution


def test_an_endpoint_without_capture_or_deleted_fails_the_execution(monitor: Monitor) -> None:
    monitor.deploy_captured(EnableCapture=False)
    monitor.schedule()
    assert "no data capture" in monitor.execution()["FailureReason"]
    monitor.sagemaker.stop_monitoring_schedule(MonitoringScheduleName=monitor.name)
    monitor.sagemaker.delete_endpoint(EndpointName=monitor.name)
    monitor.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=monitor.name, WaiterConfig={"Delay": 0, "MaxAttempts": 10_000}
    )
    monitor.sagemaker.start_monitoring_schedule(MonitoringScheduleName=monitor.name)
    second = monitor.executions(2)[-1]
    assert "Could not find endpoint" in second["FailureReason"]


def test_a_running_execution_can_be_stopped_through_its_job(monitor: Monitor) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    monitor.schedule(MonitoringJobDefinition=monitor.job(WAIT_FOR_STOP="1"))
    execution = monitor.execution("InProgress")
    monitor.sagemaker.stop_processing_job(ProcessingJobName=execution["ProcessingJobArn"].rpartition("/")[2])
    assert monitor.execution()["MonitoringExecutionStatus"] == "Stopped"


def test_a_baselining_job_stands_for_its_reports(monitor: Monitor) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    for name in ("constraints.json", "statistics.json"):
        monitor.s3.put_object(Bucket=monitor.bucket, Key=f"baseline/{name}", Body=b"{}")
    monitor.sagemaker.create_processing_job(
        ProcessingJobName=monitor.name,
        AppSpecification={"ImageUri": "x", "ContainerEntrypoint": ["true"]},
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "monitoring_output",
                    "S3Output": {
                        "S3Uri": f"s3://{monitor.bucket}/baseline",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        ProcessingResources={"ClusterConfig": monitor.cluster()},
        RoleArn=ROLE_ARN,
    )
    job = monitor.job() | {"BaselineConfig": {"BaseliningJobName": monitor.name}}
    monitor.schedule(MonitoringJobDefinition=job)
    assert set(monitor.report(monitor.execution())["read"]) == {"baseline_constraints", "baseline_statistics"}


def test_an_execution_of_a_killed_emulator_is_failed(open_monitor: Callable[..., Monitor], tmp_path: Any) -> None:
    monitor = open_monitor(state_dir=tmp_path / "state")
    monitor.deploy_captured()
    monitor.invoke("1,2")
    monitor.schedule(MonitoringJobDefinition=monitor.job(WAIT_FOR_STOP="1"))
    monitor.execution("InProgress")
    monitor.emulator.kill()
    again = open_monitor(state_dir=tmp_path / "state", bucket=monitor.bucket)
    execution = again.execution()
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert "InternalServerError" in execution["FailureReason"]
    # It was a one-time schedule, and it has run.
    assert again.settled()["MonitoringScheduleStatus"] == "Scheduled"
    assert len(again.executions()) == 1

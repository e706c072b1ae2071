"""What the tests of monitoring share: an endpoint that captures, an analyzer, and a clock to set ahead."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry
from tests.emulator.hosting.conftest import DEADLINE_SECONDS, ROLE_ARN, Workbench

ANALYZER_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/analyzer:1"
ENDED = ("Completed", "CompletedWithViolations", "Failed", "Stopped")


class Monitor(Workbench):
    """A workbench whose endpoint captures its data, and shortcuts to schedules over it."""

    def __init__(self, emulator: Emulator, name: str, bucket: str = "") -> None:
        super().__init__(emulator, name, bucket)
        registry = ImageRegistry(emulator.state_dir / REGISTRY_FILE)
        program = Path(__file__).with_name("analyzer_container.py")
        registry.register(ANALYZER_IMAGE.replace(".", r"\."), name="analyzer", process=[sys.executable, str(program)])

    def deploy_captured(self, *containers: dict[str, Any], **members: Any) -> str:
        """Create the endpoint; it captures all of its invocations."""
        capture = {
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{self.bucket}/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
            **members,
        }
        config = self.create_config(
            self.variant(self.create_model(*containers or (self.container(),))), DataCaptureConfig=capture
        )
        self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=config)
        assert self.wait("InService")["EndpointStatus"] == "InService"
        return self.name

    def job(self, **environment: str) -> dict[str, Any]:
        """Return a MonitoringJobDefinition of the test's analyzer."""
        return {
            "MonitoringInputs": [{"EndpointInput": self.input()}],
            "MonitoringOutputConfig": {"MonitoringOutputs": [self.output()]},
            "MonitoringResources": {"ClusterConfig": self.cluster()},
            "MonitoringAppSpecification": {"ImageUri": ANALYZER_IMAGE},
            "RoleArn": ROLE_ARN,
            **({"Environment": environment} if environment else {}),
        }

    def definition(self, name: str, image: str = ANALYZER_IMAGE, **members: Any) -> str:
        """Create a data-quality job definition; returns its name."""
        self.sagemaker.create_data_quality_job_definition(
            JobDefinitionName=name,
            **{
                "DataQualityAppSpecification": {"ImageUri": image},
                "DataQualityJobInput": {"EndpointInput": self.input()},
                "DataQualityJobOutputConfig": {"MonitoringOutputs": [self.output()]},
                "JobResources": {"ClusterConfig": self.cluster()},
                "RoleArn": ROLE_ARN,
                **members,
            },
        )
        return name

    def input(self) -> dict[str, Any]:
        return {"EndpointName": self.name, "LocalPath": "/opt/ml/processing/input/endpoint"}

    def output(self) -> dict[str, Any]:
        return {"S3Output": {"S3Uri": f"s3://{self.bucket}/reports", "LocalPath": "/opt/ml/processing/output"}}

    @staticmethod
    def cluster() -> dict[str, Any]:
        return {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}

    def schedule(self, expression: str = "NOW", *, name: str = "", window: tuple[str, ...] = (), **config: Any) -> str:
        """Create a schedule; without ``config`` it has a job of the test's analyzer inline."""
        name = name or self.name
        config = config or {"MonitoringJobDefinition": self.job()}
        schedule_config = {"ScheduleExpression": expression}
        if window:
            schedule_config |= dict(zip(("DataAnalysisStartTime", "DataAnalysisEndTime"), window, strict=True))
        self.sagemaker.create_monitoring_schedule(
            MonitoringScheduleName=name, MonitoringScheduleConfig={"ScheduleConfig": schedule_config, **config}
        )
        self.settled(name)
        return name

    def settled(self, name: str = "") -> dict[str, Any]:
        """Return a schedule's description once it is not ``Pending``."""
        schedule: dict[str, Any] = self.until(
            lambda: self.sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name or self.name),
            lambda seen: seen["MonitoringScheduleStatus"] != "Pending",
        )
        return schedule

    def executions(self, count: int = 1, *statuses: str, name: str = "") -> list[dict[str, Any]]:
        """Return a schedule's executions, the earliest first, once there are that many in one of the statuses."""

        def listed() -> list[dict[str, Any]]:
            answer: list[dict[str, Any]] = self.sagemaker.list_monitoring_executions(
                MonitoringScheduleName=name or self.name, SortBy="ScheduledTime", SortOrder="Ascending", MaxResults=100
            )["MonitoringExecutionSummaries"]
            return answer

        wanted = statuses or ENDED
        found: list[dict[str, Any]] = self.until(
            listed, lambda all_: sum(one["MonitoringExecutionStatus"] in wanted for one in all_) >= count
        )
        return found

    def execution(self, *statuses: str, name: str = "") -> dict[str, Any]:
        """Return the only execution of a schedule once it has ended, or has one of the statuses."""
        (one,) = self.executions(1, *statuses, name=name)
        return one

    def processing_job(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Return the description of an execution's processing job."""
        name = execution["ProcessingJobArn"].rpartition("/")[2]
        description: dict[str, Any] = self.sagemaker.describe_processing_job(ProcessingJobName=name)
        return description

    def report(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Return what the analyzer of the test saw and wrote."""
        scheduled = execution["ScheduledTime"].astimezone(UTC)
        key = f"reports/{self.name}/{execution['MonitoringScheduleName']}/{scheduled:%Y/%m/%d/%H}/seen.json"
        seen: dict[str, Any] = json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        return seen

    def advance(self, **time_: float) -> None:
        """Set the emulator's clock ahead."""
        seconds = timedelta(**time_).total_seconds()
        url = f"{self.emulator.endpoint_url}/_emulator/clock"
        assert urllib3.request("POST", url, json={"advance_seconds": seconds}, retries=False).status == 200

    def now(self) -> datetime:
        """Return the emulator's time."""
        answer = urllib3.request("GET", f"{self.emulator.endpoint_url}/_emulator/clock", retries=False).json()
        return datetime.fromisoformat(answer["now"])

    def advance_to_next_hour(self, minutes_before: float = 0) -> None:
        """Set the clock to the next full hour, or a little before it."""
        now = self.now()
        next_hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1, minutes=-minutes_before)
        if next_hour < now:
            next_hour += timedelta(hours=1)
        self.advance(seconds=(next_hour - now).total_seconds())

    @staticmethod
    def until(look: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
        """Look again and again until something holds; returns what was seen."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds(seen := look()):
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)
        return seen


@pytest.fixture
def monitor(emulator: Emulator, unique_name: str) -> Monitor:
    """A monitor on the shared emulator."""
    return Monitor(emulator, _short(unique_name))


@pytest.fixture
def open_monitor(start_emulator: Callable[..., Emulator], unique_name: str) -> Callable[..., Monitor]:
    """Opens monitors on emulators of the test's own, whose clocks may be set ahead."""
    return lambda bucket="", **settings: Monitor(start_emulator(**settings), _short(unique_name), bucket)


def _short(name: str) -> str:
    return f"{name[:24].strip('-')}-{name[-8:]}"

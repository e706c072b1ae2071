"""One execution of a monitoring schedule: finds the captured data, runs the processing job, says how it ended.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MonitoringExecutionSummary.html
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.hosting import data_capture
from sagemaker_emulator.hosting.deployment_record import ENDPOINT
from sagemaker_emulator.jobs.job_record import JobFailure, JobRecord
from sagemaker_emulator.jobs.processing import KIND as PROCESSING_JOB
from sagemaker_emulator.jobs.processing import ProcessingJob
from sagemaker_emulator.monitoring import job_definition, schedule_expression
from sagemaker_emulator.monitoring.captured_data import captured_hours
from sagemaker_emulator.monitoring.processing_request import Baseline, processing_request
from sagemaker_emulator.monitoring.window import WindowError, analysis_window
from sagemaker_emulator.runtime import s3_transfer

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.runtime.jobs import JobControl
    from sagemaker_emulator.store import Store

EXECUTION = "monitoring-execution"
"""The store's kind of executions."""
NO_DATA = "Job inputs had no data"
_VIOLATIONS = "CompletedWithViolations"


def new_execution(app: App, region: str, schedule: dict[str, Any], scheduled: datetime) -> str:
    """Record an execution as ``Pending``.

    Args:
        app: The application.
        region: The schedule's region.
        schedule: The schedule's document.
        scheduled: When it was due.

    Returns:
        The name of its document.
    """
    now = app.clock.now()
    config = schedule["MonitoringScheduleConfig"]
    name = f"{schedule['MonitoringScheduleName']}/{scheduled:%Y%m%d%H%M%S}/{uuid.uuid4().hex[:8]}"
    document = {
        "ExecutionName": name,
        "MonitoringScheduleName": schedule["MonitoringScheduleName"],
        "MonitoringScheduleArn": schedule["MonitoringScheduleArn"],
        "MonitoringScheduleConfig": config,
        "MonitoringExecutionStatus": "Pending",
        "ScheduledTime": scheduled,
        "CreationTime": now,
        "LastModifiedTime": now,
        "EndpointName": schedule["EndpointName"],
        "MonitoringType": schedule["MonitoringType"],
    }
    if definition_name := config.get("MonitoringJobDefinitionName"):
        document["MonitoringJobDefinitionName"] = definition_name
    app.store.insert(EXECUTION, region, name, document)
    return name


class MonitoringExecution:
    """Runs a recorded execution.

    Args:
        app: The application.
        region: Its region.
        name: Its document's name.
    """

    def __init__(self, app: App, region: str, name: str) -> None:
        self._app = app
        self._region = region
        self._record = JobRecord(app, EXECUTION, region, name)
        self._execution = self._record.document()

    async def run(self) -> None:
        """Do all of it; the outcome is in the document."""
        try:
            job_name = await self._start_job()
            await self._app.jobs.wait(PROCESSING_JOB, self._region, job_name)
        except Exception as error:
            reason = str(error) if isinstance(error, WindowError) else self._record.reason_of(error)
            self._record.update(MonitoringExecutionStatus="Failed", FailureReason=reason)
            return
        job = self._app.store.get(PROCESSING_JOB, self._region, job_name) or {}
        failure = {"FailureReason": job["FailureReason"]} if "FailureReason" in job else {}
        self._record.update(MonitoringExecutionStatus=execution_status(job), **failure)

    async def _start_job(self) -> str:
        config = self._execution["MonitoringScheduleConfig"]
        definition = job_definition.of_schedule(self._app.store, self._region, config)
        if definition is None:
            raise JobFailure(f"Could not find job definition {config['MonitoringJobDefinitionName']}.")
        source = job_definition.endpoint_input(definition)
        scheduled: datetime = self._execution["ScheduledTime"]
        cron = schedule_expression.parse(config["ScheduleConfig"]["ScheduleExpression"])
        window = analysis_window(config["ScheduleConfig"], source, cron, scheduled)
        destination = self._capture_destination(source["EndpointName"])
        # AWS starts an execution up to 20 minutes late, when what was captured has long been written.
        await self._app.hosting.flush_captured_data(self._region, source["EndpointName"])
        s3 = await asyncio.to_thread(self._app.aws.client, "s3", self._region, definition["RoleArn"])
        captured = await asyncio.to_thread(captured_hours, s3, destination, source["EndpointName"], window)
        if not captured:
            raise JobFailure(NO_DATA)
        request = processing_request(
            definition,
            schedule_name=self._execution["MonitoringScheduleName"],
            scheduled=scheduled,
            window=window,
            captured=captured,
            baseline=self._baseline(definition),
        )
        return self._insert_and_start(request, scheduled)

    def _insert_and_start(self, request: dict[str, Any], scheduled: datetime) -> str:
        name = f"model-monitoring-{scheduled:%Y%m%d%H%M}-{uuid.uuid4().hex[:24]}"
        schedule_arn: str = self._execution["MonitoringScheduleArn"]
        arn = f"{schedule_arn.rpartition(':')[0]}:{PROCESSING_JOB}/{name}"
        now = self._app.clock.now()
        document = {
            **request,
            "ProcessingJobName": name,
            "ProcessingJobArn": arn,
            "ProcessingJobStatus": "InProgress",
            "MonitoringScheduleArn": schedule_arn,
            "CreationTime": now,
            "LastModifiedTime": now,
            "Tags": [],
        }
        self._app.store.insert(PROCESSING_JOB, self._region, name, document)

        async def run(control: JobControl) -> None:
            await ProcessingJob(self._app, self._region, name).run(control)

        self._app.jobs.start(PROCESSING_JOB, self._region, name, run)
        self._record.update(MonitoringExecutionStatus="InProgress", ProcessingJobArn=arn)
        return name

    def _capture_destination(self, endpoint_name: str) -> str:
        endpoint = self._app.store.get(ENDPOINT, self._region, endpoint_name)
        if endpoint is None:
            raise JobFailure(f"Could not find endpoint {endpoint_name}; it was deleted after the schedule was made.")
        config = endpoint.get("Active", {}).get("Config", {})
        if not data_capture.is_enabled(config):
            raise JobFailure(f"{NO_DATA}: endpoint {endpoint_name} has no data capture enabled")
        destination: str = config["DataCaptureConfig"]["DestinationS3Uri"]
        return destination

    def _baseline(self, definition: dict[str, Any]) -> Baseline:
        given = definition.get("BaselineConfig", {})
        constraints = given.get("ConstraintsResource", {}).get("S3Uri", "")
        statistics = given.get("StatisticsResource", {}).get("S3Uri", "")
        job_name = given.get("BaseliningJobName")
        if job_name and not (constraints or statistics):
            job = self._app.store.get(PROCESSING_JOB, self._region, job_name)
            outputs = (job or {}).get("ProcessingOutputConfig", {}).get("Outputs", [])
            if not outputs:
                raise JobFailure(f"Could not find the reports of the baselining job {job_name}.")
            reports = outputs[0]["S3Output"]["S3Uri"]
            constraints = s3_transfer.join_uri(reports, "constraints.json")
            statistics = s3_transfer.join_uri(reports, "statistics.json")
        return Baseline(constraints, statistics)


def execution_status(job: dict[str, Any]) -> str:
    """Return what the status of a processing job means for its execution.

    A container that completes says in its exit message whether there were violations
    (model-monitor-byoc-contract-outputs).
    """
    status: str = job.get("ProcessingJobStatus", "Failed")
    if status == "Completed" and job.get("ExitMessage", "").startswith(_VIOLATIONS):
        return _VIOLATIONS
    return status


def summary(store: Store, region: str, execution: dict[str, Any]) -> dict[str, Any]:
    """Return an execution as lists answer it; while its job runs, the status is the job's."""
    if execution["MonitoringExecutionStatus"] == "InProgress":
        job_name = execution["ProcessingJobArn"].rpartition("/")[2]
        job = store.get(PROCESSING_JOB, region, job_name)
        if job is not None and job["ProcessingJobStatus"] == "Stopping":
            return {**execution, "MonitoringExecutionStatus": "Stopping"}
    return execution

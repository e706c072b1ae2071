"""A session with Model Monitor of the SageMaker Python SDK v2, unmodified: baseline, schedules, executions, reports.

Usage: sdk_v2_monitor.py BUCKET ROLE_ARN ENDPOINT; the endpoint captures its data. Prints one JSON line.
"""

import json
import sys
import time
from pathlib import Path

import boto3
from sagemaker import Session
from sagemaker.model_monitor import CronExpressionGenerator, DefaultModelMonitor
from sagemaker.model_monitor.dataset_format import DatasetFormat

bucket, role, endpoint = sys.argv[1:4]
session = Session(boto_session=boto3.Session(), default_bucket=bucket)
monitor = DefaultModelMonitor(
    role=role, instance_count=1, instance_type="ml.m5.xlarge", volume_size_in_gb=20, max_runtime_in_seconds=600,
    sagemaker_session=session,
)  # fmt: skip
Path("baseline.csv").write_text("".join(f"{row % 10},{row / 8}\n" for row in range(200)))
monitor.suggest_baseline(
    baseline_dataset="baseline.csv",
    dataset_format=DatasetFormat.csv(header=False),
    output_s3_uri=f"s3://{bucket}/monitor/baseline",
    wait=False,
    logs=False,
)
session.logs_for_processing_job(monitor.latest_baselining_job.job_name, wait=True, poll=1)
monitor.create_monitoring_schedule(
    monitor_schedule_name=f"{endpoint}-now",
    endpoint_input=endpoint,
    output_s3_uri=f"s3://{bucket}/monitor/reports",
    statistics=monitor.baseline_statistics(),
    constraints=monitor.suggested_constraints(),
    schedule_cron_expression=CronExpressionGenerator.now(),
    data_analysis_start_time="-PT1H",
    data_analysis_end_time="PT0H",
)
while monitor.describe_schedule().get("LastMonitoringExecutionSummary", {}).get("MonitoringExecutionStatus") not in (
    "Completed", "CompletedWithViolations", "Failed",
):  # fmt: skip
    time.sleep(0.1)
summary = monitor.describe_schedule()["LastMonitoringExecutionSummary"]
(execution,) = monitor.list_executions()
statistics = execution.statistics().body_dict
violations = execution.constraint_violations().body_dict["violations"]
monitor.stop_monitoring_schedule()
stopped = monitor.describe_schedule()["MonitoringScheduleStatus"]
monitor.start_monitoring_schedule()
monitor.update_monitoring_schedule(schedule_cron_expression=CronExpressionGenerator.daily(hour=5))
updated = monitor.describe_schedule()["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
monitor.delete_monitoring_schedule()
print()
print(
    json.dumps(
        {
            "status": summary["MonitoringExecutionStatus"],
            "reason": summary.get("FailureReason", ""),
            "item_count": statistics["dataset"]["item_count"],
            "violations": sorted({violation["constraint_check_type"] for violation in violations}),
            "exit_message": execution.describe()["ExitMessage"],
            "stopped": stopped,
            "updated": updated,
        }
    )
)

"""Model Monitor's own image, which stands for the suite's analyzer: baseline, schedule, violations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.hosting.conftest import ROLE_ARN
from tests.emulator.monitoring.conftest import Monitor

IMAGE = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
CLEAN = [f"{row % 10},{row / 8}" for row in range(200)]


def suggest_baseline(monitor: Monitor) -> dict[str, Any]:
    """Run a baselining job on the clean rows; returns the BaselineConfig."""
    body = "".join(f"{row}\n" for row in CLEAN).encode()
    monitor.s3.put_object(Bucket=monitor.bucket, Key="train/rows.csv", Body=body)
    folder = "/opt/ml/processing"
    monitor.sagemaker.create_processing_job(
        ProcessingJobName=monitor.name,
        AppSpecification={"ImageUri": IMAGE},
        Environment={
            "dataset_format": json.dumps({"csv": {"header": False}}),
            "dataset_source": f"{folder}/input/baseline_dataset_input",
            "output_path": f"{folder}/output",
            "publish_cloudwatch_metrics": "Disabled",
        },
        ProcessingInputs=[
            {
                "InputName": "baseline_dataset_input",
                "S3Input": {
                    "S3Uri": f"s3://{monitor.bucket}/train/",
                    "LocalPath": f"{folder}/input/baseline_dataset_input",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "monitoring_output",
                    "S3Output": {
                        "S3Uri": f"s3://{monitor.bucket}/baseline",
                        "LocalPath": f"{folder}/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        ProcessingResources={"ClusterConfig": monitor.cluster()},
        RoleArn=ROLE_ARN,
    )
    job = monitor.until(
        lambda: monitor.sagemaker.describe_processing_job(ProcessingJobName=monitor.name),
        lambda described: described["ProcessingJobStatus"] != "InProgress",
    )
    assert job["ProcessingJobStatus"] == "Completed", (job.get("FailureReason"), job.get("ExitMessage"))
    baseline = f"s3://{monitor.bucket}/baseline"
    return {
        "ConstraintsResource": {"S3Uri": f"{baseline}/constraints.json"},
        "StatisticsResource": {"S3Uri": f"{baseline}/statistics.json"},
    }


def managed(monitor: Monitor, name: str, baseline: dict[str, Any], **environment: str) -> dict[str, Any]:
    definition = monitor.definition(
        name,
        DataQualityAppSpecification={"ImageUri": IMAGE, **({"Environment": environment} if environment else {})},
        DataQualityBaselineConfig=baseline,
    )
    return {"MonitoringJobDefinitionName": definition, "MonitoringType": "DataQuality"}


def reports(monitor: Monitor, execution: dict[str, Any], name: str) -> dict[str, Any]:
    uri = monitor.processing_job(execution)["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    key = f"{uri.removeprefix(f's3://{monitor.bucket}/')}/{name}"
    document: dict[str, Any] = json.loads(monitor.s3.get_object(Bucket=monitor.bucket, Key=key)["Body"].read())
    return document


def test_clean_traffic_completes_and_drifted_traffic_violates(monitor: Monitor) -> None:
    baseline = suggest_baseline(monitor)
    monitor.deploy_captured(CaptureOptions=[{"CaptureMode": "Input"}])
    for start in range(0, 200, 20):
        monitor.invoke("\n".join(CLEAN[start : start + 20]))
    clean = managed(monitor, f"{monitor.name}-a", baseline)
    name = monitor.schedule(name=f"{monitor.name}-a", **clean)
    execution = monitor.execution(name=name)
    assert execution["MonitoringExecutionStatus"] == "Completed", execution.get("FailureReason")
    assert reports(monitor, execution, "statistics.json")["dataset"]["item_count"] == 200

    for call in range(100):
        monitor.invoke(f"{call % 10},-1000")
    name = monitor.schedule(name=f"{monitor.name}-b", **managed(monitor, f"{monitor.name}-b", baseline))
    execution = monitor.execution(name=name)
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations", execution.get("FailureReason")
    violations = reports(monitor, execution, "constraint_violations.json")["violations"]
    assert {violation["feature_name"] for violation in violations} == {"_c1"}


@pytest.mark.parametrize("target_model", ["a.tar.gz", "b.tar.gz"])
def test_a_multi_model_endpoint_is_monitored_per_target_model(monitor: Monitor, target_model: str) -> None:
    for name in ("a.tar.gz", "b.tar.gz"):
        monitor.put_model(f"models/{name}")
    monitor.deploy_captured(monitor.multi_model_container(), CaptureOptions=[{"CaptureMode": "Input"}])
    for name, rows in (("a.tar.gz", 3), ("b.tar.gz", 5)):
        for row in range(rows):
            monitor.invoke(f"{row},1.5", TargetModel=name)
    config = managed(monitor, monitor.name, {}, target_model=target_model)
    monitor.schedule(**config)
    execution = monitor.execution()
    assert execution["MonitoringExecutionStatus"] == "Completed", execution.get("FailureReason")
    item_count = reports(monitor, execution, "statistics.json")["dataset"]["item_count"]
    assert item_count == {"a.tar.gz": 3, "b.tar.gz": 5}[target_model]

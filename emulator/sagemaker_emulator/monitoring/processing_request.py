"""The processing job of an execution: the container contract of Model Monitor.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sagemaker_emulator.hosting.data_capture import hour_path
from sagemaker_emulator.monitoring.job_definition import endpoint_input
from sagemaker_emulator.monitoring.window import Window
from sagemaker_emulator.runtime import s3_transfer

_BASELINE_FOLDER = "/opt/ml/processing/baseline"
_CODE_FOLDER = "/opt/ml/processing/code"
_CAPTURED = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
_PLATFORM_INPUT = "ENDPOINT_INPUT"


@dataclass(frozen=True)
class CapturedHour:
    """An hour of a variant's captured data.

    Attributes:
        s3_uri: Its folder.
        path: The same below the destination: ``{endpoint}/{variant}/yyyy/mm/dd/hh``.
    """

    s3_uri: str
    path: str


@dataclass(frozen=True)
class Baseline:
    """The baseline's files.

    Attributes:
        constraints_s3_uri: ``constraints.json``; empty when there is none.
        statistics_s3_uri: ``statistics.json``; empty when there is none.
    """

    constraints_s3_uri: str = ""
    statistics_s3_uri: str = ""


def processing_request(
    definition: dict[str, Any],
    *,
    schedule_name: str,
    scheduled: datetime,
    window: Window,
    captured: Sequence[CapturedHour],
    baseline: Baseline,
) -> dict[str, Any]:
    """Return the members of the processing job's document that come from the job definition.

    Args:
        definition: A ``MonitoringJobDefinition``.
        schedule_name: The schedule.
        scheduled: When the execution was due; names the folder of its reports.
        window: The analysed time.
        captured: Where its data is.
        baseline: What it is compared with.
    """
    source = endpoint_input(definition)
    application = definition["MonitoringAppSpecification"]
    output = definition["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"]
    files = list(_files(application, baseline))
    environment: dict[str, str] = {
        "publish_cloudwatch_metrics": "Enabled",
        **definition.get("Environment", {}),
        "dataset_format": json.dumps(_CAPTURED),
        "dataset_source": source["LocalPath"],
        "monitoring_input_type": _PLATFORM_INPUT,
        "output_path": output["LocalPath"],
        "sagemaker_endpoint_name": source["EndpointName"],
        "sagemaker_monitoring_schedule_name": schedule_name,
        "start_time": _iso(window.start),
        "end_time": _iso(window.end),
        **{file.variable: file.local_path for file in files},
    }
    if excluded := source.get("ExcludeFeaturesAttribute"):
        environment["exclude_features_attribute"] = excluded
    inputs = [
        _input(
            f"endpoint_input_{number}",
            f"{hour.s3_uri}/",
            f"{source['LocalPath'].rstrip('/')}/{hour.path}",
            source.get("S3DataDistributionType", "FullyReplicated"),
        )
        for number, hour in enumerate(captured, start=1)
    ]
    inputs += [_input(file.name, file.s3_uri, file.local_path.rpartition("/")[0]) for file in files]
    reports_s3_uri = s3_transfer.join_uri(output["S3Uri"], source["EndpointName"], schedule_name, hour_path(scheduled))
    reports = {
        "S3Uri": reports_s3_uri,
        "LocalPath": output["LocalPath"],
        "S3UploadMode": output.get("S3UploadMode", "EndOfJob"),
    }
    outputs: dict[str, Any] = {
        "Outputs": [{"OutputName": "monitoring_output", "S3Output": reports, "AppManaged": False}]
    }
    if kms_key_id := definition["MonitoringOutputConfig"].get("KmsKeyId"):
        outputs["KmsKeyId"] = kms_key_id
    return {
        "AppSpecification": {
            member: application[member]
            for member in ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
            if member in application
        },
        "Environment": environment,
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": outputs,
        "ProcessingResources": definition["MonitoringResources"],
        "RoleArn": definition["RoleArn"],
        **{member: definition[member] for member in ("StoppingCondition", "NetworkConfig") if member in definition},
    }


@dataclass(frozen=True)
class _File:
    """A single file the container is told of by a variable."""

    name: str
    variable: str
    s3_uri: str
    folder: str

    @property
    def local_path(self) -> str:
        return f"{self.folder}/{self.s3_uri.rpartition('/')[2]}"


def _files(application: dict[str, Any], baseline: Baseline) -> Iterator[_File]:
    for name, variable, s3_uri, folder in (
        ("constraints", "baseline_constraints", baseline.constraints_s3_uri, f"{_BASELINE_FOLDER}/constraints"),
        ("baseline", "baseline_statistics", baseline.statistics_s3_uri, f"{_BASELINE_FOLDER}/stats"),
        (
            "pre_processor_script",
            "record_preprocessor_script",
            application.get("RecordPreprocessorSourceUri", ""),
            f"{_CODE_FOLDER}/preprocessing",
        ),
        (
            "post_processor_script",
            "post_analytics_processor_script",
            application.get("PostAnalyticsProcessorSourceUri", ""),
            f"{_CODE_FOLDER}/postprocessing",
        ),
    ):
        if s3_uri:
            yield _File(name, variable, s3_uri, folder)


def _input(name: str, s3_uri: str, local_path: str, distribution: str = "FullyReplicated") -> dict[str, Any]:
    source = {
        "S3Uri": s3_uri,
        "LocalPath": local_path,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": distribution,
        "S3CompressionType": "None",
    }
    return {"InputName": name, "AppManaged": False, "S3Input": source}


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

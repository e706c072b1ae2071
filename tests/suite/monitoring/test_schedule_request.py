"""The requests of a monitoring schedule."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import pytest
from botocore.model import ServiceModel

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.monitoring.schedules.component import create_monitoring_schedule
from kfp_sagemaker.monitoring.schedules.request import Requests, Schedule, build_requests

ROLE = "arn:aws:iam::123456789012:role/Monitor"
LEAST = {"endpoint_name": "prices", "role_arn": ROLE, "output_s3_uri": "s3://bucket/reports"}


@pytest.fixture
def build(
    service_model: ServiceModel, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., Requests]:
    def call(**arguments: Any) -> Requests:
        requests = build_requests(Schedule(**{**LEAST, **arguments}), region="us-east-1", service_model=service_model)
        accepted_by_botocore("CreateDataQualityJobDefinition", {"JobDefinitionName": "x", **requests.definition})
        accepted_by_botocore("CreateMonitoringSchedule", {"MonitoringScheduleName": "x", **requests.schedule})
        return requests

    return call


def test_the_work_has_the_faces_arguments_and_defaults() -> None:
    face = inspect.signature(create_monitoring_schedule.python_func).parameters
    assert set(face) - {"region", "assume_role_arn"} == {item.name for item in fields(Schedule)}
    for item in fields(Schedule):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        default = list(default) if isinstance(default, tuple) else default
        expected = face[item.name].default
        assert (default is MISSING) == (expected is inspect.Parameter.empty)
        assert default is MISSING or default == expected, item.name


def test_the_least_is_an_hourly_schedule_of_the_managed_container(build: Callable[..., Requests]) -> None:
    requests = build()
    assert requests.schedule == {
        "MonitoringScheduleConfig": {
            "MonitoringType": "DataQuality",
            "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
        }
    }
    assert requests.definition == {
        "DataQualityAppSpecification": {
            "ImageUri": image_uri("model-monitor", "us-east-1"),
            "Environment": {"publish_cloudwatch_metrics": "Enabled"},
        },
        "DataQualityJobInput": {
            "EndpointInput": {
                "EndpointName": "prices",
                "LocalPath": "/opt/ml/processing/input/endpoint",
                "S3InputMode": "File",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "DataQualityJobOutputConfig": {
            "MonitoringOutputs": [
                {
                    "S3Output": {
                        "S3Uri": "s3://bucket/reports",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "Continuous",
                    }
                }
            ]
        },
        "JobResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 20}},
        "StoppingCondition": {"MaxRuntimeInSeconds": 1800},
        "NetworkConfig": {
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
        },
        "RoleArn": ROLE,
    }


def test_everything_has_its_place(build: Callable[..., Requests]) -> None:
    requests = build(
        statistics_s3_uri="s3://bucket/statistics.json",
        constraints_s3_uri="s3://bucket/constraints.json",
        schedule_expression="NOW",
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
        start_time_offset="-PT2H",
        end_time_offset="-PT1H",
        image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/analyzer:1",
        target_model="a.tar.gz",
        record_preprocessor_s3_uri="s3://bucket/pre.py",
        post_analytics_processor_s3_uri="s3://bucket/post.py",
        container_arguments=["--verbose", 1.0],
        environment={"LEVEL": 3.0},
        publish_cloudwatch_metrics=False,
        instance_count=2,
        subnets=["subnet-1"],
        security_group_ids=["sg-1"],
        output_kms_key_id="alias/out",
        volume_kms_key_id="alias/volume",
        enable_network_isolation=True,
    )
    times = requests.schedule["MonitoringScheduleConfig"]["ScheduleConfig"]
    assert times == {
        "ScheduleExpression": "NOW",
        "DataAnalysisStartTime": "-PT1H",
        "DataAnalysisEndTime": "-PT0H",
    }
    definition = requests.definition
    assert definition["DataQualityBaselineConfig"] == {
        "StatisticsResource": {"S3Uri": "s3://bucket/statistics.json"},
        "ConstraintsResource": {"S3Uri": "s3://bucket/constraints.json"},
    }
    assert definition["DataQualityAppSpecification"] == {
        "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/analyzer:1",
        "RecordPreprocessorSourceUri": "s3://bucket/pre.py",
        "PostAnalyticsProcessorSourceUri": "s3://bucket/post.py",
        "ContainerArguments": ["--verbose", "1"],
        "Environment": {"publish_cloudwatch_metrics": "Disabled", "target_model": "a.tar.gz", "LEVEL": "3"},
    }
    endpoint = definition["DataQualityJobInput"]["EndpointInput"]
    assert endpoint["S3DataDistributionType"] == "ShardedByS3Key"
    assert (endpoint["StartTimeOffset"], endpoint["EndTimeOffset"]) == ("-PT2H", "-PT1H")
    assert definition["DataQualityJobOutputConfig"]["KmsKeyId"] == "alias/out"
    assert definition["NetworkConfig"]["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert definition["NetworkConfig"]["EnableNetworkIsolation"] is True


@pytest.mark.parametrize(
    "expression",
    ["cron(0 * ? * * *)", "cron(0 0 ? * * *)", "cron(0 17 ? * * *)", "cron(0 0/6 ? * * *)", "cron(0 00/12 ? * * *)"],
)
def test_crons_of_whole_hours_are_taken(build: Callable[..., Requests], expression: str) -> None:
    assert build(schedule_expression=expression)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"schedule_expression": "hourly"}, "schedule_expression is 'hourly', must be NOW, cron(0 * ? * * *) for"),
        ({"schedule_expression": "cron(5 * ? * * *)"}, "schedule_expression is 'cron(5 * ? * * *)'"),
        ({"schedule_expression": "cron(0 25 ? * * *)"}, "schedule_expression is 'cron(0 25 ? * * *)'"),
        ({"schedule_expression": "cron(0 0/0 ? * * *)"}, "schedule_expression is 'cron(0 0/0 ? * * *)'"),
        ({"schedule_expression": "NOW"}, "data_analysis_start_time is '', must be given"),
        ({"start_time_offset": "1 hour"}, "start_time_offset is '1 hour', must be an ISO 8601 duration"),
        ({"target_model": "a.tar.gz"}, "AWS's container knows no multi-model endpoints"),
        ({"container_entrypoint": ["x"]}, "container_entrypoint is ['x'], must be left out without image_uri"),
        ({"schedule_name": "a", "schedule_name_prefix": "b"}, "schedule_name is the whole name"),
        ({"subnets": ["subnet-1"]}, "security_group_ids is [], must be given together with subnets"),
        ({"max_runtime_seconds": 90000}, "max_runtime_seconds is 90000, must be a number from 1 to 86400"),
        ({"environment": "x"}, "environment is 'x', must be an object"),
        ({"output_s3_uri": ""}, "output_s3_uri is '', must be given"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[..., Requests], arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        build(**arguments)
    assert any(problem in found for found in caught.value.problems), caught.value

"""Endpoint configurations and autoscaling policies: what is built, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints import autoscaling, deploy, deploy_options, endpoint_config


@pytest.fixture
def build(
    offline: Session, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., dict[str, Any]]:
    def call(**arguments: Any) -> dict[str, Any]:
        request = endpoint_config.build_request(offline, **arguments)
        accepted_by_botocore("CreateEndpointConfig", {"EndpointConfigName": "x", **request})
        return request

    return call


def test_a_model_becomes_the_only_variant(build: Callable[..., dict[str, Any]]) -> None:
    assert build(model_name="m", instance_type="ml.c5.large", initial_instance_count=2.0) == {
        "ProductionVariants": [
            {"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": "ml.c5.large", "InitialInstanceCount": 2}
        ]
    }


def test_serverless_takes_the_place_of_instances(build: Callable[..., dict[str, Any]]) -> None:
    variant = build(model_name="m", serverless={"memory_size_mb": 2048.0, "max_concurrency": 5.0})[
        "ProductionVariants"
    ][0]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "InstanceType" not in variant


def test_variants_with_everything(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        production_variants=[
            {"model_name": "a", "instance_type": "ml.m5.large", "initial_variant_weight": 0.9, "volume_size_gb": 20.0},
            {
                "model_name": "b",
                "variant_name": "new",
                "instance_type": "ml.g5.xlarge",
                "initial_instance_count": 1.0,
                "routing_strategy": "LEAST_OUTSTANDING_REQUESTS",
                "managed_instance_scaling": {"status": "ENABLED", "min_instance_count": 1.0, "max_instance_count": 4.0},
                "model_data_download_timeout_seconds": 600.0,
                "container_startup_health_check_timeout_seconds": 120.0,
            },
        ],
        shadow_production_variants=[{"ModelName": "c", "VariantName": "shadow", "InstanceType": "ml.m5.large"}],
    )
    first, second = request["ProductionVariants"]
    assert (first["VariantName"], first["VolumeSizeInGB"], first["InitialInstanceCount"]) == ("variant-1", 20, 1)
    assert second["ManagedInstanceScaling"] == {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 4}
    assert second["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    assert second["ContainerStartupHealthCheckTimeoutInSeconds"] == 120
    assert request["ShadowProductionVariants"][0]["VariantName"] == "shadow"
    assert endpoint_config.model_names(request) == ["a", "b", "c"]


def test_data_capture_has_defaults(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        model_name="m", data_capture={"destination_s3_uri": "s3://bucket/capture", "csv_content_types": ["text/csv"]}
    )
    assert request["DataCaptureConfig"] == {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
    }


def test_asynchronous_inference(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        model_name="m",
        async_inference={
            "output_s3_uri": "s3://bucket/out",
            "failure_s3_uri": "s3://bucket/failed",
            "max_concurrent_invocations_per_instance": 4.0,
            "success_topic_arn": "arn:aws:sns:us-east-1:000000000000:done",
        },
    )
    assert request["AsyncInferenceConfig"] == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {
            "S3OutputPath": "s3://bucket/out",
            "S3FailurePath": "s3://bucket/failed",
            "NotificationConfig": {"SuccessTopic": "arn:aws:sns:us-east-1:000000000000:done"},
        },
    }


def test_awss_own_spelling_is_accepted(build: Callable[..., dict[str, Any]]) -> None:
    capture = {
        "EnableCapture": False,
        "InitialSamplingPercentage": 5,
        "DestinationS3Uri": "s3://bucket/c",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    assert build(model_name="m", data_capture=capture)["DataCaptureConfig"] == capture


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "model_name is '', must be given, or production_variants, and not both"),
        ({"model_name": "a_b"}, "model_name is 'a_b'"),
        ({"model_name": "m", "instance_type": "m5.large"}, "a SageMaker instance type such as"),
        ({"model_name": "m", "initial_instance_count": -1.0}, "initial_instance_count is -1"),
        ({"model_name": "m", "initial_instance_count": 0.0}, "initial_instance_count"),
        ({"model_name": "m", "instance_type": ""}, "instance_type is None, must be given, or serverless"),
        ({"model_name": "m", "serverless": {"memory_size_mb": 512, "max_concurrency": 5}}, "from 1024 to 6144"),
        ({"model_name": "m", "production_variants": [{"model_name": "a"}]}, "and not both"),
        ({"production_variants": ["a"]}, r"production_variants\[0\] is 'a', must be a dict"),
        ({"production_variants": [{"model_name": "a"}]}, r"production_variants\[0\].instance_type is None"),
        ({"production_variants": [{"model_name": "a", "instance_type": "ml.m5.large", "wait": 1}]}, r"\[0\].wait is 1"),
        (
            {
                "production_variants": [
                    {"variant_name": "v", "model_name": m, "instance_type": "ml.m5.large"} for m in "ab"
                ]
            },
            r"production_variants\[1\].variant_name is 'v', must be different",
        ),
        ({"model_name": "m", "data_capture": {"sampling_percentage": 5}}, "destination_s3_uri|DestinationS3Uri"),
        (
            {"model_name": "m", "data_capture": {"destination_s3_uri": "s3://bucket/c", "sampling_percentage": 101.0}},
            "data_capture.sampling_percentage is 101",
        ),
        ({"model_name": "m", "data_capture": {"to": "s3://bucket/c"}}, "data_capture.to is"),
        ({"model_name": "m", "async_inference": {"output": "s3://b/c"}}, "async_inference.output is"),
        ({"model_name": "m", "subnet_ids": ["subnet-1"]}, "VpcConfig.SecurityGroupIds"),
    ],
)
def test_a_wrong_argument_is_named(
    build: Callable[..., dict[str, Any]], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(**arguments)


# How to deploy


def test_an_update_takes_awss_deployment_config(offline: Session) -> None:
    deployment = {
        "blue_green_update_policy": {
            "traffic_routing_configuration": {
                "type": "CANARY",
                "wait_interval_in_seconds": 300.0,
                "canary_size": {"type": "CAPACITY_PERCENT", "value": 10.0},
            }
        },
        "auto_rollback_configuration": {"alarms": [{"alarm_name": "errors"}]},
    }
    options = deploy_options.build(
        offline,
        endpoint_name="e",
        deployment_config=deployment,
        retain_all_variant_properties=True,
        exclude_retained_variant_properties=["DesiredWeight"],
    )
    routing = options.update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 10}
    assert options.update["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredWeight"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint_name": "-e"}, "endpoint_name is '-e'"),
        ({"timeout_seconds": -5}, "timeout_seconds is -5"),
        ({"exclude_retained_variant_properties": ["DesiredWeight"]}, "left out unless retain_all_variant_properties"),
        ({"deployment_config": {"blue": 1}}, "deployment_config.blue"),
    ],
)
def test_a_wrong_option_is_named(offline: Session, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        deploy_options.build(offline, **arguments)


def test_a_configurations_name_follows_its_content() -> None:
    one, other = {"ProductionVariants": [{"ModelName": "a"}]}, {"ProductionVariants": [{"ModelName": "b"}]}
    assert deploy.config_name("e", one) == deploy.config_name("e", dict(one))
    assert deploy.config_name("e", one) != deploy.config_name("e", other)
    assert len(deploy.config_name("e" * 63, one)) <= 63


# Autoscaling

CONFIG = {
    "ProductionVariants": [
        {"VariantName": "one", "InstanceType": "ml.m5.large"},
        {"VariantName": "two", "InstanceType": "ml.m5.large"},
        {"VariantName": "none", "ServerlessConfig": {}},
    ]
}


def test_a_policy_for_each_variant_on_instances() -> None:
    policy = autoscaling.build_policy({"max_capacity": 4.0, "target_invocations_per_instance": 100.0}, CONFIG)
    built = list(autoscaling.requests("e", policy))
    assert [target["ResourceId"] for target, _ in built] == ["endpoint/e/variant/one", "endpoint/e/variant/two"]
    model = botocore.session.get_session().get_service_model("application-autoscaling")
    for target, scaling_policy in built:
        for operation, request in (("RegisterScalableTarget", target), ("PutScalingPolicy", scaling_policy)):
            report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
            assert not report.has_errors(), report.generate_report()
    assert built[0][0]["MinCapacity"] == 1
    assert built[0][0]["MaxCapacity"] == 4


def test_no_autoscaling() -> None:
    assert list(autoscaling.requests("e", autoscaling.build_policy({}, CONFIG))) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_capacity": 2}, "autoscaling.target_invocations_per_instance is None, must be given"),
        ({"max_capacity": 2, "target_invocations_per_instance": -1}, "at least 1"),
        (
            {"max_capacity": 2, "min_capacity": 3, "target_invocations_per_instance": 1},
            "at most max_capacity, which is 2",
        ),
        ({"max_capacity": 2, "target_invocations_per_instance": 1, "variant_names": ["none"]}, "one of one, two"),
        ({"max_capacity": 2, "target_invocations_per_instance": 1, "max": 1}, "autoscaling.max is 1"),
        ("on", "autoscaling is 'on', must be a dict"),
    ],
)
def test_a_wrong_policy_is_named(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        autoscaling.build_policy(given, CONFIG)

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import pytest
from botocore.model import ServiceModel

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.transform.component import batch_transform
from kfp_sagemaker.transform.request import TransformJob, build_request


@pytest.fixture
def build(
    service_model: ServiceModel, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., dict[str, Any]]:
    def call(**arguments: Any) -> dict[str, Any]:
        given = {"model_name": "m", "input_s3_uri": "s3://bucket/in.csv", "output_s3_uri": "s3://bucket/out"}
        request = build_request(TransformJob(**{**given, **arguments}), service_model=service_model)
        accepted_by_botocore("CreateTransformJob", {"TransformJobName": "x", **request})
        return request

    return call


def test_the_work_has_the_faces_arguments_and_defaults() -> None:
    face = inspect.signature(batch_transform.python_func).parameters
    assert set(face) - {"region", "assume_role_arn"} == {item.name for item in fields(TransformJob)}
    for item in fields(TransformJob):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        expected = face[item.name].default
        assert (default is MISSING) == (expected is inspect.Parameter.empty)
        assert default is MISSING or default == expected, item.name


def test_the_least_request_leaves_the_rest_to_aws(build: Callable[..., dict[str, Any]]) -> None:
    assert build() == {
        "ModelName": "m",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in.csv"}}},
        "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }


def test_everything_the_api_takes(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        instance_type="ml.c5.xlarge",
        instance_count=2,
        content_type="text/csv",
        split_type="Line",
        compression_type="Gzip",
        s3_data_type="ManifestFile",
        accept="text/csv",
        assemble_with="Line",
        batch_strategy="MultiRecord",
        max_payload_mb=10,
        max_concurrent_transforms=4,
        input_filter="$[1:]",
        output_filter="$[0,-1]",
        join_source="Input",
        environment={"WORKERS": 2.0},
        invocations_timeout_seconds=30,
        invocations_max_retries=0,
        data_capture_config={"destination_s3_uri": "s3://bucket/capture", "generate_inference_id": True},
        output_kms_key_id="alias/out",
        volume_kms_key_id="key",
        experiment_config={"ExperimentName": "e"},
        extra_request={"transform_resources": {"TransformAmiVersion": "al2-ami-sagemaker-batch-gpu-470"}},
    )
    assert request == {
        "ModelName": "m",
        "MaxConcurrentTransforms": 4,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 30, "InvocationsMaxRetries": 0},
        "MaxPayloadInMB": 10,
        "BatchStrategy": "MultiRecord",
        "Environment": {"WORKERS": "2"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://bucket/in.csv"}},
            "ContentType": "text/csv",
            "CompressionType": "Gzip",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": "s3://bucket/out",
            "Accept": "text/csv",
            "AssembleWith": "Line",
            "KmsKeyId": "alias/out",
        },
        "DataCaptureConfig": {"DestinationS3Uri": "s3://bucket/capture", "GenerateInferenceId": True},
        "TransformResources": {
            "InstanceType": "ml.c5.xlarge",
            "InstanceCount": 2,
            "VolumeKmsKeyId": "key",
            "TransformAmiVersion": "al2-ami-sagemaker-batch-gpu-470",
        },
        "DataProcessing": {"InputFilter": "$[1:]", "OutputFilter": "$[0,-1]", "JoinSource": "Input"},
        "ExperimentConfig": {"ExperimentName": "e"},
    }


def test_a_payload_of_zero_is_a_value(build: Callable[..., dict[str, Any]]) -> None:
    assert build(max_payload_mb=0)["MaxPayloadInMB"] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"model_name": ""}, "model_name is '', must be given"),
        ({"model_name": "my_model"}, "model_name is 'my_model', must be text of the pattern"),
        ({"input_s3_uri": "in.csv"}, "input_s3_uri is 'in.csv', must be an S3 URI"),
        ({"output_s3_uri": "s3://"}, "output_s3_uri is 's3://', must be an S3 URI"),
        ({"instance_type": "ml.m5"}, "instance_type is 'ml.m5', must be a SageMaker instance type"),
        ({"instance_count": 0}, "instance_count is 0, must be a number of at least 1"),
        ({"instance_count": -1}, "instance_count is -1, must be a number of at least 1"),
        ({"split_type": "Lines"}, "split_type is 'Lines', must be one of None, Line, RecordIO, TFRecord"),
        ({"compression_type": "gzip"}, "compression_type is 'gzip', must be one of None, Gzip"),
        ({"assemble_with": "line"}, "assemble_with is 'line', must be one of None, Line"),
        ({"batch_strategy": "Multi"}, "batch_strategy is 'Multi', must be one of MultiRecord, SingleRecord"),
        ({"join_source": "Output"}, "join_source is 'Output', must be one of Input, None"),
        ({"join_source": "Input", "split_type": "RecordIO"}, "join_source is 'Input', must be None with split_type"),
        ({"max_payload_mb": 101}, "max_payload_mb is 101, must be a number from -1 to 100"),
        (
            {"max_payload_mb": 50, "max_concurrent_transforms": 3},
            "max_payload_mb is 50, must be such that max_concurrent_transforms times max_payload_mb is at most 100",
        ),
        ({"max_concurrent_transforms": -1}, "max_concurrent_transforms is -1, must be a number of at least 0"),
        ({"invocations_timeout_seconds": 3601}, "invocations_timeout_seconds is 3601, must be a number from 1 to 3600"),
        ({"invocations_max_retries": 4}, "invocations_max_retries is 4, must be a number from 0 to 3"),
        ({"input_filter": "$" * 64}, "input_filter is '64 characters', must be 0 to 63 characters"),
        ({"data_capture_config": {"kms_key_id": "k"}}, "data_capture_config.destination_s3_uri is None, must be given"),
        ({"environment": {f"N{n}": n for n in range(17)}}, "environment is '17 entries', must be 0 to 16 entries"),
        ({"extra_request": {"TransformJobName": "x"}}, "extra_request.TransformJobName is 'x', must be left out"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0, must be a number of at least 1"),
    ],
)
def test_one_wrong_argument_is_one_problem(
    build: Callable[..., dict[str, Any]], arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match="batch_transform: 1 invalid argument") as caught:
        build(**arguments)
    assert caught.value.problems[0].startswith(problem)

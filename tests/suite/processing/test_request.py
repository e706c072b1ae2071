from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import pytest
from botocore.model import ServiceModel

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.processing.component import process
from kfp_sagemaker.processing.request import ProcessingJob, build_request

ROLE = "arn:aws:iam::123456789012:role/Processor"
INPUT = {"s3_uri": "s3://bucket/in/", "local_path": "/opt/ml/processing/input/data"}
OUTPUT = {"s3_uri": "s3://bucket/out/", "local_path": "/opt/ml/processing/output"}


@pytest.fixture
def build(
    service_model: ServiceModel, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., dict[str, Any]]:
    def call(**arguments: Any) -> dict[str, Any]:
        job = ProcessingJob(**{"role_arn": ROLE, **arguments})
        request = build_request(job, region="us-east-1", service_model=service_model)
        accepted_by_botocore("CreateProcessingJob", {"ProcessingJobName": "x", **request})
        return request

    return call


def test_the_work_has_the_faces_arguments_and_defaults() -> None:
    face = inspect.signature(process.python_func).parameters
    assert set(face) - {"region", "assume_role_arn"} == {item.name for item in fields(ProcessingJob)}
    for item in fields(ProcessingJob):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        default = list(default) if isinstance(default, tuple) else default
        expected = face[item.name].default
        assert (default is MISSING) == (expected is inspect.Parameter.empty)
        assert default is MISSING or default == expected, item.name


def test_inputs_and_outputs_get_names_and_usual_values(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        image_uri="image:1",
        inputs=[
            INPUT,
            {
                "name": "config",
                "s3_uri": "s3://bucket/config.json",
                "local_path": "/opt/ml/processing/input/config",
                "s3_data_type": "ManifestFile",
                "s3_input_mode": "Pipe",
                "s3_data_distribution_type": "ShardedByS3Key",
                "s3_compression_type": "Gzip",
                "app_managed": True,
            },
        ],
        outputs=[
            OUTPUT,
            {**OUTPUT, "name": "live", "s3_upload_mode": "Continuous"},
            {"feature_group_name": "features"},
        ],
        output_kms_key_id="alias/out",
    )
    assert request == {
        "ProcessingInputs": [
            {
                "InputName": "input-1",
                "S3Input": {
                    "S3Uri": "s3://bucket/in/",
                    "LocalPath": "/opt/ml/processing/input/data",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                    "S3CompressionType": "None",
                },
            },
            {
                "InputName": "config",
                "AppManaged": True,
                "S3Input": {
                    "S3Uri": "s3://bucket/config.json",
                    "LocalPath": "/opt/ml/processing/input/config",
                    "S3DataType": "ManifestFile",
                    "S3InputMode": "Pipe",
                    "S3DataDistributionType": "ShardedByS3Key",
                    "S3CompressionType": "Gzip",
                },
            },
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "output-1",
                    "S3Output": {
                        "S3Uri": "s3://bucket/out/",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                },
                {
                    "OutputName": "live",
                    "S3Output": {
                        "S3Uri": "s3://bucket/out/",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "Continuous",
                    },
                },
                {"OutputName": "output-3", "FeatureStoreOutput": {"FeatureGroupName": "features"}},
            ],
            "KmsKeyId": "alias/out",
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "AppSpecification": {"ImageUri": "image:1"},
        "NetworkConfig": {"EnableInterContainerTrafficEncryption": False, "EnableNetworkIsolation": False},
        "RoleArn": ROLE,
    }


def test_everything_else_the_api_takes(build: Callable[..., dict[str, Any]]) -> None:
    athena = {
        "catalog": "AwsDataCatalog",
        "database": "sales",
        "query_string": "select 1",
        "output_s3_uri": "s3://bucket/athena",
        "output_format": "PARQUET",
    }
    definition = {"athena_dataset_definition": athena, "local_path": "/opt/ml/processing/input/athena"}
    request = build(
        image_uri="image:1",
        inputs=[{"name": "athena", "dataset_definition": definition}],
        container_entrypoint=["python3", "-m", "job"],
        container_arguments=["--n", 3.0, "--ratio", 0.5],
        environment={"N": 1.0},
        instance_type="ml.r5.xlarge",
        instance_count=3,
        volume_size_gb=100,
        max_runtime_seconds=600,
        subnets=["subnet-1"],
        security_group_ids=["sg-1"],
        volume_kms_key_id="key",
        enable_network_isolation=True,
        enable_inter_container_traffic_encryption=True,
        experiment_config={"trial_name": "t"},
        extra_request={"NetworkConfig": {"EnableNetworkIsolation": None}},
    )
    (dataset,) = request["ProcessingInputs"]
    assert dataset["DatasetDefinition"]["AthenaDatasetDefinition"]["OutputFormat"] == "PARQUET"
    assert request["AppSpecification"] == {
        "ImageUri": "image:1",
        "ContainerEntrypoint": ["python3", "-m", "job"],
        "ContainerArguments": ["--n", "3", "--ratio", "0.5"],
    }
    assert request["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 3,
        "InstanceType": "ml.r5.xlarge",
        "VolumeSizeInGB": 100,
        "VolumeKmsKeyId": "key",
    }
    assert request["NetworkConfig"] == {
        "EnableInterContainerTrafficEncryption": True,
        "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    }
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}
    assert request["Environment"] == {"N": "1"}
    assert request["ExperimentConfig"] == {"TrialName": "t"}


@pytest.mark.parametrize(
    ("arguments", "entrypoint"),
    [
        ({"code_s3_uri": "s3://bucket/a/clean.py"}, ["python3", "/opt/ml/processing/input/code/clean.py"]),
        (
            {"code_s3_uri": "s3://bucket/a/", "entry_point": "jobs/clean.py"},
            ["python3", "/opt/ml/processing/input/code/jobs/clean.py"],
        ),
        (
            {"code_s3_uri": "s3://bucket/a/clean.sh", "container_entrypoint": ["/bin/bash", "-e"]},
            ["/bin/bash", "-e", "/opt/ml/processing/input/code/clean.sh"],
        ),
        (
            {"code_s3_uri": "s3://bucket/a/sourcedir.tar.gz", "entry_point": "clean up.py"},
            [
                "/bin/sh",
                "-c",
                "cd /opt/ml/processing/input/code && tar -xzf sourcedir.tar.gz && exec python3 'clean up.py' \"$@\"",
                "sh",
            ],
        ),
    ],
)
def test_a_script_becomes_an_input_and_the_entry_point(
    build: Callable[..., dict[str, Any]], arguments: dict[str, Any], entrypoint: list[str]
) -> None:
    request = build(framework="sklearn", framework_version="1.2-1", inputs=[INPUT], **arguments)
    assert request["AppSpecification"] == {
        "ImageUri": image_uri("sklearn", "us-east-1", version="1.2-1"),
        "ContainerEntrypoint": entrypoint,
    }
    assert [item["InputName"] for item in request["ProcessingInputs"]] == ["input-1", "code"]
    assert request["ProcessingInputs"][1]["S3Input"]["S3Uri"] == arguments["code_s3_uri"]
    assert request["ProcessingInputs"][1]["S3Input"]["LocalPath"] == "/opt/ml/processing/input/code"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"role_arn": "x"}, "role_arn is 'x', must be the ARN of an IAM role"),
        ({"image_uri": ""}, "image_uri is '', must be given, or else framework"),
        ({"framework": "sklearn"}, "image_uri is 'image:1', must be given, or else framework, and not both"),
        ({"image_uri": "", "framework": "sklern"}, "framework: 'sklern' is no algorithm; did you mean sklearn"),
        ({"framework_version": "1"}, "framework_version is '1', must be left out without framework"),
        ({"code_s3_uri": "clean.py"}, "code_s3_uri is 'clean.py', must be an S3 URI"),
        ({"entry_point": "clean.py"}, "entry_point is 'clean.py', must be left out without code_s3_uri"),
        ({"code_s3_uri": "s3://bucket/a/"}, "entry_point is '', must be given, because s3://bucket/a/ is not a script"),
        ({"code_s3_uri": "s3://bucket/a/", "entry_point": "../x.py"}, "entry_point is '../x.py', must be a path below"),
        ({"container_entrypoint": "python3"}, "container_entrypoint is 'python3', must be a list"),
        ({"container_arguments": [["a"]]}, "container_arguments[0] is ['a'], must be text"),
        ({"inputs": "s3://bucket/x"}, "inputs is 's3://bucket/x', must be a list"),
        ({"inputs": [{**INPUT, "name": "a"}] * 2}, "inputs is 'a', must be a list in which each name occurs once"),
        ({"inputs": [{**INPUT, "s3_uri": "x"}]}, "inputs[0].s3_uri is 'x', must be an S3 URI"),
        ({"inputs": [{**INPUT, "s3_input_mode": "Fast"}]}, "inputs[0].s3_input_mode is 'Fast', must be one of Pipe, F"),
        ({"inputs": [{**INPUT, "path": "x"}]}, "inputs[0].path is 'x', must be left out; known keys are name,"),
        ({"outputs": [{"local_path": "/x"}]}, "outputs[0].s3_uri is None, must be given"),
        ({"instance_type": "big"}, "instance_type is 'big', must be a SageMaker instance type"),
        ({"instance_count": 0}, "instance_count is 0, must be a number from 1 to 100"),
        ({"instance_count": -1}, "instance_count is -1, must be a number from 1 to 100"),
        ({"volume_size_gb": 99999}, "volume_size_gb is 99999, must be a number from 1 to 16384"),
        ({"max_runtime_seconds": 777601}, "max_runtime_seconds is 777601, must be a number from 1 to 777600"),
        ({"security_group_ids": ["sg-1"]}, "subnets is [], must be given together with security_group_ids"),
        ({"extra_request": {"ProcessingJobName": "x"}}, "extra_request.ProcessingJobName is 'x', must be left out"),
    ],
)
def test_one_wrong_argument_is_one_problem(
    build: Callable[..., dict[str, Any]], arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        build(**{"image_uri": "image:1", **arguments})
    assert len(caught.value.problems) == 1, caught.value.problems
    assert caught.value.problems[0].startswith(problem)

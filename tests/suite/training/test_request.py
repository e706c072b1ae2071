from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import pytest
from botocore.model import ServiceModel

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.training.component import train
from kfp_sagemaker.training.request import TrainingJob, build_request

ROLE = "arn:aws:iam::123456789012:role/service-role/Trainer"
CHANNEL = {"name": "train", "s3_uri": "s3://bucket/train/"}


@pytest.fixture
def build(
    service_model: ServiceModel, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., dict[str, Any]]:
    def call(**arguments: Any) -> dict[str, Any]:
        job = TrainingJob(
            **{"role_arn": ROLE, "output_s3_uri": "s3://bucket/models", "channels": [CHANNEL], **arguments}
        )
        request = build_request(job, region="us-east-1", service_model=service_model)
        accepted_by_botocore("CreateTrainingJob", {"TrainingJobName": "x", **request})
        return request

    return call


@pytest.fixture
def problems_of(build: Callable[..., dict[str, Any]]) -> Callable[..., list[str]]:
    def call(**arguments: Any) -> list[str]:
        with pytest.raises(InputError) as caught:
            build(**arguments)
        assert caught.value.subject == "train"
        return caught.value.problems

    return call


def test_the_work_has_the_faces_arguments_and_defaults() -> None:
    face = inspect.signature(train.python_func).parameters
    only_face = {"model", "metrics", "learning_curves", "export_metrics", "region", "assume_role_arn"}
    assert set(face) - only_face == {item.name for item in fields(TrainingJob)}
    for item in fields(TrainingJob):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        default = list(default) if isinstance(default, tuple) else default
        expected = face[item.name].default
        assert (default is MISSING) == (expected is inspect.Parameter.empty)
        assert default is MISSING or default == expected, item.name


def test_a_built_in_algorithm(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        algorithm="linear-learner",
        channels=[
            {"name": "train", "s3_uri": "s3://bucket/train/", "content_type": "text/csv;label_size=1"},
            {
                "name": "validation",
                "s3_uri": "s3://bucket/validation.manifest",
                "s3_data_type": "ManifestFile",
                "distribution": "ShardedByS3Key",
                "input_mode": "Pipe",
                "compression": "Gzip",
                "record_wrapper": "RecordIO",
                "shuffle_seed": 7.0,
            },
        ],
        hyperparameters={"feature_dim": 10.0, "predictor_type": "regressor", "l1": 0.1, "use_bias": True},
    )
    assert request == {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": image_uri("linear-learner", "us-east-1"),
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": True,
        },
        "HyperParameters": {"feature_dim": "10", "predictor_type": "regressor", "l1": "0.1", "use_bias": "true"},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3Uri": "s3://bucket/train/",
                        "S3DataType": "S3Prefix",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "ContentType": "text/csv;label_size=1",
            },
            {
                "ChannelName": "validation",
                "DataSource": {
                    "S3DataSource": {
                        "S3Uri": "s3://bucket/validation.manifest",
                        "S3DataType": "ManifestFile",
                        "S3DataDistributionType": "ShardedByS3Key",
                    }
                },
                "InputMode": "Pipe",
                "CompressionType": "Gzip",
                "RecordWrapperType": "RecordIO",
                "ShuffleConfig": {"Seed": 7},
            },
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "EnableManagedSpotTraining": False,
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
    }


def test_script_mode_sends_what_the_containers_toolkit_reads(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        algorithm="sklearn",
        algorithm_version="1.2-1",
        source_s3_uri="s3://bucket/code/sourcedir.tar.gz",
        entry_point="train.py",
        hyperparameters={"max_depth": 3.0, "criterion": "gini", "classes": ["a", 2.0], "verbose": False},
    )
    assert request["AlgorithmSpecification"]["TrainingImage"] == image_uri("sklearn", "us-east-1", version="1.2-1")
    assert {name: json.loads(value) for name, value in request["HyperParameters"].items()} == {
        "max_depth": 3,
        "criterion": "gini",
        "classes": ["a", 2],
        "verbose": False,
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz",
        "sagemaker_container_log_level": 20,
        "sagemaker_region": "us-east-1",
    }
    assert request["HyperParameters"]["criterion"] == '"gini"'
    assert request["HyperParameters"]["max_depth"] == "3"


def test_script_mode_needs_no_channel_and_the_users_log_level_wins(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        training_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1",
        channels=[],
        source_s3_uri="s3://bucket/sourcedir.tar.gz",
        entry_point="train.py",
        hyperparameters={"sagemaker_container_log_level": 10.0, "sagemaker_program": "other.py"},
    )
    assert "InputDataConfig" not in request
    assert request["HyperParameters"]["sagemaker_container_log_level"] == "10"
    assert request["HyperParameters"]["sagemaker_program"] == '"train.py"'


def test_an_algorithm_resource_has_no_image(build: Callable[..., dict[str, Any]]) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:algorithm/mine"
    specification = build(algorithm_arn=arn)["AlgorithmSpecification"]
    assert specification["AlgorithmName"] == arn
    assert "TrainingImage" not in specification


def test_spot_with_checkpoints(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        algorithm="xgboost",
        use_spot=True,
        max_runtime_seconds=600,
        max_wait_seconds=900,
        checkpoint_s3_uri="s3://bucket/checkpoints",
        checkpoint_local_path="/opt/ml/state",
        maximum_retry_attempts=3,
    )
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900}
    assert request["CheckpointConfig"] == {"S3Uri": "s3://bucket/checkpoints", "LocalPath": "/opt/ml/state"}
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 3}


def test_spot_waits_as_long_as_it_runs_when_not_told(build: Callable[..., dict[str, Any]]) -> None:
    request = build(algorithm="xgboost", use_spot=True, max_runtime_seconds=600)
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600}


def test_instance_groups_replace_the_uniform_cluster(build: Callable[..., dict[str, Any]]) -> None:
    channel = {**CHANNEL, "instance_groups": ["big"], "attribute_names": ["image", "label"]}
    request = build(
        training_image="image:1",
        channels=[{**channel, "s3_data_type": "AugmentedManifestFile"}],
        instance_groups=[
            {"name": "big", "instance_type": "ml.p4d.24xlarge", "instance_count": 1.0},
            {"InstanceGroupName": "small", "InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
        ],
    )
    assert request["ResourceConfig"] == {
        "VolumeSizeInGB": 30,
        "InstanceGroups": [
            {"InstanceGroupName": "big", "InstanceType": "ml.p4d.24xlarge", "InstanceCount": 1},
            {"InstanceGroupName": "small", "InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
        ],
    }
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert source["InstanceGroupNames"] == ["big"]
    assert source["AttributeNames"] == ["image", "label"]


def test_a_file_system_channel(build: Callable[..., dict[str, Any]]) -> None:
    channel = {
        "name": "train",
        "file_system_id": "fs-0123456789abcdef0",
        "file_system_type": "FSxLustre",
        "directory_path": "/fsx/data",
    }
    request = build(training_image="image:1", channels=[channel], subnets=["subnet-1"], security_group_ids=["sg-1"])
    assert request["InputDataConfig"][0]["DataSource"] == {
        "FileSystemDataSource": {
            "FileSystemId": "fs-0123456789abcdef0",
            "FileSystemType": "FSxLustre",
            "FileSystemAccessMode": "ro",
            "DirectoryPath": "/fsx/data",
        }
    }
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


def test_a_channel_spelled_as_aws_does_is_taken_as_it_is(build: Callable[..., dict[str, Any]]) -> None:
    source = {"S3DataSource": {"S3Uri": "s3://bucket/x", "S3DataType": "S3Prefix"}}
    channel = {"ChannelName": "train", "DataSource": source}
    assert build(training_image="image:1", channels=[channel])["InputDataConfig"] == [channel]


def test_everything_else_the_api_takes(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        training_image="image:1",
        container_entrypoint=["python3", "main.py"],
        container_arguments=["--epochs", 3.0],
        training_input_mode="FastFile",
        keep_alive_period_seconds=600,
        metric_definitions=[{"name": "loss", "regex": "loss=(.*)"}, {"Name": "auc", "Regex": "auc=(.*)"}],
        enable_sagemaker_metrics=False,
        environment={"TOKEN": "x", "N": 1.0},
        output_kms_key_id="alias/output",
        volume_kms_key_id="key",
        output_compression_type="NONE",
        volume_size_gb=0,
        enable_network_isolation=True,
        enable_inter_container_traffic_encryption=True,
        profiler_config={"s3_output_path": "s3://bucket/profile", "profiling_interval_in_milliseconds": 500.0},
        profiler_rule_configurations=[{"rule_configuration_name": "r", "rule_evaluator_image": "image:2"}],
        debug_hook_config={
            "s3_output_path": "s3://bucket/debug",
            "collection_configurations": [{"collection_name": "losses", "collection_parameters": {"k": 5.0}}],
        },
        debug_rule_configurations=[{"RuleConfigurationName": "r", "RuleEvaluatorImage": "image:3"}],
        tensor_board_output_config={"s3_output_path": "s3://bucket/tensorboard"},
        experiment_config={"experiment_name": "e", "run_name": "r"},
        extra_request={
            "StoppingCondition": {"max_pending_time_in_seconds": 7200.0},
            "InfraCheckConfig": {"EnableInfraCheck": True},
            "ResourceConfig": {"InstanceCount": 2},
        },
    )
    assert request["AlgorithmSpecification"] == {
        "TrainingImage": "image:1",
        "TrainingInputMode": "FastFile",
        "ContainerEntrypoint": ["python3", "main.py"],
        "ContainerArguments": ["--epochs", "3"],
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}, {"Name": "auc", "Regex": "auc=(.*)"}],
        "EnableSageMakerMetricsTimeSeries": False,
    }
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 2,
        "KeepAlivePeriodInSeconds": 600,
        "VolumeKmsKeyId": "key",
    }
    assert request["OutputDataConfig"] == {
        "S3OutputPath": "s3://bucket/models",
        "KmsKeyId": "alias/output",
        "CompressionType": "NONE",
    }
    assert request["Environment"] == {"TOKEN": "x", "N": "1"}
    assert request["EnableNetworkIsolation"] is True
    assert request["EnableInterContainerTrafficEncryption"] is True
    assert request["ProfilerConfig"]["ProfilingIntervalInMilliseconds"] == 500
    assert request["ProfilerRuleConfigurations"][0]["RuleEvaluatorImage"] == "image:2"
    assert request["DebugHookConfig"]["CollectionConfigurations"][0]["CollectionParameters"] == {"k": "5"}
    assert request["DebugRuleConfigurations"][0]["RuleEvaluatorImage"] == "image:3"
    assert request["TensorBoardOutputConfig"] == {"S3OutputPath": "s3://bucket/tensorboard"}
    assert request["ExperimentConfig"] == {"ExperimentName": "e", "RunName": "r"}
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400, "MaxPendingTimeInSeconds": 7200}
    assert request["InfraCheckConfig"] == {"EnableInfraCheck": True}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"role_arn": ""}, "role_arn is '', must be given"),
        ({"role_arn": "Trainer"}, "role_arn is 'Trainer', must be the ARN of an IAM role"),
        ({"output_s3_uri": ""}, "output_s3_uri is '', must be given"),
        ({"output_s3_uri": "bucket/models"}, "output_s3_uri is 'bucket/models', must be an S3 URI"),
        ({"output_s3_uri": "s3://Bucket_/x"}, "output_s3_uri is 's3://Bucket_/x', must be an S3 URI"),
        ({"channels": []}, "channels is [], must be given"),
        ({"channels": {"train": "s3://bucket/x"}}, "channels is {"),
        ({"channels": [CHANNEL, CHANNEL]}, "channels is 'train', must be a list in which each name occurs once"),
        ({"channels": [{"name": "train"}]}, "channels[0].s3_uri is None, must be given"),
        ({"channels": [{"s3_uri": "s3://bucket/x"}]}, "channels[0].name is None, must be given"),
        ({"channels": [{"name": "a b", "s3_uri": "s3://bucket/x"}]}, "channels[0].name is 'a b', must be text of the"),
        ({"channels": [{**CHANNEL, "s3_uri": "/data"}]}, "channels[0].s3_uri is '/data', must be an S3 URI"),
        ({"channels": [{**CHANNEL, "distribution": "Half"}]}, "channels[0].distribution is 'Half', must be one of"),
        ({"channels": [{**CHANNEL, "shuffle_seed": "x"}]}, "channels[0].shuffle_seed is 'x', must be a whole number"),
        ({"channels": [{**CHANNEL, "colour": "red"}]}, "channels[0].colour is 'red', must be left out; known keys are"),
        ({"algorithm": ""}, "algorithm is '', must be given, or training_image, or algorithm_arn"),
        ({"training_image": "image:1"}, "training_image is 'image:1', must be left out with algorithm"),
        ({"algorithm": "linear-lerner"}, "algorithm: 'linear-lerner' is no algorithm; did you mean linear-learner"),
        ({"algorithm_version": "99"}, "algorithm: '99' is no version of xgboost"),
        (
            {"algorithm": "", "training_image": "image:1", "algorithm_version": "1"},
            "algorithm_version is '1', must be left out without algorithm",
        ),
        (
            {"algorithm": "", "algorithm_arn": "mine", "container_entrypoint": ["a"]},
            "container_entrypoint is ['a'], must be left out with algorithm_arn",
        ),
        ({"hyperparameters": ["epochs"]}, "hyperparameters is ['epochs'], must be an object"),
        ({"hyperparameters": {"epochs": None}}, "hyperparameters.epochs is None, must be text, a finite number"),
        ({"hyperparameters": {"rate": float("nan")}}, "hyperparameters.rate is nan, must be text, a finite number"),
        ({"hyperparameters": {"": 1}}, "hyperparameters is '', must be an object whose names are not empty"),
        ({"hyperparameters": {"x": "y" * 2501}}, "hyperparameters.x is '2501 characters', must be 0 to 2500"),
        ({"entry_point": "train.py"}, "source_s3_uri is '', must be given"),
        ({"source_s3_uri": "s3://bucket/x.tar.gz"}, "entry_point is '', must be given"),
        ({"source_s3_uri": "x.tar.gz", "entry_point": "a.py"}, "source_s3_uri is 'x.tar.gz', must be an S3 URI"),
        ({"training_input_mode": "Fast"}, "training_input_mode is 'Fast', must be one of Pipe, File, FastFile"),
        ({"instance_type": "m5.large"}, "instance_type is 'm5.large', must be a SageMaker instance type"),
        ({"instance_type": ""}, "instance_type is '', must be given"),
        ({"instance_count": 0}, "instance_count is 0, must be a number of at least 1"),
        ({"instance_count": -3}, "instance_count is -3, must be a number of at least 1"),
        ({"volume_size_gb": -1}, "volume_size_gb is -1, must be a number of at least 0"),
        ({"instance_groups": [{"name": "a", "instance_type": "ml.m5.large"}]}, "instance_groups[0].instance_count is"),
        ({"keep_alive_period_seconds": 99999}, "keep_alive_period_seconds is 99999, must be a number from 0 to 21600"),
        (
            {"keep_alive_period_seconds": 60, "use_spot": True},
            "keep_alive_period_seconds is 60, must be 0 with use_spo",
        ),
        ({"max_runtime_seconds": 0}, "max_runtime_seconds is 0, must be a number of at least 1"),
        ({"max_wait_seconds": 5}, "max_wait_seconds is 5, must be left out without use_spot"),
        (
            {"use_spot": True, "max_wait_seconds": 5, "max_runtime_seconds": 10},
            "max_wait_seconds is 5, must be at least max_runtime_seconds, which is 10",
        ),
        ({"checkpoint_s3_uri": "x"}, "checkpoint_s3_uri is 'x', must be an S3 URI"),
        ({"checkpoint_s3_uri": "s3://bucket/x", "maximum_retry_attempts": 99}, "maximum_retry_attempts is 99, must be"),
        ({"metric_definitions": [{"name": "loss"}]}, "metric_definitions[0].regex is None, must be given"),
        ({"environment": {"A": "x" * 600}}, "environment.A is '600 characters', must be 0 to 512 characters"),
        ({"subnets": ["subnet-1"]}, "security_group_ids is [], must be given together with subnets"),
        ({"output_compression_type": "ZIP"}, "output_compression_type is 'ZIP', must be one of GZIP, NONE"),
        ({"profiler_config": {"path": 1}}, "profiler_config.path is 1, must be left out; known keys are"),
        ({"debug_hook_config": {"local_path": "/x"}}, "debug_hook_config.s3_output_path is None, must be given"),
        ({"extra_request": {"Colour": "red"}}, "extra_request.Colour is 'red', must be left out; known keys are"),
        ({"extra_request": {"tags": []}}, "extra_request.tags is [], must be left out; use tags"),
        ({"extra_request": {"RoleArn": None}}, "CreateTrainingJob.RoleArn is None, must be given"),
        ({"job_name": "my_job"}, "job_name is 'my_job', must be 1 to 63 letters, digits and"),
        ({"job_name": "x" * 64}, "job_name is 'x"),
        ({"job_name": "a", "job_name_prefix": "b"}, "job_name_prefix is 'b', must be left out"),
        ({"timeout_seconds": -1}, "timeout_seconds is -1, must be a number of at least 0"),
        ({"tags": {"aws:mine": "x"}}, "tags has the key 'aws:mine', must not start with"),
    ],
)
def test_one_wrong_argument_is_one_problem(
    problems_of: Callable[..., list[str]], arguments: dict[str, Any], problem: str
) -> None:
    found = problems_of(**{"algorithm": "xgboost", **arguments})
    assert len(found) == 1, found
    assert found[0].startswith(problem)


def test_checkpoint_path_needs_its_s3_uri(problems_of: Callable[..., list[str]]) -> None:
    found = problems_of(algorithm="xgboost", checkpoint_local_path="/opt/ml/checkpoints")
    assert "checkpoint_local_path is '/opt/ml/checkpoints', must be given together with checkpoint_s3_uri" in found


def test_all_problems_are_told_at_once(problems_of: Callable[..., list[str]]) -> None:
    found = problems_of(
        role_arn="x",
        output_s3_uri="y",
        algorithm="z",
        channels=[{"name": "a", "s3_uri": "b"}],
        instance_type="c",
        instance_count=-1,
        hyperparameters={"d": None},
        job_name="e_",
        extra_request={"f": 1},
    )
    named = [problem.split()[0] for problem in found]
    for argument in (
        "role_arn",
        "output_s3_uri",
        "algorithm:",
        "channels[0].s3_uri",
        "instance_type",
        "instance_count",
        "hyperparameters.d",
        "job_name",
        "extra_request.f",
    ):
        assert argument in named
    assert len(found) == 9


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ({}, 86400 + 3600),
        ({"max_runtime_seconds": 60}, 60 + 3600),
        ({"max_runtime_seconds": 60, "max_wait_seconds": 120}, 120 + 3600),
        ({"timeout_seconds": 10}, 10),
    ],
)
def test_the_step_gives_up_after_the_jobs_own_limit(arguments: dict[str, Any], seconds: float) -> None:
    assert TrainingJob(role_arn="", output_s3_uri="", channels=[], **arguments).deadline_seconds == seconds


@pytest.mark.parametrize(
    ("arguments", "prefix"),
    [
        ({}, "train"),
        ({"algorithm": "xgboost"}, "xgboost"),
        ({"algorithm": "xgboost", "job_name_prefix": "mine"}, "mine"),
    ],
)
def test_the_name_starts_with_what_runs(arguments: dict[str, Any], prefix: str) -> None:
    assert TrainingJob(role_arn="", output_s3_uri="", channels=[], **arguments).name_prefix == prefix

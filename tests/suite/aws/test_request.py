from __future__ import annotations

import pytest
from botocore.model import ServiceModel

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems

PLACES = {
    "name": "ChannelName",
    "s3_uri": "DataSource.S3DataSource.S3Uri",
    "kind": "DataSource.S3DataSource.S3DataType",
}


@pytest.fixture
def problems() -> Problems:
    return Problems("test")


@pytest.fixture
def builder(service_model: ServiceModel, problems: Problems) -> RequestBuilder:
    return RequestBuilder(service_model, "CreateTrainingJob", problems)


def built(builder: RequestBuilder) -> dict[str, object]:
    required = ["TrainingJobName", "AlgorithmSpecification", "RoleArn", "OutputDataConfig"]
    return builder.finish(supplied_later=required)


@pytest.mark.parametrize("spelling", ["S3OutputPath", "s3_output_path"])
def test_members_may_be_spelled_as_aws_does_or_in_snake_case(builder: RequestBuilder, spelling: str) -> None:
    builder.set("ProfilerConfig", {spelling: "s3://bucket/x"}, argument="profiler_config")
    assert built(builder) == {"ProfilerConfig": {"S3OutputPath": "s3://bucket/x"}}


def test_both_spellings_of_one_member_are_refused(builder: RequestBuilder, problems: Problems) -> None:
    value = {"s3_output_path": "s3://bucket/x", "S3OutputPath": "s3://bucket/y"}
    builder.set("ProfilerConfig", value, argument="profiler_config")
    assert problems.found == ["profiler_config.S3OutputPath is 's3://bucket/y', must be given once only"]


@pytest.mark.parametrize("empty", [None, "", [], (), {}])
def test_empty_values_are_not_given(builder: RequestBuilder, empty: object) -> None:
    builder.set("ResourceConfig.VolumeKmsKeyId", empty, argument="x")
    builder.set("ProfilerConfig", {"S3OutputPath": empty, "DisableProfiler": True}, argument="profiler_config")
    assert built(builder) == {"ProfilerConfig": {"DisableProfiler": True}}


def test_zero_and_false_are_values(builder: RequestBuilder) -> None:
    builder.set("ResourceConfig.VolumeSizeInGB", 0, argument="volume_size_gb")
    builder.set("EnableNetworkIsolation", False, argument="enable_network_isolation")
    assert built(builder) == {"ResourceConfig": {"VolumeSizeInGB": 0}, "EnableNetworkIsolation": False}


def test_kubeflows_floats_become_integers_and_text_where_aws_wants_them(builder: RequestBuilder) -> None:
    builder.set("ResourceConfig.InstanceCount", 2.0, argument="instance_count")
    builder.set("Environment", {"N": 3.0, "RATE": 0.5, "ON": True, "EMPTY": ""}, argument="environment")
    specification = {"training_input_mode": "File", "container_arguments": ["--n", 4.0]}
    builder.set("AlgorithmSpecification", specification, argument="algorithm_specification")
    assert built(builder) == {
        "ResourceConfig": {"InstanceCount": 2},
        "Environment": {"N": "3", "RATE": "0.5", "ON": "true", "EMPTY": ""},
        "AlgorithmSpecification": {"TrainingInputMode": "File", "ContainerArguments": ["--n", "4"]},
    }


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("ResourceConfig.InstanceCount", 2.5, "x is 2.5, must be a whole number"),
        ("ResourceConfig.InstanceCount", True, "x is True, must be a whole number"),
        ("ResourceConfig.InstanceCount", "2", "x is '2', must be a whole number"),
        ("ResourceConfig.InstanceCount", -1, "x is -1, must be a number of at least 0"),
        ("RetryStrategy.MaximumRetryAttempts", 31, "x is 31, must be a number from 1 to 30"),
        ("EnableNetworkIsolation", "yes", "x is 'yes', must be true or false"),
        ("AlgorithmSpecification.TrainingInputMode", "file", "x is 'file', must be one of Pipe, File, FastFile"),
        ("ResourceConfig.InstanceType", "large", "x is 'large', must be a SageMaker instance type"),
        ("RoleArn", "admin", "x is 'admin', must be the ARN of an IAM role"),
        ("OutputDataConfig.S3OutputPath", "s3:/bucket", "x is 's3:/bucket', must be an S3 URI"),
        ("OutputDataConfig.KmsKeyId", "a key", "x is 'a key', must be text of the pattern"),
        ("OutputDataConfig.KmsKeyId", ["key"], "x is ['key'], must be text"),
        ("VpcConfig.Subnets", "subnet-1", "x is 'subnet-1', must be a list"),
        ("VpcConfig.Subnets", ["s"] * 17, "x is '17 elements', must be 1 to 16 elements"),
        ("Environment", ["A"], "x is 'list', must be an object of names and values"),
        ("Environment", {"A B": "1"}, "x name is 'A B', must be text of the pattern"),
        ("ProfilerConfig", "on", "x is 'on', must be an object with the keys s3_output_path,"),
        ("ProfilerConfig", {"output": 1}, "x.output is 1, must be left out; known keys are s3_output_path,"),
        ("AlgorithmSpecification.MetricDefinitions", [{"name": "a"}], "x[0].regex is None, must be given"),
    ],
)
def test_what_does_not_fit_is_named(
    builder: RequestBuilder, problems: Problems, path: str, value: object, problem: str
) -> None:
    builder.set(path, value, argument="x")
    assert len(problems.found) == 1
    assert problems.found[0].startswith(problem)


def test_instance_types_newer_than_botocore_pass(builder: RequestBuilder) -> None:
    builder.set("ResourceConfig.InstanceType", "ml.z99.48xlarge", argument="instance_type")
    assert built(builder) == {"ResourceConfig": {"InstanceType": "ml.z99.48xlarge"}}


def test_https_form_of_an_s3_location_passes(builder: RequestBuilder) -> None:
    builder.set("CheckpointConfig.S3Uri", "https://s3.us-east-1.amazonaws.com/bucket/x", argument="checkpoint_s3_uri")
    assert problems_of(builder) == []


def problems_of(builder: RequestBuilder) -> list[str]:
    try:
        built(builder)
    except InputError as error:
        return error.problems
    return []


def test_values_of_an_environment_never_show_in_messages(builder: RequestBuilder) -> None:
    builder.set("Environment", {"PASSWORD": "hunter2" * 100}, argument="environment")
    (problem,) = problems_of(builder)
    assert problem == "environment.PASSWORD is '700 characters', must be 0 to 512 characters"


def test_friendly_keys_move_and_problems_name_them(builder: RequestBuilder, problems: Problems) -> None:
    channels = [{"name": "a", "s3_uri": "s3://bucket/a", "kind": "S3Prefix", "input_mode": "Pipe"}]
    builder.set("InputDataConfig", channels, argument="channels", places=PLACES)
    source = {"S3DataSource": {"S3Uri": "s3://bucket/a", "S3DataType": "S3Prefix"}}
    assert built(builder) == {"InputDataConfig": [{"ChannelName": "a", "DataSource": source, "InputMode": "Pipe"}]}

    broken = [{"s3_uri": "s3://bucket/a", "kind": "Prefix"}, {"name": "b"}, {"name": "c", "colour": "red"}]
    builder.set("InputDataConfig", broken, argument="channels", places=PLACES)
    assert [problem.split(",")[0] for problem in problems.found] == [
        "channels[0].kind is 'Prefix'",
        "channels[1].s3_uri is None",
        "channels[2].colour is 'red'",
    ]


def test_a_list_element_spelled_as_aws_does_passes_as_it_is(builder: RequestBuilder) -> None:
    source = {"S3DataSource": {"S3Uri": "s3://bucket/a", "S3DataType": "S3Prefix"}}
    channel = {"ChannelName": "a", "DataSource": source}
    builder.set("InputDataConfig", [channel], argument="channels", places=PLACES)
    assert built(builder) == {"InputDataConfig": [channel]}


def test_both_spellings_mixed_leave_the_users_object_alone(builder: RequestBuilder) -> None:
    channel = {
        "ChannelName": "a",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix"}},
        "s3_uri": "s3://bucket/a",
    }
    builder.set("InputDataConfig", [channel], argument="channels", places=PLACES)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/a"}}
    assert built(builder) == {"InputDataConfig": [{"ChannelName": "a", "DataSource": source}]}
    assert channel["DataSource"] == {"S3DataSource": {"S3DataType": "S3Prefix"}}


def test_further_members_merge_deeply_and_null_removes(builder: RequestBuilder) -> None:
    builder.set("ResourceConfig.InstanceCount", 1, argument="instance_count")
    builder.set("ResourceConfig.VolumeSizeInGB", 30, argument="volume_size_gb")
    builder.set("VpcConfig", {"Subnets": ["a"], "SecurityGroupIds": ["b"]}, argument="vpc")
    extra = {
        "resource_config": {"volume_size_in_gb": None, "InstanceCount": 4.0},
        "VpcConfig": {"Subnets": ["c", "d"]},
        "InfraCheckConfig": {"enable_infra_check": True},
    }
    builder.merge(extra, argument="extra_request", reserved={})
    assert built(builder) == {
        "ResourceConfig": {"InstanceCount": 4},
        "VpcConfig": {"Subnets": ["c", "d"], "SecurityGroupIds": ["b"]},
        "InfraCheckConfig": {"EnableInfraCheck": True},
    }


def test_reserved_members_cannot_be_merged_in(builder: RequestBuilder, problems: Problems) -> None:
    builder.merge({"training_job_name": "x"}, argument="extra_request", reserved={"TrainingJobName": "job_name"})
    assert problems.found == ["extra_request.training_job_name is 'x', must be left out; use job_name"]


def test_missing_required_members_are_found_in_the_end(builder: RequestBuilder) -> None:
    builder.set("AlgorithmSpecification.TrainingImage", "image", argument="training_image")
    with pytest.raises(InputError) as caught:
        builder.finish(supplied_later=["TrainingJobName"])
    assert caught.value.problems == [
        "CreateTrainingJob.AlgorithmSpecification.TrainingInputMode is None, must be given",
        "CreateTrainingJob.RoleArn is None, must be given",
        "CreateTrainingJob.OutputDataConfig is None, must be given",
    ]

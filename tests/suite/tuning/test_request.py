"""The request of a tuning job, built with no AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.model import ServiceModel

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.tuning.request import TuningJob, build_request

ROLE_ARN = "arn:aws:iam::123456789012:role/sagemaker"
RANGES = [{"name": "mini_batch_size", "min_value": 500.0, "max_value": 600.0, "scaling_type": "Linear"}]


def arguments(**changes: Any) -> dict[str, Any]:
    return {
        "role_arn": ROLE_ARN,
        "output_s3_uri": "s3://bucket/output",
        "channels": [{"name": "train", "s3_uri": "s3://bucket/train"}, {"name": "test", "s3_uri": "s3://bucket/test"}],
        "algorithm": "kmeans",
        "objective_metric_name": "test:msd",
        "hyperparameters": {"k": 10.0, "feature_dim": 64},
        "integer_ranges": RANGES,
        **changes,
    }


@pytest.fixture
def build(
    service_model: ServiceModel, accepted_by_botocore: Callable[[str, dict[str, Any]], None]
) -> Callable[..., dict[str, Any]]:
    def make(region: str = "us-east-1", **changes: Any) -> dict[str, Any]:
        request = build_request(TuningJob(**arguments(**changes)), region=region, service_model=service_model)
        accepted_by_botocore("CreateHyperParameterTuningJob", {**request, "HyperParameterTuningJobName": "tune"})
        return request

    return make


def test_the_usual_request(build: Callable[..., dict[str, Any]]) -> None:
    request = build(categorical_ranges=[{"name": "init_method", "values": ["kmeans++", "random"]}], random_seed=7)
    assert request["HyperParameterTuningJobConfig"] == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"MetricName": "test:msd", "Type": "Minimize"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 10, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": {
            "IntegerParameterRanges": [
                {"Name": "mini_batch_size", "MinValue": "500", "MaxValue": "600", "ScalingType": "Linear"}
            ],
            "CategoricalParameterRanges": [{"Name": "init_method", "Values": ["kmeans++", "random"]}],
        },
        "TrainingJobEarlyStoppingType": "Off",
        "RandomSeed": 7,
    }
    definition = request["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"] == {"k": "10", "feature_dim": "64"}
    assert definition["AlgorithmSpecification"] == {
        "TrainingImage": "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1",
        "TrainingInputMode": "File",
    }
    assert definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] == "FullyReplicated"
    assert definition["ResourceConfig"] == {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 1,
        "VolumeSizeInGB": 30,
    }


def test_everything_of_the_configuration(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        strategy="Hyperband",
        hyperband_min_resource=1,
        hyperband_max_resource=9,
        max_training_jobs=20,
        max_parallel_training_jobs=4,
        max_tuning_runtime_seconds=600,
        completion_criteria={"best_objective_not_improving": {"max_number_of_training_jobs_not_improving": 5.0}},
        warm_start_parents=["first", "second"],
        warm_start_type="TransferLearning",
        autotune=True,
        auto_parameters=[{"name": "epochs", "value_hint": 3.0}],
        continuous_ranges=[{"name": "rate", "min_value": 0.001, "max_value": 0.1, "scaling_type": "Logarithmic"}],
        use_spot=True,
        max_wait_seconds=90000,
        checkpoint_s3_uri="s3://bucket/checkpoints",
        maximum_retry_attempts=2,
        environment={"MODE": "fast"},
        subnets=["subnet-1"],
        security_group_ids=["sg-1"],
        enable_network_isolation=True,
        extra_request={"hyper_parameter_tuning_job_config": {"training_job_early_stopping_type": None}},
    )
    config = request["HyperParameterTuningJobConfig"]
    assert config["StrategyConfig"] == {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}}
    assert config["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 20,
        "MaxParallelTrainingJobs": 4,
        "MaxRuntimeInSeconds": 600,
    }
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 5}}
    assert config["TuningJobCompletionCriteria"] == criteria
    assert "TrainingJobEarlyStoppingType" not in config
    assert config["ParameterRanges"]["AutoParameters"] == [{"Name": "epochs", "ValueHint": "3"}]
    assert config["ParameterRanges"]["ContinuousParameterRanges"][0]["MinValue"] == "0.001"
    assert request["WarmStartConfig"] == {
        "ParentHyperParameterTuningJobs": [
            {"HyperParameterTuningJobName": "first"},
            {"HyperParameterTuningJobName": "second"},
        ],
        "WarmStartType": "TransferLearning",
    }
    assert request["Autotune"] == {"Mode": "Enabled"}
    definition = request["TrainingJobDefinition"]
    assert definition["EnableManagedSpotTraining"] is True
    assert definition["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400, "MaxWaitTimeInSeconds": 90000}
    assert definition["CheckpointConfig"] == {"S3Uri": "s3://bucket/checkpoints"}
    assert definition["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert definition["Environment"] == {"MODE": "fast"}
    assert definition["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert definition["EnableNetworkIsolation"] is True


def test_several_definitions_differ_in_what_they_give(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        training_definitions=[
            {"name": "plain"},
            {
                "name": "trees",
                "algorithm": "xgboost",
                "algorithm_version": "1.7-1",
                "objective_metric_name": "validation:rmse",
                "hyperparameters": {"num_round": 20},
                "continuous_ranges": [{"name": "eta", "min_value": 0.1, "max_value": 0.5}],
            },
        ]
    )
    plain, trees = request["TrainingJobDefinitions"]
    assert "TrainingJobDefinition" not in request
    assert "ParameterRanges" not in request["HyperParameterTuningJobConfig"]
    assert (plain["DefinitionName"], trees["DefinitionName"]) == ("plain", "trees")
    assert plain["HyperParameterRanges"]["IntegerParameterRanges"][0]["Name"] == "mini_batch_size"
    assert trees["HyperParameterRanges"] == {
        "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.1", "MaxValue": "0.5"}]
    }
    assert trees["TuningObjective"] == {"MetricName": "validation:rmse", "Type": "Minimize"}
    assert "xgboost" in trees["AlgorithmSpecification"]["TrainingImage"]
    assert trees["StaticHyperParameters"] == {"num_round": "20"}


def test_script_mode_writes_choices_as_json(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        algorithm="sklearn",
        source_s3_uri="s3://bucket/sourcedir.tar.gz",
        entry_point="train.py",
        metric_definitions=[{"name": "loss", "regex": "loss=(.*)"}],
        objective_metric_name="loss",
        integer_ranges=[],
        categorical_ranges=[{"name": "kernel", "values": ["rbf", "linear"]}, {"name": "deep", "values": [True, 3]}],
    )
    ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"]["CategoricalParameterRanges"]
    assert [each["Values"] for each in ranges] == [['"rbf"', '"linear"'], ["true", "3"]]
    static = request["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["sagemaker_program"] == '"train.py"'


def test_a_grid_needs_no_number_of_jobs(build: Callable[..., dict[str, Any]]) -> None:
    request = build(
        strategy="Grid",
        max_training_jobs=0,
        integer_ranges=[],
        categorical_ranges=[{"name": "init_method", "values": ["kmeans++", "random"]}],
    )
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxParallelTrainingJobs": 1}


def test_china_has_images_roles_and_accounts_of_its_own(build: Callable[..., dict[str, Any]]) -> None:
    request = build("cn-northwest-1", role_arn="arn:aws-cn:iam::123456789012:role/sagemaker")
    definition = request["TrainingJobDefinition"]
    image = "387376663083.dkr.ecr.cn-northwest-1.amazonaws.com.cn/kmeans:1"
    assert definition["AlgorithmSpecification"]["TrainingImage"] == image
    assert definition["RoleArn"] == "arn:aws-cn:iam::123456789012:role/sagemaker"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective_metric_name": ""}, "objective_metric_name is '', must be given"),
        ({"objective_type": "Smallest"}, "Minimize"),
        ({"strategy": "Guess"}, "strategy is 'Guess', must be one of Bayesian, Random, Hyperband, Grid"),
        ({"integer_ranges": []}, "integer_ranges"),
        ({"integer_ranges": [{"name": "a", "min_value": 5, "max_value": 1}]}, r"min_value is 5, must be at most"),
        ({"integer_ranges": [{"name": "k", "min_value": 1, "max_value": 5}]}, "not in hyperparameters as well"),
        ({"integer_ranges": [{"name": "a", "minimum": 5}]}, "known keys are name, min_value, max_value"),
        ({"max_training_jobs": 0}, "max_training_jobs is 0, must be at least 1"),
        ({"max_parallel_training_jobs": 11}, "at most max_training_jobs, which is 10"),
        ({"hyperband_max_resource": 9}, "it is for the strategy Hyperband"),
        ({"strategy": "Hyperband", "early_stopping_type": "Auto"}, "early_stopping_type is 'Auto', must be Off"),
        ({"warm_start_parents": ["one"]}, "warm_start_type is '', must be given together with warm_start_parents"),
        ({"auto_parameters": [{"name": "a", "value_hint": "1"}]}, "left out without autotune"),
        ({"job_name": "a" * 33}, "1 to 32 letters"),
        ({"training_definitions": [{"algorithm": "xgboost"}]}, r"training_definitions\[0\].name is None"),
        ({"training_definitions": [{"name": "a", "instances": 3}]}, r"training_definitions\[0\].instances is 3"),
        (
            {"training_definitions": [{"name": "a", "instance_type": "large"}]},
            r"training_definitions\[0\]: instance_ty",
        ),
        ({"use_spot": False, "max_wait_seconds": 5}, "left out without use_spot"),
        ({"training_image": "image"}, "training_image is 'image', must be left out with algorithm"),
        ({"extra_request": {"Tags": [1]}}, "use tags"),
    ],
)
def test_wrong_arguments_are_named(service_model: ServiceModel, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_request(TuningJob(**arguments(**changes)), region="us-east-1", service_model=service_model)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"timeout_seconds": 7}, 7),
        ({"max_tuning_runtime_seconds": 600}, 600 + 3600),
        ({"max_training_jobs": 9, "max_parallel_training_jobs": 2, "max_runtime_seconds": 100}, 500 + 3600),
    ],
)
def test_the_deadline_follows_from_the_limits(changes: dict[str, Any], seconds: float) -> None:
    assert TuningJob(**arguments(**changes)).deadline_seconds == seconds

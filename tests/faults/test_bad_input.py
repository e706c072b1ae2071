"""Wrong arguments: each is named, with its value and what is allowed, and nothing is made."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker import components
from kfp_sagemaker.aws.errors import AwsCallError, ConfigurationError, InputError, KfpSagemakerError
from tests.faults.conftest import Stage, call

ROLE = "arn:aws:iam::000000000000:role/jobs"
# What each component needs at least.
LEAST: dict[str, dict[str, Any]] = {
    "batch_transform": {"model_name": "m", "input_s3_uri": "s3://bucket/in", "output_s3_uri": "s3://bucket/out"},
    "check_permissions": {},
    "check_violations": {"violations_s3_uri": "s3://bucket/constraint_violations.json"},
    "compare_predictions": {"predictions_s3_uris": ["s3://bucket/predictions"]},
    "create_model": {"role_arn": ROLE, "containers": [{"image": "image:1"}]},
    "create_monitoring_schedule": {"endpoint_name": "e", "role_arn": ROLE, "output_s3_uri": "s3://bucket/reports"},
    "delete_monitoring_schedule": {"schedule_name": "s"},
    "delete_resources": {"endpoint_names": ["e"]},
    "delete_resources_on_exit": {"status": dsl.PipelineTaskFinalStatus("SUCCEEDED", "run", "task", 0, "")},
    "deploy_endpoint": {"model_name": "m"},
    "endpoint_metrics": {"endpoint_name": "e"},
    "evaluate_model": {
        "test_s3_uri": "s3://bucket/test.csv",
        "output_s3_uri": "s3://bucket/evaluation",
        "problem_type": "binary_classification",
        "model_name": "m",
    },
    "export_training_metrics": {"bucket": "bucket", "job_name": "j"},
    "grant_model_access": {"endpoint_name": "e", "role_name": "r", "target_models": ["a/*"]},
    "invoke_endpoint": {"endpoint_name": "e", "rows": ["1"]},
    "list_captured_data": {"endpoint_name": "e"},
    "monitor_data_quality": {
        "endpoint_name": "e",
        "statistics_s3_uri": "s3://bucket/statistics.json",
        "constraints_s3_uri": "s3://bucket/constraints.json",
        "output_s3_uri": "s3://bucket/reports",
    },
    "process": {"role_arn": ROLE, "image_uri": "image:1"},
    "publish_models": {
        "model_data_urls": ["s3://bucket/a"],
        "target_models": ["a"],
        "destination_s3_uri": "s3://bucket/mme/",
    },
    "revoke_model_access": {"role_name": "r"},
    "run_glue_job": {"job_name": "j"},
    "run_state_machine": {"state_machine_arn": "arn:aws:states:us-east-1:000000000000:stateMachine:m"},
    "send_traffic": {"endpoint_name": "e", "rows": ["1"]},
    "split_dataset": {"input_s3_uri": "s3://bucket/in", "output_s3_uri": "s3://bucket/out"},
    "start_monitoring_schedule": {"schedule_name": "s"},
    "stop_monitoring_schedule": {"schedule_name": "s"},
    "suggest_baseline": {"dataset_s3_uri": "s3://bucket/train.csv", "output_s3_uri": "s3://bucket/baseline"},
    "train": {
        "role_arn": ROLE,
        "output_s3_uri": "s3://bucket/out",
        "channels": [{"name": "train", "s3_uri": "s3://bucket/in"}],
        "algorithm": "linear-learner",
    },
    "tune": {
        "role_arn": ROLE,
        "output_s3_uri": "s3://bucket/out",
        "channels": [{"name": "train", "s3_uri": "s3://bucket/in"}],
        "algorithm": "kmeans",
        "objective_metric_name": "test:msd",
        "hyperparameters": {"k": 10, "feature_dim": 64},
        "integer_ranges": [{"name": "mini_batch_size", "min_value": 500, "max_value": 600}],
    },
    "upload_source": {"files": {"a.py": "1"}, "s3_uri": "s3://bucket/code/"},
    "verify_bucket_access": {"s3_uri": "s3://bucket/prefix"},
    "verify_model_access": {
        "endpoint_name": "e",
        "role_arn": ROLE,
        "allowed_target_model": "a/1.tar.gz",
        "refused_target_model": "b/1.tar.gz",
        "rows": ["1,2"],
    },
    "wait_for_monitoring_execution": {"schedule_name": "s"},
}
# Any number is a seed.
NOT_COUNTS = {"seed", "random_seed"}


def wrong_values() -> list[tuple[str, str, Any]]:
    """For each component: its name, an argument and a value that argument must refuse, as its type and name tell."""
    found: list[tuple[str, str, Any]] = []
    for name in LEAST:
        for argument, parameter in inspect.signature(getattr(components, name).python_func).parameters.items():
            if parameter.annotation in (int, float) and argument not in NOT_COUNTS:
                found.append((name, argument, -7))
            elif argument.endswith("s3_uri"):
                found.append((name, argument, "s3:/bucket/key"))
            elif argument.endswith("s3_uris"):
                found.append((name, argument, ["s3:/bucket/key"]))
            elif argument.endswith("instance_type"):
                found.append((name, argument, "ml.m5.larg"))
            elif argument.endswith(("_name", "_name_prefix")) and argument != "objective_metric_name":
                found.append((name, argument, "wrong_name!"))
            elif argument.endswith("role_arn"):
                found.append((name, argument, "my-role"))
            elif argument == "tags":
                found.append((name, argument, {"aws:reserved": "1"}))
    return found


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS that nobody answers for: a component that called it would fail with another error."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)


def test_the_arguments_that_are_checked_are_found_by_their_types_and_names() -> None:
    assert LEAST.keys() == set(components.__all__), "a component is new or gone: say in LEAST what it needs at least"
    found = {(component, argument) for component, argument, _ in wrong_values()}
    assert found >= {("train", "job_name"), ("train", "instance_count"), ("deploy_endpoint", "initial_instance_count")}
    assert len(found) > 90


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(("component", "argument", "value"), wrong_values())
def test_every_wrong_argument_is_named_before_any_call(
    tmp_path: Path, component: str, argument: str, value: Any
) -> None:
    with pytest.raises(InputError) as caught:
        call(component, tmp_path, **{**LEAST[component], argument: value})
    shown = repr(value[0] if isinstance(value, list) else value)
    problems = [problem for problem in caught.value.problems if problem.startswith(argument)]
    assert problems, caught.value
    assert shown in problems[0] or argument == "tags"


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("component", LEAST)
def test_an_unknown_region_is_named_with_a_guess(tmp_path: Path, component: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown AWS region 'us-est-1': did you mean .*us-east-1"):
        call(component, tmp_path, **{**LEAST[component], "region": "us-est-1"})


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("component", "arguments", "problem"),
    [
        ("train", {"algorithm": "lineer-learner"}, "algorithm: 'lineer-learner' is no algorithm; did you mean linear-"),
        ("process", {"image_uri": "", "framework": "sklern"}, "framework: 'sklern' is no algorithm; did you mean skle"),
        (
            "create_model",
            {"containers": [{"algorithm": "xgbost"}]},
            "containers[0].algorithm: 'xgbost' is no algorithm; did you mean xgboost",
        ),
        ("train", {"role_arn": ""}, "role_arn is '', must be given"),
        ("process", {"role_arn": ""}, "role_arn is '', must be given"),
        ("create_model", {"role_arn": ""}, "role_arn is '', must be given"),
        (
            "train",
            {"channels": [{"name": "train", "s3_uri": "bucket/in"}]},
            "channels[0].s3_uri is 'bucket/in', must be an S3 URI such as s3://bucket/prefix",
        ),
        (
            "process",
            {"inputs": [{"s3_uri": "//in", "local_path": "/opt/ml/processing/in"}]},
            "inputs[0].s3_uri is '//in', must be an S3 URI",
        ),
        (
            "process",
            {"inputs": [{"s3_uri": "s3://bucket/in"}]},
            "inputs[0].local_path is '', must be a path of the conta",
        ),
        ("train", {"instance_count": "two"}, "instance_count is 'two', must be a number of at least 1"),
        ("train", {"hyperparameters": ["epochs"]}, "hyperparameters is ['epochs'], must be an object of names and"),
        ("train", {"hyperparameters": {"epochs": None}}, "hyperparameters.epochs is None, must be text, a finite num"),
        ("train", {"hyperparameters": {"rate": float("nan")}}, "hyperparameters.rate is nan, must be text, a finite"),
    ],
)
def test_what_is_wrong_inside_an_argument_is_named(
    tmp_path: Path, component: str, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        call(component, tmp_path, **{**LEAST[component], **arguments})
    assert len(caught.value.problems) == 1, caught.value
    assert caught.value.problems[0].startswith(problem)


@pytest.mark.usefixtures("nowhere")
def test_all_that_is_wrong_with_an_endpoint_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        call(
            "deploy_endpoint",
            tmp_path,
            endpoint_name="my_endpoint",
            model_name="my_model",
            initial_instance_count=-1,
            timeout_seconds=-1,
            autoscaling={"max_capacity": -1, "target_invocations_per_instance": 5},
            tags={"aws:x": "1"},
        )
    assert str(caught.value).startswith("deploy_endpoint: 6 invalid arguments:\n")


# What only AWS knows.


def missing_bucket_cases() -> dict[str, tuple[str, Callable[[Stage, str], dict[str, Any]]]]:
    """Component and arguments that name a bucket that does not exist."""

    def job(stage: Stage, **more: Any) -> dict[str, Any]:
        return {"role_arn": stage.role_arn, "job_name_prefix": stage.prefix, "timeout_seconds": 60, **more}

    def model(stage: Stage) -> str:
        stage.put("in/rows.csv", "1\n")
        return stage.create_model()

    def containers(uri: str) -> list[dict[str, Any]]:
        return [{"algorithm": "linear-learner", "model_data_url": uri}]

    return {
        "model output": ("train", lambda stage, uri: {"algorithm": "linear-learner", "output_s3_uri": uri}),
        "model archive": (
            "create_model",
            lambda stage, uri: {
                "role_arn": stage.role_arn,
                "model_name": stage.prefix,
                "containers": containers(uri + "/m.tar.gz"),
            },
        ),
        "transform input": (
            "batch_transform",
            lambda stage, uri: {
                "model_name": model(stage),
                "input_s3_uri": uri,
                "output_s3_uri": stage.uri("o"),
                "job_name_prefix": stage.prefix,
                "timeout_seconds": 60,
            },
        ),
        "transform output": (
            "batch_transform",
            lambda stage, uri: {
                "model_name": model(stage),
                "input_s3_uri": stage.uri("in/"),
                "output_s3_uri": uri,
                "job_name_prefix": stage.prefix,
                "timeout_seconds": 60,
            },
        ),
        "processing input": (
            "process",
            lambda stage, uri: job(
                stage,
                image_uri=stage.image(process="print(1)"),
                inputs=[{"s3_uri": uri, "local_path": "/opt/ml/processing/in"}],
            ),
        ),
        "processing output": (
            "process",
            lambda stage, uri: job(
                stage,
                image_uri=stage.image(process="print(1)"),
                outputs=[{"s3_uri": uri, "local_path": "/opt/ml/processing/out"}],
            ),
        ),
        "published models": (
            "publish_models",
            lambda stage, uri: {
                "model_data_urls": [stage.put("m.tar.gz", b"1")],
                "target_models": ["a.tar.gz"],
                "destination_s3_uri": f"{uri}/",
            },
        ),
        "rows": (
            "invoke_endpoint",
            lambda stage, uri: {"endpoint_name": "e", "input_s3_uri": uri + "/rows", "output_s3_uri": stage.uri("o")},
        ),
        "predictions": (
            "compare_predictions",
            lambda stage, uri: {"predictions_s3_uris": [f"{uri}/predictions.jsonl"]},
        ),
    }


@pytest.mark.parametrize("case", missing_bucket_cases())
def test_a_bucket_that_does_not_exist_is_named_and_nothing_goes_on(stage: Stage, case: str) -> None:
    component, arguments = missing_bucket_cases()[case]
    bucket = f"no-such-{stage.prefix}"
    given = arguments(stage, f"s3://{bucket}/x")
    before = stage.left()
    with pytest.raises(KfpSagemakerError, match=bucket) as caught:
        stage.call(component, **given)
    assert not isinstance(caught.value, InputError)
    left = stage.left()
    for kind in ("training", "processing", "transform"):  # a failed job's record is all there may be
        for name in left.pop(kind, []):
            description = getattr(stage.sagemaker, f"describe_{kind}_job")(**{f"{kind.title()}JobName": name})
            assert description[f"{kind.title()}JobStatus"] == "Failed"
    assert left == before


@pytest.mark.parametrize(
    ("component", "arguments"),
    [
        ("train", {"algorithm": "linear-learner", "instance_type": "ml.q99.large"}),
        ("deploy_endpoint", {"instance_type": "ml.q99.large"}),
    ],
)
def test_an_instance_type_aws_does_not_know_is_shown_beside_near_ones(
    stage: Stage, component: str, arguments: dict[str, Any]
) -> None:
    """A family newer than botocore passes the check of arguments, so that it is AWS that refuses."""
    if component == "deploy_endpoint":
        arguments = {**arguments, "model_name": stage.create_model(), "endpoint_name": stage.prefix}
    before = stage.left()
    with pytest.raises(AwsCallError, match=r"Value 'ml\.q99\.large' at .* and \d+ more\]") as caught:
        stage.call(component, **arguments)
    assert len(str(caught.value)) < 600
    assert stage.left() == before


def test_channels_without_objects_make_no_job(stage: Stage) -> None:
    empty = [{"name": "train", "s3_uri": stage.uri("in/nothing/")}]
    with pytest.raises(AwsCallError, match=f'No S3 objects found under S3 URL "{stage.uri("in/nothing/")}"'):
        stage.call("train", algorithm="linear-learner", channels=empty)
    assert stage.left() == {}


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        (
            {"predictor_type": "regressor", "mini_batch_size": "ten"},
            "The value 'ten' is not valid for the 'mini_batch_",
        ),
        (
            {"predictor_type": "regressor", "epochs": 1.5},
            "The value '1.5' is not valid for the 'epochs' hyperparameter",
        ),
        ({"predictor_type": "regressor", "mini_batchsize": 10}, "'mini_batchsize' was unexpected"),
        ({}, "predictor_type"),
    ],
)
def test_hyperparameters_the_algorithm_refuses_are_named(
    stage: Stage, hyperparameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(KfpSagemakerError, match=r"Reason: ClientError: ") as caught:
        stage.call("train", algorithm="linear-learner", hyperparameters=hyperparameters)
    assert reason in str(caught.value)


@pytest.mark.parametrize("component", ["train", "process", "create_model"])
def test_a_role_that_does_not_exist_is_named_and_nothing_is_made(
    open_stage: Callable[..., Stage], component: str
) -> None:
    stage = open_stage(auth=True)
    role = "arn:aws:iam::000000000000:role/gone"
    arguments = {
        "train": {"algorithm": "linear-learner"},
        "process": {"image_uri": stage.image(process="print(1)")},
        "create_model": {"containers": [{"image": stage.echo_image()}], "model_name": stage.prefix},
    }
    with pytest.raises(AwsCallError, match="role/gone"):
        stage.call(component, **{**arguments[component], "role_arn": role})
    assert stage.left() == {}


def test_a_role_sagemaker_may_not_assume_is_named(open_stage: Callable[..., Stage]) -> None:
    stage = open_stage(auth=True)
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = stage.emulator.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    with pytest.raises(AwsCallError, match="role/other"):
        stage.call("train", algorithm="linear-learner", role_arn=role)
    assert stage.left() == {}

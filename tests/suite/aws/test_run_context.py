from __future__ import annotations

import json
from typing import Any

import pytest

from kfp_sagemaker.aws.run_context import RunContext, current

RUN_ID = "0b5a7a32-6f1c-4d8e-9c37-1f2e3d4c5b6a"


def command_line(outputs: dict[str, Any], function: str = "train") -> list[str]:
    executor_input = json.dumps({"inputs": {}, "outputs": outputs})
    return ["executor_main", "--executor_input", executor_input, "--function_to_execute", function]


def artifact(uri: str) -> dict[str, Any]:
    return {
        "artifacts": {"model": {"artifacts": [{"uri": uri}]}},
        "outputFile": "/kfp/outputs/output_metadata.json",
    }


def test_outside_a_run_nothing_is_known() -> None:
    assert current({}, ["python", "notebook.py"]) == RunContext("", "", "")


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://bucket/v2/artifacts/housing/{RUN_ID}/train-2/5b1d3a52-0000-4000-8000-000000000000/model",
        f"minio://mlpipeline/v2/artifacts/housing/{RUN_ID}/train-2/model",
        f"s3://bucket/housing/{RUN_ID}/train-2/model",
    ],
)
def test_on_the_cluster_the_artifacts_tell(uri: str) -> None:
    assert current({}, command_line(artifact(uri))) == RunContext(RUN_ID, "housing", "train-2")


def test_on_the_cluster_a_step_without_artifacts_knows_its_run_from_the_pods_label() -> None:
    outputs = {"parameters": {"job": {"outputFile": "/kfp/outputs/job"}}}
    assert current({"KFP_RUN_ID": RUN_ID}, command_line(outputs)) == RunContext(RUN_ID, "", "train")
    environ = {"KFP_RUN_ID": RUN_ID, "KFP_SAGEMAKER_TASK_NAME": "train-3"}
    assert current(environ, command_line(outputs)).task_name == "train-3"


@pytest.mark.parametrize("kind", ["parameters", "artifacts", "neither"])
def test_under_kfp_local_every_output_tells(kind: str) -> None:
    root = "/home/me/local_outputs/housing-2026-11-22-10-20-30-123456/train-2"
    outputs: dict[str, Any] = {"outputFile": f"{root}/executor_output.json"}
    if kind == "parameters":
        outputs["parameters"] = {"job": {"outputFile": f"{root}/job"}}
    if kind == "artifacts":
        outputs |= artifact(f"{root}/model")
    assert current({}, command_line(outputs)) == RunContext("housing-2026-11-22-10-20-30-123456", "housing", "train-2")


def test_the_environment_overrides_what_was_found() -> None:
    environ = {
        "KFP_RUN_ID": "label",
        "KFP_SAGEMAKER_RUN_ID": "mine",
        "KFP_SAGEMAKER_PIPELINE_NAME": "pipeline",
        "KFP_SAGEMAKER_TASK_NAME": "task",
    }
    arguments = command_line(artifact(f"s3://bucket/housing/{RUN_ID}/train/model"))
    assert current(environ, arguments) == RunContext("mine", "pipeline", "task")


@pytest.mark.parametrize("text", ["{{$}}", "[]", "{", "null", '{"outputs": null}'])
def test_an_executor_input_that_says_nothing_is_no_error(text: str) -> None:
    assert current({}, ["executor_main", "--executor_input", text]) == RunContext()


def test_a_retried_pod_has_the_same_context() -> None:
    first = artifact(f"s3://bucket/housing/{RUN_ID}/train/11111111-0000-4000-8000-000000000000/model")
    second = artifact(f"s3://bucket/housing/{RUN_ID}/train/22222222-0000-4000-8000-000000000000/model")
    assert current({}, command_line(first)) == current({}, command_line(second))

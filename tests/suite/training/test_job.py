from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.errors import AwsCallError, InputError, JobFailedError
from kfp_sagemaker.training.component import train
from kfp_sagemaker.training.job import final_figures
from tests.suite.conftest import Account

TRAIN = """
import json, os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
rows = (base / "input/data/train/rows.csv").read_text()
parameters = json.loads((base / "input/config/hyperparameters.json").read_text())
for epoch in range(int(parameters["epochs"])):
    print(f"epoch={epoch} loss={1 / (epoch + 1)};", flush=True)
(base / "model/model.json").write_text(json.dumps({"rows": rows, "secret": os.environ["TOKEN"]}))
"""
LOSS = {"name": "loss", "regex": "loss=([0-9.]+);"}


class Step:
    """Calls the component's function the way KFP does, with artifacts in the test's folder."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.model = dsl.Model(name="model", uri=str(folder / "outputs/model"))
        self.metrics = dsl.Metrics(name="metrics", uri=str(folder / "outputs/metrics"))

    def run(self, script: str = TRAIN, **arguments: Any) -> Any:
        given = {
            "role_arn": self.account.role_arn,
            "output_s3_uri": self.account.uri("models"),
            "channels": [{"name": "train", "s3_uri": self.account.put("in/rows.csv", "1,2\n")}],
            "training_image": self.account.image(train=script),
            "hyperparameters": {"epochs": 3.0},
            "environment": {"TOKEN": "hunter2"},
            "metric_definitions": [LOSS],
            "timeout_seconds": 60,
        }
        return train.python_func(model=self.model, metrics=self.metrics, **{**given, **arguments})


@pytest.fixture
def step(account: Account, tmp_path: Path) -> Step:
    return Step(account, tmp_path)


def test_a_job_runs_to_its_end_and_is_reported(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = step.run(tags={"owner": "me"})
    description = step.account.sagemaker.describe_training_job(TrainingJobName=outputs.job_name)
    assert description["TrainingJobStatus"] == "Completed"
    assert outputs.model_data_url == description["ModelArtifacts"]["S3ModelArtifacts"]
    assert step.account.get(outputs.model_data_url)[:2] == b"\x1f\x8b"
    assert outputs.training_image == description["AlgorithmSpecification"]["TrainingImage"]
    assert outputs.billable_seconds == description["BillableTimeInSeconds"]
    tags = step.account.sagemaker.list_tags(ResourceArn=description["TrainingJobArn"])["Tags"]
    assert {"Key": "owner", "Value": "me"} in tags
    assert "epoch=2 loss=" in capsys.readouterr().out


def test_artifacts_are_small_files_with_references_and_no_secret(step: Step) -> None:
    uri = step.model.uri
    outputs = step.run()
    assert step.model.uri == uri
    assert step.model.metadata["job_name"] == outputs.job_name
    assert step.model.metadata["model_data_url"] == outputs.model_data_url
    assert step.model.metadata["training_job_arn"].endswith(f":training-job/{outputs.job_name}")
    assert "console_url" in step.model.metadata
    text = Path(step.model.path).read_text()
    assert json.loads(text)["TrainingJobName"] == outputs.job_name
    assert "hunter2" not in text
    assert step.metrics.metadata["loss"] == pytest.approx(1 / 3)
    assert step.metrics.metadata["billable_seconds"] == outputs.billable_seconds
    assert step.metrics.metadata["elapsed_seconds"] >= 0
    assert json.loads(Path(step.metrics.path).read_text()) == step.metrics.metadata
    json.dumps(step.model.metadata)  # the executor writes it as JSON


def test_a_failing_script_fails_the_step_with_its_own_words(step: Step) -> None:
    with pytest.raises(JobFailedError) as caught:
        step.run("print('reading rows', flush=True)\nraise ValueError('no rows at all')\n")
    assert "no rows at all" in str(caught.value)
    assert any("reading rows" in line for line in caught.value.log_lines)


def test_a_bucket_that_does_not_exist_is_one_clear_error(step: Step) -> None:
    missing = f"s3://{step.account.bucket}-missing/train"
    with pytest.raises((AwsCallError, JobFailedError), match=f"{step.account.bucket}-missing"):
        step.run(channels=[{"name": "train", "s3_uri": missing}])


def test_an_empty_channel_is_one_clear_error(step: Step) -> None:
    with pytest.raises((AwsCallError, JobFailedError), match="in/nothing"):
        step.run(channels=[{"name": "train", "s3_uri": step.account.uri("in/nothing")}])


def test_wrong_arguments_reach_no_aws(step: Step, account: Account) -> None:
    with pytest.raises(InputError, match="train: 2 invalid arguments"):
        step.run(instance_count=-1, role_arn="me", job_name=account.name)
    jobs = account.sagemaker.list_training_jobs(NameContains=account.name)["TrainingJobSummaries"]
    assert jobs == []


def test_the_compiled_step_runs_as_kubeflow_runs_it(account: Account, tmp_path: Path) -> None:
    """The program of the compiled component, started by KFP's executor in a process of its own."""
    outputs_folder = tmp_path / "outputs"
    parameters = {
        "role_arn": account.role_arn,
        "output_s3_uri": account.uri("models"),
        "channels": [{"name": "train", "s3_uri": account.put("in/rows.csv", "1,2\n")}],
        "training_image": account.image(train=TRAIN),
        "hyperparameters": {"epochs": 2.0},
        "environment": {"TOKEN": "x"},
        "metric_definitions": [LOSS],
        "job_name_prefix": account.name[:30],
    }
    defaults = {
        name: value.default
        for name, value in train.component_spec.inputs.items()
        if value.optional and value.default is not None
    }

    def artifact(name: str, schema: str) -> dict[str, Any]:
        runtime = {"name": name, "type": {"schemaTitle": schema}, "uri": str(outputs_folder / name), "metadata": {}}
        return {"artifacts": [runtime]}

    names = ("job_name", "model_data_url", "training_image", "billable_seconds")
    executor_input = {
        "inputs": {"parameterValues": {**defaults, **parameters}},
        "outputs": {
            "parameters": {name: {"outputFile": str(outputs_folder / name)} for name in names},
            "artifacts": {"model": artifact("model", "system.Model"), "metrics": artifact("metrics", "system.Metrics")},
            "outputFile": str(outputs_folder / "executor_output.json"),
        },
    }
    program = tmp_path / "ephemeral_component.py"
    program.write_text(train.component_spec.implementation.container.command[-1])
    arguments = ["--component_module_path", str(program), "--function_to_execute", "train"]
    done = subprocess.run(
        [sys.executable, "-m", "kfp.dsl.executor_main", *arguments, "--executor_input", json.dumps(executor_input)],
        env={**os.environ, **account.emulator.env, "_KFP_RUNTIME": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    written = json.loads((outputs_folder / "executor_output.json").read_text())
    job_name = written["parameterValues"]["job_name"]
    assert job_name.startswith(account.name[:20])
    assert account.sagemaker.describe_training_job(TrainingJobName=job_name)["TrainingJobStatus"] == "Completed"
    (metrics,) = written["artifacts"]["metrics"]["artifacts"]
    assert metrics["metadata"]["loss"] == pytest.approx(0.5)
    assert metrics["uri"] == str(outputs_folder / "metrics")


def test_of_a_metric_reported_twice_the_last_value_counts() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    description = {
        "FinalMetricDataList": [
            {"MetricName": "loss", "Value": 1.0, "Timestamp": start + timedelta(seconds=9)},
            {"MetricName": "loss", "Value": 2.0, "Timestamp": start},
        ],
        "BillableTimeInSeconds": 5,
        "CreationTime": start,
        "TrainingEndTime": start + timedelta(seconds=60),
    }
    assert final_figures(description) == {"loss": 1.0, "billable_seconds": 5.0, "elapsed_seconds": 60.0}

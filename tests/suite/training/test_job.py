from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker._component import RUN_ID_VARIABLE, TASK_NAME_VARIABLE
from kfp_sagemaker.aws.errors import AwsCallError, InputError, JobFailedError
from kfp_sagemaker.training.component import train
from kfp_sagemaker.training.job import final_figures
from tests.suite.conftest import Account
from tests.suite.step_process import StepProcess

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
        self.learning_curves = dsl.HTML(name="learning_curves", uri=str(folder / "outputs/learning_curves"))

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
        artifacts = {"model": self.model, "metrics": self.metrics, "learning_curves": self.learning_curves}
        return train.python_func(**artifacts, **{**given, **arguments})


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


def inputs(account: Account, script: str) -> dict[str, Any]:
    return {
        "role_arn": account.role_arn,
        "output_s3_uri": account.uri("models"),
        "channels": [{"name": "train", "s3_uri": account.put("in/rows.csv", "1,2\n")}],
        "training_image": account.image(train=script),
        "hyperparameters": {"epochs": 2.0},
        "environment": {"TOKEN": "x"},
        "metric_definitions": [LOSS],
        "job_name_prefix": account.name[:30].rstrip("-"),
    }


def jobs_of(account: Account, status: str = "") -> list[str]:
    given = {"StatusEquals": status} if status else {}
    prefix = account.name[:30].rstrip("-")
    answer = account.sagemaker.list_training_jobs(NameContains=prefix, **given)
    return [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]]


def test_the_compiled_step_runs_as_kubeflow_runs_it(account: Account, tmp_path: Path) -> None:
    written = StepProcess(train, tmp_path, account.emulator.env).run(**inputs(account, TRAIN))
    assert [written["parameterValues"]["job_name"]] == jobs_of(account, "Completed")
    (metrics,) = written["artifacts"]["metrics"]["artifacts"]
    assert metrics["metadata"]["loss"] == pytest.approx(0.5)
    assert metrics["uri"] == str(tmp_path / "outputs/metrics")


# Works until the test says that it may end.
PATIENT = """
import os, pathlib, time
print("working", flush=True)
while not pathlib.Path(os.environ["GATE"]).exists():
    time.sleep(0.02)
"""


def log_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the step ended before it said {text!r}")


def test_sigterm_stops_the_job_and_fails_the_step(account: Account, tmp_path: Path) -> None:
    step = StepProcess(train, tmp_path, account.emulator.env)
    given = {**inputs(account, PATIENT), "environment": {"GATE": str(tmp_path / "gate")}}
    with step.started(**given) as process:
        log_until(process, "working")
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode != 0
    (name,) = jobs_of(account)
    assert account.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("Stopping", "Stopped")


def test_a_killed_step_adopts_its_job_when_it_is_retried(account: Account, tmp_path: Path) -> None:
    run = {RUN_ID_VARIABLE: account.name, TASK_NAME_VARIABLE: "train"}
    step = StepProcess(train, tmp_path, {**account.emulator.env, **run})
    gate = tmp_path / "gate"
    given = {**inputs(account, PATIENT), "environment": {"GATE": str(gate)}}
    with step.started(**given) as process:
        log_until(process, "working")
        process.kill()
        process.wait()
    gate.touch()
    written = step.run(**given)
    assert jobs_of(account) == [written["parameterValues"]["job_name"]]


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

"""`tune` against the emulator: what it returns is what the training jobs did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker._component import RUN_ID_VARIABLE, TASK_NAME_VARIABLE
from kfp_sagemaker.aws.errors import JobFailedError
from kfp_sagemaker.training.component import train
from kfp_sagemaker.tuning.component import tune
from kfp_sagemaker.tuning.job import as_given_to_train
from tests.suite.conftest import Account

SCRIPT = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
if given.get("fails") == "yes":
    sys.exit("no such luck")
print(f"loss={(float(given['x']) - 3) ** 2 + (given['mode'] == 'bad')};", flush=True)
(base / "model/given.json").write_text(json.dumps(given))
"""
LOSS = {"name": "loss", "regex": "loss=(.*?);"}


class Step:
    """Calls the component's function the way KFP does, with artifacts in the test's folder."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.metrics = dsl.Metrics(name="metrics", uri=str(folder / "outputs/metrics"))
        self.report = dsl.HTML(name="report", uri=str(folder / "outputs/report.html"))

    def run(self, **arguments: Any) -> Any:
        given = {
            "role_arn": self.account.role_arn,
            "output_s3_uri": self.account.uri("models"),
            "channels": [],
            "training_image": self.account.image(train=SCRIPT),
            "metric_definitions": [LOSS],
            "objective_metric_name": "loss",
            "hyperparameters": {"size": 10.0},
            "continuous_ranges": [{"name": "x", "min_value": -5.0, "max_value": 5.0}],
            "categorical_ranges": [{"name": "mode", "values": ["good", "bad"]}],
            "max_training_jobs": 6,
            "max_parallel_training_jobs": 3,
            "random_seed": 5,
            "timeout_seconds": 120,
        }
        return tune.python_func(metrics=self.metrics, report=self.report, **{**given, **arguments})


@pytest.fixture
def step(account: Account, tmp_path: Path) -> Step:
    return Step(account, tmp_path)


def test_the_best_hyperparameters_train_as_they_are(step: Step, tmp_path: Path) -> None:
    outputs = step.run(tags={"owner": "me"})

    assert len(outputs.tuning_job_name) <= 32
    columns, rows = outputs.trials["columns"], outputs.trials["rows"]
    assert columns == ["training job", "status", "loss", "seconds", "mode", "x"]
    assert len(rows) == 6
    assert len({row[5] for row in rows}) == 6
    best = min(rows, key=lambda row: row[2])
    assert outputs.best_job_name == best[0]
    assert outputs.objective_value == pytest.approx((best[5] - 3) ** 2 + (best[4] == "bad"), rel=1e-4)
    assert outputs.best_hyperparameters.keys() == {"size", "x", "mode"}
    assert outputs.best_hyperparameters["size"] == "10"
    assert outputs.best_model_data_url == step.account.uri(f"models/{best[0]}/output/model.tar.gz")
    assert step.account.get(outputs.best_model_data_url)

    assert step.metrics.metadata["loss"] == outputs.objective_value
    assert step.metrics.metadata["completed_training_jobs"] == 6
    page = Path(step.report.path).read_text()
    for text in (outputs.best_job_name, "Objective over time", "Hyperparameters of the training jobs", "Bayesian"):
        assert text in page
    assert step.report.metadata["best_job_name"] == outputs.best_job_name

    trained = train.python_func(
        model=dsl.Model(name="model", uri=str(tmp_path / "outputs/model")),
        metrics=dsl.Metrics(name="metrics", uri=str(tmp_path / "outputs/train-metrics")),
        learning_curves=dsl.HTML(name="learning_curves", uri=str(tmp_path / "outputs/learning-curves")),
        role_arn=step.account.role_arn,
        output_s3_uri=step.account.uri("models"),
        channels=[],
        training_image=step.account.image(train=SCRIPT),
        hyperparameters=json.loads(json.dumps(outputs.best_hyperparameters)),
        metric_definitions=[LOSS],
        timeout_seconds=60,
    )
    description = step.account.sagemaker.describe_training_job(TrainingJobName=trained.job_name)
    assert description["HyperParameters"] == outputs.best_hyperparameters
    assert description["FinalMetricDataList"][0]["Value"] == pytest.approx(outputs.objective_value, rel=1e-5)


def test_a_retried_step_adopts_its_tuning_job(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_ID_VARIABLE, step.account.name)
    monkeypatch.setenv(TASK_NAME_VARIABLE, "tune")
    first, second = (step.run(max_training_jobs=3) for _ in range(2))
    assert first == second


def test_several_definitions_and_a_grid(step: Step) -> None:
    outputs = step.run(
        strategy="Grid",
        max_training_jobs=0,
        continuous_ranges=[],
        training_definitions=[
            {
                "name": "near",
                "categorical_ranges": [{"name": "x", "values": [3, 2]}],
                "hyperparameters": {"mode": "ok"},
            },
            {"name": "far", "categorical_ranges": [{"name": "x", "values": [9]}], "hyperparameters": {"mode": "bad"}},
        ],
    )
    assert outputs.trials["columns"][1] == "definition"
    assert sorted((row[1], row[5]) for row in outputs.trials["rows"]) == [("far", 9), ("near", 2), ("near", 3)]
    assert outputs.objective_value == 0
    assert outputs.best_hyperparameters == {"x": "3", "mode": "ok"}


def test_when_every_training_job_fails_their_logs_are_shown(step: Step) -> None:
    with pytest.raises(JobFailedError) as failed:
        step.run(hyperparameters={"fails": "yes"}, max_training_jobs=3)
    assert "All training jobs failed" in str(failed.value)
    assert "no such luck" in str(failed.value)


def test_what_sagemaker_and_script_mode_add_is_taken_away() -> None:
    described = {
        "_tuning_objective_metric": '"loss"',
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://bucket/source.tar.gz"',
        "sagemaker_container_log_level": "20",
        "sagemaker_region": '"us-east-1"',
        "sagemaker_parameter_server_enabled": "true",
        "kernel": '"rbf"',
        "depth": "3",
        "rate": "0.5",
        "plain": "text",
    }
    assert as_given_to_train(described) == {
        "sagemaker_parameter_server_enabled": True,
        "kernel": "rbf",
        "depth": 3,
        "rate": 0.5,
        "plain": "text",
    }
    assert as_given_to_train({"k": "10", "_tuning_objective_metric": "test:msd"}) == {"k": "10"}

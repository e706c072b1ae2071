"""The digits pipeline: its own steps, and the compiled YAML end to end through the command line."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.cli.account import prepare
from kfp_sagemaker.tuning.component import tune
from sagemaker_emulator.emulator import Emulator
from tests.pipelines.conftest import PIPELINES, FinishedRun

SOURCE = PIPELINES / "mnist_kmeans" / "pipeline.py"
CHINA = "cn-northwest-1"


@pytest.fixture(scope="module")
def pipeline() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mnist_kmeans_pipeline", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # kfp reads the source of components through their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepared(
    pipeline: ModuleType, emulator: Emulator, unique_name: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs the data step in a bucket of the test's own."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)

    def run(region: str = "us-east-1", **changes: Any) -> Any:
        prepare(open_session(region), unique_name, "", is_local=True)
        usual = {"data_url": "", "image": "", "static_parameters": {"k": 10.0}, "images_to_query": 5}
        return pipeline.prepare_digits.python_func(
            bucket=unique_name, prefix="digits", region=region, **{**usual, **changes}
        )

    return run


def test_the_data_step_says_what_the_others_need(prepared: Callable[..., Any]) -> None:
    outputs = prepared()
    train, test, valid, digits, *_, static, image, rows = outputs
    assert [uri.rpartition("/")[2] for uri in (train, test, valid, digits)] == [
        "train_data",
        "test_data",
        "valid_data.csv",
        "valid_digits.csv",
    ]
    assert static == {"k": 10.0, "feature_dim": 64}
    assert image == "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
    assert [len(row.split(",")) for row in rows] == [64] * 5


def test_an_image_that_is_given_is_taken(prepared: Callable[..., Any]) -> None:
    assert "mine:1" in prepared(image="mine:1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"static_parameters": {"feature_dim": 784}}, "feature_dim is 784, must be 64"),
        ({"images_to_query": 0}, "from 1"),
    ],
)
def test_wrong_arguments_are_refused(prepared: Callable[..., Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(**changes)


def test_in_china_everything_is_chinas(prepared: Callable[..., Any], emulator: Emulator, tmp_path: Path) -> None:
    train, test, *_, models, _, _, static, image, _ = prepared(CHINA)
    assert image == "387376663083.dkr.ecr.cn-northwest-1.amazonaws.com.cn/kmeans:1"
    role_arn = "arn:aws-cn:iam::000000000000:role/sagemaker"
    outputs = tune.python_func(
        metrics=dsl.Metrics(name="metrics", uri=str(tmp_path / "metrics")),
        report=dsl.HTML(name="report", uri=str(tmp_path / "report.html")),
        role_arn=role_arn,
        output_s3_uri=models,
        channels=[
            {"name": name, "s3_uri": uri, "content_type": "application/x-recordio-protobuf"}
            for name, uri in (("train", train), ("test", test))
        ],
        training_image=image,
        objective_metric_name="test:msd",
        hyperparameters=static,
        integer_ranges=[{"name": "mini_batch_size", "min_value": 500, "max_value": 600}],
        max_training_jobs=2,
        max_parallel_training_jobs=2,
        timeout_seconds=120,
        region=CHINA,
    )
    sagemaker = emulator.client("sagemaker", region=CHINA)
    job = sagemaker.describe_training_job(TrainingJobName=outputs.best_job_name)
    assert job["TrainingJobArn"].startswith(f"arn:aws-cn:sagemaker:{CHINA}:000000000000:training-job/")
    assert job["TuningJobArn"].startswith("arn:aws-cn:")
    assert job["RoleArn"] == role_arn


@pytest.mark.xdist_group("end_to_end")
@pytest.mark.timeout(400)
def test_the_compiled_pipeline_runs_end_to_end(mnist_run: FinishedRun) -> None:
    assert mnist_run.exit_code == 0, mnist_run.output
    steps = json.loads((mnist_run.folder / "steps.json").read_text())
    outputs = {step["step"]: step["outputs"] for step in steps}
    assert {step["status"] for step in steps} == {"succeeded"}

    trials = [
        dict(zip(outputs["tune"]["trials"]["columns"], row, strict=True)) for row in outputs["tune"]["trials"]["rows"]
    ]
    assert len(trials) == 5
    # The trials differ, in what was tried and in what came of it, and the best of them is what was trained with.
    assert len({(trial["mini_batch_size"], trial["extra_center_factor"], trial["init_method"]) for trial in trials}) > 1
    assert len({trial["test:msd"] for trial in trials}) > 1
    best = min(trials, key=lambda trial: trial["test:msd"])
    chosen = outputs["tune"]["best_hyperparameters"]
    assert outputs["tune"]["objective_value"] == pytest.approx(best["test:msd"], rel=1e-5)
    for name in ("mini_batch_size", "extra_center_factor", "init_method"):
        assert chosen[name] == str(best[name])
    assert (chosen["k"], chosen["feature_dim"]) == ("10", "64")

    assert outputs["report-clusters"]["purity"] > 0.5
    assert sum(row[1] for row in outputs["report-clusters"]["table"]["rows"]) == 179
    asked = outputs["invoke-endpoint"]
    assert (asked["invocation_count"] > 0, asked["failed_count"]) == (True, 0)
    assert len(asked["predictions"]) == 20
    report = (mnist_run.folder / "report.html").read_text()
    for text in ("Cluster centres", "Objective over time", "Hyperparameters of the training jobs"):
        assert text in report
    kinds = {deleted.partition("/")[0].partition(":")[0] for deleted in outputs["delete-resources-on-exit"]["deleted"]}
    assert {"endpoint", "endpoint-config", "model"} <= kinds

"""export_training_metrics: from a job to a CSV, a URL and a page, on the embedded AWS."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.engine import Timing
from kfp_sagemaker.aws.errors import InputError, ResourceMissingError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.metrics import export
from kfp_sagemaker.metrics.component import export_training_metrics
from kfp_sagemaker.metrics.fetching import fetch
from kfp_sagemaker.training.component import train
from tests.suite.conftest import Account

SCRIPT = """
import os, json, pathlib
for epoch in range(3):
    print(f"epoch={epoch} loss={1 / (epoch + 1)}; größe={epoch};", flush=True)
"""
DEFINITIONS = [{"name": "train:loss", "regex": "loss=([0-9.]+);"}, {"name": "größe, 大小", "regex": "größe=([0-9]+);"}]


class Exporter:
    """Runs the component's function the way KFP does."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.curves = dsl.HTML(name="curves", uri=str(folder / "curves"))
        self.metrics = dsl.Metrics(name="metrics", uri=str(folder / "metrics"))
        self._artifacts = {
            "model": dsl.Model(name="model", uri=str(folder / "model")),
            "metrics": dsl.Metrics(name="metrics", uri=str(folder / "train-metrics")),
            "learning_curves": dsl.HTML(name="learning_curves", uri=str(folder / "learning-curves")),
        }

    def train(self, job_name: str, script: str = SCRIPT, **arguments: Any) -> Path:
        """Train; returns the path of the learning curves."""
        given = {
            "metric_definitions": DEFINITIONS,
            "channels": [],
            "role_arn": self.account.role_arn,
            "output_s3_uri": self.account.uri("models"),
            "training_image": self.account.image(train=script),
            "timeout_seconds": 60,
        }
        train.python_func(job_name=job_name, **self._artifacts, **{**given, **arguments})
        return Path(self._artifacts["learning_curves"].path)

    def run(self, **arguments: Any) -> Any:
        return export_training_metrics.python_func(
            bucket=self.account.bucket, curves=self.curves, metrics=self.metrics, **arguments
        )

    def rows(self, outputs: Any) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.account.get(outputs.metrics_s3_uri).decode())))


@pytest.fixture
def exporter(account: Account, tmp_path: Path) -> Exporter:
    return Exporter(account, tmp_path)


def test_a_jobs_curves_reach_somebody_without_any_identity(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = exporter.account.name
    page = exporter.train(name, export_metrics=True).read_text()
    for text in ("Learning curves", "train:loss", "größe, 大小"):
        assert text in page

    outputs = exporter.run(job_name_prefix=name[:-3], job_status="Completed", prefix="team")
    assert outputs.job_name == name
    assert re.fullmatch(rf"s3://{name}/team/training-metrics/{name}_metrics_\d{{14}}\.csv", outputs.metrics_s3_uri)
    assert outputs.metric_names == ["größe, 大小", "train:loss"]
    rows = exporter.rows(outputs)
    assert set(rows[0]) == {"timestamp", "metric_name", "value"}
    assert exporter.metrics.metadata["train:loss"] == float(
        [row["value"] for row in rows if row["metric_name"] == "train:loss"][-1]
    )
    assert "train:loss" in Path(exporter.curves.path).read_text()

    assert outputs.url_s3_uri == f"s3://{name}/team/pre_url.txt"
    url = exporter.account.get(outputs.url_s3_uri).decode().strip()
    assert "X-Amz-Expires=7200" in url
    for secret in (url, "X-Amz-Signature"):
        for told in (*capfd.readouterr(), str(outputs), page, str(exporter.curves.metadata)):
            assert secret not in told
    for variable in exporter.account.emulator.env:
        monkeypatch.delenv(variable)
    frame = fetch(url)
    assert list(frame.columns) == ["timestamp", "metric_name", "value"]
    assert str(frame["timestamp"].dtype.tz) == "UTC"
    assert sorted(set(frame["metric_name"])) == outputs.metric_names
    assert len(frame) == len(rows)


def test_a_job_without_metrics_says_which_definitions_it_had(
    exporter: Exporter, capfd: pytest.CaptureFixture[str]
) -> None:
    exporter.train(exporter.account.name, script="print('accuracy is 1')")
    outputs = exporter.run(job_name=exporter.account.name)
    assert outputs.metric_names == []
    assert exporter.rows(outputs) == []
    log = capfd.readouterr().out
    page = Path(exporter.curves.path).read_text()
    for text in ("emitted no metrics", "train:loss = loss=([0-9.]+);"):
        assert text in log
        assert text in page
    assert fetch(exporter.account.get(outputs.url_s3_uri).decode().strip()).empty


def test_all_trials_of_a_tuning_job_go_into_one_file(exporter: Exporter) -> None:
    account = exporter.account
    name = account.name[-32:].strip("-")
    image = account.image(train="import os, json\nprint('loss=0.5;', flush=True)")
    account.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2"]}]},
        },
        TrainingJobDefinition={
            "RoleArn": account.role_arn,
            "AlgorithmSpecification": {
                "TrainingImage": image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
            },
            "OutputDataConfig": {"S3OutputPath": account.uri("models")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    )
    waiter = account.sagemaker.get_waiter("training_job_completed_or_stopped")
    trials: list[str] = []
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while len(trials) < 2 and datetime.now(UTC) < deadline:
        answer = account.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        trials = [each["TrainingJobName"] for each in answer["TrainingJobSummaries"]]
    for trial in trials:
        waiter.wait(TrainingJobName=trial, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    outputs = exporter.run(tuning_job_name=name)
    rows = exporter.rows(outputs)
    assert sorted(row["training_job_name"] for row in rows) == sorted(trials)
    assert exporter.metrics.metadata == {f"{trial}/loss": 0.5 for trial in trials}
    assert outputs.metrics_s3_uri.startswith(account.uri(f"training-metrics/{name}_metrics_"))


def test_what_does_not_exist_is_named(exporter: Exporter) -> None:
    with pytest.raises(ResourceMissingError, match="no-such-job"):
        exporter.run(job_name="no-such-job")
    with pytest.raises(ResourceMissingError, match="starts with 'no-such-prefix' is Completed"):
        exporter.run(job_name_prefix="no-such-prefix")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "job_name, job_name_prefix, tuning_job_name is [], must be exactly one of them"),
        ({"job_name": "a", "tuning_job_name": "b"}, "must be exactly one of them"),
        ({"job_name": "a", "job_status": "Done"}, "job_status is 'Done'"),
        ({"job_name": "a", "url_expires_seconds": 604_801}, "url_expires_seconds is 604801"),
        ({"job_name": "a", "url_key": "urls/"}, "url_key is 'urls/'"),
        ({"job_name": "a", "bucket": "s3://b"}, "bucket is 's3://b'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        export.build(**{"bucket": "bucket", **arguments})
    assert problem in str(caught.value)


class Late:
    """CloudWatch that shows a job's last point only at the third look."""

    def __init__(self, moments: list[float]) -> None:
        self._moments = moments
        self.looks = 0

    def get_paginator(self, operation: str) -> Late:
        self._operation = operation
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        if self._operation == "list_metrics":
            yield {"Metrics": []}
            return
        self.looks += 1
        shown = [datetime.fromtimestamp(moment, UTC) for moment in self._moments[: self.looks]]
        ids = [query["Id"] for query in request["MetricDataQueries"]]
        yield {"MetricDataResults": [{"Id": each, "Timestamps": shown, "Values": [1.0] * len(shown)} for each in ids]}


def test_the_last_points_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(variable, value)
    session = open_session("us-east-1")
    end = datetime.now(UTC) - timedelta(seconds=30)
    last = end.timestamp()
    late = Late([last - 600, last - 300, last])
    session._clients["cloudwatch"] = late
    description = {
        "TrainingJobName": "job",
        "TrainingJobStatus": "Completed",
        "CreationTime": end - timedelta(seconds=900),
        "TrainingEndTime": end,
        "AlgorithmSpecification": {},
        "FinalMetricDataList": [{"MetricName": "loss", "Value": 1.0, "Timestamp": end}],
    }
    slept: list[float] = []
    timing = Timing(now=lambda: sum(slept), sleep=slept.append)
    export.write_page(session, description, tmp_path / "page.html", timing=timing)
    assert late.looks == 3
    assert slept == [2.0, 3.0]
    assert capsys.readouterr().out.count("waiting") == 2

    late.looks = -100
    slept.clear()
    export.write_page(session, description, tmp_path / "page.html", timing=timing)
    assert sum(slept) == 180
    assert "WARNING: after 180 s CloudWatch still lacks the last points of loss of job" in capsys.readouterr().out

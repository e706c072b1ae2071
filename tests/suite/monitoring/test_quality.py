"""Baselines and analyses through the components, in the step and in processing jobs, on the emulator."""

from __future__ import annotations

import inspect
import json
import random
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.errors import ConfigurationError, DataError, InputError, JobFailedError, ResourceMissingError
from kfp_sagemaker.monitoring import window as windows
from kfp_sagemaker.monitoring.quality.component import monitor_data_quality, suggest_baseline
from kfp_sagemaker.monitoring.quality.data_quality import Query
from kfp_sagemaker.monitoring.quality.engines import EngineOptions
from tests.suite.conftest import Account

NOW = datetime.now(UTC).replace(microsecond=0)
START, END = windows.iso(NOW - timedelta(minutes=5)), windows.iso(NOW)
HEADER = "minutes,calls,plan"


def rows(count: int, *, shift: float = 0.0, seed: int = 1) -> list[str]:
    rng = random.Random(seed)  # noqa: S311 - rows, not secrets
    return [
        f"{rng.gauss(100, 10) + shift:.2f},{rng.randint(0, 9)},{rng.choice(['gold', 'blue'])}" for _ in range(count)
    ]


class Monitored:
    """A baseline, and captured data, in a test's bucket."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.folder = folder
        self.role = {"role_arn": account.role_arn}
        self.captured_s3_uri = account.uri("capture/prices")

    def baseline(self, content: str | None = None, **arguments: Any) -> Any:
        text = "\n".join([HEADER, *rows(500)]) + "\n" if content is None else content
        given = {
            "dataset_s3_uri": self.account.put("train/rows.csv", text),
            "output_s3_uri": self.account.uri("baseline"),
            "region": "us-east-1",
            **arguments,
        }
        return suggest_baseline.python_func(report=self._page("baseline"), **given)

    def capture(
        self, lines: list[str], *, minutes_ago: float = 1, name: str = "a", answer: str = "0.5", **more: Any
    ) -> None:
        moment = NOW - timedelta(minutes=minutes_ago)
        records = [
            {
                "captureData": {
                    "endpointInput": {
                        "observedContentType": "text/csv",
                        "mode": "INPUT",
                        "data": line,
                        "encoding": "CSV",
                    },
                    "endpointOutput": {
                        "observedContentType": "text/csv",
                        "mode": "OUTPUT",
                        "data": answer,
                        "encoding": "CSV",
                    },
                },
                "eventMetadata": {"eventId": "e", "inferenceTime": windows.iso(moment), **more},
                "eventVersion": "0",
            }
            for line in lines
        ]
        text = "".join(json.dumps(record) + "\n" for record in records)
        self.account.put(f"capture/prices/AllTraffic/{moment:%Y/%m/%d/%H}/{name}.jsonl", text)

    def monitor(self, baseline: Any, **arguments: Any) -> Any:
        self.metrics = dsl.Metrics(uri=str(self.folder / "metrics"))
        given = {
            "statistics_s3_uri": baseline.statistics_s3_uri,
            "constraints_s3_uri": baseline.constraints_s3_uri,
            "output_s3_uri": self.account.uri("reports"),
            "captured_s3_uri": self.captured_s3_uri,
            "capture": ["Input"],
            "start_time": START,
            "end_time": END,
            "region": "us-east-1",
            **arguments,
        }
        return monitor_data_quality.python_func(report=self._page("monitor"), metrics=self.metrics, **given)

    def page(self, name: str) -> str:
        return (self.folder / f"{name}.html").read_text()

    def _page(self, name: str) -> Any:
        return dsl.HTML(uri=str(self.folder / f"{name}.html"))


@pytest.fixture
def monitored(account: Account, tmp_path: Path) -> Monitored:
    return Monitored(account, tmp_path)


def test_the_work_has_the_faces_arguments_and_defaults() -> None:
    shared = {item.name for item in fields(EngineOptions)}
    own = {"report", "metrics", "region", "assume_role_arn"}
    face = inspect.signature(suggest_baseline.python_func).parameters
    assert set(face) - own - {"dataset_s3_uri", "output_s3_uri", "dataset_format", "monitoring_config"} == shared
    face = inspect.signature(monitor_data_quality.python_func).parameters
    assert set(face) - own == shared | {item.name for item in fields(Query)}


@pytest.mark.parametrize("engine", ["step", "managed", "image"])
def test_every_engine_suggests_and_compares(monitored: Monitored, engine: str) -> None:
    account = monitored.account
    where: dict[str, Any] = {"engine": engine}
    if engine != "step":
        where |= monitored.role | {"timeout_seconds": 120}
    if engine == "image":
        program = "import runpy; runpy.run_module('kfp_sagemaker.monitoring.analyzer', run_name='__main__')"
        where["image_uri"] = account.image(process=program)
    baseline = monitored.baseline(**where)
    assert baseline.item_count == 500
    assert bool(baseline.job_name) == (engine != "step")
    monitored.capture(rows(100, shift=30, seed=2))
    found = monitored.monitor(baseline, **where)
    assert (found.status, found.violated_features, found.item_count) == ("CompletedWithViolations", ["minutes"], 100)
    assert json.loads(account.get(found.violations_s3_uri))["violations"][0]["feature_name"] == "minutes"
    assert found.exit_message.startswith("CompletedWithViolations")
    assert "minutes" in monitored.page("monitor")
    assert monitored.metrics.metadata["violation_count"] == 1
    expected = account.uri(f"reports/prices/{NOW:%Y/%m/%d/%H-%M-%S}/")
    assert found.statistics_s3_uri == expected + "statistics.json"
    # The very same data against its own baseline.
    monitored.capture(rows(100, seed=3))
    assert monitored.monitor(baseline, **where).status == "Completed"


def test_thresholds_are_set_with_the_baseline(monitored: Monitored) -> None:
    baseline = monitored.baseline(monitoring_config={"distribution_constraints": {"comparison_threshold": 0.95}})
    config = json.loads(monitored.account.get(baseline.constraints_s3_uri))["monitoring_config"]
    assert config["distribution_constraints"]["comparison_threshold"] == 0.95
    assert config["distribution_constraints"]["perform_comparison"] == "Enabled"
    monitored.capture(rows(100, shift=5))
    assert monitored.monitor(baseline).violation_count == 0


def test_a_target_model_is_analysed_by_itself(monitored: Monitored) -> None:
    baseline = monitored.baseline()
    monitored.capture(rows(100, seed=2), targetModel="calm.tar.gz")
    monitored.capture(rows(100, seed=2, shift=30), name="b", customAttributes=["TargetModel=drifting.tar.gz"])
    calm, drifting = (monitored.monitor(baseline, target_model=name) for name in ("calm.tar.gz", "drifting.tar.gz"))
    assert (calm.violated_features, calm.item_count) == ([], 100)
    assert (drifting.violated_features, drifting.item_count) == (["minutes"], 100)
    assert "/reports/prices/drifting/" in drifting.report_s3_uri
    with pytest.raises(DataError, match=r"absent\.tar\.gz"):
        monitored.monitor(baseline, target_model="absent.tar.gz")


def test_only_the_window_counts(monitored: Monitored) -> None:
    baseline = monitored.baseline()
    monitored.capture(rows(50, shift=50), minutes_ago=7, name="before")
    monitored.capture(rows(50, shift=50), minutes_ago=0, name="at-the-end")
    monitored.capture(rows(100, seed=2), minutes_ago=1)
    assert monitored.monitor(baseline).item_count == 100


def test_an_answer_comes_before_the_request(monitored: Monitored) -> None:
    baseline = monitored.baseline(
        "\n".join(["price," + HEADER, *(f"{i % 7}.5,{row}" for i, row in enumerate(rows(500)))])
    )
    monitored.capture(rows(100, seed=2), answer="900.5")
    assert monitored.monitor(baseline, capture=["Input", "Output"]).violated_features == ["price"]


def test_a_window_without_captures_is_said(monitored: Monitored) -> None:
    baseline = monitored.baseline()
    with pytest.raises(
        DataError, match=rf"endpoint prices: nothing was captured from {START} to {END}, looked below s3"
    ):
        monitored.monitor(baseline)


def test_no_report_is_left_of_data_that_cannot_be_read(monitored: Monitored) -> None:
    baseline = monitored.baseline()
    monitored.capture(["1,2,gold", "1,2"])
    with pytest.raises(DataError, match=r"a\.jsonl line 2"):
        monitored.monitor(baseline)
    listed = monitored.account.s3.list_objects_v2(Bucket=monitored.account.bucket, Prefix="reports/")
    assert listed["KeyCount"] == 0


def test_a_job_that_cannot_read_the_data_fails_with_the_analyzers_words(monitored: Monitored) -> None:
    baseline = monitored.baseline()
    monitored.capture(["1,2,gold", "1,2"])
    with pytest.raises(JobFailedError, match=r"a\.jsonl line 2"):
        monitored.monitor(baseline, engine="managed", timeout_seconds=120, **monitored.role)


def test_a_baseline_that_is_not_there_is_named(monitored: Monitored) -> None:
    monitored.capture(rows(10))
    missing = type(
        "Baseline", (), dict.fromkeys(("statistics_s3_uri", "constraints_s3_uri"), monitored.account.uri("x.json"))
    )
    with pytest.raises((ResourceMissingError, DataError), match=r"x\.json"):
        monitored.monitor(missing)


@pytest.mark.parametrize("content", ["", HEADER + "\n"])
def test_a_training_set_without_rows_makes_no_baseline(monitored: Monitored, content: str) -> None:
    with pytest.raises(DataError):
        monitored.baseline(content)
    listed = monitored.account.s3.list_objects_v2(Bucket=monitored.account.bucket, Prefix="baseline/")
    assert listed["KeyCount"] == 0


def test_a_step_without_the_analyzers_libraries_says_what_is_missing(
    monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("kfp_sagemaker.monitoring.analyzer.")]:
        if not name.endswith(".options"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("kfp_sagemaker.monitoring.analyzer.analysis", raising=False)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(
        ConfigurationError, match=r"needs the package polars: use an image with kfp-sagemaker\[monitoring\]"
    ):
        monitored.baseline()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"engine": "spark"}, "engine is 'spark', must be one of step, image, managed"),
        ({"engine": "managed"}, "role_arn is '', must be given"),
        (
            {"engine": "image", "role_arn": "arn:aws:iam::000000000000:role/r"},
            "image_uri is '', must be given for engine",
        ),
        ({"engine": "step", "image_uri": "x"}, "image_uri is 'x', must be left out, because engine 'step'"),
        ({"engine": "managed", "image_uri": "x"}, "image_uri is 'x', must be left out for engine 'managed'"),
        ({"target_model": "a", "engine": "managed"}, "AWS's container knows no multi-model endpoints"),
        (
            {"environment": {"output_path": "x"}, "engine": "managed"},
            "environment.output_path is 'x', must be left out",
        ),
        ({"capture": ["Both"]}, "capture is ['Both'], must be a list of Input, Output or both"),
        ({"publish_cloudwatch_metrics": True, "engine": "image"}, "publish_cloudwatch_metrics is True, must be false"),
        ({"subnets": ["subnet-1"]}, "security_group_ids is [], must be given together with subnets"),
    ],
)
def test_wrong_arguments_are_named(monitored: Monitored, arguments: dict[str, Any], problem: str) -> None:
    baseline = type("Baseline", (), dict.fromkeys(("statistics_s3_uri", "constraints_s3_uri"), "s3://bucket/x.json"))
    with pytest.raises(InputError) as caught:
        monitored.monitor(baseline, **arguments)
    assert any(problem in found for found in caught.value.problems), caught.value

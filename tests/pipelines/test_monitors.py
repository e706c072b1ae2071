"""The monitoring pipelines: their steps' own code, and the compiled YAML end to end through the command line."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import InputError
from tests.pipelines.conftest import FinishedRun
from tests.suite.conftest import Account, account  # noqa: F401 - a fixture

FOLDER = Path(__file__).parents[2] / "pipelines"


def load(pipeline: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{pipeline}_{name}", FOLDER / pipeline / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # kfp reads the source of components through their module
    spec.loader.exec_module(module)
    return module


def outputs_of(run: FinishedRun) -> dict[str, list[dict[str, Any]]]:
    """The outputs of each step by its name; a step of a loop has several."""
    assert run.exit_code == 0, run.output
    steps = json.loads((run.folder / "steps.json").read_text())
    assert {step["status"] for step in steps} == {"succeeded"}
    found: dict[str, list[dict[str, Any]]] = {}
    for step in steps:
        found.setdefault(step["step"].rpartition("/")[2], []).append(step["outputs"])
    return found


@pytest.fixture(scope="module")
def churn() -> ModuleType:
    return load("churn_monitor", "pipeline")


def rows_of(account: Account, uri: str) -> list[list[str]]:  # noqa: F811
    return [line.split(",") for line in account.get(uri).decode().splitlines()]


def test_customers_are_seeded_split_and_leave_about_as_often_as_they_should(
    churn: ModuleType,
    account: Account,  # noqa: F811
) -> None:
    def generate(prefix: str, seed: int) -> Any:
        return churn.generate_customers.python_func(
            s3_uri=account.uri(prefix), customers=2000, seed=seed, region="us-east-1"
        )

    first, again, other = generate("first", 1), generate("again", 1), generate("other", 2)
    train, validation = (rows_of(account, f"{uri}customers.csv") for uri in first[:2])
    baseline, traffic = (rows_of(account, uri) for uri in first[2:])

    assert (len(train), len(validation), len(baseline), len(traffic)) == (1400, 400, 1401, 201)
    assert 0.12 < sum(int(row[0]) for row in train) / len(train) < 0.18
    assert baseline[0] == traffic[0]
    assert {"account_length", "area_code", "day_minutes", "customer_service_calls"} <= set(baseline[0])
    assert [row[1:] for row in train] == baseline[1:], "the baseline is the training set without its label"
    assert {len(row) for row in train} == {len(baseline[0]) + 1}
    assert train == rows_of(account, f"{again[0]}customers.csv")
    assert train != rows_of(account, f"{other[0]}customers.csv")


def test_too_few_customers_are_refused(churn: ModuleType) -> None:
    with pytest.raises(InputError, match="customers is 3, must be a number from 200"):
        churn.generate_customers.python_func(s3_uri="s3://bucket/x", customers=3)


def test_the_preprocessor_of_the_schedule_leaves_the_answer_out() -> None:
    class Side:
        def __init__(self, data: str) -> None:
            self.data = data

    class Record:
        endpoint_input = Side("1.5,yes,\n")
        endpoint_output = Side("0.9")

    row = load("churn_monitor", "leave_out_answers").preprocess_handler(Record())
    assert list(row.values()) == ["1.5", "yes", ""]
    assert sorted(row) == list(row)


def test_drift_of_a_location_there_is_not_is_refused() -> None:
    plan = load("housing_monitor", "pipeline").plan_monitoring.python_func
    with pytest.raises(InputError, match="drift is 'Boston_MA', must be one of A_NY"):
        plan(
            datasets=[{"location": "A_NY"}],
            regressor_urls=[],
            preprocessor_url="",
            source_s3_uri="",
            sklearn_version="",
            bucket="b",
            prefix="p",
            drift={"Boston_MA": []},
        )


@pytest.mark.xdist_group("end_to_end")
@pytest.mark.timeout(400)
def test_churn_monitor_finds_the_declared_drift_and_nothing_else(churn_run: FinishedRun) -> None:
    outputs = outputs_of(churn_run)
    drifted = ["customer_service_calls", "day_minutes", "international_minutes"]
    clean, changed, scheduled = (
        outputs["check-violations"],
        outputs["check-violations-2"],
        outputs["check-violations-3"],
    )
    assert clean[0]["violation_count"] == 0
    for check in (changed, scheduled):
        assert sorted(check[0]["violated_features"]) == drifted
    (execution,) = outputs["wait-for-monitoring-execution"]
    assert execution["status"] == "CompletedWithViolations"
    assert execution["explanation"].startswith("CompletedWithViolations: the data was analysed and violates")
    assert {uri.rpartition("/")[2] for uri in execution["report_s3_uris"]} >= {
        "statistics.json",
        "constraint_violations.json",
    }
    for step in ("list-captured-data", "list-captured-data-2"):
        assert outputs[step][0]["record_count"] == 120
        assert outputs[step][0]["samples"][0]["input"]
    report = (churn_run.folder / "report.html").read_text()
    for feature in drifted:
        assert feature in report
    kinds = {name.partition("/")[0] for name in outputs["delete-resources-on-exit"][0]["deleted"]}
    assert kinds == {"endpoint", "endpoint-config", "model"}, "the schedule is gone by then"


@pytest.mark.xdist_group("end_to_end")
@pytest.mark.timeout(400)
def test_housing_monitor_finds_the_drift_of_each_model_by_itself(housing_monitor_run: FinishedRun) -> None:
    outputs = outputs_of(housing_monitor_run)
    found = {
        analysis["report_s3_uri"].split("/reports/")[1].split("/")[1]: analysis["violated_features"]
        for analysis in outputs["monitor-data-quality"]
    }
    assert found == {"Chicago_IL": [], "Houston_TX": ["square_feet", "deck"]}
    assert {analysis["item_count"] for analysis in outputs["monitor-data-quality"]} == {120}

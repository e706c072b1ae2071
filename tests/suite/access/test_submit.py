"""``kfp-sagemaker submit`` against the endpoints of Kubeflow Pipelines that the kfp client calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kfp_sagemaker.cli import submit
from kfp_sagemaker.cli.main import main
from tests.suite.access.conftest import KubernetesApi
from tests.suite.access.kubeflow_api import KubeflowApi

PIPELINES = Path(__file__).parents[3] / "pipelines"
NEEDED = ("-p", "bucket=b", "-p", "role_arn=arn:aws:iam::111122223333:role/r")


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowApi]:
    monkeypatch.setattr(submit, "POLL_SECONDS", 0.0)
    api = KubeflowApi()
    yield api
    api.stop()


def run(api: KubeflowApi, *arguments: str) -> Result:
    given = ["submit", "housing_mme", "--host", api.url, "--pipelines-dir", str(PIPELINES), *arguments]
    return CliRunner().invoke(main, given)


def task(name: str, state: str, **more: Any) -> dict[str, Any]:
    times = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:42Z"}
    return {"task_id": name, "display_name": name, "state": state, **times, **more}


def look(state: str, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"state": state, "run_details": {"task_details": list(tasks)}, **more}


def test_a_run_is_started_with_its_arguments_and_linked(kubeflow: KubeflowApi) -> None:
    done = run(kubeflow, *NEEDED, "-p", "seed=7", "--experiment", "prices", "--service-account", "kfp-sagemaker")

    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:2] == [
        f"Experiment  {kubeflow.url}/#/experiments/details/experiment-1",
        f"Run         {kubeflow.url}/#/runs/details/run-1",
    ]
    assert list(kubeflow.experiments) == ["prices"]
    (body,) = kubeflow.runs
    assert body["runtime_config"]["parameters"]["seed"] == 7
    assert body["service_account"] == "kfp-sagemaker"
    executors = body["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {each["secretAsEnv"][0]["optional"] for each in executors.values()} == {True}


def test_watching_shows_each_step_once_and_the_outcome(kubeflow: KubeflowApi) -> None:
    kubeflow.failures = 2  # the API server is away for a moment
    kubeflow.looks = [
        look("RUNNING", task("train-driver", "RUNNING"), task("train", "RUNNING")),
        look("RUNNING", task("train-driver", "SUCCEEDED"), task("train", "RUNNING")),
        look("SUCCEEDED", task("train", "SUCCEEDED"), task("executor", "SUCCEEDED")),
    ]

    done = run(kubeflow, *NEEDED, "--watch")

    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if "train" in line] == ["… train", "✓ train  42 s"]
    assert done.output.splitlines()[-1] == "Succeeded."


def test_a_failed_step_is_shown_with_its_reason(kubeflow: KubeflowApi) -> None:
    failed = task(
        "train", "FAILED", error={"code": 2, "message": "training job x failed: AlgorithmError"}, pod_name="p1"
    )
    kubeflow.looks = [look("RUNNING", task("train", "RUNNING")), look("FAILED", failed)]

    done = run(kubeflow, *NEEDED, "--watch")

    assert done.exit_code == 1
    assert "training job x failed: AlgorithmError" in done.output
    assert "p1" in done.output
    assert "Failed." in done.output


def test_a_recurring_run_has_its_schedule(kubeflow: KubeflowApi) -> None:
    done = run(kubeflow, *NEEDED, "--recurring", "0 0 6 * * *")

    assert done.exit_code == 0, done.output
    assert "recurringrun/details/recurring-1" in done.output
    assert kubeflow.recurring_runs[0]["trigger"]["cron_schedule"]["cron"] == "0 0 6 * * *"


def test_missing_arguments_and_a_wrong_address_are_one_line(kubeflow: KubeflowApi) -> None:
    missing = run(kubeflow)
    assert missing.exit_code == 1
    assert "needs -p bucket=..., -p role_arn=..." in missing.output
    assert kubeflow.runs == []
    wrong = CliRunner().invoke(
        main, ["submit", "housing_mme", "--host", "http://127.0.0.1:1", "--pipelines-dir", str(PIPELINES), *NEEDED]
    )
    assert wrong.exit_code == 1
    assert "cannot reach Kubeflow Pipelines at http://127.0.0.1:1" in wrong.output


def test_a_required_secret_is_looked_at_before_anything_is_started(
    kubeflow: KubeflowApi, kubernetes_api: KubernetesApi
) -> None:
    done = run(kubeflow, *NEEDED, "--credentials", "secret", "-n", "team")

    assert done.exit_code == 1
    assert "Secret aws-secret in namespace team: is missing" in done.output
    assert kubeflow.runs == []

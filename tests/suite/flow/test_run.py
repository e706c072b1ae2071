"""A flow run by Step Functions on the embedded AWS: its jobs, its endpoint, its gates, and what a second run reuses."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.cli.flow import flow_group
from kfp_sagemaker.flow import result
from kfp_sagemaker.flow.result import FlowResult
from sagemaker_emulator.emulator import Emulator

FLOW = """\
version: 1
name: {name}
data:
  source: data.csv
  channels:
    train: {{path: train/}}
    test: {{path: test/}}
preprocessing:
  step:
    component: split_dataset
    arguments: {{train_fraction: 0.7, validation_fraction: 0, test_fraction: 0.3}}
training:
  algorithm: {{name: xgboost, version: 1.7-1}}
  hyperparameters: {{objective: "binary:logistic", num_round: 5, seed: 0}}
evaluation: {{problem_type: binary_classification, data: test}}
gates:
  - {{metric: auc, at_least: {gate}}}
  - {{metric: log_loss, no_worse_than_main_by: 0.01}}
deployment: {{endpoint_name: {name}, instance_type: ml.m5.large}}
"""


@pytest.fixture
def flow(tmp_path: Path, emulator: Emulator, unique_name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flow with its data; the command finds the running embedded AWS in the environment."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    chance = random.Random(1)  # noqa: S311 - reproducible, not secret
    rows = []
    for _ in range(200):
        first, second = chance.gauss(0, 1), chance.gauss(0, 1)
        rows.append(f"{int(first > second + chance.gauss(0, 0.5))},{first:.3f},{second:.3f}")
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW.format(name=f"f{unique_name[-8:]}", gate=0.6))
    return path


def run(path: Path, folder: str, *options: str) -> tuple[int, FlowResult, str]:
    run_dir = path.parent / folder
    arguments = ["run", str(path), "--engine", "stepfunctions", "--commit", "c0ffee", "--run-dir", str(run_dir)]
    done = CliRunner().invoke(flow_group, [*arguments, *options])
    assert (run_dir / result.RESULT_FILE).exists(), done.output
    return done.exit_code, result.read(run_dir), done.output


@pytest.mark.timeout(180)
def test_a_flow_runs_once_for_a_commit_and_fails_at_its_gate(flow: Path) -> None:
    code, first, _ = run(flow, "first", "--branch", "main")
    assert (code, first.status, first.failure_reason) == (0, "Succeeded", "")
    assert first.metrics["auc"] > 0.8
    assert [(job.kind, job.reused) for job in first.jobs] == [
        ("processing", False),
        ("training", False),
        ("transform", False),
        ("processing", False),
        ("endpoint", False),
    ]
    assert first.model_data_url.endswith("/output/model.tar.gz")
    assert first.learning_curve
    endpoint = flow.read_text().split("endpoint_name: ")[1].split(",")[0]
    client = open_session("us-east-1").client("sagemaker-runtime")
    answer = client.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body="1.0,-1.0")
    assert float(answer["Body"].read()) > 0.5

    # The same commit: nothing is made again, and main's metrics are there to be held against.
    code, second, _ = run(flow, "second")
    assert code == 0
    assert all(job.reused for job in second.jobs)
    assert second.metrics == first.metrics == second.main_metrics

    # A gate that cannot be passed: the jobs' results are taken, the deployment is not reached.
    flow.write_text(flow.read_text().replace("at_least: 0.6", "at_least: 1.1"))
    code, third, output = run(flow, "third")
    assert (code, third.status) == (1, "Failed")
    assert f"auc {first.metrics['auc']:.6g} must be at least 1.1, missed by" in output
    assert "Find Train: entered" in output
    assert "Create endpoint: entered" not in output
    assert [gate.passed for gate in third.gates] == [False, True]

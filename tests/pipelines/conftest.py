"""One run of each pipeline, which several tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parents[2] / "pipelines"


@dataclass(frozen=True)
class FinishedRun:
    """A run of the command line, at its end.

    Attributes:
        exit_code: The command's.
        output: What it printed.
        folder: The run's folder.
    """

    exit_code: int
    output: str
    folder: Path


@pytest.fixture(scope="session")
def housing_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The housing pipeline run small, on an embedded AWS that checks every call against the project's policies."""
    parameters = ("locations=Chicago_IL,Houston_TX,Dallas_TX", "cache_experiment_models=8")
    return run_pipeline("housing_mme", parameters, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The digits pipeline with few training jobs, checked as the housing pipeline is."""
    return run_pipeline("mnist_kmeans", ("hpo_max_num_jobs=5",), tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def churn_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The churn pipeline run small, its managed schedule included, checked as the housing pipeline is."""
    parameters = ("customers=1500", 'hyperparameters={"objective": "binary:logistic", "num_round": 10}')
    return run_pipeline("churn_monitor", parameters, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def housing_monitor_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The monitored multi-model endpoint with two cities, checked as the housing pipeline is."""
    drift = 'drift={"Houston_TX": [{"column": "square_feet", "scale": 1.8}, {"column": "deck", "nulls": 0.5}]}'
    parameters = ("locations=Chicago_IL,Houston_TX", "houses_per_location=1200", drift)
    return run_pipeline("housing_monitor", parameters, tmp_path_factory.mktemp("runs"))


def run_pipeline(name: str, parameters: tuple[str, ...], runs: Path) -> FinishedRun:
    """Run a pipeline with the command line."""
    command = [Path(sys.executable).with_name("kfp-sagemaker"), "run", name, "--runs-dir", runs, "--auth"]
    for parameter in parameters:
        command += ["-p", parameter]
    done = subprocess.run(
        command,
        cwd=PIPELINES / name,
        env=os.environ | {"COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder,) = runs.iterdir()
    return FinishedRun(done.returncode, done.stdout + done.stderr, folder)

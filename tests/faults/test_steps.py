"""Steps as Kubeflow runs them, and whole runs: what a failure looks like, and what an interruption leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from kfp_sagemaker import components
from kfp_sagemaker._component import RUN_ID_VARIABLE, TASK_NAME_VARIABLE
from kfp_sagemaker.cli.catalogue import PipelineFolder
from tests.faults.conftest import DEADLINE_SECONDS, Stage, containers_of, until
from tests.suite.step_process import StepProcess

COMMAND = Path(sys.executable).with_name("kfp-sagemaker")
SCREEN_LINES = 40
PATIENT = """
import pathlib, sys, time
print("working", flush=True)
while not pathlib.Path(sys.argv[0] + ".gate").exists():
    time.sleep(0.02)
"""


def step(stage: Stage, component: str, env: Mapping[str, str] | None = None) -> StepProcess:
    return StepProcess(getattr(components, component), stage.folder, {**stage.emulator.env, **(env or {})})


def log_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the step ended before it said {text!r}")


def test_a_step_with_wrong_arguments_ends_with_the_one_message(stage: Stage) -> None:
    arguments = {"role_arn": "me", "output_s3_uri": stage.uri("out"), "channels": [], "algorithm": "xgbost"}
    with step(stage, "train").started(**arguments) as process:
        log, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode != 0
    assert log.splitlines()[-4:][0].endswith("errors.InputError: train: 3 invalid arguments:")
    assert log.count("Traceback") == 1
    assert not (stage.folder / "executor_output.json").exists()


def test_a_step_whose_job_fails_ends_with_the_jobs_own_words(stage: Stage) -> None:
    arguments = {
        "role_arn": stage.role_arn,
        "output_s3_uri": stage.uri("out"),
        "channels": [],
        "training_image": stage.image(train="raise SystemExit('the disk is full')"),
        "job_name_prefix": stage.prefix,
    }
    with step(stage, "train").started(**arguments) as process:
        log, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode != 0
    message = log.rpartition("errors.JobFailedError: ")[2].splitlines()
    assert message[0] == f"training job {stage.left()['training'][0]} failed"
    assert message[1].startswith("Reason: AlgorithmError: , exit code: 1")
    assert message[2:] == ["Last 1 log lines:", "  the disk is full"]


def job_arguments(stage: Stage, component: str) -> dict[str, Any]:
    """Arguments of a component whose job goes on until it is stopped or its gate is opened."""
    common = {"job_name_prefix": stage.prefix}
    if component == "process":
        return {"role_arn": stage.role_arn, "image_uri": stage.image(process=PATIENT), **common}
    stage.put("in/rows.csv", f"wait {stage.folder / 'process.py.gate'}")
    places = {"input_s3_uri": stage.uri("in/"), "output_s3_uri": stage.uri("out/")}
    return {"model_name": stage.create_model(), **places, **common}


JOBS = [("process", "processing"), ("batch_transform", "transform")]


@pytest.mark.parametrize(("component", "kind"), JOBS)
def test_sigterm_stops_the_job_and_fails_the_step(stage: Stage, component: str, kind: str) -> None:
    with step(stage, component).started(**job_arguments(stage, component)) as process:
        log_until(process, "InProgress")
        process.terminate()
        log, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode != 0
    assert re.search(r"CancelledError: the step was terminated; \w+ job \S+ was stopped", log)
    (name,) = stage.left()[kind]
    describe = getattr(stage.sagemaker, f"describe_{kind}_job")
    status = f"{kind.title()}JobStatus"
    until(lambda: describe(**{f"{kind.title()}JobName": name})[status] == "Stopped", "the stop")


@pytest.mark.parametrize(("component", "kind"), JOBS)
def test_a_killed_step_adopts_its_job_when_it_is_retried(stage: Stage, component: str, kind: str) -> None:
    attempt = step(stage, component, {RUN_ID_VARIABLE: stage.name, TASK_NAME_VARIABLE: component})
    arguments = job_arguments(stage, component)
    with attempt.started(**arguments) as process:
        log_until(process, "InProgress")
        process.kill()
        process.wait()
    (stage.folder / "process.py.gate").touch()
    written = attempt.run(**arguments)
    assert stage.left()[kind] == [written["parameterValues"]["job_name"]]


def test_a_killed_deployment_is_taken_up_again(stage: Stage) -> None:
    attempt = step(stage, "deploy_endpoint", {RUN_ID_VARIABLE: stage.name, TASK_NAME_VARIABLE: "deploy"})
    arguments = {"endpoint_name": stage.prefix, "model_name": stage.create_model(), "timeout_seconds": 60}
    with attempt.started(**arguments) as process:
        log_until(process, "Creating")
        process.kill()
        process.wait()
    written = attempt.run(**arguments)["parameterValues"]
    assert stage.left()["endpoints"] == [stage.prefix]
    assert stage.left()["configurations"] == [written["endpoint_config_name"]]


def test_sigterm_during_a_deployment_says_what_is_left(stage: Stage) -> None:
    """SageMaker refuses to delete an endpoint while it is being created."""
    name = stage.create_model(environment={"UNHEALTHY": "1"})
    with step(stage, "deploy_endpoint").started(endpoint_name=stage.prefix, model_name=name) as process:
        log_until(process, "Creating")
        process.terminate()
        log, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode != 0
    message = log.rpartition("CancelledError: ")[2]
    assert f"endpoint {stage.prefix} and configuration " in message
    assert ("endpoints" in stage.left()) is ("run delete_resources" in message)


# Whole runs


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has an endpoint up and a training job that fails or goes on."""
    path = tmp_path_factory.mktemp("project") / "pipelines" / "interrupted"
    path.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("interrupted") / "pipeline.py", path)
    folder = PipelineFolder(path)
    folder.compile(folder.compiled)
    return path.parents[1]


@pytest.fixture
def start(project: Path, tmp_path: Path) -> Callable[..., Any]:
    """Starts a run; it does not outlive the block."""

    @contextmanager
    def started(mode: str) -> Iterator[subprocess.Popen[str]]:
        arguments = ["run", "interrupted", "--runs-dir", str(tmp_path), "-p", f"mode={mode}"]
        process = subprocess.Popen(
            [COMMAND, *arguments], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    return started


def test_a_failed_run_shows_the_failed_steps_error_on_one_screen(start: Callable[..., Any], tmp_path: Path) -> None:
    with start("fail") as process:
        output, _ = process.communicate(timeout=2 * DEADLINE_SECONDS)
    assert process.returncode == 1
    shown = output.partition("Slow failed")[2]
    assert re.search(r"JobFailedError: training job \S+ failed", shown)
    assert "AlgorithmError: ExecuteUserScriptError" in shown
    assert "ValueError: no rows at all" in shown
    assert len(shown.splitlines()) < SCREEN_LINES
    assert "✓ Clean up" in output
    assert left_behind(tmp_path) == []


def test_a_run_interrupted_in_mid_training_leaves_nothing(start: Callable[..., Any], tmp_path: Path) -> None:
    """By SIGTERM; tests/suite/cli/test_main.py shows that SIGINT comes to the same."""
    with start("wait") as process:
        folder = until(lambda: next(tmp_path.glob("*/run.json"), None), "the run").parent
        log = until(lambda: find_log(folder, "\nat work\n"), "the slow training")
        running = processes_below(tmp_path)
        process.terminate()
        output, _ = process.communicate(timeout=2 * DEADLINE_SECONDS)
    assert process.returncode == 1
    assert "Cancelled in" in output
    assert re.search(r"CancelledError: the step was terminated; training job \S+ was stopped", log.read_text())
    # The endpoint, its configuration and its model are deleted before the emulator ends.
    (clean_up,) = [each for each in json.loads((folder / "steps.json").read_text()) if each["title"] == "Clean up"]
    kinds = [item.partition("/")[0] for item in clean_up["outputs"]["deleted"]]
    assert sorted(kinds) == ["endpoint", "endpoint-config", "model"]
    assert len(running) > 3
    assert left_behind(tmp_path) == []


def find_log(folder: Path, text: str) -> Path | None:
    return next((path for path in folder.glob("logs/*.log") if text in path.read_text(errors="replace")), None)


def processes_below(folder: Path) -> list[psutil.Process]:
    """Processes whose command line or environment names something in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process)
        except psutil.Error:
            continue
    return found


def left_behind(folder: Path) -> list[psutil.Process]:
    states = [path.parent / "aws" for path in folder.glob("*/run.json")]
    assert states
    return [*processes_below(folder), *(process for state in states for process in containers_of(state))]

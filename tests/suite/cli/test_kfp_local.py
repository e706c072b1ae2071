"""A pipeline through kfp.local for real: fails when kfp changes what kfp_local relies on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.cli.catalogue import PipelineFolder
from kfp_sagemaker.cli.kfp_local import step_of

DEADLINE_SECONDS = 60


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def start(
    folder: PipelineFolder, path: Path, processes: list[subprocess.Popen[str]], **arguments: Any
) -> subprocess.Popen[str]:
    (path / "logs").mkdir()
    job = {
        "pipeline_yaml": str(folder.compiled),
        "arguments": arguments,
        "pipeline_root": str(path / "outputs"),
        "logs_dir": str(path / "logs"),
        "exit_components": ["say-goodbye"],
    }
    (path / "job.json").write_text(json.dumps(job))
    process = subprocess.Popen(
        [sys.executable, "-m", "kfp_sagemaker.cli.kfp_local", str(path / "job.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(path)},
        start_new_session=True,
    )
    processes.append(process)
    return process


def events_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout is not None
    events = [json.loads(line) for line in process.stdout]
    process.wait(DEADLINE_SECONDS)
    return events


def steps_that(kind: str, events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {event["step"]: event for event in events if event["event"] == kind}


def test_a_run_is_told_step_by_step(
    toy_folder: PipelineFolder, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    process = start(toy_folder, tmp_path, processes, count=3)
    events = events_of(process)

    finished = steps_that("finished", events)
    assert process.returncode == 0
    assert events[-1] == {"event": "ended", "succeeded": True, "error": ""}
    assert finished.keys() == {
        "make-items",
        *(f"for-loop-2-iteration-{number}/work" for number in range(3)),
        "total",
        "celebrate",
        "say-goodbye",
    }
    assert all(event["exit_code"] == 0 for event in finished.values())
    assert finished["total"]["outputs"]["table"] == {"columns": ["towns", "sum"], "rows": [[3, 6.0]]}
    assert "By adding." in Path(finished["total"]["artifacts"]["page"]["uri"]).read_text()
    started = steps_that("started", events)
    assert "working on 2" in Path(started["for-loop-2-iteration-2/work"]["log"]).read_text()
    assert "goodbye after SUCCEEDED" in Path(started["say-goodbye"]["log"]).read_text()


def test_after_a_failure_the_exit_task_runs_and_the_rest_does_not(
    toy_folder: PipelineFolder, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    process = start(toy_folder, tmp_path, processes, count=2, failing=1)
    events = events_of(process)

    finished = steps_that("finished", events)
    assert process.returncode == 1
    assert events[-1]["succeeded"] is False
    assert finished["for-loop-2-iteration-1/work"]["exit_code"] == 1
    assert "total" not in finished
    assert "goodbye after FAILED" in (tmp_path / "logs/say-goodbye.log").read_text()


@pytest.mark.parametrize("how", ["SIGTERM", "the parent is gone"])
def test_cancelling_stops_the_steps_starts_no_other_and_cleans_up(
    toy_folder: PipelineFolder, tmp_path: Path, processes: list[subprocess.Popen[str]], how: str
) -> None:
    process = start(toy_folder, tmp_path, processes, count=4, marker=str(tmp_path / "working"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(list(tmp_path.glob("working.*"))) < 2:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
    if how == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        assert process.stdin is not None
        process.stdin.close()
    events = events_of(process)

    assert events[-1]["succeeded"] is False
    assert steps_that("started", events).keys() == {
        "make-items",
        "for-loop-2-iteration-0/work",
        "for-loop-2-iteration-1/work",
        "say-goodbye",
    }
    assert "stopped my job" in (tmp_path / "logs/for-loop-2-iteration-0.work.log").read_text()
    assert "goodbye after FAILED" in (tmp_path / "logs/say-goodbye.log").read_text()


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/r/my-pipe-2026-11-22-17-44-25-991434/train/executor_output.json", ("train", "train")),
        (
            "/r/p-2026-11-22-17-44-25-991434/for-loop-2-iteration-1/fit/executor_output.json",
            ("for-loop-2-iteration-1/fit", "fit"),
        ),
    ],
)
def test_step_of(path: str, step: tuple[str, str]) -> None:
    assert step_of(Path(path)) == step

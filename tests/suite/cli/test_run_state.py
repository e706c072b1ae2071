from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kfp_sagemaker.cli import progress
from kfp_sagemaker.cli.pipeline_file import PipelineFile
from kfp_sagemaker.cli.run_state import RunState, error_in_log

LOOP = "for-loop-2-iteration-{}/work"


def started(step: str, time: float, log: Path | str = "x.log") -> dict[str, Any]:
    return {"event": "started", "step": step, "component": step.rpartition("/")[2], "time": time, "log": str(log)}


def finished(step: str, time: float, exit_code: int = 0, **outputs: Any) -> dict[str, Any]:
    return {
        "event": "finished",
        "step": step,
        "time": time,
        "exit_code": exit_code,
        "outputs": outputs,
        "artifacts": {},
    }


@pytest.fixture
def state(toy: PipelineFile) -> RunState:
    state = RunState(toy, {})
    begin = state.started
    state.apply(started("make-items", begin))
    state.apply(finished("make-items", begin + 1, Output=[{"name": "Town_0"}, {"name": "Town_1"}]))
    return state


def drawn(state: RunState) -> str:
    console = Console(width=90, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(progress.ProgressTable(state))
    return capture.get()


def test_steps_of_a_loop_carry_the_name_of_their_item(state: RunState) -> None:
    step = state.apply(started(LOOP.format(1), state.started + 1))

    assert step is not None
    assert step.title == "Town_1 · Work"
    assert step.status == "running"


def test_a_failed_step_shows_its_exception(state: RunState, tmp_path: Path) -> None:
    log = tmp_path / "work.log"
    log.write_text(
        'noise\nTraceback (most recent call last):\n  File "x.py", line 1, in y\n    z()\nerrors.JobError: no\n  - a\n'
    )
    state.apply(started(LOOP.format(0), state.started + 1, log))
    state.apply(finished(LOOP.format(0), state.started + 3, exit_code=1))

    assert [step.error_text() for step in state.failed_steps()] == ["JobError: no\n  - a"]


def test_after_a_cancellation_a_step_that_ends_badly_is_cancelled_not_failed(state: RunState) -> None:
    state.apply(started(LOOP.format(0), state.started + 1))
    state.is_cancelled = True
    step = state.apply(finished(LOOP.format(0), state.started + 3, exit_code=-15))

    assert step is not None
    assert step.status == "cancelled"
    assert state.failed_steps() == []


def test_a_retry_takes_the_place_of_the_first_attempt(state: RunState) -> None:
    state.apply(started("total", state.started + 1))
    state.apply(finished("total", state.started + 2, exit_code=1))
    state.apply(started("total", state.started + 3))
    step = state.apply(finished("total", state.started + 4, table={"columns": ["a"], "rows": [[1]]}))

    assert step is not None
    assert step.attempts == 2
    assert state.failed_steps() == []
    assert [(found.title, columns, rows) for found, columns, rows in state.tables()] == [("Add up", ["a"], [[1]])]


def test_the_table_shows_what_runs_what_is_done_and_what_waits(state: RunState) -> None:
    state.apply(started(LOOP.format(0), state.started + 1))
    state.apply(finished(LOOP.format(0), state.started + 3.5))
    state.apply(started(LOOP.format(1), state.started + 1))

    lines = [line.split() for line in drawn(state).splitlines()]
    by_name = {" ".join(line[1:3]): line for line in lines}
    assert by_name["make-items 1.0"][0] == "✓"
    assert next(line for line in lines if line[:1] == ["Each"])[:5] == ["Each", "town", "1", "of", "2"]
    assert by_name["Town_0 1/1"][0] == "✓"
    assert by_name["Town_0 1/1"][-2:] == ["2.5", "s"]
    assert by_name["Town_1 0/1"][3] == "Work"
    assert by_name["Celebrate"][0] == by_name["Say goodbye"][0] == "·"


def test_what_did_not_run_is_marked_when_the_run_is_over(state: RunState) -> None:
    state.apply({"event": "ended", "succeeded": False, "error": "x"})

    assert "- " in next(line for line in drawn(state).splitlines() if "Celebrate" in line)


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("", "(no output)"),
        ("a\nb\n", "a\nb"),
        ("Traceback (most recent call last):\n  File\na.b.C: d\n\nConsole: x\n", "C: d\n\nConsole: x"),
        (
            "Traceback (most recent call last):\n  File\nA: 1\nduring\nTraceback (most recent call last):\n  F\nB: 2",
            "B: 2",
        ),
    ],
)
def test_error_in_log(log: str, error: str) -> None:
    assert error_in_log(log) == error


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (99.9, "99.9 s"), (125.4, "2:05 min")])
def test_duration(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text

"""Runs a compiled pipeline here: its place, its process, its progress, its report."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from kfp_sagemaker.cli import progress, report
from kfp_sagemaker.cli.pipeline_file import PipelineFile
from kfp_sagemaker.cli.run_state import RunState

RUN_FILE = "run.json"
STEPS_FILE = "steps.json"


@dataclass(frozen=True)
class Run:
    """A run and the folder it keeps its things in: logs, outputs, report."""

    run_id: str
    folder: Path
    where: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def logs_dir(self) -> Path:
        """Folder of the logs, a file a step."""
        return self.folder / "logs"

    def save(self, **more: Any) -> None:
        """Write down what ``stop`` needs to find the run again."""
        content = {"run_id": self.run_id, "where": self.where, "environment": dict(self.environment), **more}
        path = self.folder / RUN_FILE
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=2) + "\n")


def new_run_id(pipeline_name: str) -> str:
    """An id nothing else has: the pipeline, the time and a little chance."""
    return f"{pipeline_name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def execute(pipeline: PipelineFile, arguments: Mapping[str, Any], run: Run, console: Console) -> RunState:
    """Run the pipeline to its end, showing how it goes.

    Args:
        pipeline: The compiled pipeline.
        arguments: Its arguments.
        run: The run.
        console: Shows the progress.

    Returns:
        How it went. It never raises for a failed step.
    """
    state = RunState(pipeline, arguments)
    with tempfile.TemporaryDirectory(prefix="kfp-sagemaker-") as scratch:
        process = _start(pipeline, arguments, run, Path(scratch))
        with _cancelled_by_signals(process, state, console), progress.shown(state, console):
            for line in process.stdout or ():
                step = state.apply(json.loads(line))
                if step and not console.is_terminal and (text := progress.event_line(step, state.elapsed_seconds())):
                    console.print(text)
            process.wait()
            if state.finished is None:
                log = (run.logs_dir / "kfp-local.log").read_text(errors="replace").strip().splitlines()
                said = "\n".join(log[-20:])
                state.apply({"event": "ended", "succeeded": False, "error": f"kfp.local ended unexpectedly:\n{said}"})
        if process.stdin:
            process.stdin.close()
    return state


def _start(pipeline: PipelineFile, arguments: Mapping[str, Any], run: Run, scratch: Path) -> subprocess.Popen[str]:
    run.logs_dir.mkdir(parents=True, exist_ok=True)
    job = scratch / "job.json"
    job.write_text(
        json.dumps(
            {
                "pipeline_yaml": str(pipeline.path.resolve()),
                "arguments": dict(arguments),
                "pipeline_root": str(run.folder / "outputs"),
                "logs_dir": str(run.logs_dir),
                "exit_components": [task.component for task in pipeline.all_tasks() if task.is_exit_task],
            }
        )
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= run.environment
    environment |= {"TMPDIR": str(scratch), "KFP_SAGEMAKER_RUN_ID": run.run_id, "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    with (run.logs_dir / "kfp-local.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kfp_sagemaker.cli.kfp_local", str(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            start_new_session=True,
        )


@contextlib.contextmanager
def _cancelled_by_signals(process: subprocess.Popen[str], state: RunState, console: Console) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on: the first cancels the run in order, a second one its clean-up too."""

    def cancel(number: int, frame: FrameType | None) -> None:
        if not state.is_cancelled:
            console.print(
                "[yellow]Cancelling: stopping the running steps, then cleaning up. Ctrl-C again to give up.[/yellow]"
            )
        state.is_cancelled = True
        process.send_signal(signal.SIGTERM)

    previous = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def show_outcome(state: RunState, run: Run, console: Console) -> None:
    """Write the report and print what came out: tables or, on one screen, what went wrong."""
    for step, columns, rows in state.tables():
        console.print()
        console.print(progress.table_of(columns, rows, step.title))
    (run.folder / STEPS_FILE).write_text(json.dumps(state.summary(), indent=2) + "\n")
    path = report.write(state, run.run_id, run.where, run.folder / "report.html")
    console.print()
    failed = state.failed_steps()
    for step in failed[:1]:
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        console.print(Panel(escape(step.error_text()), title=f"{step.title} failed{others}", border_style="red"))
        console.print(f"Log     {step.log}", soft_wrap=True)
    if state.error and not failed and not state.is_cancelled:
        console.print(Panel(escape(state.error), title="The run failed", border_style="red"))
    console.print(f"Report  {path}", soft_wrap=True)
    if state.arguments.get("keep_endpoint") and state.succeeded:
        names = sorted({s.outputs["endpoint_name"] for s in state.steps.values() if "endpoint_name" in s.outputs})
        console.print(f"Serving {', '.join(names)}", soft_wrap=True)
    outcome = (
        "[green]Succeeded[/green]"
        if state.succeeded
        else "[yellow]Cancelled[/yellow]"
        if state.is_cancelled
        else "[red]Failed[/red]"
    )
    console.print(f"{outcome} in {progress.duration(state.elapsed_seconds())}")

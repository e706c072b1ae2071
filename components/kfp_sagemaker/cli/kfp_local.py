"""Runs a compiled pipeline under ``kfp.local`` and tells of each step as a JSON line.

``kfp.local`` has no progress interface: it prints, replaces ``builtins.print`` and the root logger's handlers, and
keeps its configuration in a global. So it gets a process of its own (``python -m kfp_sagemaker.cli.kfp_local
job.json``), whose output goes to a log file, and this module alone knows its inside. It puts one class in the place of
one of kfp's: the handler that starts a step's process. A test runs a small pipeline through it and fails when kfp
changes there.

Events on stdout, one JSON object a line:

- ``{"event": "started", "step": "for-loop-2-iteration-0/train", "component": "train", "time": ..., "log": ...}``
- ``{"event": "finished", "step": ..., "time": ..., "exit_code": 0, "outputs": {...}, "artifacts": {...}}``
- ``{"event": "ended", "succeeded": true, "error": ""}``, last

SIGTERM, SIGINT and the end of standard input (the parent is gone) cancel the run: running steps get SIGTERM and stop
their jobs, no further step starts, and then the exit task runs, because it is what cleans up.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

GRACE_SECONDS = 30.0
# kfp.local.executor_input_utils.get_local_pipeline_resource_name: the pipeline's name and a time to the microsecond.
_RUN_FOLDER = re.compile(r".*-\d{4}(-\d\d){5}-\d{6}")


class StepRunner:
    """Starts the steps' processes, keeps their logs and can end them all.

    Args:
        logs_dir: Folder of the logs, a file a step.
        emit: Takes each event.
        exit_components: Components that run even after a cancellation.
        environment: Environment of the steps.
    """

    def __init__(
        self,
        logs_dir: Path,
        emit: Callable[[dict[str, Any]], None],
        exit_components: Collection[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.logs_dir = logs_dir
        self.emit = emit
        self.exit_components = exit_components
        self.environment = environment
        self.is_cancelled = False
        self._running: dict[int, bool] = {}  # process group -> whether it is an exit task

    def run(self, command: list[str], executor_input: Mapping[str, Any]) -> int:
        """Run a step to its end and return its exit code.

        Args:
            command: The command line.
            executor_input: What kfp tells the step, with the paths of its outputs.
        """
        output_file = Path(executor_input["outputs"]["outputFile"])
        step, component = step_of(output_file)
        is_exit_task = component in self.exit_components
        if self.is_cancelled and not is_exit_task:
            return 1
        output_file.unlink(missing_ok=True)  # an attempt before this one may have left its own
        log = self.logs_dir / f"{step.replace('/', '.')}.log"
        self.emit({"event": "started", "step": step, "component": component, "time": time.time(), "log": str(log)})
        with log.open("ab") as sink:
            # A session of its own: Ctrl-C in the terminal reaches the command line first, which then cancels in order.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        self._running[process.pid] = is_exit_task
        if self.is_cancelled and not is_exit_task:  # cancelled between the check above and the start
            _signal_group(process.pid, signal.SIGTERM)
        try:
            exit_code = process.wait()
            if self.is_cancelled:
                _wait_for_group(process.pid)
        finally:
            del self._running[process.pid]
        event = {"event": "finished", "step": step, "time": time.time(), "exit_code": exit_code}
        self.emit(event | read_outputs(output_file))
        return exit_code

    def cancel(self) -> None:
        """Ask all running steps to end and start no more; a second call ends the exit task too."""
        include_exit_task = self.is_cancelled
        self.is_cancelled = True
        for group, is_exit_task in list(self._running.items()):
            if include_exit_task or not is_exit_task:
                _signal_group(group, signal.SIGTERM)


def step_of(output_file: Path) -> tuple[str, str]:
    """The step an output file belongs to.

    Args:
        output_file: ``<root>/<pipeline>-<time>/[<loop>-iteration-<i>/...]<component>/executor_output.json``.

    Returns:
        Its path below the run's folder, and its component.
    """
    parts = output_file.parent.parts
    start = max((index for index, part in enumerate(parts) if _RUN_FOLDER.fullmatch(part)), default=len(parts) - 2)
    return "/".join(parts[start + 1 :]), parts[-1]


def read_outputs(output_file: Path) -> dict[str, Any]:
    """Output parameters and the files of output artifacts, from what kfp's executor wrote; empty when it did not."""
    try:
        written = json.loads(output_file.read_text())
    except (OSError, json.JSONDecodeError):
        return {"outputs": {}, "artifacts": {}}
    artifacts = {}
    for name, entry in (written.get("artifacts") or {}).items():
        for artifact in entry.get("artifacts") or []:
            artifacts[name] = {"uri": artifact.get("uri", ""), "metadata": artifact.get("metadata") or {}}
    return {"outputs": written.get("parameterValues") or {}, "artifacts": artifacts}


@contextlib.contextmanager
def steps_run_by(runner: StepRunner) -> Iterator[None]:
    """Let ``kfp.local`` start its steps through the runner."""
    from kfp.local import status, subprocess_task_handler

    original = subprocess_task_handler.SubprocessTaskHandler

    class Handler(original):  # type: ignore[misc, valid-type]  # kfp ships no types
        """Hands the command to the runner."""

        def run(self) -> Any:
            """Run the step and return kfp's status."""
            command = subprocess_task_handler.replace_python_executable(self.full_command, sys.executable)
            executor_input = json.loads(command[command.index("--executor_input") + 1])
            exit_code = runner.run(command, executor_input)
            return status.Status.SUCCESS if exit_code == 0 else status.Status.FAILURE

    subprocess_task_handler.SubprocessTaskHandler = Handler
    try:
        yield
    finally:
        subprocess_task_handler.SubprocessTaskHandler = original


def _without_retries(text: str) -> str:
    """The pipeline without retries: those are for pods that a cluster lost, and here no step is ever lost."""
    return re.sub(r"^ +retryPolicy:\n(?: +(?:backoff\w+|maxRetryCount): .*\n)+", "", text, flags=re.MULTILINE)


def run_pipeline(pipeline_yaml: Path, arguments: Mapping[str, Any], pipeline_root: Path, runner: StepRunner) -> None:
    """Run a compiled pipeline to its end.

    Args:
        pipeline_yaml: The compiled pipeline.
        arguments: Its arguments.
        pipeline_root: Folder for outputs and artifacts.
        runner: Runs the steps.

    Raises:
        RuntimeError: The pipeline failed; kfp names the step.
    """
    from kfp import components, local

    pipeline = components.load_component_from_text(_without_retries(pipeline_yaml.read_text()))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(pipeline_root))
    with steps_run_by(runner):
        pipeline(**arguments)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _wait_for_group(group: int) -> None:
    """Wait until the shell's child, which is still stopping its job, is gone too."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    _signal_group(group, signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Run the job described by a JSON file: pipeline_yaml, arguments, pipeline_root, logs_dir, exit_components."""
    job = json.loads(Path(argv[1]).read_text())
    # Events keep the original standard output; whatever kfp and its libraries print goes where stderr goes.
    events: TextIO = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        with lock, contextlib.suppress(BrokenPipeError):
            events.write(json.dumps(event) + "\n")

    runner = StepRunner(Path(job["logs_dir"]), emit, frozenset(job["exit_components"]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.cancel())

    def cancel_with_parent() -> None:
        os.read(0, 1)  # not through sys.stdin, whose lock a thread must not hold when the interpreter ends
        runner.cancel()

    threading.Thread(target=cancel_with_parent, daemon=True).start()
    try:
        run_pipeline(Path(job["pipeline_yaml"]), job["arguments"], Path(job["pipeline_root"]), runner)
    except Exception as error:  # whatever it is, it is how the run ended
        emit({"event": "ended", "succeeded": False, "error": f"{type(error).__name__}: {error}"})
        return 1
    emit({"event": "ended", "succeeded": not runner.is_cancelled, "error": ""})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

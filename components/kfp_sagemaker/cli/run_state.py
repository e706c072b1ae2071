"""What is known of a run while it goes on: its steps, fed by the events of ``kfp_local``."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kfp_sagemaker.cli.pipeline_file import PipelineFile, Task, item_label

Status = Literal["running", "succeeded", "failed", "cancelled"]
_ITERATION = re.compile(r".+-iteration-\d+")
SHOWN_ERROR_LINES = 40


@dataclass
class Step:
    """One execution of a step; a loop has several of each of its steps."""

    key: str
    task: Task
    labels: tuple[str, ...]
    iterations: tuple[str, ...]
    log: Path
    started: float
    finished: float | None = None
    status: Status = "running"
    outputs: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: int = 1

    @property
    def title(self) -> str:
        """The step's name, with the items of the loops around it."""
        return " · ".join((*self.labels, self.task.display_name))

    def elapsed_seconds(self, now: float) -> float:
        """How long it has run, or took."""
        return (self.finished or now) - self.started

    def error_text(self) -> str:
        """The exception the step's log ends with, or the log's last lines when there is none."""
        return error_in_log(self.log.read_text(errors="replace") if self.log.exists() else "")


class RunState:
    """The steps of a run and how it goes.

    Args:
        pipeline: The compiled pipeline.
        arguments: Its arguments.
    """

    def __init__(self, pipeline: PipelineFile, arguments: Mapping[str, Any]) -> None:
        self.pipeline = pipeline
        self.arguments = arguments
        self.steps: dict[str, Step] = {}
        self.started = time.time()
        self.finished: float | None = None
        self.succeeded: bool | None = None
        self.error = ""
        self.is_cancelled = False
        self._tasks = {task.component: task for task in pipeline.all_tasks()}
        self._loops = {task.name: task for task in pipeline.all_tasks() if task.kind == "loop"}
        self._outputs: dict[str, dict[str, Any]] = {}

    def apply(self, event: Mapping[str, Any]) -> Step | None:
        """Take in an event; returns the step it is about."""
        if event["event"] == "ended":
            self.finished = time.time()
            self.succeeded = event["succeeded"]
            self.error = event["error"]
            return None
        key = event["step"]
        if event["event"] == "started":
            iterations = tuple(part for part in key.split("/") if _ITERATION.fullmatch(part))
            step = Step(
                key,
                self._tasks[event["component"]],
                tuple(self.iteration_label(iteration) for iteration in iterations),
                iterations,
                Path(event["log"]),
                event["time"],
                attempts=self.steps[key].attempts + 1 if key in self.steps else 1,
            )
            self.steps[key] = step
            return step
        step = self.steps[key]
        step.finished = event["time"]
        step.outputs = event["outputs"]
        step.artifacts = event["artifacts"]
        step.status = "succeeded" if event["exit_code"] == 0 else "cancelled" if self.is_cancelled else "failed"
        self._outputs[step.task.component] = step.outputs
        return step

    def iteration_label(self, iteration: str) -> str:
        """What the loop's item is called, or its number."""
        name, _, number = iteration.rpartition("-iteration-")
        loop, index = self._loops.get(name), int(number)
        items = self.pipeline.loop_items(loop, self.arguments, self._outputs) if loop else []
        return item_label(items[index]) if index < len(items) else f"#{index + 1}"

    def loop_size(self, loop: Task) -> int:
        """How many items a loop has; 0 while that is not known."""
        return len(self.pipeline.loop_items(loop, self.arguments, self._outputs))

    def steps_of(self, task: Task) -> list[Step]:
        """The executions of a step, or of the steps below a group, in the order they started."""
        components = {each.component for each in task.walk() if each.kind == "step"}
        return [step for step in self.steps.values() if step.task.component in components]

    def failed_steps(self) -> list[Step]:
        """The steps that failed, in the order they did."""
        return sorted((s for s in self.steps.values() if s.status == "failed"), key=lambda step: step.finished or 0)

    def tables(self) -> list[tuple[Step, list[str], list[list[Any]]]]:
        """Every output that is a table (``{"columns": ..., "rows": ...}``), with its step."""
        return [
            (step, value["columns"], value["rows"])
            for step in self.steps.values()
            for value in step.outputs.values()
            if isinstance(value, dict) and value.keys() >= {"columns", "rows"}
        ]

    def summary(self) -> list[dict[str, Any]]:
        """The steps as data, for programs."""
        return [
            {
                "step": step.key,
                "title": step.title,
                "status": step.status,
                "started": step.started,
                "seconds": round(step.elapsed_seconds(self.finished or step.started), 3),
                "attempts": step.attempts,
                "log": str(step.log),
                "outputs": step.outputs,
                "artifacts": step.artifacts,
            }
            for step in self.steps.values()
        ]

    def elapsed_seconds(self) -> float:
        """How long the run has gone on, or took."""
        return (self.finished or time.time()) - self.started


def error_in_log(log: str) -> str:
    """The exception a log ends with, without its traceback; or the log's last lines."""
    lines = log.rstrip().splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if starts:
        # The exception's message is what follows the indented frames.
        after = [i for i in range(starts[-1] + 1, len(lines)) if lines[i] and not lines[i].startswith(" ")]
        if after:
            message = lines[after[0] :]
            message[0] = re.sub(r"^(?:\w+\.)+(?=\w+(:|$))", "", message[0])
            return "\n".join(message[:SHOWN_ERROR_LINES])
    return "\n".join(lines[-SHOWN_ERROR_LINES:]) or "(no output)"

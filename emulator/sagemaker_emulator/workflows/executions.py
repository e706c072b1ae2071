"""The executions that run now: one task each, with a document and a history in the store."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.workflows.failures import RUNTIME, StateFailure
from sagemaker_emulator.workflows.history import MOST_EVENTS, History, Track
from sagemaker_emulator.workflows.interpreter import Interpreter
from sagemaker_emulator.workflows.task import TaskRunner

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

LOGGER = logging.getLogger(__name__)
KIND = "state-machine-execution"
HISTORY_KIND = "state-machine-execution-history"
INTERRUPTED = "The emulator ended while the execution was running; what it had started ended with it."
# A history is stored once for all events of so long a time, not once an event.
_STORE_AFTER_SECONDS = 0.1


@dataclass
class _Abort:
    """What StopExecution asked for."""

    error: str
    cause: str


class Executions:
    """Starts and stops executions.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: dict[str, Execution] = {}

    def start(self, region: str, document: dict[str, Any]) -> None:
        """Run a stored execution in the background."""
        execution = Execution(self._app, region, document)
        arn = document["executionArn"]
        self._running[arn] = execution
        execution.task.add_done_callback(lambda _: self._running.pop(arn, None))

    async def stop(self, arn: str, error: str, cause: str) -> None:
        """End an execution and what it waits for; returns when it has ended."""
        if execution := self._running.get(arn):
            await execution.abort(error, cause)

    def events(self, region: str, arn: str) -> list[dict[str, Any]]:
        """Return an execution's events so far; all of them are stored when this returns."""
        if execution := self._running.get(arn):
            execution.store_history()
        history = self._app.store.get(HISTORY_KIND, region, arn)
        events: list[dict[str, Any]] = history["events"] if history else []
        return events

    def interrupt(self) -> None:
        """Record as failed what an emulator that ended left running."""
        now = self._app.clock.now()
        for region, arn, document in self._app.store.all(KIND):
            if document["status"] != "RUNNING":
                continue
            events = self.events(region, arn)
            failed = {"error": RUNTIME, "cause": INTERRUPTED}
            events.append(
                {
                    "id": len(events) + 1,
                    "previousEventId": len(events),
                    "timestamp": now,
                    "type": "ExecutionFailed",
                    "executionFailedEventDetails": failed,
                }
            )
            self._app.store.put(HISTORY_KIND, region, arn, {"events": events})
            self._app.store.put(KIND, region, arn, {**document, **failed, "status": "FAILED", "stopDate": now})

    async def end_all(self) -> None:
        """End every execution, because the emulator stops; the next start records them as failed."""
        tasks = [execution.abandon() for execution in self._running.values()]
        await asyncio.gather(*tasks, return_exceptions=True)


class Execution:
    """One running execution.

    Args:
        app: The application.
        region: The state machine's region.
        document: What is stored of it: its input, role and definition, as they were when it started.
    """

    def __init__(self, app: App, region: str, document: dict[str, Any]) -> None:
        self._app = app
        self._region = region
        self._document = document
        self._arn: str = document["executionArn"]
        self._abort: _Abort | None = None
        self._storing: asyncio.TimerHandle | None = None
        self._history = History(app.clock, self._on_event)
        self._track = Track(self._history)
        self._tasks = TaskRunner(app, region, document["roleArn"])
        self._track.add("ExecutionStarted", input=document["input"], roleArn=document["roleArn"])
        self.store_history()
        self.task = asyncio.create_task(self._run(), name=f"execution {self._arn}")

    async def abort(self, error: str, cause: str) -> None:
        """End it as ABORTED."""
        if self._abort is None:
            self._abort = _Abort(error, cause)
            self.task.cancel()
        await asyncio.wait([self.task])

    def abandon(self) -> asyncio.Task[None]:
        """End it without a word: neither its status changes, nor is what it started stopped."""
        self._tasks.stops_jobs = False
        self.task.cancel()
        return self.task

    def store_history(self) -> None:
        """Store the events there are."""
        if self._storing:
            self._storing.cancel()
            self._storing = None
        self._app.store.put(HISTORY_KIND, self._region, self._arn, {"events": self._history.events})

    async def _run(self) -> None:
        try:
            await self._interpret()
        except asyncio.CancelledError:
            if self._abort is None:
                self.store_history()
                raise
            details = {"error": self._abort.error, "cause": self._abort.cause}
            self._end("ABORTED", "ExecutionAborted", **{name: text for name, text in details.items() if text})
        except StateFailure as failure:
            self._end("FAILED", "ExecutionFailed", error=failure.error, cause=failure.cause)
        except Exception as error:
            LOGGER.exception("The execution %s broke", self._arn)
            self._end("FAILED", "ExecutionFailed", error=RUNTIME, cause=f"sagemaker-emulator failed: {error!r}")

    async def _interpret(self) -> None:
        definition = json.loads(self._document["definition"])
        value = json.loads(self._document["input"])
        seconds = definition.get("TimeoutSeconds")
        interpreter = Interpreter(self._app.clock, self._tasks)
        try:
            async with asyncio.timeout(seconds):
                output = await interpreter.run(definition, value, self._context(value), self._track)
        except TimeoutError:
            self._end("TIMED_OUT", "ExecutionTimedOut")
            return
        text = json.dumps(output, separators=(",", ":"))
        self._end("SUCCEEDED", "ExecutionSucceeded", output=text)

    def _context(self, value: Any) -> dict[str, Any]:
        document = self._document
        return {
            "Execution": {
                "Id": self._arn,
                "Input": value,
                "Name": document["name"],
                "RoleArn": document["roleArn"],
                "StartTime": document["startDate"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "RedriveCount": 0,
            },
            "StateMachine": {
                "Id": document["stateMachineArn"],
                "Name": document["stateMachineArn"].rpartition(":")[2],
            },
        }

    def _end(self, status: str, event_type: str, **details: Any) -> None:
        self._track.add(event_type, **details)
        self.store_history()
        ended = {"status": status, "stopDate": self._app.clock.now(), **details}
        if "output" in details:
            ended["outputDetails"] = {"included": True}
        self._app.store.put(KIND, self._region, self._arn, {**self._document, **ended})

    def _on_event(self) -> None:
        if len(self._history.events) == MOST_EVENTS:
            raise StateFailure(RUNTIME, f"The execution reached the maximum number of history events ({MOST_EVENTS}).")
        if self._storing is None:
            self._storing = asyncio.get_running_loop().call_later(_STORE_AFTER_SECONDS, self.store_history)

"""The events of a state machine's execution, told state by state in the step's log."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws.call_errors import error_code, is_missing, is_passing
from kfp_sagemaker.aws.errors import JobError
from kfp_sagemaker.aws.handle import ResourceHandle

_PAGE_EVENTS = 1000
# What a description of a failed job says in a sentence, as services spell it.
# What a processing job's program said itself is more than that it ended with 1.
_SENTENCES = ("ExitMessage", "FailureReason", "ErrorMessage", "errorMessage", "Cause")
_LONGEST_CAUSE = 500


class HistoryTail:
    """Follows the events of an execution; not being allowed to read them is said once and fails nothing.

    Args:
        handle: The execution.
        sink: Takes each line.
    """

    def __init__(self, handle: ResourceHandle, sink: Callable[[str], None]) -> None:
        self.last_lines: deque[str] = deque(maxlen=JobError.SHOWN_LOG_LINES)
        self._handle = handle
        self._sink = sink
        self._seen = 0
        # The state an event is inside of, by the event's id: branches run beside each other.
        self._states: dict[int, str] = {}
        self._closed = False

    def look(self, description: dict[str, Any], *, to_the_end: bool = False) -> int:
        """Pass on the events that appeared since the last look; returns how many lines that were."""
        del description, to_the_end
        count = 0
        if self._closed:
            return count
        try:
            for line in self._new_lines():
                self.last_lines.append(line)
                self._sink(line)
                count += 1
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and not is_missing(error) and not is_passing(error):
                self._closed = True
                self._sink(f"The history of {self._handle} cannot be read ({error_code(error)}): {error}")
        return count

    def show_last(self, description: dict[str, Any]) -> None:
        """Read the events into ``last_lines``, for an execution that was not followed."""
        sink, self._sink = self._sink, lambda line: None
        self.look(description)
        self._sink = sink

    def _new_lines(self) -> list[str]:
        lines = []
        request = {"executionArn": self._handle.arn, "maxResults": _PAGE_EVENTS, "includeExecutionData": False}
        token = ""
        while True:
            page = {"nextToken": token} if token else {}
            answer = self._handle.client.get_execution_history(**request, **page)
            for event in answer["events"]:
                if event["id"] > self._seen:
                    self._seen = event["id"]
                    lines += self._lines_of(event)
            token = answer.get("nextToken", "")
            if not token:
                return lines

    def _lines_of(self, event: Mapping[str, Any]) -> list[str]:
        kind: str = event["type"]
        details: Mapping[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
        state = details.get("name") or self._states.get(event.get("previousEventId", 0), "")
        self._states[event["id"]] = state
        if kind.endswith("StateEntered"):
            return [f"{state}: entered ({kind.removesuffix('StateEntered')})"]
        if kind.endswith("StateExited"):
            return [f"{state}: done"]
        if kind == "TaskSubmitted":
            return [f"{state}: started {details['resourceType']} {details['resource']}"]
        if kind.startswith("MapIteration"):
            return [f"{state}: item {details.get('index')} {kind.removeprefix('MapIteration').lower()}"]
        if kind.endswith(("Failed", "TimedOut")) and "error" in details:
            where = "execution" if kind.startswith("Execution") else state
            how = "timed out" if kind.endswith("TimedOut") else "failed"
            return [f"{where}: {how}: {details['error']}: {short_cause(details.get('cause', ''))}".rstrip(": ")]
        return []


def short_cause(cause: str) -> str:
    """A cause as a sentence: of a failed job's whole description what says why.

    Args:
        cause: As Step Functions tells it.
    """
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    if isinstance(document, dict):
        sentence = next((document[name] for name in _SENTENCES if document.get(name)), None)
        if sentence:
            return short_cause(str(sentence))
    return cause if len(cause) <= _LONGEST_CAUSE else f"{cause[:_LONGEST_CAUSE]}..."

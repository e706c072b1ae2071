"""The events of an execution, as GetExecutionHistory answers them.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_emulator.clock import Clock

MOST_EVENTS = 25_000
"""AWS ends an execution whose history has that many events."""
_PAYLOADS = ("input", "output")


class History:
    """All events of one execution, in the order they happened.

    Args:
        clock: The time.
        on_event: Called after each event.
    """

    def __init__(self, clock: Clock, on_event: Callable[[], None]) -> None:
        self.events: list[dict[str, Any]] = []
        self._clock = clock
        self._on_event = on_event

    def add(self, event_type: str, previous_id: int, details: dict[str, Any]) -> int:
        """Append an event and return its id."""
        event: dict[str, Any] = {
            "id": len(self.events) + 1,
            "previousEventId": previous_id,
            "timestamp": self._clock.now(),
            "type": event_type,
        }
        for payload in _PAYLOADS:
            if payload in details:
                is_text = isinstance(details[payload], str) and event_type.startswith("Execution")
                text = details[payload] if is_text else json.dumps(details[payload], separators=(",", ":"))
                details |= {payload: text, f"{payload}Details": {"truncated": False}}
        if details:
            event[_details_member(event_type)] = details
        self.events.append(event)
        self._on_event()
        return len(self.events)


class Track:
    """One line of events, each naming the one before it: the execution's own, a branch's or an iteration's."""

    def __init__(self, history: History, previous_id: int = 0) -> None:
        self._history = history
        self._previous_id = previous_id

    def add(self, event_type: str, **details: Any) -> None:
        """Append an event; details are the members of its type's structure, input and output as values."""
        self._previous_id = self._history.add(event_type, self._previous_id, details)

    def branch(self) -> Track:
        """Return a line that begins at the last event of this one."""
        return Track(self._history, self._previous_id)


def _details_member(event_type: str) -> str:
    for ending in ("StateEntered", "StateExited"):
        if event_type.endswith(ending):
            return f"s{ending[1:]}EventDetails"
    return f"{event_type[0].lower()}{event_type[1:]}EventDetails"

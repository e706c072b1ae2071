"""Which time an execution analyses: the time since the last one, or what offsets say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sagemaker_emulator.monitoring.schedule_expression import Cron

DEFAULT_ONE_TIME_HOURS = 1
_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?=.)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)


class WindowError(ValueError):
    """An offset is no ISO 8601 duration, or the window ends before it begins."""


@dataclass(frozen=True)
class Window:
    """The time an execution analyses.

    Attributes:
        start: Its first moment.
        end: The first moment after it.
    """

    start: datetime
    end: datetime

    def hours(self) -> list[datetime]:
        """Return the beginnings of the hours it touches."""
        hour = self.start.replace(minute=0, second=0, microsecond=0)
        found = []
        while hour < self.end:
            found.append(hour)
            hour += timedelta(hours=1)
        return found


def parse_offset(text: str) -> timedelta:
    """Read an offset from the scheduled time, such as ``-PT1H``, ``-P1D`` or ``PT0H``.

    Raises:
        WindowError: It is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise WindowError(f'"{text}" is not an offset as an ISO 8601 duration, such as -PT1H or -P1D.')
    parts = {unit: int(value or 0) for unit, value in match.groupdict().items() if unit != "sign"}
    offset = timedelta(**parts)
    return -offset if match["sign"] == "-" else offset


def analysis_window(
    schedule_config: dict[str, Any], monitoring_input: dict[str, Any], cron: Cron | None, scheduled: datetime
) -> Window:
    """Return the window of an execution.

    Args:
        schedule_config: ``ScheduleConfig``; its ``DataAnalysis*Time`` count for one-time schedules.
        monitoring_input: ``EndpointInput``, with ``StartTimeOffset`` and ``EndTimeOffset`` from the scheduled time.
        cron: The schedule's expression; None for ``NOW``.
        scheduled: When the execution was due.

    Raises:
        WindowError: The offsets make no window.
    """
    if cron is None:
        start = scheduled - timedelta(hours=DEFAULT_ONE_TIME_HOURS)
        start_offset, end_offset = (schedule_config.get(f"DataAnalysis{edge}Time") for edge in ("Start", "End"))
    else:
        start = cron.last_before(scheduled)
        start_offset, end_offset = None, None
    start_offset = start_offset or monitoring_input.get("StartTimeOffset")
    end_offset = end_offset or monitoring_input.get("EndTimeOffset")
    if start_offset:
        start = scheduled + parse_offset(start_offset)
    end = scheduled + parse_offset(end_offset) if end_offset else scheduled
    # Captured data and the container's variables have whole seconds: what was captured just now is inside.
    start = start.replace(microsecond=0)
    if end.microsecond:
        end = end.replace(microsecond=0) + timedelta(seconds=1)
    if end <= start:
        raise WindowError(
            f"The analysed time ends at {end:%Y-%m-%dT%H:%M:%SZ}, before it begins at {start:%Y-%m-%dT%H:%M:%SZ}."
        )
    return Window(start, end)

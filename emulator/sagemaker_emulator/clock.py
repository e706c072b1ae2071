"""The emulator's one source of time, injected so that a test can hold or advance it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta

_LONGEST_SLEEP_SECONDS = 60.0


class Clock:
    """Real time: ``now()`` for what resources carry, ``sleep()`` to wait, ``monotonic()`` for durations.

    It can be set ahead, so that what is due in an hour happens at once. That moves the calendar (:meth:`now`,
    :meth:`sleep_until`), not durations: what is running goes on undisturbed.
    """

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._moved = asyncio.Event()

    @property
    def ahead_seconds(self) -> float:
        """How far it has been set ahead of real time."""
        return self._ahead.total_seconds()

    def advance(self, seconds: float) -> None:
        """Set the calendar ahead and wake whoever waits for a moment that is now past.

        Args:
            seconds: How far; not negative, since nothing in AWS can take a time that goes backwards.

        Raises:
            ValueError: It is negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot be set back, and {seconds} is negative")
        self._ahead += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """Return the present moment in UTC, cut to milliseconds as AWS answers it."""
        now = datetime.now(UTC) + self._ahead
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until the calendar has reached a moment, however it gets there."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            # Never for long: the calendar of a computer that was suspended has jumped.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LONGEST_SLEEP_SECONDS)):
                    await self._moved.wait()

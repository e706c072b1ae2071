"""The emulator's one source of time, injected so that a test can hold or advance it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Real time: ``now()`` for what resources carry, ``sleep()`` to wait, ``monotonic()`` for durations."""

    def now(self) -> datetime:
        """Return the present moment in UTC, cut to milliseconds as AWS answers it."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(seconds)

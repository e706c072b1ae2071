"""SIGTERM as an exception, so that it leaves whatever the step is doing and reaches the code that stops its resource.

When a run is terminated, Argo signals the step's whole process group; the launcher does not wait for the step, and the
container is gone about a second later. Finishing the current call, or a sleep, first would be too late.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Terminated(BaseException):
    """SIGTERM arrived. Not an ``Exception``: nothing but the code that stops the resource may catch it."""


@dataclass
class Termination:
    """Whether SIGTERM arrived.

    Attributes:
        requested: Set by the signal. Python drops an exception raised inside a finaliser; this flag is not dropped.
    """

    requested: bool = False

    def check(self) -> None:
        """Raise if SIGTERM arrived.

        Raises:
            Terminated: If it did.
        """
        if self.requested:
            raise Terminated


@contextmanager
def raising_on_sigterm() -> Iterator[Termination]:
    """Within the block, SIGTERM raises :class:`Terminated` at once; a second one is ignored, the first is being served.

    Only the main thread of a process gets signals: in another one the block changes nothing.

    Yields:
        Whether it arrived.
    """
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        if not termination.requested:
            termination.requested = True
            raise Terminated

    previous = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)

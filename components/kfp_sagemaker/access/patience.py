"""Pauses that grow, until a deadline: IAM is eventually consistent, and what was changed holds seconds later.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

from kfp_sagemaker.aws.engine import Timing

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 5.0


class Patience:
    """Says whether to look once more.

    Args:
        timeout_seconds: For how long in all.
        timing: Clock and sleep.
    """

    def __init__(self, timeout_seconds: float, timing: Timing) -> None:
        self.timeout_seconds = timeout_seconds
        self._timing = timing
        self._deadline = timing.now() + timeout_seconds
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def pause(self) -> bool:
        """Pause; False, at once, when the time is over."""
        left = self._deadline - self._timing.now()
        if left <= 0:
            return False
        self._timing.sleep(min(self._pause_seconds, left))
        self._pause_seconds = min(self._pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)
        return True

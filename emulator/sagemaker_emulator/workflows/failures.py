"""How a state says that it failed: an error name, which Retry and Catch match, and a cause.

Error names: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

from typing import Any

RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
TASK_FAILED = "States.TaskFailed"
# What States.ALL does not match.
_TERMINAL = (RUNTIME, "States.DataLimitExceeded")


class StateFailure(Exception):  # noqa: N818 - it is the end of a state, not an error of the emulator
    """A state failed.

    Args:
        error: The error's name, such as ``States.TaskFailed``.
        cause: Why, for people; for a failed job what its describe call answers, as JSON.
    """

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.state_name = ""

    def matches(self, error_equals: list[str]) -> bool:
        """Return whether an ``ErrorEquals`` list names this error."""
        if self.error in error_equals:
            return True
        if "States.ALL" in error_equals:
            return self.error not in _TERMINAL
        return TASK_FAILED in error_equals and self.error != TIMEOUT and self.error not in _TERMINAL

    @property
    def output(self) -> dict[str, Any]:
        """What a catcher's next state gets."""
        return {"Error": self.error, "Cause": self.cause}

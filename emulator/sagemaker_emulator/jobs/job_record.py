"""The stored document of a running job, and how a job says that it failed."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.runtime.s3_transfer import TransferError

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

LOGGER = logging.getLogger(__name__)

LONGEST_REASON = 1024
INTERRUPTED = "InternalServerError: the emulator ended while the job was running. Please try again."


class JobFailure(Exception):  # noqa: N818 - it is the end of a job, not an error of the emulator
    """The job cannot succeed; the message is its FailureReason, with AWS's leading word for who can fix it."""


class JobRecord:
    """Reads and changes the document of one job.

    Args:
        app: The application.
        kind: The store's kind: ``training-job``, ``processing-job`` or ``transform-job``.
        region: The job's region.
        name: The job's name.
    """

    def __init__(self, app: App, kind: str, region: str, name: str) -> None:
        self._app = app
        self.kind = kind
        self.region = region
        self.name = name

    def document(self) -> dict[str, Any]:
        """Return the document as it is now."""
        return self._app.store.get(self.kind, self.region, self.name) or {}

    def now(self) -> datetime:
        """Return the application's time."""
        return self._app.clock.now()

    def update(self, **changes: Any) -> None:
        """Set members and the time of the last change; a job that was deleted meanwhile stays deleted."""
        document = self.document()
        if document:
            document.update(changes, LastModifiedTime=self.now())
            self._app.store.put(self.kind, self.region, self.name, document)

    def enter(self, secondary_status: str, message: str, **changes: Any) -> None:
        """Move a training job to its next secondary status, ending the one before."""
        now = self.now()
        transitions = self.document().get("SecondaryStatusTransitions", [])
        if transitions:
            transitions[-1].setdefault("EndTime", now)
        transitions.append({"Status": secondary_status, "StartTime": now, "StatusMessage": message})
        if secondary_status in _LAST_SECONDARY_STATUSES:
            transitions[-1]["EndTime"] = now
        self.update(SecondaryStatus=secondary_status, SecondaryStatusTransitions=transitions, **changes)

    def reason_of(self, error: Exception) -> str:
        """Return the FailureReason for what ended the job; a bug of the emulator goes to its log."""
        if isinstance(error, JobFailure):
            return failure_reason(str(error))
        if isinstance(error, TransferError | PermissionError):
            return failure_reason(f"ClientError: {error}")
        LOGGER.error("%s %s broke", self.kind, self.name, exc_info=error)
        return "InternalServerError: We encountered an internal error. Please try again."


_LAST_SECONDARY_STATUSES = {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "Interrupted"}


def failure_reason(message: str) -> str:
    """Return a FailureReason no longer than AWS allows."""
    return message if len(message) <= LONGEST_REASON else message[: LONGEST_REASON - 3] + "..."

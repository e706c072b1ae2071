"""A container's stream in CloudWatch Logs: batched, in order, never holding the container up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from sagemaker_emulator.aws_access import SERVICE_PRINCIPAL

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

LOGGER = logging.getLogger(__name__)

# Amazon CloudWatch Logs API Reference, PutLogEvents.
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26

BUFFERED_BYTES = 16 * BATCH_BYTES
FLUSH_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_ATTEMPTS_WHEN_CLOSING = 10

Event = dict[str, Any]


class LogStream:
    """Writes lines to a stream from the event loop; a task sends them a tenth of a second later.

    When the log service is slower than the container for long, lines beyond the buffer are left out, and a line in the
    log says how many.

    Args:
        app: The application whose CloudWatch Logs is written to.
        region: The region of the log group.
        group: The log group; made when missing.
        stream: The stream; made when missing.
        role_arn: The execution role, whose rights it takes to write; empty for the account's root.
        principal: The service that assumes the role.
    """

    def __init__(
        self,
        app: App,
        region: str,
        group: str,
        stream: str,
        role_arn: str = "",
        principal: str = SERVICE_PRINCIPAL,
    ) -> None:
        self.group = group
        self.stream = stream
        self._app = app
        self._region = region
        self._role_arn = role_arn
        self._principal = principal
        self._events: deque[Event] = deque()
        self._buffered_bytes = 0
        self._omitted_lines = 0
        self._ready = asyncio.Event()
        self._closing = False
        self._created = False
        self._sender = asyncio.create_task(self._send_until_closed())

    def write(self, line: str) -> None:
        """Add a line; empty ones are skipped, because CloudWatch Logs has no empty events."""
        if not line or self._closing:
            return
        size = len(line.encode()) + EVENT_OVERHEAD_BYTES
        if self._buffered_bytes + size > BUFFERED_BYTES:
            self._omitted_lines += 1
            return
        if self._omitted_lines:
            note = (
                f"sagemaker-emulator: {self._omitted_lines} lines left out: they came faster than they could be stored."
            )
            self._omitted_lines = 0
            self._append(note)
        self._append(line)

    async def close(self) -> None:
        """Send what is left and end; lines written later are ignored."""
        if self._omitted_lines:
            self._append(f"sagemaker-emulator: {self._omitted_lines} lines left out at the end.")
        self._closing = True
        self._ready.set()
        await asyncio.shield(self._sender)

    def _append(self, message: str) -> None:
        timestamp = int(self._app.clock.now().timestamp() * 1000)
        self._events.append({"timestamp": timestamp, "message": message})
        self._buffered_bytes += len(message.encode()) + EVENT_OVERHEAD_BYTES
        self._ready.set()

    async def _send_until_closed(self) -> None:
        failures = 0
        while self._events or not self._closing:
            await self._ready.wait()
            if not self._closing:
                await asyncio.sleep(FLUSH_SECONDS)
            self._ready.clear()
            try:
                while batch := self._next_batch():
                    await asyncio.to_thread(self._put, batch)
                    for event in batch:
                        self._events.popleft()
                        self._buffered_bytes -= len(event["message"].encode()) + EVENT_OVERHEAD_BYTES
                failures = 0
            # Whatever the log service answers, the container goes on.
            except Exception as error:
                if _is_denied(error):
                    LOGGER.warning("%s may not write to %s, its log is lost: %s", self._role_arn, self.group, error)
                    self._closing = True
                    return
                failures += 1
                LOGGER.warning("Cannot write to log stream %s of %s: %s", self.stream, self.group, error)
                if self._closing and failures >= _ATTEMPTS_WHEN_CLOSING:
                    LOGGER.exception("%d log lines of %s are lost", len(self._events), self.stream)
                    return
                self._ready.set()
                await asyncio.sleep(_RETRY_SECONDS)

    def _next_batch(self) -> list[Event]:
        batch: list[Event] = []
        size = 0
        for event in self._events:
            size += len(event["message"].encode()) + EVENT_OVERHEAD_BYTES
            if size > BATCH_BYTES or len(batch) == BATCH_EVENTS:
                break
            batch.append(event)
        return batch

    def _put(self, batch: list[Event]) -> None:
        logs = self._app.aws.client("logs", self._region, self._role_arn, self._principal)
        if not self._created:
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=self.group)
            found = logs.describe_log_streams(logGroupName=self.group, logStreamNamePrefix=self.stream)["logStreams"]
            if self.stream not in {each["logStreamName"] for each in found}:
                logs.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
            self._created = True
        logs.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=batch)


def _is_denied(error: Exception) -> bool:
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    return isinstance(error, PermissionError) or code == "AccessDeniedException"

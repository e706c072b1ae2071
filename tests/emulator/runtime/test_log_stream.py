"""Lines on their way to CloudWatch Logs, against a log service that is slow, broken or strict."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_emulator.clock import Clock
from sagemaker_emulator.runtime import log_stream
from sagemaker_emulator.runtime.log_stream import BATCH_BYTES, BATCH_EVENTS, BUFFERED_BYTES, LogStream


class Exists(Exception):  # noqa: N818 - stands for ResourceAlreadyExistsException
    """The group is there already."""


class Logs:
    """A log service in memory."""

    exceptions = SimpleNamespace(ResourceAlreadyExistsException=Exists)

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.created: list[str] = []
        self.failures = 0
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Event()

    def create_log_group(self, **names: str) -> None:
        raise Exists

    def describe_log_streams(self, **names: str) -> dict[str, Any]:
        prefix = names["logStreamNamePrefix"]
        return {"logStreams": [{"logStreamName": name} for name in self.created if name.startswith(prefix)]}

    def create_log_stream(self, **names: str) -> None:
        self.created.append(names["logStreamName"])

    def put_log_events(self, **request: Any) -> None:
        self.open.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the log service is away")
        self.batches.append(request["logEvents"])
        self.arrived.set()

    @property
    def messages(self) -> list[str]:
        return [event["message"] for batch in self.batches for event in batch]


@pytest.fixture
def logs() -> Logs:
    return Logs()


def open_stream(logs: Logs) -> LogStream:
    app: Any = SimpleNamespace(clock=Clock(), aws=SimpleNamespace(client=lambda *place: logs))
    return LogStream(app, "us-east-1", "/group", "stream")


async def test_lines_keep_their_order_and_all_arrive(logs):
    stream = open_stream(logs)
    lines = [f"line {number}" for number in range(25_000)]
    for line in lines:
        stream.write(line)
    stream.write("")
    await stream.close()
    assert logs.messages == lines
    assert max(len(batch) for batch in logs.batches) <= BATCH_EVENTS
    timestamps = [event["timestamp"] for batch in logs.batches for event in batch]
    assert timestamps == sorted(timestamps)
    assert logs.created == ["stream"]


async def test_batches_stay_below_the_size_limit(logs):
    stream = open_stream(logs)
    for _ in range(40):
        stream.write("x" * 60_000)
    await stream.close()
    assert len(logs.messages) == 40
    assert all(sum(len(event["message"]) + 26 for event in batch) <= BATCH_BYTES for batch in logs.batches)


async def test_a_line_arrives_while_the_stream_is_open(logs):
    stream = open_stream(logs)
    stream.write("early")
    assert await asyncio.to_thread(logs.arrived.wait, 10)
    await stream.close()
    assert logs.messages == ["early"]


async def test_a_broken_log_service_is_asked_again(logs, monkeypatch):
    monkeypatch.setattr(log_stream, "_RETRY_SECONDS", 0.001)
    logs.failures = 3
    stream = open_stream(logs)
    stream.write("kept")
    await stream.close()
    assert logs.messages == ["kept"]


async def test_a_slow_log_service_costs_lines_not_memory_and_says_so(logs):
    logs.open.clear()
    stream = open_stream(logs)
    line = "x" * 60_000
    count = BUFFERED_BYTES // len(line) + 10
    for _ in range(count):
        stream.write(line)
    logs.open.set()
    await stream.close()
    kept = logs.messages.count(line)
    assert kept < count
    assert logs.messages[-1] == f"sagemaker-emulator: {count - kept} lines left out at the end."

"""What the tests of state machines share: a machine of one test, and waiting for an execution's end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from sagemaker_emulator.emulator import Emulator

ROLE_ARN = "arn:aws:iam::000000000000:role/states"
DEADLINE_SECONDS = 60.0
_POLL_SECONDS = 0.02


class Machines:
    """State machines of one test on the shared emulator."""

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.name = name
        self.states = emulator.client("stepfunctions")

    def create(self, states: dict[str, Any], name: str = "", **fields: Any) -> str:
        """Create a machine that starts at the first state; the last ends it unless something else is said."""
        definition = {"StartAt": next(iter(states)), "States": states, **fields}
        answer = self.states.create_state_machine(
            name=name or self.name, definition=json.dumps(definition), roleArn=ROLE_ARN
        )
        return str(answer["stateMachineArn"])

    def start(self, states: dict[str, Any], value: Any = None, **fields: Any) -> str:
        """Create a machine and start it."""
        machine = self.create(states, **fields)
        given = json.dumps({} if value is None else value)
        return str(self.states.start_execution(stateMachineArn=machine, input=given)["executionArn"])

    def run(self, states: dict[str, Any], value: Any = None, **fields: Any) -> dict[str, Any]:
        """Create a machine, run it to its end, and return its description, the output parsed."""
        return self.ended(self.start(states, value, **fields))

    def ended(self, arn: str) -> dict[str, Any]:
        """Wait for an execution's end."""
        description = self.until(arn, lambda found: found["status"] != "RUNNING")
        if "output" in description:
            description["output"] = json.loads(description["output"])
        return description

    def until(self, arn: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a description fits."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds(description := self.states.describe_execution(executionArn=arn)):
            assert time.monotonic() < deadline, f"{arn} did not get there: {description}"
            time.sleep(_POLL_SECONDS)
        return dict(description)

    def events(self, arn: str) -> list[dict[str, Any]]:
        """All events of an execution."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event for page in pages for event in page["events"]]


@pytest.fixture
def machines(emulator: Emulator, unique_name: str) -> Machines:
    """State machines of the test's own."""
    return Machines(emulator, unique_name)

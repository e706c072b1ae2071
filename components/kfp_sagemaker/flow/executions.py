"""Runs a flow's state machine: makes it, starts or finds its execution, follows it state by state.

API: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import NameTakenError
from kfp_sagemaker.aws.names import attempt_name, request_hash
from kfp_sagemaker.aws.session import Session

_MAX_ATTEMPTS = 20
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS, _POLL_GROWTH = 0.5, 15.0, 1.3
_LONGEST_NAME = 80
_DIGEST_CHARACTERS = 10


@dataclass(frozen=True)
class Execution:
    """An execution that ended.

    Attributes:
        arn: Its ARN.
        status: ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT`` or ``ABORTED``.
        output: What it returns, when it succeeded.
        reason: State, error and cause, when it did not.
        reused: Whether it had succeeded before.
    """

    arn: str
    status: str
    output: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    reused: bool = False


def put_state_machine(
    session: Session, flow: str, definition: Mapping[str, Any], role_arn: str, tags: Mapping[str, str]
) -> str:
    """Make the state machine, or find the same one.

    Each definition has a machine of its own, named after its content: an update would take effect some time later, and
    two builds at once would run each other's.

    Args:
        session: The session.
        flow: Opens the name.
        definition: The definition.
        role_arn: Role it runs as.
        tags: Its tags.

    Returns:
        Its ARN.
    """
    digest = request_hash({"definition": definition, "role_arn": role_arn})[:_DIGEST_CHARACTERS]
    name = f"{flow}-{digest}"
    with aws_errors(f"creating state machine {name}"):
        answer = session.client("stepfunctions").create_state_machine(
            name=name,
            definition=json.dumps(definition),
            roleArn=role_arn,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
    return str(answer["stateMachineArn"])


def run(
    session: Session,
    state_machine_arn: str,
    name: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    sink: Callable[[str], None] = print_line,
) -> Execution:
    """Start the execution of that name and follow it to its end.

    One that runs is followed, one that succeeded is the result; one that failed gives its name to no other: the next
    attempt's ends in ``-2``, ``-3``.

    Args:
        session: The session.
        state_machine_arn: The state machine.
        name: Name of the execution.
        sleep: Waits.
        sink: Takes a line for each state.

    Returns:
        The execution, ended.

    Raises:
        NameTakenError: All attempts of the name have failed.
        AwsCallError: AWS refused.
    """
    client = session.client("stepfunctions")
    base = state_machine_arn.replace(":stateMachine:", ":execution:")
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        chosen = attempt_name(name, attempt, _LONGEST_NAME)
        with aws_errors(f"starting execution {chosen}"):
            try:
                arn = client.start_execution(stateMachineArn=state_machine_arn, name=chosen, input="{}")["executionArn"]
            except client.exceptions.ExecutionAlreadyExists:
                arn = f"{base}:{chosen}"
                described = client.describe_execution(executionArn=arn)
                if described["status"] == "SUCCEEDED":
                    sink(f"execution {chosen}: succeeded before, reused")
                    return Execution(arn, described["status"], json.loads(described["output"]), reused=True)
                continue
        try:
            return _follow(client, arn, sleep, sink)
        except KeyboardInterrupt:
            with aws_errors(f"stopping execution {chosen}"):
                client.stop_execution(
                    executionArn=arn, error="Cancelled", cause="kfp-sagemaker flow run was interrupted"
                )
            raise
    raise NameTakenError(f"execution {name}: all {_MAX_ATTEMPTS} attempts have failed; see the last one's history")


def _follow(client: Any, arn: str, sleep: Callable[[float], None], sink: Callable[[str], None]) -> Execution:
    seen = 0
    entered = failing = ""
    seconds = _FIRST_POLL_SECONDS
    while True:
        with aws_errors(f"following execution {arn}"):
            status = client.describe_execution(executionArn=arn)
            pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
            events = [event for page in pages for event in page["events"]]
        for event in events[seen:]:
            details = event.get("stateEnteredEventDetails")
            if details:
                entered = details["name"]
                sink(f"state {details['name']}")
                failing = details["name"] if event["type"] != "FailStateEntered" or not failing else failing
                seconds = _FIRST_POLL_SECONDS
            # That a look finds nothing is no news.
            elif event["type"] == "TaskFailed" and not entered.startswith("Find"):
                sink(f"  {_said(event.get('taskFailedEventDetails', {}))}")
        seen = len(events)
        if status["status"] not in ("RUNNING", "PENDING_REDRIVE"):
            break
        sleep(seconds)
        seconds = min(seconds * _POLL_GROWTH, _LONGEST_POLL_SECONDS)
    if status["status"] == "SUCCEEDED":
        return Execution(arn, status["status"], json.loads(status["output"]))
    return Execution(arn, status["status"], reason=f"state {failing}: {_said(status)}" if failing else _said(status))


def _said(failure: Mapping[str, Any]) -> str:
    """Error and cause in words; the cause of a failed job is its whole description as JSON."""
    cause = failure.get("cause", "")
    try:
        described = json.loads(cause)
    except ValueError:
        described = None
    if isinstance(described, dict):
        cause = described.get("FailureReason") or described.get("ExitMessage") or described.get("ErrorMessage") or ""
    return ": ".join(filter(None, [failure.get("error", ""), cause])) or "no reason given"

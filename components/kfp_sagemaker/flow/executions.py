"""Runs a flow's state machine: makes it, and starts or finds its execution.

API: https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.kinds import STATE_MACHINE_EXECUTION
from kfp_sagemaker.aws.names import request_hash
from kfp_sagemaker.aws.session import Session

_DIGEST_CHARACTERS = 10
# Each state has limits of its own; this only ends the waiting for one that hangs.
_LONGEST_SECONDS = 7 * 24 * 3600.0


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
    session: Session, state_machine_arn: str, name: str, *, sink: Callable[[str], None] = engine.print_line
) -> engine.Outcome:
    """Start the execution of that name and follow it to its end.

    One that runs is followed, one that succeeded is the result; one that failed gives its name to no other: the next
    attempt's ends in ``-2``, ``-3``. SIGTERM and Ctrl-C stop it.

    Args:
        session: The session.
        state_machine_arn: The state machine.
        name: Name of the execution.
        sink: Takes a line for each step of it.

    Returns:
        The execution, succeeded.

    Raises:
        JobFailedError: It failed; says in which state and why.
        JobStoppedError: Somebody stopped it.
        NameTakenError: All attempts of the name have failed.
        AwsCallError: AWS refused.
    """
    request = {"stateMachineArn": state_machine_arn, "input": "{}"}
    return engine.run(session, STATE_MACHINE_EXECUTION, request, name=name, timeout_seconds=_LONGEST_SECONDS, sink=sink)

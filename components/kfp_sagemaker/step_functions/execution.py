"""The work of the `run_state_machine` component: start an execution, follow it, return its output.

API: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.kinds import STATE_MACHINE_EXECUTION
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.values import normalise

_ARN = r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:stateMachine:[^:]{1,80}(:[^:]+)?"
_NAME = r"[A-Za-z0-9_-]{1,80}"
# "Quotas related to state machine executions".
_LARGEST_INPUT_BYTES = 262_144


class Outputs(NamedTuple):
    """What the step returns."""

    execution_arn: str
    output: dict[str, Any]
    output_json: str


def build_request(state_machine_arn: str, given: Any, execution_name: str, timeout_seconds: float) -> dict[str, Any]:
    """Build the ``StartExecution`` request, without the name.

    Args:
        state_machine_arn: The state machine.
        given: The execution's input.
        execution_name: The name the user wants; only checked.
        timeout_seconds: Only checked.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("run_state_machine")
    if problems.required("state_machine_arn", state_machine_arn):
        meaning = "the ARN of a state machine such as arn:aws:states:us-east-1:123456789012:stateMachine:NAME"
        problems.matches("state_machine_arn", state_machine_arn, _ARN, meaning)
    problems.matches(
        "execution_name", execution_name, _NAME, "1 to 80 letters, digits, hyphens and underscores, or empty"
    )
    problems.between("timeout_seconds", timeout_seconds, minimum=1)
    if not isinstance(given, Mapping):
        problems.add("input", given, "an object")
    text = json.dumps(normalise(given), separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > _LARGEST_INPUT_BYTES:
        problems.add("input", f"{len(text.encode())} bytes", f"at most {_LARGEST_INPUT_BYTES} bytes as JSON")
    problems.raise_if_any()
    return {"stateMachineArn": state_machine_arn, "input": text}


def run(
    *,
    state_machine_arn: str,
    input: Mapping[str, Any],
    execution_name: str,
    timeout_seconds: float,
    region: str,
    assume_role_arn: str,
) -> Outputs:
    """Run a state machine to its end; see the component for the arguments.

    Returns:
        The execution's ARN and its output.
    """
    request = build_request(state_machine_arn, input, execution_name, timeout_seconds)
    session = open_session(region, assume_role_arn)
    _refuse_express(session, state_machine_arn)
    outcome = engine.run(
        session,
        STATE_MACHINE_EXECUTION,
        request,
        name=execution_name,
        name_prefix=state_machine_arn.split(":")[6],
        timeout_seconds=timeout_seconds,
    )
    text = str(outcome.description.get("output", "null"))
    value = json.loads(text)
    return Outputs(outcome.arn, value if isinstance(value, dict) else {"value": value}, text)


def _refuse_express(session: Session, arn: str) -> None:
    with aws_errors(f"looking at state machine {arn}"):
        machine = session.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    if machine.get("type") == "EXPRESS":
        raise InputError(
            [
                f"state_machine_arn is {arn!r}, must be a standard state machine: executions of an Express one have no "
                "description or history to follow"
            ],
            "run_state_machine",
        )

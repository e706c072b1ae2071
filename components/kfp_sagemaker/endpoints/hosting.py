"""The single calls on endpoints, their configurations and models: describe and delete, with what is missing tolerated.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpoint.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.call_errors import aws_errors, error_code, is_missing
from kfp_sagemaker.aws.engine import Timing
from kfp_sagemaker.aws.errors import DeadlineError
from kfp_sagemaker.aws.kinds import ENDPOINT
from kfp_sagemaker.aws.session import Session

# Deleting takes SageMaker seconds to minutes; a longer pause than this only makes the step longer.
_MAX_INTERVAL_SECONDS = 10.0
_FIRST_INTERVAL_SECONDS = 0.25
_INTERVAL_GROWTH = 1.25
# The clock of everything here that waits; tests pass their own.
REAL_TIME = Timing()


def describe_endpoint(session: Session, name: str) -> dict[str, Any] | None:
    """DescribeEndpoint's answer; None when there is no such endpoint."""
    return _describe(session, "describe_endpoint", f"endpoint {name}", EndpointName=name)


def describe_config(session: Session, name: str) -> dict[str, Any] | None:
    """DescribeEndpointConfig's answer; None when there is no such configuration."""
    return _describe(session, "describe_endpoint_config", f"endpoint configuration {name}", EndpointConfigName=name)


def delete_config(session: Session, name: str) -> bool:
    """Delete an endpoint configuration; false when there is none."""
    return _delete(session, "delete_endpoint_config", f"endpoint configuration {name}", EndpointConfigName=name)


def delete_model(session: Session, name: str) -> bool:
    """Delete a model (not its archive); false when there is none."""
    return _delete(session, "delete_model", f"model {name}", ModelName=name)


def delete_endpoint(
    session: Session, name: str, *, timeout_seconds: float, timing: Timing, sink: Callable[[str], None]
) -> bool:
    """Delete an endpoint and wait until it is gone.

    SageMaker refuses to delete one that is being created or updated: then this waits for that to end first.

    Returns:
        False when there is none.

    Raises:
        DeadlineError: It is still there after ``timeout_seconds``.
        AwsCallError: AWS refused.
    """
    deadline = timing.now() + timeout_seconds
    interval = _FIRST_INTERVAL_SECONDS
    asked = False
    reported = ""
    while True:
        description = describe_endpoint(session, name)
        if description is None:
            return bool(reported)
        status = str(description["EndpointStatus"])
        if status != reported:
            sink(f"endpoint {name}: {status}")
            reported = status
        if not asked and status != "Deleting":
            asked = _ask_to_delete(session, name, busy=status in ENDPOINT.running)
            if asked:
                continue
        if timing.now() >= deadline:
            raise DeadlineError(
                f"endpoint {name} is still {status} {timeout_seconds:g} s after it was to be deleted; "
                "it costs until it is gone: delete it in the console, or raise timeout_seconds",
                console_url=session.console_url(ENDPOINT.console_path.format(name=name, region=session.region)),
            )
        timing.sleep(min(interval, max(deadline - timing.now(), 0.0)))
        interval = min(interval * _INTERVAL_GROWTH, _MAX_INTERVAL_SECONDS)


def _ask_to_delete(session: Session, name: str, *, busy: bool) -> bool:
    with aws_errors(f"deleting endpoint {name}"):
        try:
            session.client("sagemaker").delete_endpoint(EndpointName=name)
        except ClientError as error:
            if is_missing(error):
                return True
            # "Cannot update in-progress endpoint": asked again when it has settled.
            if busy and error_code(error) in ("ValidationException", "ResourceInUse"):
                return False
            raise
    return True


def _describe(session: Session, operation: str, subject: str, **parameters: str) -> dict[str, Any] | None:
    with aws_errors(f"describing {subject}"):
        try:
            return dict(getattr(session.client("sagemaker"), operation)(**parameters))
        except ClientError as error:
            if is_missing(error):
                return None
            raise


def _delete(session: Session, operation: str, subject: str, **parameters: str) -> bool:
    with aws_errors(f"deleting {subject}"):
        try:
            getattr(session.client("sagemaker"), operation)(**parameters)
        except ClientError as error:
            if is_missing(error):
                return False
            raise
    return True

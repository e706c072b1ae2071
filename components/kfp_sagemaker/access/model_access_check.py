"""Shows by calling that a role may use one model of a multi-model endpoint and not another.

A refusal counts only when access is its reason: a model that does not exist is refused too, and shows nothing.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.access.model_access import check_target_model
from kfp_sagemaker.access.patience import Patience
from kfp_sagemaker.aws.call_errors import aws_errors, error_code, error_message
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import AccessDeniedError, AccessTooWideError, AwsCallError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems

# CloudTrail, and the run on the embedded AWS, tell a refusal that was wanted by it.
SESSION_NAME = "kfp-sagemaker-verification"
_SHOWN_CHARACTERS = 120
COLUMNS = ("target model", "ought to be", "was", "answer")


@dataclass(frozen=True)
class Request:
    """Two calls, valid; see :func:`build_request`."""

    endpoint_name: str
    role_arn: str
    allowed_target_model: str
    refused_target_model: str
    body: bytes
    content_type: str
    accept: str
    timeout_seconds: float


class Verified(NamedTuple):
    """What the step returns."""

    role_arn: str
    calls: dict[str, Any]


def build_request(
    *,
    endpoint_name: str,
    role_arn: str,
    allowed_target_model: str,
    refused_target_model: str,
    rows: Sequence[str],
    content_type: str = "text/csv",
    accept: str = "",
    timeout_seconds: float = 120,
) -> Request:
    """Check the arguments; those of the component.

    Raises:
        InputError: Arguments are wrong; names all of them.
    """
    problems = Problems("verify_model_access")
    required = {
        "endpoint_name": endpoint_name,
        "role_arn": role_arn,
        "allowed_target_model": allowed_target_model,
        "refused_target_model": refused_target_model,
        "rows": rows,
    }
    for argument, value in required.items():
        problems.required(argument, value)
    problems.name("endpoint_name", endpoint_name)
    problems.role_arn("role_arn", role_arn)
    for argument in ("allowed_target_model", "refused_target_model"):
        if required[argument]:
            check_target_model(problems, argument, required[argument])
    if allowed_target_model and allowed_target_model == refused_target_model:
        problems.add("refused_target_model", refused_target_model, "another model than allowed_target_model")
    problems.between("timeout_seconds", timeout_seconds, 0)
    problems.raise_if_any()
    body = "\n".join(map(str, rows)).encode()
    return Request(
        endpoint_name,
        role_arn,
        allowed_target_model,
        refused_target_model,
        body,
        content_type,
        accept,
        timeout_seconds,
    )


def run(
    role: Session, request: Request, *, timing: Timing | None = None, sink: Callable[[str], None] = print_line
) -> Verified:
    """Make both calls, as the role, until they come out as they ought to or the time is over.

    Args:
        role: A session that has assumed the role, or will when it is first used.
        request: The calls.
        timing: Clock and sleep.
        sink: Takes a line for each call.

    Raises:
        AccessDeniedError: The role cannot be assumed, or may not call the model it ought to.
        AccessTooWideError: The other model answered.
        AwsCallError: A call failed for another reason than access.
    """
    patience = Patience(request.timeout_seconds, timing or Timing())
    rows = []
    for target_model, ought_to in (
        (request.allowed_target_model, "allowed"),
        (request.refused_target_model, "refused"),
    ):
        while True:
            was, answer, error = _call(role, request, target_model)
            if was == ought_to:
                break
            # A right granted, or taken away, a moment ago holds some seconds later.
            if not patience.pause():
                raise error or AccessTooWideError(
                    f"{request.role_arn} ought to be refused {target_model} of endpoint {request.endpoint_name}, and "
                    f"got an answer: {answer}. Look at the patterns, and at the role's other policies"
                )
        sink(f"{target_model}: {was}, as it ought to be: {answer}")
        rows.append([target_model, ought_to, was, answer])
    return Verified(request.role_arn, {"columns": list(COLUMNS), "rows": rows})


def _call(role: Session, request: Request, target_model: str) -> tuple[str, str, AccessDeniedError | None]:
    """Whether a call was allowed, what came back, and the error when it was refused."""
    options = {"Accept": request.accept} if request.accept else {}
    what = f"calling {target_model} of endpoint {request.endpoint_name} as {request.role_arn}"
    started = time.monotonic()
    try:
        with aws_errors(what):
            answer = role.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=request.endpoint_name,
                TargetModel=target_model,
                Body=request.body,
                ContentType=request.content_type,
                **options,
            )
            text = answer["Body"].read().decode("utf-8", "replace").strip()
    except AccessDeniedError as error:
        cause = error.__cause__
        # AssumeRole that is refused says nothing about the model.
        if error.operation != "InvokeEndpoint" or not isinstance(cause, ClientError):
            return "not assumed", "", error
        return "refused", f"{error_code(cause)}: {error_message(cause)}", error
    except AwsCallError as error:
        raise AwsCallError(
            f"{error}. The call failed for another reason than access, so it shows nothing about the role's rights",
            operation=error.operation,
            code=error.code,
        ) from error
    milliseconds = (time.monotonic() - started) * 1000
    return "allowed", f"{text[:_SHOWN_CHARACTERS]} ({milliseconds:.0f} ms)", None

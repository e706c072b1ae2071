"""botocore's exceptions, turned into the suite's: what was refused, for whom, on what, and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore import exceptions as boto

from kfp_sagemaker.aws.errors import (
    AccessDeniedError,
    AwsCallError,
    ConfigurationError,
    InputError,
    KfpSagemakerError,
    ResourceMissingError,
)

ACCESS_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
BAD_CREDENTIALS = EXPIRED | frozenset(
    {
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestExpiredException",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
MISSING = frozenset(
    {
        "404",
        "EntityNotFoundException",
        "ExecutionDoesNotExist",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchKey",
        "NotFound",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
    }
)
# SageMaker answers a describe of what does not exist with ValidationException and one of these sentences.
_MISSING_TEXT = re.compile(r"could not find|not found|does not exist", re.IGNORECASE)
_DENIED_TEXT = re.compile(
    r"User: (?P<identity>\S+) is not authorized to perform: (?P<action>\S+)(?: on resource: (?P<resource>[^\s\"]+))?"
)
# AWS lists every allowed value, hundreds of instance types for one that is misspelt.
_ENUM_TEXT = re.compile(
    r"(?P<opening>Value '(?P<given>[^']*)' at .{1,200}? enum value set: )\[(?P<allowed>[^\]]*)\]", re.DOTALL
)
_SHOWN_ENUM_VALUES = 8
# A signature says when it was made. Other reasons for a wrong one say nothing of time.
_SKEW_TEXT = re.compile(
    r"Signature expired|Signature not yet current|TooSkewed|too skewed|difference between the request time",
    re.IGNORECASE,
)
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# No answer came, or not a whole one: the call may be made again.
UNREACHABLE = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.ResponseStreamingError)
_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.ProfileNotFound,
    boto.InvalidConfigError,
    boto.ConfigParseError,
    boto.NoRegionError,
)


@contextmanager
def aws_errors(operation_subject: str) -> Iterator[None]:
    """Turn every botocore exception of the block into one of the suite's.

    Args:
        operation_subject: What is being done to what, such as ``creating training job train-12``; opens the message.

    Raises:
        ConfigurationError: Credentials, profile or region are missing, wrong or expired.
        AccessDeniedError: AWS refused; names action, identity and resource where AWS named them.
        ResourceMissingError: What was asked for does not exist.
        InputError: botocore found the request malformed before sending it.
        AwsCallError: Anything else AWS said, or that it could not be reached.
    """
    try:
        yield
    except boto.ClientError as error:
        raise translate(error, operation_subject) from error
    except boto.BotoCoreError as error:
        raise _translate_local(error, operation_subject) from error


def error_code(error: boto.ClientError) -> str:
    """AWS's code of a refusal, such as ``ValidationException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: boto.ClientError) -> str:
    """AWS's own sentence of a refusal."""
    return str(error.response.get("Error", {}).get("Message", ""))


def is_missing(error: boto.ClientError) -> bool:
    """Whether AWS says that the named resource does not exist."""
    code = error_code(error)
    return code in MISSING or (code == "ValidationException" and bool(_MISSING_TEXT.search(error_message(error))))


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed a little later: throttling, a server's fault, a broken connection."""
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in THROTTLED or status == 429 or status >= 500
    return isinstance(error, UNREACHABLE)


def translate(error: boto.ClientError, subject: str) -> KfpSagemakerError:
    """The suite's error for AWS's refusal.

    Args:
        error: What AWS answered.
        subject: What was being done to what.

    Returns:
        The error to raise.
    """
    code, operation = error_code(error), error.operation_name
    message = _ENUM_TEXT.sub(_nearest_values, error_message(error))
    if code in ACCESS_DENIED:
        return AccessDeniedError(f"{subject}: {_denied(message, operation)}", operation=operation, code=code)
    if code in BAD_CREDENTIALS and _SKEW_TEXT.search(f"{code} {message}"):
        return ConfigurationError(
            f"{subject}: {_skew(error)}, and AWS takes no signature that is minutes off ({code}: {message}): set the "
            "clock, by NTP; the credentials may be fine"
        )
    if code in BAD_CREDENTIALS:
        return ConfigurationError(
            f"{subject}: AWS does not accept the credentials ({code}: {message}): renew them, and check the clock"
        )
    text = f"{subject}: {operation} answered {code}: {message}"
    if is_missing(error):
        return ResourceMissingError(text, operation=operation, code=code)
    if code in THROTTLED:
        text += " (retried; lower the number of steps that run at once, or ask AWS for a higher quota)"
    return AwsCallError(text, operation=operation, code=code)


def _denied(message: str, operation: str) -> str:
    match = _DENIED_TEXT.search(message)
    if match is None:
        return f"AWS denied {operation} ({message or 'no reason given'}): allow it in the IAM policy of the identity"
    where = f" on {match['resource']}" if match["resource"] else ""
    return f"{match['identity']} may not {match['action']}{where}: allow it in an IAM policy ({message})"


def _skew(error: boto.ClientError) -> str:
    """How far this machine's clock is off, by the time AWS's answer carries."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return "this machine's clock is wrong"
    return f"this machine's clock is {abs(seconds) / 60:.0f} min {'ahead' if seconds > 0 else 'behind'}"


def _nearest_values(match: re.Match[str]) -> str:
    allowed = match["allowed"].split(", ")
    if len(allowed) <= _SHOWN_ENUM_VALUES:
        return match[0]
    nearest = difflib.get_close_matches(match["given"], allowed, n=_SHOWN_ENUM_VALUES) or allowed[:_SHOWN_ENUM_VALUES]
    return f"{match['opening']}[{', '.join(nearest)} and {len(allowed) - len(nearest)} more]"


def _translate_local(error: boto.BotoCoreError, subject: str) -> KfpSagemakerError:
    if isinstance(error, boto.ParamValidationError):
        report = str(error.kwargs.get("report", error))
        return InputError([line for line in report.splitlines() if line.strip()], subject)
    if isinstance(error, boto.NoCredentialsError):
        return ConfigurationError(
            f"{subject}: no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an IAM role"
        )
    if isinstance(error, _CREDENTIALS):
        return ConfigurationError(f"{subject}: {_one_line(error)}: check the AWS credentials and configuration")
    if isinstance(error, UNREACHABLE):
        return AwsCallError(
            f"{subject}: AWS could not be reached ({_one_line(error)}): check network, region and AWS_ENDPOINT_URL"
        )
    return AwsCallError(f"{subject}: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

"""The errors an operation answers, with SageMaker's codes and wording.

::

    ApiError
    ├── ValidationException     400  a value is malformed, or a resource is missing or in the wrong state
    ├── ResourceNotFound        400  SageMaker's own code for a missing job or tag target
    ├── ResourceInUse           400  the name is taken, or something still uses the resource
    ├── ResourceLimitExceeded   400
    ├── ConflictException       400
    ├── AccessDenied            400  code AccessDeniedException
    ├── OperationNotImplemented 400  the emulator does not implement the operation
    ├── ThrottlingException     400  only ever injected
    ├── ModelError              424  InvokeEndpoint: the container answered other than 2xx
    ├── ModelNotReady           429
    ├── ServiceUnavailable      503
    └── InternalFailure         500
"""

# ruff: noqa: N818 - the classes carry the names of AWS's error codes, without our own suffix.

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error answer.

    Args:
        code: AWS's error code, what botocore shows as ``Error.Code``.
        message: The sentence the client prints.
        http_status: The HTTP status.
        members: Further members of the error shape, such as ``OriginalStatusCode``.
    """

    def __init__(self, code: str, message: str, http_status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status
        self.members = members


class ValidationException(ApiError):
    """A value is malformed, or the named resource is missing or in a state that forbids the operation."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class ResourceNotFound(ApiError):
    """The named resource does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFound", message)


class ResourceInUse(ApiError):
    """The name is taken, or the resource is in use."""

    def __init__(self, message: str) -> None:
        super().__init__("ResourceInUse", message)


class ResourceLimitExceeded(ApiError):
    """A quota is exhausted."""

    def __init__(self, message: str) -> None:
        super().__init__("ResourceLimitExceeded", message)


class ConflictException(ApiError):
    """The resource was changed by somebody else at the same time."""

    def __init__(self, message: str) -> None:
        super().__init__("ConflictException", message)


class AccessDenied(ApiError):
    """No policy allows the call, or one denies it."""

    def __init__(self, message: str) -> None:
        super().__init__("AccessDeniedException", message)


class OperationNotImplemented(ApiError):
    """The emulator does not implement the operation, and says so instead of making up an answer.

    Args:
        service: botocore's service name.
        operation: The operation's name.
    """

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(
            "OperationNotImplemented",
            f"sagemaker-emulator does not implement {operation} of {service}; "
            "`sagemaker-emulator operations` and docs/emulator-operations.md list what it implements.",
        )


class ThrottlingException(ApiError):
    """Too many calls; answered only where fault injection asked for it."""

    def __init__(self, message: str = "Rate exceeded") -> None:
        super().__init__("ThrottlingException", message)


class ModelError(ApiError):
    """The model container answered an invocation with other than 2xx.

    Args:
        message: The sentence for the client.
        original_status_code: The container's HTTP status.
        original_message: The container's body.
        log_stream_arn: Where the container's log is.
    """

    def __init__(self, message: str, original_status_code: int, original_message: str, log_stream_arn: str) -> None:
        super().__init__(
            "ModelError",
            message,
            424,
            OriginalStatusCode=original_status_code,
            OriginalMessage=original_message,
            LogStreamArn=log_stream_arn,
        )


class ModelNotReady(ApiError):
    """The model is still being loaded."""

    def __init__(self, message: str) -> None:
        super().__init__("ModelNotReadyException", message, 429)


class ServiceUnavailable(ApiError):
    """The service cannot answer now; clients retry."""

    def __init__(self, message: str) -> None:
        super().__init__("ServiceUnavailable", message, 503)


class InternalFailure(ApiError):
    """A bug of the emulator; the details are in its log."""

    def __init__(self, message: str) -> None:
        super().__init__("InternalFailure", message, 500)

"""One AWS resource a step deals with: its name, and what can be asked of it or done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws.call_errors import error_code, is_missing
from kfp_sagemaker.aws.kinds import ResourceKind, look_up
from kfp_sagemaker.aws.session import Session

# A create that SIGTERM interrupted may take effect a moment after the first stop call.
_STOP_TRIES = 4
_STOP_SECONDS = 0.25


class ResourceHandle:
    """A resource of one kind, by its name; its client exists from the start, because stopping it must not wait for one.

    Args:
        session: The step's session.
        kind: The kind of resource.
        name: Its name; empty until one is tried.

    Attributes:
        name: Its name.
        arn: Its ARN; empty until AWS has told it.
        adopted: Whether an earlier attempt of this step created it.
    """

    def __init__(self, session: Session, kind: ResourceKind, name: str = "") -> None:
        self.session = session
        self.kind = kind
        self.client = session.client(kind.service)
        self.name = name
        self.arn = ""
        self.adopted = False

    def describe(self) -> dict[str, Any]:
        """What its describe call answers; botocore's errors pass through."""
        return dict(self._call(self.kind.describe_operation))

    def create(self, request: Mapping[str, Any]) -> None:
        """Create it under its present name; botocore's errors pass through."""
        self.arn = str(self._call(self.kind.create_operation, **request)[self.kind.arn_path])

    def stop(self, sleep: Callable[[float], None]) -> bool:
        """Stop it, or delete what cannot be stopped.

        Args:
            sleep: Waits that many seconds.

        Returns:
            Whether AWS took the call, or it has ended by itself.
        """
        for _ in range(_STOP_TRIES if self.name else 0):
            try:
                self._call(self.kind.stop_operation)
            except ClientError as error:
                if not is_missing(error):
                    # SageMaker refuses to stop what has ended, with ValidationException.
                    return error_code(error) == "ValidationException"
                if self.arn:
                    return True
            except BotoCoreError:
                pass
            else:
                return True
            sleep(_STOP_SECONDS)
        return False

    def status(self, description: Mapping[str, Any]) -> str:
        """Its status in a description; empty when that holds none."""
        return str(look_up(description, self.kind.status_path) or "")

    def detail(self, description: Mapping[str, Any]) -> str:
        """Its finer status in a description, for kinds that have one."""
        return str(look_up(description, self.kind.detail_path) or "") if self.kind.detail_path else ""

    def state(self, description: Mapping[str, Any]) -> str:
        """Both statuses in words, such as ``InProgress (Downloading)``, or the status and how far it is."""
        status = self.status(description)
        detail = self.kind.progress(description) or self.detail(description)
        return f"{status} ({detail})" if detail and detail != status else status or "unknown"

    @property
    def console_url(self) -> str:
        """Its page in the AWS console; empty where there is none."""
        return self.session.console_url(self.kind.console_path.format(name=self.name, region=self.session.region))

    def _call(self, operation: str, **parameters: Any) -> Any:
        return getattr(self.client, operation)(**{self.kind.name_parameter: self.name}, **parameters)

    def __str__(self) -> str:
        return f"{self.kind.label} {self.name}"

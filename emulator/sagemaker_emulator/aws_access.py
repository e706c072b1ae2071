"""How the emulator itself reaches S3, Logs, CloudWatch and IAM: through its own front door, as the resource's role.

A training job reads its data with the rights of its execution role, exactly as on AWS; with ``--auth`` a role that may
not read the bucket makes the job fail with the error the real service would give.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.settings import Settings

if TYPE_CHECKING:
    from sagemaker_emulator.operations import Context

ROOT_ACCESS_KEY_ID = "test"
ROOT_SECRET_ACCESS_KEY = "test"  # noqa: S105 - ministack's well-known root credentials
_ROLE_ARN = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+")


class InternalAws:
    """boto3 clients into this emulator, made once a service, region and role.

    Args:
        settings: Where the emulator listens and whether it checks authorisation.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service: str, region: str, role_arn: str = "") -> Any:
        """Return a blocking client; call it in a thread, never on the event loop, which has to answer it.

        Args:
            service: botocore's service name.
            region: The region to sign for.
            role_arn: Whose rights the calls have; empty for the account's root. Matters only with ``--auth``.
        """
        raise NotImplementedError

    def container_credentials(self, region: str, role_arn: str) -> dict[str, str]:
        """Return the ``AWS_*`` environment of a container that runs as a role: keys, region and endpoint."""
        raise NotImplementedError

    def check_service_role(self, ctx: Context, role_arn: str) -> None:
        """Check the role of a new resource: its form; with ``--auth`` that it exists, trusts SageMaker, may be passed.

        Raises:
            ValidationException: The role is malformed, missing or cannot be assumed by SageMaker.
            AccessDenied: The caller lacks ``iam:PassRole`` on it.
        """
        if not _ROLE_ARN.fullmatch(role_arn):
            raise ValidationException(f"Invalid role ARN: {role_arn}")

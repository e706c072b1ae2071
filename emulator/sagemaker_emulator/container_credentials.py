"""The credentials of containers with ``--auth``: fetched from the emulator, as ECS tasks fetch theirs, and so renewed.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_emulator.protocol import Answer, Headers

CREDENTIALS_PATH = "/_emulator/credentials"


class ContainerCredentials:
    """Gives each role a token, and whoever shows it that role's present credentials.

    Args:
        endpoint_url: The emulator's address.
        role_credentials: Returns botocore's credentials of a region, role and the service that assumes it; they renew
            themselves.
    """

    def __init__(self, endpoint_url: str, role_credentials: Callable[[str, str, str], Any]) -> None:
        self._endpoint_url = endpoint_url
        self._role_credentials = role_credentials
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str, str], str] = {}

    def environment(self, region: str, role_arn: str, principal: str) -> dict[str, str]:
        """Return the variables by which the AWS SDKs of a container find its credentials."""
        with self._lock:
            token = self._tokens.setdefault((region, role_arn, principal), secrets.token_urlsafe())
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._endpoint_url}{CREDENTIALS_PATH}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        }

    def answer(self, headers: Headers) -> Answer:
        """Answer a request for credentials. It may call STS of this emulator: call it in a thread."""
        token = headers.get(b"authorization", b"").decode("latin-1")
        with self._lock:
            roles = [
                key for key, given in self._tokens.items() if secrets.compare_digest(given.encode(), token.encode())
            ]
        if not roles:
            return _json(401, {"code": "Unauthorized", "message": "This token was not given to a container."})
        region, role_arn, principal = roles[0]
        try:
            credentials = self._role_credentials(region, role_arn, principal)
            frozen = credentials.get_frozen_credentials()
        except (PermissionError, ClientError) as error:
            return _json(403, {"code": "AccessDenied", "message": str(error)})
        return _json(
            200,
            {
                "AccessKeyId": frozen.access_key,
                "SecretAccessKey": frozen.secret_key,
                "Token": frozen.token,
                "Expiration": credentials._expiry_time.isoformat(),
                "RoleArn": role_arn,
            },
        )


def _json(status: int, document: dict[str, str]) -> Answer:
    return Answer(status, [(b"content-type", b"application/json")], json.dumps(document).encode())

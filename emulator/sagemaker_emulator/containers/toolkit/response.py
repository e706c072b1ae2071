"""The response object user code builds with ``worker.Response`` of the containers' library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_emulator.containers.formats import JSON


class Response:
    """A body with a content type and a status.

    Args:
        response: The body: str or bytes.
        accept: The content type under its deprecated name.
        status: The HTTP status.
        headers: Further headers.
        mimetype: The content type.
    """

    def __init__(
        self,
        response: Any = None,
        accept: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        mimetype: str | None = None,
    ) -> None:
        self.response = response
        self.status = status
        self.headers = dict(headers or {})
        self.mimetype = mimetype or accept or JSON

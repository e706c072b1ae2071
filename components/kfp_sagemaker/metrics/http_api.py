"""Requests and answers of an HTTP API that calls a Lambda function, payload format 2.0; function URLs use it too.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, unquote

# AWS Lambda quotas, "Invocation payload": what a function may answer, as JSON.
MAX_RESPONSE_BYTES = 6 * 2**20
# Below this gzip saves nothing that counts.
_WORTH_COMPRESSING_BYTES = 4096
_TEXT_OF_LOG = 200


class AnswerTooLargeError(Exception):
    """An answer does not fit into what a Lambda function may return.

    Args:
        size_bytes: Its size.
        is_compressed: Whether that is its size compressed.
    """

    def __init__(self, size_bytes: int, *, is_compressed: bool) -> None:
        advice = "" if is_compressed else "take it compressed (Accept-Encoding: gzip), "
        super().__init__(
            f"The answer would have {size_bytes / 1e6:.1f} MB, and a Lambda function answers at most 6: {advice}"
            "ask for single metrics (metric_name=...), or have them written to S3 with export_training_metrics"
        )


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    Attributes:
        method: Such as ``GET``.
        path: Its segments, decoded.
        query: Parameter to values, decoded.
        accepts_gzip: Whether the client takes compressed answers.
        request_id: API Gateway's id of the request.
        caller: Who asks: the ARN of an IAM identity or the subject of a token; empty when nobody was asked.
    """

    method: str
    path: tuple[str, ...]
    query: Mapping[str, list[str]]
    accepts_gzip: bool = False
    request_id: str = ""
    caller: str = ""

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Request:
        """From the event Lambda hands to the function."""
        context = event["requestContext"]
        headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
        authorizer = context.get("authorizer") or {}
        claims = authorizer.get("jwt", {}).get("claims", {})
        return cls(
            method=context["http"]["method"],
            path=_path(event),
            query=parse_qs(event.get("rawQueryString", ""), keep_blank_values=True),
            accepts_gzip=_accepts_gzip(headers.get("accept-encoding", "")),
            request_id=context.get("requestId", ""),
            caller=authorizer.get("iam", {}).get("userArn") or claims.get("sub") or claims.get("client_id") or "",
        )


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: The status code.
        text: The body.
        content_type: Its media type.
        headers: Further headers.
    """

    status: int
    text: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(
        cls, document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A JSON document."""
        return cls(status, json.dumps(document, ensure_ascii=False, separators=(",", ":")), headers=headers or {})

    @classmethod
    def of_error(cls, status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
        """A refusal, in the form API Gateway has for its own."""
        return replace(cls.of_json({"message": message}, status), headers=headers or {})

    def to_response(self, request: Request) -> dict[str, Any]:
        """What the function returns.

        Args:
            request: What is answered: ``HEAD`` gets no body, and who takes gzip gets it where it saves something.

        Raises:
            AnswerTooLargeError: It is more than a Lambda function may return.
        """
        body = self.text.encode()
        headers = {"content-type": self.content_type, "vary": "accept-encoding", **self.headers}
        response: dict[str, Any] = {"statusCode": self.status, "headers": headers, "isBase64Encoded": False}
        is_compressed = request.accepts_gzip and len(body) >= _WORTH_COMPRESSING_BYTES
        if is_compressed:
            body = gzip.compress(body, compresslevel=6, mtime=0)
            headers["content-encoding"] = "gzip"
        if request.method == "HEAD":
            return {**response, "body": ""}
        if is_compressed:
            response |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        else:
            response["body"] = self.text
        # The runtime sends it as JSON, which escapes every line end and every character outside of ASCII.
        if len(json.dumps(response)) > MAX_RESPONSE_BYTES:
            raise AnswerTooLargeError(len(body), is_compressed=is_compressed)
        return response


def log_line(request: Request, response: Mapping[str, Any], duration_ms: float, problem: str = "") -> str:
    """One JSON line about an answered request; it holds no token, no query and nothing of the answer.

    Args:
        request: What was asked.
        response: What the function returns.
        duration_ms: How long it took.
        problem: What went wrong, for the service's owner.
    """
    record = {
        "request_id": request.request_id,
        "caller": request.caller,
        "method": request.method,
        "path": ("/" + "/".join(request.path))[:_TEXT_OF_LOG],
        "status": response["statusCode"],
        "response_characters": len(response["body"]),
        "duration_ms": round(duration_ms, 1),
    }
    return json.dumps({**record, "problem": problem} if problem else record)


def _path(event: Mapping[str, Any]) -> tuple[str, ...]:
    _, is_route, template = event.get("routeKey", "").partition(" ")
    if not is_route:  # a function URL has no routes
        return tuple(unquote(segment) for segment in event["rawPath"].strip("/").split("/"))
    # The raw path begins with the stage, or with what a domain of one's own puts before it; the route does not.
    values = event.get("pathParameters") or {}
    return tuple(values.get(segment.strip("{}"), segment) for segment in template.strip("/").split("/"))


def _accepts_gzip(header: str) -> bool:
    for entry in header.lower().split(","):
        coding, *parameters = (part.strip() for part in entry.split(";"))
        if coding in ("gzip", "*"):
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False

"""The front door: routes a request by the service in its signature's credential scope, and answers SageMaker's.

``sagemaker`` (control plane and runtime sign alike) and the other services with registered operations are answered
here; everything else, unsigned and presigned S3 included, goes to ministack.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from typing import Any

from sagemaker_emulator import operations, protocol
from sagemaker_emulator.api.common import check_tags
from sagemaker_emulator.app import App
from sagemaker_emulator.auth import Authorizations, authorize
from sagemaker_emulator.aws_access import INTERNAL_USER_AGENT
from sagemaker_emulator.container_credentials import CREDENTIALS_PATH
from sagemaker_emulator.control import PREFIX, Control, Faults
from sagemaker_emulator.errors import ApiError, InternalFailure, OperationNotImplemented, ThrottlingException
from sagemaker_emulator.ministack import Ministack, Receive, Scope, Send, read_body
from sagemaker_emulator.operations import Context, Handler
from sagemaker_emulator.protocol import Answer
from sagemaker_emulator.service_model import Operation, ServiceModel
from sagemaker_emulator.settings import DEFAULT_REGION

logger = logging.getLogger(__name__)

_OWN_SERVICES = ("sagemaker", "sagemaker-runtime")
_INTERNAL = INTERNAL_USER_AGENT.encode()
# Glue's jobs are run here; that ministack would only pretend to run crawlers, triggers and workflows is why those stay
# refused.
_CATALOG_OPERATION = re.compile("Database|Table|Partition|Connection|ResourcePolic|SecurityConfiguration|UserDefined")
_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


class Gateway:
    """The ASGI application.

    Args:
        app: What operations work on.
        ministack: Everything but SageMaker.
        authorizations: Where evaluated calls are recorded.
        version: The emulator's version.
    """

    def __init__(self, app: App, ministack: Ministack, authorizations: Authorizations, version: str) -> None:
        self._app = app
        self._ministack = ministack
        self._latency_seconds = app.settings.latency_ms / 1000
        self._faults = Faults()
        self.control = Control(version, authorizations, self._faults, app.clock, app.store)
        self._root_arn = f"arn:aws:iam::{app.settings.account_id}:root"
        self._models: dict[str, list[ServiceModel]] = {}
        for name in dict.fromkeys((*_OWN_SERVICES, *operations.implemented())):
            model = ServiceModel(name)
            self._models.setdefault(model.signing_name, []).append(model)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._ministack.pass_through(scope, receive, send)
            return
        path: str = scope["path"]
        headers: protocol.Headers = dict(scope["headers"])
        if path == CREDENTIALS_PATH:
            await _send(send, await asyncio.to_thread(self._app.aws.container_credentials.answer, headers))
            return
        if path.startswith(PREFIX):
            await _send(send, self.control.answer(scope["method"], path, await read_body(receive)))
            return
        is_internal = _INTERNAL in headers.get(b"user-agent", b"")
        if self._latency_seconds and not is_internal:
            await asyncio.sleep(self._latency_seconds)
        region, service = _credential_scope(headers, scope["query_string"])
        models = self._models.get(service)
        if models is not None and not _is_of_data_catalog(service, headers):
            await _send(send, await self._answer(models, scope, headers, region, await read_body(receive)))
        elif service in ("s3", "") and not is_internal and self._throttles_s3(scope, headers):
            await read_body(receive)
            await _send(send, Answer(503, [(b"content-type", b"application/xml")], _SLOW_DOWN))
        else:
            await self._ministack(scope, receive, send)

    async def _answer(
        self, models: list[ServiceModel], scope: Scope, headers: protocol.Headers, region: str, body: bytes
    ) -> Answer:
        request_id = str(uuid.uuid4())
        model = models[0]
        try:
            model, operation, labels = _find_operation(models, scope, headers)
            handler = _handler(operation)
            ctx, params = self._admit(model, operation, labels, scope, headers, region, body, request_id)
            result = await handler(ctx, params)
            return protocol.answer(model, operation, result, request_id)
        except ApiError as error:
            return protocol.error_answer(model, error, request_id)
        except Exception as error:
            logger.exception("A request to %s failed (request id %s)", scope["path"], request_id)
            failure = InternalFailure(
                f"sagemaker-emulator failed: {type(error).__name__}: {error}. Its log has the traceback."
            )
            return protocol.error_answer(model, failure, request_id)

    def _admit(
        self,
        model: ServiceModel,
        operation: Operation,
        labels: dict[str, str],
        scope: Scope,
        headers: protocol.Headers,
        region: str,
        body: bytes,
        request_id: str,
    ) -> tuple[Context, dict[str, Any]]:
        """Parse, validate and, with ``--auth``, authorise a request; raises what it is refused with."""
        if self._faults.throttles(operation.name):
            raise ThrottlingException
        caller = self._ministack.iam.caller(scope, body) if self._app.settings.auth else None
        params = protocol.parse_request(model, operation, labels, scope["query_string"], headers, body)
        account_id = self._app.settings.account_id
        caller_arn = caller.arn if caller else self._root_arn
        ctx = Context(self._app, account_id, region, _partition(region), caller_arn, request_id)
        if caller is not None:
            authorize(self._ministack.iam, caller, ctx, operation, params)
        if operation.service == "sagemaker":
            check_tags(params.get("Tags", []))
        return ctx, params

    def _throttles_s3(self, scope: Scope, headers: protocol.Headers) -> bool:
        has_plan = self._faults.plan.throttle_share > 0
        return has_plan and self._faults.throttles(_s3_operation(scope["method"], scope["path"], headers))


def _find_operation(
    models: list[ServiceModel], scope: Scope, headers: protocol.Headers
) -> tuple[ServiceModel, Operation, dict[str, str]]:
    if target := headers.get(b"x-amz-target"):
        prefix, _, name = target.decode("latin-1").rpartition(".")
        for model in models:
            if model.target_prefix == prefix and name in model.operations:
                return model, model.operations[name], {}
        raise ApiError("UnknownOperationException", f"{models[0].signing_name} has no operation {name}")
    # Labels are cut from the raw path, so that an encoded slash stays inside its label.
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    for model in models:
        if model.protocol != "json" and (match := model.match_path(scope["method"], path)):
            return model, *match
    raise OperationNotImplemented(models[0].signing_name, f"{scope['method']} {scope['path']}")


def _is_of_data_catalog(service: str, headers: protocol.Headers) -> bool:
    """Return whether a request is for the half of Glue that is ministack's: databases, tables, connections."""
    if service != "glue":
        return False
    name = headers.get(b"x-amz-target", b"").rpartition(b".")[2].decode("latin-1")
    return _CATALOG_OPERATION.search(name) is not None


def _handler(operation: Operation) -> Handler:
    handler = operations.find(operation.service, operation.name)
    if handler is None:
        raise OperationNotImplemented(operation.service, operation.name)
    return handler


def _credential_scope(headers: protocol.Headers, query: bytes) -> tuple[str, str]:
    """Return the region and service a request was signed for; the service is empty when it was not."""
    # Authorization: AWS4-HMAC-SHA256 Credential=KEY/20250101/us-east-1/sagemaker/aws4_request, ...
    _, found, credential = headers.get(b"authorization", b"").partition(b"Credential=")
    separator = b"/"
    if not found:
        _, found, credential = query.partition(b"X-Amz-Credential=")
        separator = b"%2F" if b"%2F" in credential else b"/"
    parts = credential.split(separator, 4)
    if not found or len(parts) < 5:
        return DEFAULT_REGION, ""
    return parts[2].decode("latin-1"), parts[3].decode("latin-1")


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _s3_operation(method: str, path: str, headers: protocol.Headers) -> str:
    """Return the plain S3 operation of a request, as far as throttling tells them apart."""
    is_object = len(path.strip("/").split("/", 1)) == 2
    if method == "PUT" and is_object and b"x-amz-copy-source" in headers:
        return "CopyObject"
    verbs = {"GET": "Get", "HEAD": "Head", "PUT": "Put", "DELETE": "Delete", "POST": "Post"}
    if method == "GET" and not is_object:
        return "ListObjectsV2"
    return f"{verbs.get(method, method)}{'Object' if is_object else 'Bucket'}"


async def _send(send: Send, answer: Answer) -> None:
    headers: list[Any] = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})

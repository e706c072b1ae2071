"""The one place that knows ministack, which answers every service but SageMaker: S3, IAM, STS, Logs, CloudWatch, ...

ministack is configured by environment variables it reads when imported, so it is imported here and only once
``Ministack`` is made. It is mounted as an ASGI application: it opens no port of its own, and all it writes lies under
the emulator's state folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from sagemaker_emulator.errors import AccessDenied, ApiError
from sagemaker_emulator.ministack_state import MinistackState
from sagemaker_emulator.settings import DEFAULT_REGION, HOST, Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_READ_ONLY_PREFIXES = (
    "BatchGet",
    "Check",
    "Decode",
    "Describe",
    "Estimate",
    "Filter",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Preview",
    "Query",
    "Scan",
    "Search",
    "Select",
    "Simulate",
    "Test",
    "Validate",
)
# STS makes sessions in calls that read like look-ups.
_WRITING_NAMES = frozenset({"GetSessionToken", "GetFederationToken"})
_JSON_AUTH_CODES = {
    "InvalidClientTokenId": "UnrecognizedClientException",
    "InvalidToken": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "IncompleteSignature": "IncompleteSignatureException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "RequestExpired": "RequestExpiredException",
}


@dataclass(frozen=True)
class Caller:
    """Who signed a request.

    Attributes:
        access_key_id: The key of the signature.
        region: The region it was made for.
        arn: The user, assumed role or root the key belongs to; empty for an unknown key.
    """

    access_key_id: str
    region: str
    arn: str


class Ministack:
    """ministack, configured, mounted, its state durable, and its IAM evaluator at hand.

    Args:
        settings: The emulator's settings.
        on_decision: Called with (principal, action, resource, allowed) for each call ministack authorises.
    """

    def __init__(self, settings: Settings, on_decision: Callable[[str, str, str, bool], None] | None = None) -> None:
        _set_environment(settings)
        import ministack.app
        import ministack.core.iam_actions
        import ministack.core.iam_evaluator
        import ministack.core.persistence
        import ministack.core.responses
        import ministack.core.router

        self._app: Any = ministack.app
        self._evaluator = ministack.core.iam_evaluator
        self._iam_actions = ministack.core.iam_actions
        self._responses = ministack.core.responses
        self._router = ministack.core.router
        self._account_id = settings.account_id
        self._state = MinistackState(
            ministack.app, ministack.core.persistence, ministack.core.responses, settings.state_dir / "ministack"
        )
        if on_decision is not None:
            self._report_decisions(on_decision)
        self._to_lifespan: asyncio.Queue[Message] = asyncio.Queue()
        self._from_lifespan: asyncio.Queue[Message] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what ministack persisted and start its schedulers.

        Raises:
            RuntimeError: ministack reports that it could not start.
        """
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        self._lifespan = asyncio.create_task(self._app.app(scope, self._to_lifespan.get, self._from_lifespan.put))
        await self._exchange("startup")
        await self._state.start()

    async def stop(self) -> None:
        """Save everything and stop ministack's schedulers."""
        await self._state.stop()
        await self._exchange("shutdown")

    async def _exchange(self, phase: str) -> None:
        await self._to_lifespan.put({"type": f"lifespan.{phase}"})
        message = await self._from_lifespan.get()
        if message["type"] != f"lifespan.{phase}.complete":
            raise RuntimeError(f"ministack failed in {phase}: {message.get('message', 'no reason given')}")

    async def pass_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what changes no state, or is no HTTP request."""
        await self._app.app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what it changed is on disk before the answer starts."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or _is_object_request(scope):
            await self.pass_through(scope, receive, send)
            return
        body = await read_body(receive)
        received = time.time()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        service, action = self._service_and_action(scope, headers, query, body)

        async def save_then_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await self._state.save(service, received, scope["method"], scope["path"], headers, query, body)
            await send(message)

        is_read = action.startswith(_READ_ONLY_PREFIXES) and action not in _WRITING_NAMES
        await self._app.app(scope, _replay(body), send if is_read else save_then_send)

    def _service_and_action(
        self, scope: Scope, headers: dict[str, str], query: dict[str, list[str]], body: bytes
    ) -> tuple[str, str]:
        params = query
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            params = {**query, **parse_qs(body.decode("utf-8", "replace"))}
        service: str = self._router.detect_service(scope["method"], scope["path"], headers, params)
        action = params.get("Action", [""])[0] or headers.get("x-amz-target", "").rpartition(".")[2]
        return service, action or scope["path"].rpartition("/operation/")[2]

    def caller(self, scope: Scope, body: bytes) -> Caller:
        """Return who signed a request; the signature itself is checked by the first ``authorize``."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        access_key_id: str = self._router.extract_access_key_id(headers, query)
        region: str = self._router.extract_region(headers, query)
        try:
            account = self._evaluator.find_iam_access_key_account(access_key_id) or access_key_id
        except self._evaluator.AmbiguousAccessKeyError as error:
            raise ApiError("UnrecognizedClientException", str(error)) from error
        # These are context variables: they hold for this request's task only.
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        self._evaluator.pin_signed_request(scope["method"], raw_path, query, scope["headers"])
        self._evaluator.pin_signed_body(body)
        identity = self._evaluator.resolve_caller_identity(access_key_id) or {}
        return Caller(access_key_id, region, identity.get("userArn", ""))

    def authorize(self, caller: Caller, action: str, resource_arn: str, conditions: dict[str, str]) -> None:
        """Evaluate a caller's policies, boundary and session policies for an action.

        Args:
            caller: Who calls.
            action: Such as ``sagemaker:CreateModel``.
            resource_arn: What it acts on; ``*`` for actions without a resource.
            conditions: The request's condition keys, in lower case.

        Raises:
            ApiError: The credentials are not valid, or no policy allows the action or one denies it.
        """
        denied = self._evaluator.enforce(
            caller.access_key_id, action, "sagemaker", caller.region, resource_arn, conditions
        )
        if denied is None:
            return
        if isinstance(denied, self._evaluator.AuthError):
            raise ApiError(_JSON_AUTH_CODES.get(denied.code, denied.code), denied.message)
        is_explicit = denied.decision == "Deny"
        raise AccessDenied(
            self._iam_actions.identity_denial_message(action, denied.principal_arn, resource_arn, is_explicit)
        )

    def service_may_assume(self, role_arn: str, service: str) -> bool | None:
        """Return whether a role trusts an AWS service, or None when there is no such role.

        Args:
            role_arn: The role.
            service: The service principal, such as ``sagemaker.amazonaws.com``.
        """
        name = role_arn.rpartition("/")[2]
        role = self._app._get_module("iam")._roles.get_scoped(self._account_id, None, name)
        if role is None or role["Arn"] != role_arn:
            return None
        document = role["AssumeRolePolicyDocument"]
        trusting = _only_service_statements(_parse_document(document), service)
        root = f"arn:aws:iam::{self._account_id}:root"
        allowed: bool = self._evaluator.evaluate_trust_policy(trusting, root)
        return allowed

    def _report_decisions(self, on_decision: Callable[[str, str, str, bool], None]) -> None:
        evaluator = self._evaluator
        enforce = evaluator.enforce

        def reporting_enforce(access_key_id: str, iam_action: str, service: str, *args: Any, **kwargs: Any) -> Any:
            denied = enforce(access_key_id, iam_action, service, *args, **kwargs)
            resource_arn = kwargs.get("resource_arn") or (args[1] if len(args) > 1 else "*")
            principal = (evaluator.resolve_caller_identity(access_key_id) or {}).get("userArn", "")
            on_decision(principal, iam_action, resource_arn, denied is None)
            return denied

        # ministack looks the function up in its module at each call.
        evaluator.enforce = reporting_enforce


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks = [body]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
    return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _is_object_request(scope: Scope) -> bool:
    # An S3 object is on disk before S3 answers; only buckets and their settings need saving. No other service signed
    # for S3, or unsigned, takes a PUT or DELETE of a two-part path.
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    is_s3 = b"/s3/aws4_request" in authorization or not authorization
    return is_s3 and len(scope["path"].strip("/").split("/", 1)) == 2


def _parse_document(document: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return parsed


def _only_service_statements(document: dict[str, Any], service: str) -> dict[str, Any]:
    # The evaluator lets root pass any service principal; here exactly one service is asked about, so statements that
    # name it apply to everybody and the others to nobody.
    statements = document.get("Statement", [])
    trusting = []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        if principal == "*" or service in ([services] if isinstance(services, str) else services):
            trusting.append({**statement, "Principal": "*"})
    return {**document, "Statement": trusting}


def _set_environment(settings: Settings) -> None:
    folder = settings.state_dir / "ministack"
    temporary = settings.state_dir / "tmp"
    for path in (folder, temporary):
        path.mkdir(parents=True, exist_ok=True)
    # The caller's own credentials and configuration are none of the emulator's business, and ministack would take
    # the key in them for root's.
    for name in [name for name in os.environ if name.startswith(("AWS_", "LOCALSTACK_", "MINISTACK_"))]:
        del os.environ[name]
    os.environ |= {
        "AUTH": "true" if settings.auth else "false",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BIND_HOST": HOST,
        # No Docker: at its start ministack removes the containers it takes for its own, on whatever daemon it finds.
        "DOCKER_HOST": f"unix://{folder / 'no-docker.sock'}",
        "GATEWAY_PORT": str(settings.port),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": settings.account_id,
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": DEFAULT_REGION,
        "PERSIST_STATE": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "S3_PERSIST": "1",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(temporary),
    }
    tempfile.tempdir = None  # read TMPDIR anew

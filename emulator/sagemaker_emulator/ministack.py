"""The one place that knows ministack, which answers every service but SageMaker: S3, IAM, STS, Logs, CloudWatch, ...

ministack is configured by environment variables it reads when imported, so it is imported here and only once
``Ministack`` is made. It is mounted as an ASGI application: it opens no port of its own, and all it writes lies under
the emulator's state folder.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from sagemaker_emulator.clock import Clock
from sagemaker_emulator.ministack_cloudwatch import MinistackCloudWatch
from sagemaker_emulator.ministack_http_api import MinistackHttpApi
from sagemaker_emulator.ministack_iam import MinistackIam
from sagemaker_emulator.ministack_lambda import MinistackLambda
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


class Ministack:
    """ministack, configured, mounted, its state durable, and its IAM evaluator at hand.

    Args:
        settings: The emulator's settings.
        on_decision: Called with (principal, action, resource, allowed) for each call ministack authorises.
        clock: The emulator's time, by which sessions expire; real time by default.
    """

    def __init__(
        self,
        settings: Settings,
        on_decision: Callable[[str, str, str, bool], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._account_id = settings.account_id
        _set_environment(settings)
        import ministack.app
        import ministack.core.iam_actions
        import ministack.core.iam_evaluator
        import ministack.core.lambda_runtime
        import ministack.core.persistence
        import ministack.core.responses
        import ministack.core.router
        import ministack.services.cloudwatch

        self._app: Any = ministack.app
        self._router = ministack.core.router
        self.iam = MinistackIam(
            ministack.app,
            ministack.core.iam_evaluator,
            ministack.core.iam_actions,
            ministack.core.responses,
            ministack.core.router,
        )
        MinistackCloudWatch(ministack.services.cloudwatch)
        self.iam.let_services_name_their_account()
        self.iam.authorize_iam_by_resource()
        self.iam.simulate_policies()
        if clock is not None:
            self.iam.let_sessions_expire_by(clock)
        self._state = MinistackState(
            ministack.app, ministack.core.persistence, ministack.core.responses, settings.state_dir / "ministack"
        )
        if on_decision is not None:
            self.iam.report_decisions(on_decision)
        core = ministack.core
        self._lambda = MinistackLambda(ministack.app, core.lambda_runtime, core.iam_evaluator, core.responses, settings)
        http_apis = MinistackHttpApi(ministack.app, core.responses, core.router, core.iam_evaluator, settings)
        http_apis.let_apis_have_an_address()
        http_apis.let_stages_throttle_and_log()
        http_apis.stay_on_this_machine()
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
        """Save everything and stop ministack's schedulers and functions."""
        await asyncio.to_thread(self._lambda.stop)
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
        scope = _with_managed_key(scope, self._account_id)
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or _is_object_request(scope):
            await self.pass_through(scope, receive, send)
            return
        body = await read_body(receive)
        received = time.time()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        service, action = self._service_and_action(scope, headers, query, body)
        if service == "sts" and action == "AssumeRole" and (missing := self._missing_role(query, body)):
            await _refuse_assume_role(send, missing)
            return

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

    def _missing_role(self, query: dict[str, list[str]], body: bytes) -> str:
        """Return the role an AssumeRole asks for when it does not exist; without ``AUTH`` ministack lets it pass."""
        role_arn = {**query, **parse_qs(body.decode("utf-8", "replace"))}.get("RoleArn", [""])[0]
        is_role = role_arn.count(":") == 5 and ":role/" in role_arn
        return role_arn if is_role and self.iam.role(role_arn) is None else ""


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


async def _refuse_assume_role(send: Send, role_arn: str) -> None:
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>AccessDenied</Code><Message>Not authorized to perform: sts:AssumeRole on resource: {escape(role_arn)} "
        "(the role does not exist in this emulator)</Message></Error></ErrorResponse>"
    ).encode()
    headers = [(b"content-type", b"text/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _with_managed_key(scope: Scope, account_id: str) -> Scope:
    """Name the account's own key where S3 is to encrypt with KMS and no key is named: ministack knows no default."""
    names = {name: value for name, value in scope["headers"] if name.startswith(b"x-amz-server-side-encryption")}
    key_header = b"x-amz-server-side-encryption-aws-kms-key-id"
    if names.get(b"x-amz-server-side-encryption") != b"aws:kms" or key_header in names:
        return scope
    key = f"arn:aws:kms:{DEFAULT_REGION}:{account_id}:alias/aws/s3".encode()
    return {**scope, "headers": [*scope["headers"], (key_header, key)]}


def _is_object_request(scope: Scope) -> bool:
    # An S3 object is on disk before S3 answers; only buckets and their settings need saving. No other service signed
    # for S3, or unsigned, takes a PUT or DELETE of a two-part path.
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    is_s3 = b"/s3/aws4_request" in authorization or not authorization
    return is_s3 and len(scope["path"].strip("/").split("/", 1)) == 2


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

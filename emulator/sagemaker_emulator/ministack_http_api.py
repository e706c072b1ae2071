"""ministack's API Gateway, with what an HTTP API does besides calling its function: throttling and the access log.

Also its address: ministack names an API ``API.execute-api.HOST``, which not every machine resolves; here it is a path.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from sagemaker_emulator.settings import Settings

logger = logging.getLogger(__name__)

_JSON = {"Content-Type": "application/json"}
_LOG_TARGETS = "Logs_20140328"
# API Gateway Developer Guide, "Customize HTTP API access logs": $context.status, $context.identity.sourceIp ...
_LOG_VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Response = tuple[int, dict[str, Any], bytes]


@dataclass
class Bucket:
    """A token bucket: a route answers ``rate`` requests a second in the long run and ``burst`` at once.

    Attributes:
        rate: Tokens that come each second.
        burst: Tokens it holds.
        tokens: Tokens in it.
        filled: When that was, in seconds of a monotonic clock.
    """

    rate: float
    burst: float
    tokens: float
    filled: float

    def take(self, now: float) -> bool:
        """Take a token; False when there is none."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class MinistackHttpApi:
    """What is different from ministack's own HTTP APIs.

    Args:
        app: ``ministack.app``.
        responses: ``ministack.core.responses``.
        router: ``ministack.core.router``.
        evaluator: ``ministack.core.iam_evaluator``.
        settings: The emulator's settings.
        monotonic: Seconds of a clock that only goes on.
    """

    def __init__(
        self,
        app: ModuleType,
        responses: ModuleType,
        router: ModuleType,
        evaluator: ModuleType,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app: Any = app
        self._responses: Any = responses
        self._router: Any = router
        self._evaluator: Any = evaluator
        self._api: Any = self._app._get_module("apigateway")
        self._endpoint_url = settings.endpoint_url
        self._monotonic = monotonic
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def let_apis_have_an_address(self) -> None:
        """Give each API an ``ApiEndpoint`` that any HTTP client reaches; after a restart at the port it has then."""
        endpoint_url = self._endpoint_url
        scoped_dict: Any = self._responses.AccountRegionScopedDict

        class AddressedApis(scoped_dict):  # type: ignore[misc]
            __slots__ = ()

            def __setitem__(self, api_id: str, api: dict[str, Any]) -> None:
                _address(api, endpoint_url)
                super().__setitem__(api_id, api)

            def update(self, *args: Any, **kwargs: Any) -> None:
                super().update(*args, **kwargs)
                for _, api in self.all_items():
                    _address(api, endpoint_url)

        self._api._apis = AddressedApis()

    def let_stages_throttle_and_log(self) -> None:
        """Keep to a stage's ``DefaultRouteSettings`` and ``RouteSettings``, and write its access log."""
        handle = self._app._handle_execute_api_request

        async def handle_execute_api_request(
            host: str,
            path: str,
            method: str,
            headers: dict[str, str],
            body: bytes,
            query_params: dict[str, list[str]],
            **options: Any,
        ) -> Response | None:
            call = self._find(host, path, method)
            if call is None:
                response: Response | None = await handle(host, path, method, headers, body, query_params, **options)
                return response
            reason = ""
            if self._throttles(call):
                reason = "Too Many Requests"
                answer: Response = 429, dict(_JSON), b'{"message":"Too Many Requests"}'
            elif not call.route_key and method != "OPTIONS":
                # Whoever asks: without a route there is nothing to be allowed or denied.
                answer = 404, dict(_JSON), b'{"message":"Not Found"}'
            else:
                answer = await handle(host, path, method, headers, body, query_params, **options)
                if reason := _denial(answer):
                    answer = 403, dict(_JSON), b'{"message":"Forbidden"}'
            if destination := call.settings.get("accessLogSettings"):
                await self._log(call, destination, answer, reason, headers, query_params)
            return answer

        # ministack looks the function up in its module at each call.
        self._app._handle_execute_api_request = handle_execute_api_request

    def stay_on_this_machine(self) -> None:
        """Fetch the keys of token issuers, and forward to HTTP integrations, on the loopback interface only."""
        urlopen = self._api._urlopen_sync

        def urlopen_here(request: Any, timeout_seconds: float) -> Any:
            url = request if isinstance(request, str) else request.full_url
            if urlsplit(url).hostname not in _LOOPBACK:
                logger.warning("An HTTP API may not call %s: this emulator stays on the loopback interface", url)
                raise OSError(f"sagemaker-emulator calls no other machine, and {url} is on one")
            return urlopen(request, timeout_seconds)

        # ministack looks the function up in its module at each call.
        self._api._urlopen_sync = urlopen_here

    def _find(self, host: str, path: str, method: str) -> _Call | None:
        """What a request calls, when that is a stage of an HTTP API."""
        parsed = self._app._parse_execute_api_url(host, path)
        scope = parsed and self._api.find_api_scope(parsed[0])
        if not scope:
            return None
        api_id, (account_id, region) = parsed[0], scope
        with self._responses.request_scope(account_id, region):
            stage, route_path = self._app._resolve_stage_and_path(*parsed)
            settings = self._api._stages.get(api_id, {}).get(stage)
            if settings is None:
                return None
            route = self._api._match_route(api_id, method, route_path)
        route_key = route["routeKey"] if route else ""
        return _Call(account_id, region, api_id, stage, method, route_path, route_key, settings)

    def _throttles(self, call: _Call) -> bool:
        by_route = call.settings.get("routeSettings", {}).get(call.route_key, {})
        limits = _lower_camel_case({**call.settings.get("defaultRouteSettings", {}), **by_route})
        rate, burst = limits.get("throttlingRateLimit"), limits.get("throttlingBurstLimit")
        if not call.route_key or rate is None or burst is None:
            return False
        now = self._monotonic()
        key = (call.api_id, call.stage, call.route_key)
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.rate, bucket.burst) != (float(rate), float(burst)):
            bucket = self._buckets[key] = Bucket(float(rate), float(burst), float(burst), now)
        return not bucket.take(now)

    async def _log(
        self,
        call: _Call,
        destination: Mapping[str, str],
        answer: Response,
        reason: str,
        headers: dict[str, str],
        query_params: dict[str, list[str]],
    ) -> None:
        status, answer_headers, body = answer
        key = self._router.extract_access_key_id(headers, query_params)
        identity = (self._evaluator.resolve_caller_identity(key) if key else None) or {}
        now = time.time()
        known = {
            "accountId": call.account_id,
            "apiId": call.api_id,
            "domainName": headers.get("host", ""),
            "error.message": reason,
            "httpMethod": call.method,
            "identity.sourceIp": "127.0.0.1",
            "identity.userAgent": headers.get("user-agent", ""),
            "identity.userArn": identity.get("userArn", ""),
            "path": call.path,
            "protocol": "HTTP/1.1",
            "requestId": answer_headers.get("apigw-requestid") or str(uuid.uuid4()),
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": str(int(now * 1000)),
            "responseLength": str(len(body)),
            "routeKey": call.route_key,
            "stage": call.stage,
            "status": str(status),
        }
        # What is not known is a hyphen, as on AWS.
        line = _LOG_VARIABLE.sub(lambda match: known.get(match[1]) or "-", destination.get("format", ""))
        group = destination["destinationArn"].split(":")[6]
        stream = f"{call.api_id}-{call.stage.strip('$')}"
        place = {"logGroupName": group, "logStreamName": stream}
        events = {**place, "logEvents": [{"timestamp": int(now * 1000), "message": line}]}
        logs = self._app._get_module("cloudwatch_logs")
        with self._responses.request_scope(call.account_id, call.region):
            for operation, parameters in (("CreateLogStream", place), ("PutLogEvents", events)):
                target = {"x-amz-target": f"{_LOG_TARGETS}.{operation}"}
                await logs.handle_request("POST", "/", target, json.dumps(parameters).encode(), {})


@dataclass(frozen=True)
class _Call:
    """A request to a stage of an HTTP API; ``settings`` is the stage as ministack keeps it."""

    account_id: str
    region: str
    api_id: str
    stage: str
    method: str
    path: str
    route_key: str
    settings: Mapping[str, Any]


def _address(api: dict[str, Any], endpoint_url: str) -> None:
    if api.get("protocolType") == "HTTP":
        api["apiEndpoint"] = f"{endpoint_url}/_aws/execute-api/{api['apiId']}"


def _denial(answer: Response) -> str:
    """Why IAM refused a request, which HTTP APIs tell their access log alone."""
    try:
        document = json.loads(answer[2]) if answer[0] == 403 else {}
    except ValueError:
        return ""
    return str(document["message"]) if isinstance(document, dict) and document.keys() == {"__type", "message"} else ""


def _lower_camel_case(settings: Mapping[str, Any]) -> dict[str, Any]:
    # ministack keeps what CloudFormation gave it in CloudFormation's spelling.
    return {name[:1].lower() + name[1:]: value for name, value in settings.items()}

"""The HTTP side of every container: one model, or many under the multi-model contract.

``GET /ping``, ``POST /invocations``, ``GET /execution-parameters``; a multi-model server also manages models as in
https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html.

Models run one request at a time, as in a container with one worker, so model code need not be thread-safe. A request
that is expected to be quick runs on the event loop itself, which costs nothing; everything else runs on one worker
thread, so that ``/ping`` answers whatever a model does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

from sagemaker_emulator.containers.formats import ANY, JSON, UnsupportedAcceptError, UnsupportedFormatError
from sagemaker_emulator.containers.model import Answer, Loader, Model, PayloadError

log = logging.getLogger("serving")

_INLINE_BODY_BYTES = 64 * 1024
_INLINE_SECONDS = 0.02  # a model that took longer is not run on the event loop next time

T = TypeVar("T")
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ModelServer:
    """The ASGI application.

    Args:
        load: Loads a model from the folder of its extracted archive.
        multi_model: Whether models come by ``POST /models`` instead of from ``model/``.
        default_accept: Taken when a request accepts anything; SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT.
        execution_parameters: The answer of ``GET /execution-parameters``; ``None`` is a 404.
    """

    def __init__(
        self,
        load: Loader,
        *,
        multi_model: bool = False,
        default_accept: str = JSON,
        execution_parameters: Callable[[], Answer | None] = lambda: None,
    ) -> None:
        self._load = load
        self._multi_model = multi_model
        self._default_accept = default_accept
        self._execution_parameters = execution_parameters
        self._models: dict[str, _Loaded] = {}
        self._loading: set[str] = set()
        self._worker = ThreadPoolExecutor(1, "model")
        self._in_worker = 0

    def load_single(self, folder: Path) -> None:
        """Load the one model of a container that is not multi-model; its errors are the caller's."""
        self._models[""] = _Loaded(self._load(folder), str(folder))

    def warm_up(self, prepare: Callable[[], None]) -> None:
        """Run slow imports on the worker thread, before the first model that needs them."""
        self._worker.submit(prepare)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        try:
            answer = await self._route(scope, body)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            answer = _failure(500, "InternalServerException", "the model server failed; see its log")
        headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
        headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _route(self, scope: Scope, body: bytes) -> Answer:
        method, path = scope["method"], scope["path"]
        if method == "POST":
            if path == "/invocations":
                return await self._invoke("", scope, body)
            if self._multi_model and path.startswith("/models/") and path.endswith("/invoke"):
                return await self._invoke(path[8:-7], scope, body)
            if self._multi_model and path == "/models":
                return await self._add(body)
        elif method == "GET":
            if path == "/ping":
                return Answer()
            if path == "/execution-parameters":
                parameters = self._execution_parameters()
                if parameters is not None:
                    return parameters
            if self._multi_model and path == "/models":
                return self._list(scope)
            if self._multi_model and path.startswith("/models/"):
                return self._describe(path[8:])
        elif method == "DELETE" and self._multi_model and path.startswith("/models/"):
            return await self._remove(path[8:])
        return _failure(404, "ResourceNotFoundException", f"Requested resource is not found: {method} {path}")

    # -- invoking ----------------------------------------------------------------------------------------------------

    async def _invoke(self, name: str, scope: Scope, body: bytes) -> Answer:
        loaded = self._models.get(name)
        if loaded is None:
            return _failure(404, "ModelNotFoundException", f"Model not found: {name}")
        content_type, accept = JSON, ""
        for header, value in scope["headers"]:
            if header == b"content-type":
                content_type = value.decode("latin-1")
            elif header == b"accept":
                accept = value.decode("latin-1")
        if not accept or accept == ANY:
            accept = self._default_accept
        if loaded.is_quick and not self._in_worker and len(body) <= _INLINE_BODY_BYTES:
            return loaded.answer(body, content_type, accept)
        return await self._in_thread(lambda: loaded.answer(body, content_type, accept))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        self._in_worker += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, call)
        finally:
            self._in_worker -= 1

    # -- managing models ---------------------------------------------------------------------------------------------

    async def _add(self, body: bytes) -> Answer:
        try:
            request = json.loads(body)
            name, url = str(request["model_name"]), str(request["url"])
        except (ValueError, KeyError, TypeError):
            return _failure(400, "BadRequestException", 'POST /models takes {"model_name": "...", "url": "<folder>"}')
        if name in self._models or name in self._loading:
            return _failure(409, "ConflictStatusException", f"Model version is already registered for model {name}")
        folder = Path(url)
        if not folder.is_dir():  # noqa: ASYNC240 - a local folder: quicker than a thread
            return _failure(404, "ModelNotFoundException", f"Model not found at: {url}")
        self._loading.add(name)
        try:
            self._models[name] = await self._in_thread(lambda: _Loaded(self._load(folder), url))
        except MemoryError:
            return _failure(507, "InsufficientMemoryException", f"Not enough memory to load model {name}")
        except Exception as error:
            log.exception("model %s could not be loaded from %s", name, url)
            return _failure(500, "InternalServerException", f"Failed to load model {name}: {_describe(error)}")
        finally:
            self._loading.discard(name)
        return _json({"status": f"Model {name} registered"})

    def _list(self, scope: Scope) -> Answer:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        try:
            start = int(query.get("next_page_token", ["0"])[0])
            limit = int(query.get("limit", [str(len(self._models) or 1)])[0])
        except ValueError:
            return _failure(400, "BadRequestException", "limit and next_page_token are numbers")
        names = list(self._models)
        page = {"models": [self._row(name) for name in names[start : start + limit]]}
        if start + limit < len(names):
            return _json({**page, "nextPageToken": str(start + limit)})
        return _json(page)

    def _describe(self, name: str) -> Answer:
        if name not in self._models:
            return _failure(404, "ModelNotFoundException", f"Model not found: {name}")
        return _json(self._row(name))

    def _row(self, name: str) -> dict[str, str]:
        return {"modelName": name, "modelUrl": self._models[name].url}

    async def _remove(self, name: str) -> Answer:
        if self._models.pop(name, None) is None:
            return _failure(404, "ModelNotFoundException", f"Model not found: {name}")
        await self._in_thread(_give_memory_back)
        return _json({"status": f"Model {name} unregistered"})


class _Loaded:
    """A model with what is known about its speed."""

    def __init__(self, model: Model, url: str) -> None:
        self._model = model
        self.url = url
        self.is_quick = False  # until it has shown that it is

    def answer(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Invoke the model; what it raises becomes the answer SageMaker's containers give."""
        started = time.perf_counter()
        try:
            return self._model.invoke(body, content_type, accept)
        except UnsupportedFormatError as error:
            log.error("%s", error)  # noqa: TRY400 - the caller's mistake: its message is all there is to know
            status = 406 if isinstance(error, UnsupportedAcceptError) else 415
            return Answer(str(error).encode(), "text/plain", status)
        except PayloadError as error:
            log.error("Customer Error: %s", error)  # noqa: TRY400
            return Answer(f"unable to evaluate payload provided: {error}".encode(), "text/plain", 400)
        except (MemoryError, Exception) as error:
            log.exception("the model failed")
            return Answer(_describe(error).encode(), "text/plain", 500)
        finally:
            self.is_quick = time.perf_counter() - started < _INLINE_SECONDS


def _describe(error: BaseException) -> str:
    """An error in one line; the whole traceback is in the log."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _json(document: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(json.dumps(document).encode(), JSON, status)


def _failure(status: int, kind: str, message: str) -> Answer:
    """An error as the multi-model server words it."""
    return _json({"code": status, "type": kind, "message": message}, status)


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


def _give_memory_back() -> None:
    """Collect an unloaded model's reference cycles and hand freed pages to the system, where libc can."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim is not None:
            trim(0)

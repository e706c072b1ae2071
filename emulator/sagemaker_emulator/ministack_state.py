"""Makes ministack's state survive ``kill -9``: it saves by itself only when it is stopped in good order.

Three ways, by what a change costs to save:

- S3 objects are files already; ministack writes them before it answers.
- CloudWatch and Logs grow with every call, so a changing request is appended to a journal (some 30 microseconds) and
  handled again at the next start, at the time it first came. A journal that has grown large is replaced by a snapshot.
- Everything else (IAM, STS, bucket settings, Step Functions, ...) is small: the service's whole state is written
  before the answer starts. What one service changed in another, or in the background, follows within two seconds.

"Survives" means the end of the process at any moment; nothing is fsynced, so the end of the machine may cost the last
seconds.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, BinaryIO

logger = logging.getLogger(__name__)

_JOURNALED = {"logs": "cloudwatch_logs", "monitoring": "cloudwatch"}
_SNAPSHOT_BYTES = 16 * 2**20
_BACKGROUND_SECONDS = 2.0
_KEPT_HEADERS = ("content-type", "content-encoding", "x-amz-target", "smithy-protocol", "accept")
_GENERATION_KEY = "journal_generation"
_SESSIONS_KEY = "sts_sessions"


class MinistackState:
    """Saves after each change, restores at the start.

    Args:
        app: ``ministack.app``.
        persistence: ``ministack.core.persistence``.
        responses: ``ministack.core.responses``.
        folder: Where the journals lie.
    """

    def __init__(self, app: ModuleType, persistence: ModuleType, responses: ModuleType, folder: Path) -> None:
        self._app: Any = app
        self._persistence: Any = persistence
        self._responses: Any = responses
        self._journals = {key: _Journal(folder / "journal", key) for key in _JOURNALED.values()}
        self._is_dirty = False
        self._background: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Restore what ministack's own start did not: sessions, and what the journals hold."""
        # From here on saving is this class's; ministack's own save at shutdown would forget the generation.
        self._app.PERSIST_STATE = False
        saved = self._persistence.load_state(_SESSIONS_KEY) or {}
        self._app._get_module("sts")._sessions.update(saved.get("sessions", {}))
        for key, journal in self._journals.items():
            generation = (self._persistence.load_state(key) or {}).get(_GENERATION_KEY, 0)
            for entry in journal.open(generation):
                await self._replay(key, entry)
        self._background = asyncio.create_task(self._save_in_background())

    async def stop(self) -> None:
        """Save everything."""
        if self._background is not None:
            self._background.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._background
        self._save_all()
        for key, journal in self._journals.items():
            if journal.size:
                self._snapshot(key)
            journal.close()

    async def save(
        self,
        service: str,
        received: float,
        method: str,
        path: str,
        headers: dict[str, str],
        query: dict[str, list[str]],
        body: bytes,
    ) -> None:
        """Make a request's changes durable, before it is answered.

        Args:
            service: ministack's name of the service that handled it.
            received: When it came, in epoch seconds.
            method: The HTTP method.
            path: The request's path.
            headers: Its headers.
            query: Its query.
            body: Its body.
        """
        key = _JOURNALED.get(service)
        if key is None:
            self._save_service(service)
            return
        journal = self._journals[key]
        journal.append(
            {
                "time": received,
                "account": self._responses.get_account_id(),
                "region": self._responses.get_region(),
                "method": method,
                "path": path,
                "headers": {name: headers[name] for name in _KEPT_HEADERS if name in headers},
                "query": query,
                "body": base64.b64encode(body).decode(),
            }
        )
        if journal.size > _SNAPSHOT_BYTES:
            self._snapshot(key)

    def _save_service(self, service: str) -> None:
        if service == "sts":
            sessions = self._app._get_module("sts")._sessions
            self._persistence.save_state(_SESSIONS_KEY, {"sessions": sessions})
            return
        states = self._app._build_persistence_save_dict()
        config = self._app.SERVICE_REGISTRY.get(service)
        if config is None:
            self._is_dirty = True
            return
        for key in (config.get("state_key", config["module"]), *config.get("sub_modules", ())):
            if key in states and key not in self._journals:
                self._persistence.save_all({key: states[key]})
        if service not in ("iam", "s3"):
            self._is_dirty = True

    def _save_all(self) -> None:
        states = self._app._build_persistence_save_dict()
        self._persistence.save_all({key: state for key, state in states.items() if key not in self._journals})
        self._save_service("sts")

    def _snapshot(self, key: str) -> None:
        journal = self._journals[key]
        state = self._app._get_module(key).get_state()
        # The snapshot names the journal that follows it: a crash between the two steps replays nothing twice.
        self._persistence.save_state(key, {**state, _GENERATION_KEY: journal.generation + 1})
        journal.begin(journal.generation + 1)

    async def _replay(self, key: str, entry: dict[str, Any]) -> None:
        module = self._app._get_module(key)
        real_time = module.time
        module.time = SimpleNamespace(**{**vars(time), "time": lambda: entry["time"]})
        headers = entry["headers"]
        try:
            # Clients compress long requests; services get them unpacked.
            body = self._app._decompress_request_body(base64.b64decode(entry["body"]), headers)
            with self._responses.request_scope(entry["account"], entry["region"]):
                await module.handle_request(entry["method"], entry["path"], headers, body, entry["query"])
        except Exception:
            logger.exception("A journaled request to %s could not be handled again", key)
        finally:
            module.time = real_time

    async def _save_in_background(self) -> None:
        while True:
            await asyncio.sleep(_BACKGROUND_SECONDS)
            if self._is_dirty:
                self._is_dirty = False
                self._save_all()


class _Journal:
    """Requests, one JSON line each, in a file named after the snapshot they follow."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._file: BinaryIO | None = None
        self.generation = 0
        self.size = 0

    def open(self, generation: int) -> list[dict[str, Any]]:
        """Open the journal of a generation and return what it holds; older ones are removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(generation)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        # A line cut short by the process's end was never acknowledged.
        entries = [json.loads(line) for line in lines if line.endswith(b"\n")]
        if lines and not lines[-1].endswith(b"\n"):
            path.write_bytes(b"".join(lines[:-1]))
        self._open(generation)
        return entries

    def begin(self, generation: int) -> None:
        """Start the journal of the next generation."""
        self.close()
        self._open(generation)

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry; it is with the operating system when this returns."""
        if self._file is None:
            raise RuntimeError(f"The journal of {self._key} is closed")
        line = json.dumps(entry).encode() + b"\n"
        self._file.write(line)
        self.size += len(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, generation: int) -> None:
        self.generation = generation
        path = self._path(generation)
        self._file = path.open("ab", buffering=0)
        self.size = path.stat().st_size
        for other in self._folder.glob(f"{self._key}.*.jsonl"):
            if other != path:
                other.unlink()

    def _path(self, generation: int) -> Path:
        return self._folder / f"{self._key}.{generation}.jsonl"

"""Starts the real container programs in a folder of the test."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.child_processes import dying_with_us

DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A container that serves."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def request(
        self, method: str, path: str, body: bytes | str = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.read(), response.headers.get("content-type", ""))
        finally:
            connection.close()

    def invoke(self, body: bytes | str, content_type: str = "text/csv", accept: str = "", path: str = "") -> Reply:
        headers = {"Content-Type": content_type, **({"Accept": accept} if accept else {})}
        return self.request("POST", path or "/invocations", body, headers)

    def load(self, name: str, folder: Path) -> Reply:
        return self.request("POST", "/models", json.dumps({"model_name": name, "url": str(folder)}))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)


@dataclass
class Container:
    """A container's folder and programs."""

    base: Path
    _servers: list[Server] = field(default_factory=list)

    def configure(
        self,
        hyperparameters: Mapping[str, Any] | None = None,
        channels: Mapping[str, str | Mapping[str, Any]] | None = None,
        **resources: Any,
    ) -> None:
        """Write the three configuration files; a channel is its content type or its whole description."""
        config = self.base / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        described = {
            name: {"ContentType": about, "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            if isinstance(about, str)
            else about
            for name, about in (channels or {}).items()
        }
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters or {}))
        (config / "inputdataconfig.json").write_text(json.dumps(described))
        (config / "resourceconfig.json").write_text(
            json.dumps({"current_host": "algo-1", "hosts": ["algo-1"], **resources})
        )

    def add_data(self, channel: str, content: bytes | str, name: str = "data") -> None:
        folder = self.base / "input" / "data" / channel
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    @property
    def failure(self) -> str:
        path = self.base / "output" / "failure"
        return path.read_text() if path.exists() else ""

    def train(self, program: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(program, "train"),
            env=self._environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def start(self, program: str, env: Mapping[str, str] | None = None) -> Server:
        """Start serving without waiting for /ping."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (self.base / "model").mkdir(parents=True, exist_ok=True)
        log = self.base / f"serve-{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(program, "serve"),
                env={**self._environment(env), "SAGEMAKER_BIND_TO_PORT": str(port)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Server(port, process, log)
        self._servers.append(server)
        return server

    def serve(self, program: str, env: Mapping[str, str] | None = None) -> Server:
        """Serve and wait until /ping answers."""
        server = self.start(program, env)
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            if server.process.poll() is not None:
                raise AssertionError(f"the container ended: {server.log.read_text()}")
            try:
                if server.request("GET", "/ping").status == 200:
                    return server
            except OSError:
                time.sleep(0.02)  # polling another process; bounded by the deadline
        raise AssertionError(f"no /ping within {DEADLINE_SECONDS} s: {server.log.read_text()}")

    def close(self) -> None:
        for server in self._servers:
            server.process.kill()
            server.process.wait()

    def _command(self, program: str, action: str) -> list[str]:
        command = [sys.executable, "-m", f"sagemaker_emulator.containers.{program}", action]
        return dying_with_us(command)

    def _environment(self, env: Mapping[str, str] | None) -> dict[str, str]:
        return {**os.environ, "SAGEMAKER_BASE_DIR": str(self.base), **(env or {})}


@pytest.fixture
def make_container(tmp_path: Path) -> Iterator[Callable[[], Container]]:
    made: list[Container] = []

    def make() -> Container:
        base = tmp_path / f"container-{len(made)}"
        base.mkdir()
        made.append(Container(base))
        return made[-1]

    yield make
    for container in made:
        container.close()


@pytest.fixture
def container(make_container: Callable[[], Container]) -> Container:
    return make_container()


def csv_text(*columns: NDArray[Any]) -> str:
    """CSV of columns and matrices next to each other."""
    table = np.column_stack(columns)
    return "".join(",".join(f"{value:.17g}" for value in row) + "\n" for row in table)


@pytest.fixture
def to_csv() -> Callable[..., str]:
    return csv_text

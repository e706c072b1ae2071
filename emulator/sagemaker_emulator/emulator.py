"""Starts an emulator from Python, as a process of its own.

::

    with Emulator() as emulator:
        emulator.client("sagemaker").list_models()
        subprocess.run([...], env=os.environ | emulator.env)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry
from sagemaker_emulator.server import EmulatorError, running_environment
from sagemaker_emulator.settings import DEFAULT_REGION

_START_SECONDS = 60
_STOP_SECONDS = 30
_POLL_SECONDS = 0.02


class Emulator:
    """A running emulator; ends with the ``with`` block, and with this process however that ends.

    Args:
        state_dir: Where its state is kept; a temporary folder, removed at the end, when not given.
        port: The port; 0 for a free one.
        auth: Check every call against IAM policies.
        latency_ms: Delay each request.
        multi_model_memory_mb: Memory for the models of one multi-model container; 0 for its instance type's.
        log_path: Where its output goes; ``emulator.log`` in the state folder when not given.
    """

    def __init__(
        self,
        state_dir: Path | str | None = None,
        *,
        port: int = 0,
        auth: bool = False,
        latency_ms: int = 0,
        multi_model_memory_mb: int = 0,
        log_path: Path | str | None = None,
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if state_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="sagemaker-emulator-", ignore_cleanup_errors=True)
            state_dir = self._temporary.name
        self.state_dir = Path(state_dir).resolve()
        self.log_path = Path(log_path) if log_path else self.state_dir / "emulator.log"
        self._arguments = [
            *("up", "--port", str(port), "--state-dir", str(self.state_dir), "--stop-with-stdin"),
            *("--latency-ms", str(latency_ms), "--multi-model-memory-mb", str(multi_model_memory_mb)),
            *(["--auth"] if auth else []),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._session: Any = None
        self.env: dict[str, str] = {}
        """What a client exports to use it."""

    @property
    def endpoint_url(self) -> str:
        """The address of every service."""
        return self.env["AWS_ENDPOINT_URL"]

    @property
    def pid(self) -> int:
        """The process id of the emulator."""
        if self._process is None:
            raise EmulatorError("The emulator is not running: call start() or use it in a with statement.")
        return self._process.pid

    def start(self) -> Emulator:
        """Start it and wait until it is ready.

        Raises:
            EmulatorError: It ended instead, or is not ready in time; the message holds the end of its log.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sagemaker_emulator.cli", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.env = self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def client(self, service: str, region: str = DEFAULT_REGION, **options: Any) -> Any:
        """Return a boto3 client for it, with root's credentials unless the options name others.

        Args:
            service: boto3's service name.
            region: The region.
            **options: Further arguments of ``boto3.client``.
        """
        if self._session is None:
            import boto3

            # One session: it keeps the parsed service models, which take most of a client's making.
            self._session = boto3.session.Session()
        credentials = {
            "aws_access_key_id": self.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.env["AWS_SECRET_ACCESS_KEY"],
        }
        return self._session.client(service, region, endpoint_url=self.endpoint_url, **{**credentials, **options})

    def register_image(
        self,
        pattern: str,
        *,
        name: str,
        train: Sequence[str] = (),
        serve: Sequence[str] = (),
        process: Sequence[str] = (),
        working_directory: Path | str = ".",
    ) -> None:
        """Register the programs of a container image of one's own; before the start or while it runs.

        Args:
            pattern: Regular expression the whole image URI has to match, such as ``.*/churn:.*``.
            name: Short name; an earlier registration of that name is replaced.
            train: What a training job runs: the command ``docker run IMAGE train`` would end in.
            serve: What serves a model; it listens on ``$SAGEMAKER_BIND_TO_PORT``.
            process: What a processing job without an entry point runs.
            working_directory: Where the commands start.

        Raises:
            ValueError: The pattern is not a regular expression, or there is no command at all.
        """
        ImageRegistry(self.state_dir / REGISTRY_FILE).register(
            pattern,
            name=name,
            train=train,
            serve=serve,
            process=process,
            working_directory=str(Path(working_directory).resolve()),
        )

    def stop(self) -> None:
        """Stop it in good order, waiting until its jobs and endpoints have ended."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._forget()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; its state folder can be started again."""
        if self._process is None:
            return
        self._process.kill()
        self._forget()

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _wait_until_ready(self) -> dict[str, str]:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise EmulatorError(f"The emulator did not start:\n{self._log_tail()}")
            with contextlib.suppress(EmulatorError, OSError, ValueError):
                environment = running_environment(self.state_dir)
                if self._is_ready(environment["AWS_ENDPOINT_URL"]):
                    return environment
            time.sleep(_POLL_SECONDS)
        raise EmulatorError(f"The emulator is not ready after {_START_SECONDS} s:\n{self._log_tail()}")

    def _is_ready(self, endpoint_url: str) -> bool:
        # The file may be an older run's, and its port somebody else's by now: the pid says whose answer this is.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{endpoint_url}/_emulator/health", timeout=5) as answer:
                health = json.load(answer)
        except urllib.error.URLError:
            return False
        return bool(health["pid"] == self.pid and health["status"] == "ready")

    def _log_tail(self) -> str:
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-20:])


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"

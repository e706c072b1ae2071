"""Runs the emulator: takes the state folder and the port, starts everything in order, stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import uvicorn

from sagemaker_emulator import operations
from sagemaker_emulator.app import create_app
from sagemaker_emulator.auth import Authorizations
from sagemaker_emulator.aws_access import ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY
from sagemaker_emulator.clock import Clock
from sagemaker_emulator.gateway import Gateway
from sagemaker_emulator.ministack import Ministack
from sagemaker_emulator.settings import DEFAULT_REGION, HOST, Settings

logger = logging.getLogger(__name__)

ENVIRONMENT_FILE = "environment.json"
_LOCK_FILE = "lock"
_BACKLOG = 2048
_STOP_SECONDS = 20


class EmulatorError(Exception):
    """The emulator cannot start, or is not running; the message says why and what to do."""


def bind(port: int) -> socket.socket:
    """Open the listening socket, on the loopback interface only.

    Args:
        port: The port; 0 for a free one.

    Raises:
        EmulatorError: The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # Listening at once makes the port ours: one that is only bound, the kernel may give to another process too.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise EmulatorError(
            f"Port {port} on {HOST} cannot be used: {error.strerror}. Choose another with --port, or 0 for a free one."
        ) from error
    return listener


@contextlib.contextmanager
def own_state_dir(state_dir: Path) -> Iterator[None]:
    """Hold a state folder for this process; the lock ends with the process, however it ends.

    Raises:
        EmulatorError: Another emulator runs on it.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    state_dir.chmod(0o700)  # it holds the emulated AWS's secrets
    with (state_dir / _LOCK_FILE).open("a+") as lock:
        if not _try_lock(lock):
            lock.seek(0)
            raise EmulatorError(
                f"The state folder {state_dir} is in use by the emulator with process id {lock.read().strip()}. "
                "Stop that one, or choose another folder with --state-dir."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def running_environment(state_dir: Path) -> dict[str, str]:
    """Return the environment of the emulator running on a state folder.

    Raises:
        EmulatorError: None is running there.
    """
    file = state_dir / ENVIRONMENT_FILE
    with contextlib.suppress(FileNotFoundError), (state_dir / _LOCK_FILE).open("a+") as lock:
        if not _try_lock(lock):
            environment: dict[str, str] = json.loads(file.read_text())
            return environment
    raise EmulatorError(
        f"No emulator is running on {state_dir}. Start one: sagemaker-emulator up --state-dir {state_dir}"
    )


def client_environment(settings: Settings) -> dict[str, str]:
    """Return what a client exports to use the emulator; the credentials are the account's root."""
    return {
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY,
        "AWS_REGION": DEFAULT_REGION,
        "AWS_DEFAULT_REGION": DEFAULT_REGION,
    }


async def serve(
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[[dict[str, str]], None],
    *,
    stop_with_stdin: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; returns after an orderly stop.

    Args:
        settings: What to serve; the port is the listener's.
        listener: The bound socket.
        on_ready: Called with the client's environment once everything is up again.
        stop_with_stdin: Stop also when standard input ends.
    """
    authorizations = Authorizations()
    clock = Clock()
    ministack = Ministack(settings, authorizations.record, clock)
    await ministack.start()
    app = create_app(settings, clock)
    operations.load()
    gateway = Gateway(app, ministack, authorizations, emulator_version())
    app.aws.attach(ministack.iam)
    server = _Server(_uvicorn_config(gateway))
    if stop_with_stdin:
        _stop_when_stdin_ends(server)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stop_requested = asyncio.create_task(server.stop_requested.wait())
    try:
        await _until_started(server, serving)
        await operations.run_start_hooks(app)
        environment = client_environment(settings)
        _write_environment(settings.state_dir, environment)
        gateway.control.is_ready = True
        on_ready(environment)
        await asyncio.wait({serving, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop_requested.cancel()
        # Endpoints and jobs are ended while the emulator still answers their containers.
        try:
            await asyncio.wait_for(operations.run_stop_hooks(app), _STOP_SECONDS)
        except TimeoutError:
            logger.warning("Jobs and endpoints did not end within %s s; leaving them to the kernel", _STOP_SECONDS)
        server.should_exit = True
        await serving
        await ministack.stop()
        app.store.close()
        (settings.state_dir / ENVIRONMENT_FILE).unlink(missing_ok=True)


def emulator_version() -> str:
    """Return the installed version."""
    try:
        return version("kfp-sagemaker")
    except PackageNotFoundError:
        return "0"


class _Server(uvicorn.Server):
    """uvicorn, except that a signal asks for an orderly stop instead of ending the server at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop_requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def request_stop(self) -> None:
        """Ask for the stop; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self.stop_requested.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal for a request to stop; a second one does not wait for jobs and endpoints to end."""
        if self.stop_requested.is_set():
            os._exit(128 + sig)
        self.request_stop()


def _uvicorn_config(gateway: Gateway) -> uvicorn.Config:
    application: Any = gateway
    return uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        # botocore keeps idle connections for a minute and is surprised by ones closed under it.
        timeout_keep_alive=75,
    )


async def _until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            serving.result()
            raise EmulatorError("The server ended before it was ready; its log says why.")
        await asyncio.sleep(0.005)


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_environment(state_dir: Path, environment: dict[str, str]) -> None:
    file = state_dir / ENVIRONMENT_FILE
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(environment, indent=2))
    temporary.replace(file)


def _stop_when_stdin_ends(server: _Server) -> None:
    # Whoever started this process holds the other end: it is closed when that one ends, however it ends. Unlike the
    # kernel's parent-death signal this works everywhere and does not mistake the end of a thread for that of its
    # process.
    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 1024):
                pass
        server.request_stop()

    threading.Thread(target=wait, name="stdin", daemon=True).start()

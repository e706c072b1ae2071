"""Run one container as a local process group.

Its output arrives line by line, stopping it reaches everything it started, and it dies with the emulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import site
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from sagemaker_emulator.runtime import namespace

LONGEST_LINE_BYTES = 64 * 1024
OWNER_VARIABLE = "SAGEMAKER_EMULATOR_OWNER"
"""Marks every container with the state folder of its emulator, so that the next start finds what a crash left."""

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_PYTHONS = ("python", "python3")
_DRAIN_SECONDS = 2.0
# How long a container may take to enter its namespace on a busy machine.
_ENTERING_SECONDS = 1.0

LineSink = Callable[[str], None]


class ContainerProcess:
    """A started program.

    Attributes:
        pid: Process id on this machine of the group's leader; the program itself is among its descendants.
        base_dir: The folder that is the program's ``/opt/ml``.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        base_dir: Path,
        on_line: LineSink,
        on_error_line: LineSink | None = None,
    ) -> None:
        self.pid = process.pid
        self.base_dir = base_dir
        self._process = process
        self._started = time.monotonic()
        self._exit_code = asyncio.create_task(self._finish(on_line, on_error_line or on_line))

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        base_dir: Path,
        env: Mapping[str, str],
        on_line: LineSink,
        on_error_line: LineSink | None = None,
        working_directory: str = "",
        hosts_file: Path | None = None,
    ) -> ContainerProcess:
        """Start a program as a container.

        Args:
            argv: The program and its arguments; ``python`` and ``python3`` mean the emulator's own interpreter.
            base_dir: The existing folder that becomes its ``/opt/ml``.
            env: Its environment, in addition to a minimal one; see :func:`base_environment`.
            on_line: Called in the event loop with every line of stdout and stderr, without its line end.
            on_error_line: Called with the lines of stderr in its place; None keeps both in one order.
            working_directory: Where it starts; its ``/opt/ml`` when empty.
            hosts_file: Shown to it as ``/etc/hosts`` where mount namespaces are available.

        Returns:
            The running process.

        Raises:
            OSError: The program cannot be started.
        """
        surroundings = await asyncio.to_thread(namespace.current)
        root = surroundings.root(base_dir)
        command = [sys.executable if argv[0] in _PYTHONS else argv[0], *argv[1:]]
        if working_directory:
            command = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", working_directory, *command]
        process = await asyncio.create_subprocess_exec(
            *surroundings.wrap(command, base_dir, hosts_file),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if on_error_line else asyncio.subprocess.STDOUT,
            cwd=base_dir,
            env={**base_environment(), **env, "SAGEMAKER_BASE_DIR": root},
            start_new_session=True,
        )
        if not surroundings.binds_container_root:
            on_line(
                f"sagemaker-emulator: /opt/ml is not available to this container, because this machine does not allow "
                f"mount namespaces; its folder is {base_dir}. Use SAGEMAKER_BASE_DIR or the SM_* variables for paths."
            )
        return cls(process, base_dir, on_line, on_error_line)

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait until the program has ended and all its output was delivered.

        Returns:
            Its exit code; 128 plus the signal's number when a signal ended it, as a container runtime reports it.
        """
        return await asyncio.shield(self._exit_code)

    async def stop(self, grace_seconds: float) -> None:
        """Ask the program to end with SIGTERM, and kill it when it has not after ``grace_seconds``."""
        if self.is_running:
            is_young = time.monotonic() - self._started < _ENTERING_SECONDS
            self._signal(signal.SIGTERM)
            if is_young:
                # Process 1 of a namespace does not notice a signal before it has a handler: send it once more.
                await asyncio.wait([self._exit_code], timeout=min(_ENTERING_SECONDS, grace_seconds))
                if self.is_running:
                    self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace_seconds)
        if self.is_running:
            self._signal(signal.SIGKILL)
        await self.wait()

    async def _finish(self, on_line: LineSink, on_error_line: LineSink) -> int:
        readers = [
            asyncio.create_task(_read_lines(self._process.stdout, on_line)),
            asyncio.create_task(_read_lines(self._process.stderr, on_error_line)),
        ]
        code = await self._process.wait()
        # The leader is gone: what it left in its group must not keep running, nor keep the output open.
        self._signal(signal.SIGKILL)
        await asyncio.wait(readers, timeout=_DRAIN_SECONDS)
        for reader in readers:
            reader.cancel()
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def base_environment() -> dict[str, str]:
    """Return the environment every container starts from.

    It is minimal so that a setting of the person's shell (an AWS profile, a PYTHONPATH, bytecode switched off) does not
    change what a job does. The interpreter's folder leads the PATH: ``python3`` in an entry point is the emulator's.
    """
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    env.setdefault("LANG", "C.UTF-8")
    env["PYTHONUNBUFFERED"] = "1"
    # The home folder is the job's own, which would hide packages installed for this user alone.
    if site.ENABLE_USER_SITE:
        env["PYTHONUSERBASE"] = site.getuserbase()
    return env


def owner_environment(state_dir: Path) -> dict[str, str]:
    """Return the variable that marks a container of the emulator with this state folder."""
    return {OWNER_VARIABLE: str(state_dir.resolve())}


def end_leftovers(state_dir: Path) -> int:
    """Kill what a crashed emulator left running; processes this emulator has started are spared.

    Args:
        state_dir: Its state folder.

    Returns:
        How many processes were killed.
    """
    own_pid, owner = os.getpid(), str(state_dir.resolve())
    ancestors = {own_pid, *(parent.pid for parent in psutil.Process().parents())}
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(OWNER_VARIABLE) != owner or process.pid in ancestors:
                continue
            if own_pid not in (parent.pid for parent in process.parents()):
                process.kill()
                count += 1
    return count


class LineSplitter:
    """Cuts a stream of bytes into lines of bounded length."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines completed by ``data``; a line that is too long comes in pieces."""
        *complete, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) >= LONGEST_LINE_BYTES:
            complete.append(self._partial)
            self._partial = b""
        return [piece for line in complete for piece in _pieces(line)]

    def rest(self) -> list[str]:
        """Return what came after the last line end."""
        partial, self._partial = self._partial, b""
        return _pieces(partial) if partial else []


def _pieces(line: bytes) -> list[str]:
    line = line.removesuffix(b"\r")
    starts = range(0, max(len(line), 1), LONGEST_LINE_BYTES)
    return [line[start : start + LONGEST_LINE_BYTES].decode("utf-8", "replace") for start in starts]


async def _read_lines(stream: asyncio.StreamReader | None, on_line: LineSink) -> None:
    if stream is None:
        return
    splitter = LineSplitter()
    try:
        while data := await stream.read(LONGEST_LINE_BYTES):
            for line in splitter.feed(data):
                on_line(line)
    finally:
        for line in splitter.rest():
            on_line(line)

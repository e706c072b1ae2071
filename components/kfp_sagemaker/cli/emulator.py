"""Starts the embedded AWS for a run, through its own command: the suite never imports it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp_sagemaker.aws.errors import ConfigurationError

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class Emulator:
    """A running ``sagemaker-emulator``.

    Args:
        process: The process.
        environment: What AWS clients need in their environment to talk to it.
    """

    def __init__(self, process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
        self.process = process
        self.environment = dict(environment)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stop(self) -> None:
        """End it with everything it started."""
        stop_process(self.process)
        if self.process.stdin is not None:
            self.process.stdin.close()


def start(state_dir: Path, log: Path, *, auth: bool, multi_model_memory_mb: int, outlives_parent: bool) -> Emulator:
    """Start an emulator and wait until it is ready.

    Args:
        state_dir: Folder for its state.
        log: File for what it prints.
        auth: Whether every call is checked against IAM policies.
        multi_model_memory_mb: Memory for the models of a multi-model container; 0 takes the instance type's.
        outlives_parent: Whether it stays when this process ends.

    Raises:
        ConfigurationError: It is not installed, or did not start; with what it said.
    """
    arguments = [_command(), "up", "--port", "0", "--state-dir", str(state_dir)]
    arguments += ["--multi-model-memory-mb", str(multi_model_memory_mb)] if multi_model_memory_mb else []
    arguments += ["--auth"] if auth else []
    arguments += [] if outlives_parent else ["--stop-with-stdin"]
    with log.open("w") as sink:
        # Into a file, not a pipe: an emulator that stays must not lose its reader when this process ends.
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL if outlives_parent else subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            # Credentials and an endpoint of the caller's own must not reach it.
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        )
    try:
        environment = _environment_when_ready(process, log)
    except BaseException:
        stop_process(process)
        raise
    return Emulator(process, environment)


def answers(environment: Mapping[str, str], pid: int) -> bool:
    """Whether the emulator of that process still serves at its address, and not another one."""
    url = environment.get("AWS_ENDPOINT_URL", "") + "/_emulator/health"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the address is our own
            return bool(json.load(answer).get("pid") == pid)
    except (OSError, ValueError):
        return False


def save_authorizations(environment: Mapping[str, str], path: Path) -> list[str]:
    """Write down which calls were checked against IAM policies, how often, and what came of it.

    Args:
        environment: The emulator's.
        path: The JSON file: a list of ``principal_arn``, ``action``, ``resource_arn``, ``allowed`` and ``count``.

    Returns:
        The refused calls in words; empty also when the emulator is gone.
    """
    url = environment["AWS_ENDPOINT_URL"] + "/_emulator/authorizations"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the address is our own
            calls = json.load(answer)["authorizations"]
    except (OSError, ValueError):
        return []
    counts = Counter(tuple(call.items()) for call in calls)
    summary = [{**dict(call), "count": count} for call, count in sorted(counts.items(), key=str)]
    path.write_text(json.dumps(summary, indent=1) + "\n")
    return [
        f"{call['action']} on {call['resource_arn']} by {call['principal_arn']}"
        for call in summary
        if not call["allowed"]
    ]


def stop_by_pid(pid: int, state_dir: Path) -> None:
    """End an emulator that another process started, and delete its state."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_running(pid) and time.monotonic() < deadline:  # it writes its state until the end
        time.sleep(0.05)
    shutil.rmtree(state_dir, ignore_errors=True)


def _is_running(pid: int) -> bool:
    """Whether the process, which is no child of ours, has not ended; one that nobody has waited for yet has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def _environment_when_ready(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        text = log.read_text()
        if "# Ready on" in text:
            words = shlex.split(text, comments=True)
            return dict(word.split("=", 1) for word in words if "=" in word)
        time.sleep(0.05)
    said = log.read_text().strip().splitlines()[-20:] or ["(nothing)"]
    raise ConfigurationError("the embedded AWS did not start; it said:\n" + "\n".join(f"  {line}" for line in said))


def _command() -> str:
    beside = Path(sys.executable).with_name("sagemaker-emulator")
    found = str(beside) if beside.exists() else shutil.which("sagemaker-emulator")
    if not found:
        raise ConfigurationError(
            "the embedded AWS is not installed: pip install 'kfp-sagemaker[local]', or use --aws for your AWS account"
        )
    return found


def stop_process(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """SIGTERM, and SIGKILL to the whole group when that takes too long."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def shell_exports(environment: Mapping[str, str]) -> Sequence[str]:
    """The environment as lines for a shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]

"""Waiting for a resource's end: polling that a bad network cannot break, its log passed on, a deadline."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws.call_errors import aws_errors, is_missing, is_passing
from kfp_sagemaker.aws.errors import DeadlineError, JobFailedError, JobStoppedError
from kfp_sagemaker.aws.handle import ResourceHandle
from kfp_sagemaker.aws.history import HistoryTail, short_cause
from kfp_sagemaker.aws.kinds import look_up
from kfp_sagemaker.aws.logs import LogTail, Tail
from kfp_sagemaker.aws.termination import Termination

# A quarter more after each poll: the end is seen at most about a quarter of the elapsed time late, and at most 36 s.
FIRST_INTERVAL_SECONDS = 0.25
INTERVAL_GROWTH = 1.25
MAX_INTERVAL_SECONDS = 30.0
JITTER = 0.2
# SageMaker's describe may not know yet what its create has just accepted.
NOT_FOUND_TOLERANCE = 5
# CloudWatch gets a container's last lines a moment after the job has ended; they are the ones that say why.
LATE_LOG_LOOKS = 3
LATE_LOG_SECONDS = 0.5
# What AWS has to say of a container that ended with an error and without a word in its failure file.
_EMPTY_REASON = re.compile(r"AlgorithmError:\s*,?\s*exit code: \d+")


@dataclass(frozen=True)
class Timing:
    """Where waiting takes time and chance from; tests pass their own.

    Attributes:
        now: Seconds on a clock that never goes back.
        sleep: Waits that many seconds.
        random: A number from 0 to 1.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


def wait_for_end(
    handle: ResourceHandle,
    *,
    timeout_seconds: float,
    stream_logs: bool,
    stop_at_deadline: bool,
    termination: Termination,
    timing: Timing,
    sink: Callable[[str], None],
) -> dict[str, Any]:
    """Poll the resource until it has ended well.

    Args:
        handle: The resource; gets its ARN.
        timeout_seconds: How long to wait.
        stream_logs: Whether to pass its log on, for kinds whose log is worth it.
        stop_at_deadline: Whether to stop it when it did not end in time.
        termination: Whether SIGTERM arrived.
        timing: Clock, sleep and chance.
        sink: Takes each line for the step's log.

    Returns:
        Its last description.

    Raises:
        JobFailedError: If it failed.
        JobStoppedError: If it was stopped.
        DeadlineError: If it did not end in time.
        AwsCallError: If AWS refused to describe it.
    """
    kind = handle.kind
    deadline = timing.now() + timeout_seconds
    tail = HistoryTail(handle, sink) if kind.has_history else LogTail(handle.session, kind, handle.name, sink)
    follows = stream_logs and kind.streams_logs
    poller = _Poller(handle, sink)
    interval = FIRST_INTERVAL_SECONDS
    while True:
        termination.check()
        description = poller.poll()
        status = handle.status(description)
        if status in kind.ended:
            break
        if follows and description and handle.detail(description) not in kind.waits_before_logs:
            tail.look(description)
        remaining = deadline - timing.now()
        if remaining <= 0:
            stopped = stop_at_deadline and handle.stop(timing.sleep)
            raise _overdue(handle, timeout_seconds, poller.last, tail, stop_at_deadline, stopped)
        timing.sleep(min(interval * (1 + JITTER * (2 * timing.random() - 1)), remaining))
        interval = min(interval * INTERVAL_GROWTH, MAX_INTERVAL_SECONDS)
    handle.arn = str(look_up(description, kind.arn_path) or handle.arn)
    if follows:
        _read_to_the_end(tail, description, timing.sleep, is_patient=status not in kind.succeeded)
    if status not in kind.succeeded:
        if not follows:
            tail.show_last(description)
        raise _failure(handle, description, tail)
    return description


class _Poller:
    """Describes a resource, says when its state changes, and takes no answer for no news."""

    def __init__(self, handle: ResourceHandle, sink: Callable[[str], None]) -> None:
        self.last: dict[str, Any] = {}
        self._handle = handle
        self._sink = sink
        self._said = ""
        self._times_missing = 0
        self._is_silent = False

    def poll(self) -> dict[str, Any]:
        """The present description; empty when none was to be had this time."""
        handle = self._handle
        with aws_errors(f"describing {handle}, which goes on meanwhile"):
            try:
                description = handle.describe()
            except (ClientError, BotoCoreError) as error:
                if not self._tolerates(error):
                    raise
                return {}
        self._times_missing, self._is_silent, self.last = 0, False, description
        if (state := handle.state(description)) != self._said:
            self._said = state
            self._sink(f"{handle}: {state}")
        return description

    def _tolerates(self, error: ClientError | BotoCoreError) -> bool:
        if isinstance(error, ClientError) and is_missing(error):
            self._times_missing += 1
            return self._times_missing <= NOT_FOUND_TOLERANCE
        if is_passing(error) and not self._is_silent:
            self._is_silent = True
            self._sink(f"{self._handle}: no answer from AWS, asking again ({type(error).__name__}: {error})")
        return is_passing(error)


def _read_to_the_end(tail: Tail, description: dict[str, Any], sleep: Callable[[float], None], is_patient: bool) -> None:
    """Read what is left of the log; after a failure wait a little for lines that are still on their way."""
    for _ in range(LATE_LOG_LOOKS if is_patient else 1):
        if tail.look(description, to_the_end=True) == 0 and tail.last_lines:
            return
        if is_patient:
            sleep(LATE_LOG_SECONDS)


def _failure(handle: ResourceHandle, description: dict[str, Any], tail: Tail) -> JobFailedError | JobStoppedError:
    was_stopped = handle.status(description) in handle.kind.stopped
    how = "was stopped, and not by this step" if was_stopped else "failed"
    state = handle.state(description)
    reason = str(look_up(description, handle.kind.reason_path) or "")
    if error := look_up(description, handle.kind.error_path):
        reason = f"{error}: {short_cause(reason)}"
    if _EMPTY_REASON.fullmatch(reason):
        log = "; its log may say more" if tail.last_lines else " and no log"
        reason = f"{reason} (the container wrote no failure file{log})"
    return (JobStoppedError if was_stopped else JobFailedError)(
        f"{handle} {how}" if state.capitalize() in ("Failed", "Stopped") else f"{handle} {how}: {state}",
        reason=reason,
        log_lines=list(tail.last_lines),
        console_url=handle.console_url,
    )


def _overdue(
    handle: ResourceHandle,
    timeout_seconds: float,
    description: dict[str, Any],
    tail: Tail,
    stop_at_deadline: bool,
    stopped: bool,
) -> DeadlineError:
    done = ("it was stopped" if stopped else "it could not be stopped") if stop_at_deadline else "it goes on"
    return DeadlineError(
        f"{handle} did not finish within {timeout_seconds:g} s (last status {handle.state(description)}); {done}. "
        "Raise timeout_seconds if it needs longer",
        log_lines=list(tail.last_lines),
        console_url=handle.console_url,
    )

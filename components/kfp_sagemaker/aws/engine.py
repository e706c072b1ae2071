"""The one loop over every long-running AWS resource: create or adopt, follow its log, wait, stop.

What differs between training jobs, endpoints and the rest is in the table of ``kinds.py``.

- A step whose pod was retried finds the job its predecessor started and waits for that one (``creation.py``).
- A broken network or a throttled poll is no news, not a failure; a job that was stopped is one (``waiting.py``).
- SIGTERM stops what the step started before anything else happens: Kubernetes leaves about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_sagemaker.aws.creation import create_or_adopt
from kfp_sagemaker.aws.errors import CancelledError
from kfp_sagemaker.aws.handle import ResourceHandle
from kfp_sagemaker.aws.kinds import ResourceKind
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.termination import Terminated, Termination, raising_on_sigterm
from kfp_sagemaker.aws.waiting import Timing, wait_for_end

__all__ = ["Created", "Outcome", "Timing", "create", "print_line", "run", "wait"]

_REAL_TIME = Timing()


@dataclass(frozen=True)
class Created:
    """A resource that exists now.

    Attributes:
        name: Its name.
        arn: Its ARN.
        adopted: Whether an earlier attempt of this step had created it.
    """

    name: str
    arn: str
    adopted: bool


@dataclass(frozen=True)
class Outcome:
    """A resource that reached the end it was asked for.

    Attributes:
        name: Its name.
        arn: Its ARN.
        description: What its describe call answers.
        console_url: Its page in the AWS console; empty where there is none.
        elapsed_seconds: How long this step waited for it.
        adopted: Whether an earlier attempt of this step had created it.
    """

    name: str
    arn: str
    description: dict[str, Any] = field(repr=False)
    console_url: str
    elapsed_seconds: float
    adopted: bool = False


def print_line(line: str) -> None:
    """Write a line to the step's log at once."""
    print(line, flush=True)


def run(
    session: Session,
    kind: ResourceKind,
    request: Mapping[str, Any],
    *,
    name: str = "",
    name_prefix: str = "",
    tags: Mapping[str, object] | None = None,
    timeout_seconds: float,
    stream_logs: bool = True,
    timing: Timing = _REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Outcome:
    """Create a resource, or adopt the one an earlier attempt of this step created, and wait for its end.

    SIGTERM and the deadline stop it.

    Args:
        session: The step's session.
        kind: The kind of resource.
        request: The create request without name and tags.
        name: The resource's name; empty derives one from run, task and request.
        name_prefix: Opens a derived name.
        tags: The user's tags; the run's own are added.
        timeout_seconds: How long to wait before stopping it.
        stream_logs: Whether to pass its log on to the step's.
        timing: Clock, sleep and chance.
        sink: Takes each line for the step's log.

    Returns:
        The finished resource.

    Raises:
        JobFailedError: If it failed.
        JobStoppedError: If somebody else stopped it.
        DeadlineError: If it did not finish in time.
        NameTakenError: If the name belongs to something else.
        CancelledError: If SIGTERM arrived.
        AwsCallError: If AWS refused a call.
    """
    start = timing.now()
    handle = ResourceHandle(session, kind)
    with raising_on_sigterm() as termination:
        try:
            create_or_adopt(handle, request, name, name_prefix, tags, sink)
            description = wait_for_end(
                handle,
                timeout_seconds=timeout_seconds,
                stream_logs=stream_logs,
                stop_at_deadline=True,
                termination=termination,
                timing=timing,
                sink=sink,
            )
        except Terminated:
            # Nothing may come before this call: no line, no client, no second look.
            stopped = handle.stop(timing.sleep)
            raise _cancelled(handle, stopped) from None
        except KeyboardInterrupt:
            handle.stop(timing.sleep)
            raise
    return _outcome(handle, description, timing.now() - start)


def create(
    session: Session,
    kind: ResourceKind,
    request: Mapping[str, Any],
    *,
    name: str = "",
    name_prefix: str = "",
    tags: Mapping[str, object] | None = None,
    timing: Timing = _REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Created:
    """Create a resource, or adopt the one an earlier attempt of this step created; :func:`run` without the waiting.

    Args:
        session: The step's session.
        kind: The kind of resource.
        request: The create request without name and tags.
        name: The resource's name; empty derives one from run, task and request.
        name_prefix: Opens a derived name.
        tags: The user's tags; the run's own are added.
        timing: Clock, sleep and chance.
        sink: Takes each line for the step's log.

    Returns:
        What exists now.

    Raises:
        NameTakenError: If the name belongs to something else.
        AwsCallError: If AWS refused a call.
    """
    handle = ResourceHandle(session, kind)
    create_or_adopt(handle, request, name, name_prefix, tags, sink)
    return Created(handle.name, handle.arn, handle.adopted)


def wait(
    session: Session,
    kind: ResourceKind,
    name: str,
    *,
    timeout_seconds: float,
    stream_logs: bool = True,
    timing: Timing = _REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Outcome:
    """Wait for a resource that exists. It is not this call's to stop: neither SIGTERM nor the deadline touches it.

    Args:
        session: The step's session.
        kind: The kind of resource.
        name: Its name.
        timeout_seconds: How long to wait.
        stream_logs: Whether to pass its log on to the step's.
        timing: Clock, sleep and chance.
        sink: Takes each line for the step's log.

    Returns:
        The finished resource.

    Raises:
        JobFailedError: If it failed.
        JobStoppedError: If it was stopped.
        DeadlineError: If it did not finish in time.
        AwsCallError: If AWS refused a call.
    """
    start = timing.now()
    handle = ResourceHandle(session, kind, name)
    description = wait_for_end(
        handle,
        timeout_seconds=timeout_seconds,
        stream_logs=stream_logs,
        stop_at_deadline=False,
        termination=Termination(),
        timing=timing,
        sink=sink,
    )
    return _outcome(handle, description, timing.now() - start)


def _outcome(handle: ResourceHandle, description: dict[str, Any], elapsed_seconds: float) -> Outcome:
    return Outcome(handle.name, handle.arn, description, handle.console_url, elapsed_seconds, handle.adopted)


def _cancelled(handle: ResourceHandle, stopped: bool) -> CancelledError:
    if not handle.name:
        return CancelledError("the step was terminated before it created anything")
    if stopped:
        return CancelledError(f"the step was terminated; {handle} was stopped")
    return CancelledError(f"the step was terminated, and {handle} could not be stopped: look after it in the console")

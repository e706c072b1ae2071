"""The one loop over every long-running AWS resource: create or adopt, follow its log, wait, stop.

What differs between training jobs, endpoints and the rest is in the table of ``kinds.py``.

- A step whose pod was retried finds the job its predecessor started and waits for that one; it never starts a second.
- A broken network or a throttled poll is no news, not a failure. A job that was stopped is a failure.
- SIGTERM stops what the step started before anything else happens: Kubernetes leaves about a second.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws import names, run_context
from kfp_sagemaker.aws.call_errors import aws_errors, error_code, error_message, is_missing, is_passing
from kfp_sagemaker.aws.errors import (
    CancelledError,
    DeadlineError,
    JobFailedError,
    JobStoppedError,
    NameTakenError,
)
from kfp_sagemaker.aws.kinds import ResourceKind, look_up
from kfp_sagemaker.aws.logs import LogTail
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.tags import REQUEST, RUN_ID, as_mapping, run_tags
from kfp_sagemaker.aws.termination import Terminated, Termination, raising_on_sigterm

MAX_ATTEMPTS = 20
# A quarter more after each poll: the end is seen at most a quarter of the elapsed time late, and never more than 36 s.
FIRST_INTERVAL_SECONDS = 0.25
INTERVAL_GROWTH = 1.25
MAX_INTERVAL_SECONDS = 30.0
JITTER = 0.2
# SageMaker's describe may not know yet what its create has just accepted.
NOT_FOUND_TOLERANCE = 5
# CloudWatch gets a container's last lines a moment after the job has ended; they are the ones that say why.
LATE_LOG_LOOKS = 3
LATE_LOG_SECONDS = 0.5
# A create that SIGTERM interrupted may take effect a moment after the first stop call.
STOP_TRIES = 4
STOP_SECONDS = 0.25


@dataclass(frozen=True)
class Timing:
    """Where the engine takes time and chance from; tests pass their own.

    Attributes:
        now: Seconds on a clock that never goes back.
        sleep: Waits that many seconds.
        random: A number from 0 to 1.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


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
    timing: Timing = Timing(),
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
    step = _Step(session, kind, timing, sink)
    with raising_on_sigterm() as termination:
        try:
            step.create(request, name, name_prefix, tags)
            return step.wait(timeout_seconds, stream_logs, stop_at_deadline=True, termination=termination)
        except Terminated:
            stopped = step.stop()
            raise step.cancelled(stopped) from None
        except KeyboardInterrupt:
            step.stop()
            raise


def create(
    session: Session,
    kind: ResourceKind,
    request: Mapping[str, Any],
    *,
    name: str = "",
    name_prefix: str = "",
    tags: Mapping[str, object] | None = None,
    timing: Timing = Timing(),
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
    return _Step(session, kind, timing, sink).create(request, name, name_prefix, tags)


def wait(
    session: Session,
    kind: ResourceKind,
    name: str,
    *,
    timeout_seconds: float,
    stream_logs: bool = True,
    timing: Timing = Timing(),
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
    step = _Step(session, kind, timing, sink, name)
    return step.wait(timeout_seconds, stream_logs, stop_at_deadline=False, termination=Termination())


class _Step:
    """One resource on its way from a request to its end."""

    def __init__(
        self, session: Session, kind: ResourceKind, timing: Timing, sink: Callable[[str], None], name: str = ""
    ) -> None:
        self.session = session
        self.kind = kind
        self.timing = timing
        self.sink = sink
        self.client = session.client(kind.service)
        self.name = name
        self.arn = ""
        self.adopted = False

    # Creating and adopting

    def create(
        self, request: Mapping[str, Any], name: str, name_prefix: str, tags: Mapping[str, object] | None
    ) -> Created:
        run_of_step = run_context.current()
        fingerprint = names.request_hash(request)
        first_name = name or names.resource_name(name_prefix, request, run_of_step)
        all_tags = run_tags(run_of_step, tags, request_hash=fingerprint)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self.name = names.attempt_name(first_name, attempt)
            if self._create_once({**request, "Tags": all_tags}):
                self.sink(f"{self}: created")
                break
            if self._adopt(run_of_step.run_id, fingerprint):
                break
        else:
            raise NameTakenError(f"{self}: {MAX_ATTEMPTS} attempts of this step have failed already; see the last one")
        return Created(self.name, self.arn, self.adopted)

    def _create_once(self, request: dict[str, Any]) -> bool:
        """Create it under the present name; false when the name is taken."""
        with aws_errors(f"creating {self}"):
            try:
                answer = getattr(self.client, self.kind.create_operation)(
                    **{self.kind.name_parameter: self.name}, **request
                )
            except ClientError as error:
                if _says_exists(error):
                    return False
                raise
        self.arn = str(answer[self.kind.arn_path])
        return True

    def _adopt(self, run_id: str, fingerprint: str) -> bool:
        """Take over what has the name, if it is this step's; false when that one is spent and a next attempt is due."""
        with aws_errors(f"looking at the existing {self}"):
            description = self._describe()
            arn = str(look_up(description, self.kind.arn_path))
            found = as_mapping(self.client.list_tags(ResourceArn=arn)["Tags"])
        status = self._status(description)
        if found.get(REQUEST) != fingerprint:
            whose = "from another request" if REQUEST in found else "by somebody else"
            raise self._name_taken(whose)
        if found.get(RUN_ID, "") != run_id:
            raise self._name_taken(f"by run {found.get(RUN_ID) or 'unknown'}")
        if status in self.kind.failed | self.kind.stopped | self.kind.stopping:
            if not self.kind.numbers_attempts:
                raise self._name_taken(f"by this step and is {status}; delete it first")
            self.sink(f"{self}: an earlier attempt of this step, {status}; starting another")
            return False
        self.arn, self.adopted = arn, True
        self.sink(f"{self}: adopted, an earlier attempt of this step created it; status {status}")
        return True

    def _name_taken(self, how: str) -> NameTakenError:
        return NameTakenError(
            f"{self} already exists and was made {how}: choose another name, or leave it empty for one of the run's own"
        )

    # Waiting

    def wait(
        self, timeout_seconds: float, stream_logs: bool, *, stop_at_deadline: bool, termination: Termination
    ) -> Outcome:
        start = self.timing.now()
        deadline = start + timeout_seconds
        tail = LogTail(self.session, self.kind, self.name, self.sink)
        follows = stream_logs and self.kind.streams_logs
        interval = FIRST_INTERVAL_SECONDS
        progress = _Progress(self)
        description: dict[str, Any] = {}
        while True:
            termination.check()
            description = progress.poll() or description
            status = self._status(description)
            if status in self.kind.ended:
                break
            if follows and description and self._detail(description) not in self.kind.waits_before_logs:
                tail.look(description)
            remaining = deadline - self.timing.now()
            if remaining <= 0:
                self._give_up(timeout_seconds, description, tail, stop_at_deadline)
            jittered = interval * (1 + JITTER * (2 * self.timing.random() - 1))
            self.timing.sleep(min(jittered, remaining))
            interval = min(interval * INTERVAL_GROWTH, MAX_INTERVAL_SECONDS)
        if status not in self.kind.succeeded:
            self._fail(description, tail, follows)
        if follows:
            tail.look(description, to_the_end=True)
        self.arn = str(look_up(description, self.kind.arn_path) or self.arn)
        return Outcome(
            name=self.name,
            arn=self.arn,
            description=description,
            console_url=self._console_url(),
            elapsed_seconds=self.timing.now() - start,
            adopted=self.adopted,
        )

    def _fail(self, description: dict[str, Any], tail: LogTail, follows: bool) -> None:
        status, detail = self._status(description), self._detail(description)
        if follows:
            for _ in range(LATE_LOG_LOOKS):
                if tail.look(description, to_the_end=True) == 0 and tail.last_lines:
                    break
                self.timing.sleep(LATE_LOG_SECONDS)
        else:
            tail.show_last(description)
        state = f"{status} ({detail})" if detail and detail != status else status
        stopped = status in self.kind.stopped
        summary = f"{self} was stopped, and not by this step: {state}" if stopped else f"{self} failed: {state}"
        raise (JobStoppedError if stopped else JobFailedError)(
            summary,
            reason=str(look_up(description, self.kind.reason_path) or ""),
            log_lines=list(tail.last_lines),
            console_url=self._console_url(),
        )

    def _give_up(
        self, timeout_seconds: float, description: dict[str, Any], tail: LogTail, stop_at_deadline: bool
    ) -> None:
        done = "it goes on"
        if stop_at_deadline:
            done = "stopped it" if self.stop() else "and it could not be stopped"
        status = self._status(description) or "unknown"
        raise DeadlineError(
            f"{self} did not finish within {timeout_seconds:g} s (last status {status}); {done}. "
            "Raise timeout_seconds if it needs longer",
            log_lines=list(tail.last_lines),
            console_url=self._console_url(),
        )

    # Stopping

    def stop(self) -> bool:
        """Stop it, before anything else; true when AWS took the call or it has ended by itself."""
        for _ in range(STOP_TRIES if self.name else 0):
            try:
                getattr(self.client, self.kind.stop_operation)(**{self.kind.name_parameter: self.name})
            except ClientError as error:
                if not is_missing(error):
                    # SageMaker refuses to stop what has ended, with ValidationException.
                    return error_code(error) == "ValidationException"
                if self.arn:
                    return True
            except BotoCoreError:
                pass
            else:
                return True
            self.timing.sleep(STOP_SECONDS)
        return False

    def cancelled(self, stopped: bool) -> CancelledError:
        if not self.name:
            return CancelledError("the step was terminated before it created anything")
        if stopped:
            return CancelledError(f"the step was terminated; stopped {self}")
        return CancelledError(f"the step was terminated, and {self} could not be stopped: look after it in the console")

    # Reading

    def _describe(self) -> dict[str, Any]:
        answer = getattr(self.client, self.kind.describe_operation)(**{self.kind.name_parameter: self.name})
        return dict(answer)

    def _status(self, description: Mapping[str, Any]) -> str:
        return str(look_up(description, self.kind.status_path) or "")

    def _detail(self, description: Mapping[str, Any]) -> str:
        return str(look_up(description, self.kind.detail_path) or "") if self.kind.detail_path else ""

    def _console_url(self) -> str:
        return self.session.console_url(self.kind.console_path.format(name=self.name, region=self.session.region))

    def __str__(self) -> str:
        return f"{self.kind.label} {self.name}"


class _Progress:
    """Polls a step's resource, says when its state changes, and takes no news for no news."""

    def __init__(self, step: _Step) -> None:
        self.step = step
        self.said = ""
        self.missing = 0
        self.silent = False

    def poll(self) -> dict[str, Any]:
        """The present description; empty when there was none to be had this time."""
        step = self.step
        with aws_errors(f"describing {step}, which goes on"):
            try:
                description = step._describe()
            except (ClientError, BotoCoreError) as error:
                if isinstance(error, ClientError) and is_missing(error):
                    self.missing += 1
                    if self.missing > NOT_FOUND_TOLERANCE:
                        raise
                elif not is_passing(error):
                    raise
                elif not self.silent:
                    self.silent = True
                    step.sink(f"{step}: no answer from AWS, asking again ({type(error).__name__}: {error})")
                return {}
        self.missing, self.silent = 0, False
        status, detail = step._status(description), step._detail(description)
        state = f"{status} ({detail})" if detail and detail != status else status
        if state != self.said:
            self.said = state
            step.sink(f"{step}: {state}")
        return description


def _says_exists(error: ClientError) -> bool:
    """Whether a create was refused because the name exists: SageMaker has a code for it, or only a sentence."""
    return error_code(error) == "ResourceInUse" or (
        error_code(error) == "ValidationException" and "already exist" in error_message(error).lower()
    )

"""The CloudWatch log of a running resource: every stream of it, each line once, as it appears."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws.call_errors import error_code, is_missing, is_passing
from kfp_sagemaker.aws.errors import JobError
from kfp_sagemaker.aws.kinds import ResourceKind
from kfp_sagemaker.aws.session import Session

# One look takes at most this many pages of each stream (a page holds up to 10,000 lines or 1 MB), so that a flood of
# lines cannot keep the engine from looking at the status.
_PAGES_PER_LOOK = 20
# While the resource runs, a page with fewer lines is taken for the last one; the next look would get the rest anyway.
_FULL_PAGE_LINES = 1000
# Once all expected streams are known, further ones (a restarted container) are looked for only now and then.
_LOOKS_BETWEEN_LISTINGS = 10


class Tail(Protocol):
    """What is shown of a resource while it runs."""

    last_lines: deque[str]

    def look(self, description: dict[str, Any], *, to_the_end: bool = False) -> int:
        """Pass on what appeared since the last look; returns how many lines that were."""
        ...

    def show_last(self, description: dict[str, Any]) -> None:
        """Read only the end into ``last_lines``."""


class LogTail:
    """Follows the log streams of one resource.

    Reading a log never fails a step: a missing group means no lines yet, and a missing permission is said once.

    Args:
        session: The step's session.
        kind: The kind of resource.
        name: Its name.
        sink: Takes each line.
    """

    def __init__(self, session: Session, kind: ResourceKind, name: str, sink: Callable[[str], None]) -> None:
        self.last_lines: deque[str] = deque(maxlen=JobError.SHOWN_LOG_LINES)
        self._session = session
        self._kind = kind
        self._groups = [group.format(name=name) for group in (kind.log_group, *kind.further_log_groups)]
        self._prefix = kind.log_stream_prefix.format(name=name)
        self._sink = sink
        self._tokens: dict[tuple[str, str], str] = {}
        self._looks = 0
        self._closed = False

    def look(self, description: dict[str, Any], *, to_the_end: bool = False) -> int:
        """Pass on the lines that appeared since the last look.

        Args:
            description: The resource as last described; tells how many streams to expect.
            to_the_end: Whether to list the streams anew and read each until CloudWatch has no more.

        Returns:
            How many lines that were.
        """
        if self._closed:
            return 0
        try:
            expected = self._kind.instance_count(description)
            if to_the_end or len(self._tokens) < expected or self._looks % _LOOKS_BETWEEN_LISTINGS == 0:
                self._find_streams()
            self._looks += 1
            return sum(self._read(group, stream, to_the_end) for group, stream in list(self._tokens))
        except (ClientError, BotoCoreError) as error:
            self._tolerate(error)
            return 0

    def show_last(self, description: dict[str, Any]) -> None:
        """Read only the end of the log into ``last_lines``, for a log that was not followed."""
        if self._closed or self.last_lines:
            return
        try:
            self._find_streams()
            events: list[tuple[int, str]] = []
            for group, stream in self._tokens:
                answer = self._client.get_log_events(
                    logGroupName=group,
                    logStreamName=stream,
                    startFromHead=False,
                    limit=JobError.SHOWN_LOG_LINES,
                )
                events += [(event["timestamp"], self._line(group, stream, event)) for event in answer["events"]]
            self.last_lines.extend(line for _, line in sorted(events, key=lambda event: event[0]))
        except (ClientError, BotoCoreError) as error:
            self._tolerate(error)

    @property
    def _client(self) -> Any:
        return self._session.client("logs")

    def _find_streams(self) -> None:
        for group in self._groups:
            try:
                self._find_streams_of(group)
            except ClientError as error:
                # A group is made with its first line, and a script that prints no errors has no log of them.
                if group == self._groups[0] or not is_missing(error):
                    raise

    def _find_streams_of(self, group: str) -> None:
        request: dict[str, Any] = {"logGroupName": group}
        if self._prefix:
            request["logStreamNamePrefix"] = self._prefix
        while True:
            answer = self._client.describe_log_streams(**request)
            for stream in answer["logStreams"]:
                self._tokens.setdefault((group, stream["logStreamName"]), "")
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]

    def _read(self, group: str, stream: str, to_the_end: bool) -> int:
        """Read a stream on from its token; GetLogEvents repeats the token it was given at the end of a stream."""
        count = 0
        for _ in range(_PAGES_PER_LOOK):
            token = self._tokens[group, stream]
            position = {"nextToken": token} if token else {}
            answer = self._client.get_log_events(
                logGroupName=group, logStreamName=stream, startFromHead=True, **position
            )
            for event in answer["events"]:
                line = self._line(group, stream, event)
                self.last_lines.append(line)
                self._sink(line)
            count += len(answer["events"])
            self._tokens[group, stream] = answer["nextForwardToken"]
            if answer["nextForwardToken"] == token or (not to_the_end and len(answer["events"]) < _FULL_PAGE_LINES):
                break
        return count

    def _line(self, group: str, stream: str, event: dict[str, Any]) -> str:
        message = str(event["message"]).rstrip("\n")
        if len(self._groups) > 1:
            return message if group == self._groups[0] else f"[{group.rpartition('/')[2]}] {message}"
        if len(self._tokens) < 2:
            return message
        return f"[{stream.removeprefix(self._prefix)}] {message}"

    def _tolerate(self, error: Exception) -> None:
        if isinstance(error, ClientError) and not is_missing(error) and not is_passing(error):
            self._closed = True
            self._sink(f"The log {self._groups[0]} cannot be read ({error_code(error)}): {error}")

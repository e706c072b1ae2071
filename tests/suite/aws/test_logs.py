from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from kfp_sagemaker.aws.kinds import TRAINING_JOB
from kfp_sagemaker.aws.logs import LogTail
from kfp_sagemaker.aws.session import Session
from tests.suite.aws.scripted import ScriptedClient, ScriptedSession, refusal

ONE_INSTANCE = {"ResourceConfig": {"InstanceCount": 1}}
TWO_INSTANCES = {"ResourceConfig": {"InstanceCount": 2}}


class CloudWatchLogs:
    """Streams of lines with CloudWatch's paging: small pages, and a token that repeats at the end."""

    def __init__(self, page_lines: int = 10000) -> None:
        self.streams: dict[str, list[str]] = {}
        self.page_lines = page_lines
        self.client = ScriptedClient({"describe_log_streams": self.describe, "get_log_events": self.read})

    def describe(self, logStreamNamePrefix: str = "", nextToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        names = sorted(name for name in self.streams if name.startswith(logStreamNamePrefix))
        start = int(nextToken or 0)
        more = {"nextToken": str(start + 2)} if len(names) > start + 2 else {}
        return {"logStreams": [{"logStreamName": name} for name in names[start : start + 2]]} | more

    def read(self, logStreamName: str, nextToken: str = "f/0", **_: Any) -> dict[str, Any]:  # noqa: N803
        start = int(nextToken.removeprefix("f/"))
        lines = self.streams[logStreamName][start : start + self.page_lines]
        events = [{"message": line, "timestamp": start + number} for number, line in enumerate(lines)]
        return {"events": events, "nextForwardToken": f"f/{start + len(lines)}"}

    def tail(self) -> tuple[LogTail, list[str]]:
        seen: list[str] = []
        session = cast(Session, ScriptedSession(logs=self.client))
        return LogTail(session, TRAINING_JOB, "job", seen.append), seen


def test_each_line_is_passed_on_once_as_it_appears() -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()
    logs.streams["job/algo-1-17"] = ["a", "b\n"]
    assert tail.look(ONE_INSTANCE) == 2
    assert tail.look(ONE_INSTANCE) == 0
    logs.streams["job/algo-1-17"].append("c")
    assert tail.look(ONE_INSTANCE) == 1
    assert seen == ["a", "b", "c"]


def test_lines_of_several_instances_say_whose_they_are() -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()
    logs.streams |= {"job/algo-1-17": ["a"], "job/algo-2-17": ["b"], "job/algo-3-17": ["c"], "other/algo-1": ["no"]}
    tail.look({"ResourceConfig": {"InstanceGroups": [{"InstanceCount": 1}, {"InstanceCount": 2}]}})
    assert seen == ["[algo-1-17] a", "[algo-2-17] b", "[algo-3-17] c"]


def test_a_stream_that_comes_late_is_found() -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()
    logs.streams["job/algo-1-17"] = ["a"]
    tail.look(TWO_INSTANCES)
    logs.streams["job/algo-2-17"] = ["b"]
    tail.look(TWO_INSTANCES)
    assert seen == ["a", "[algo-2-17] b"]


def test_a_restarted_container_is_found_at_the_latest_at_the_end() -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()
    logs.streams["job/algo-1-17"] = ["a"]
    tail.look(ONE_INSTANCE)
    logs.streams["job/algo-1-99"] = ["b"]
    tail.look(ONE_INSTANCE)
    assert seen == ["a"]
    tail.look(ONE_INSTANCE, to_the_end=True)
    assert seen == ["a", "[algo-1-99] b"]


def test_at_the_end_every_page_is_read() -> None:
    logs = CloudWatchLogs(page_lines=3)
    tail, seen = logs.tail()
    logs.streams["job/algo-1-17"] = [str(number) for number in range(50)]
    tail.look(ONE_INSTANCE, to_the_end=True)
    assert seen == [str(number) for number in range(50)]
    assert list(tail.last_lines) == seen


def test_full_pages_are_followed_at_once_even_while_running() -> None:
    logs = CloudWatchLogs(page_lines=1000)
    tail, seen = logs.tail()
    logs.streams["job/algo-1-17"] = ["x"] * 2500
    assert tail.look(ONE_INSTANCE) == 2500
    assert len(seen) == 2500


def test_a_look_without_news_is_one_call() -> None:
    logs = CloudWatchLogs()
    tail, _ = logs.tail()
    logs.streams["job/algo-1-17"] = ["a"]
    tail.look(ONE_INSTANCE)
    before = len(logs.client.calls)
    tail.look(ONE_INSTANCE)
    assert len(logs.client.calls) == before + 1


@pytest.mark.parametrize(
    "error",
    [
        refusal("ResourceNotFoundException", "The specified log group does not exist."),
        refusal("ThrottlingException", "Rate exceeded"),
        refusal("ServiceUnavailableException", "later", status=503),
        EndpointConnectionError(endpoint_url="https://logs"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_with_the_log_is_no_news_and_passes(error: Exception) -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()
    logs.streams["job/algo-1-17"] = ["a"]
    logs.client.scripts["describe_log_streams"] = [error, logs.describe]
    assert tail.look(ONE_INSTANCE) == 0
    assert tail.look(ONE_INSTANCE) == 1
    assert seen == ["a"]


def test_a_missing_permission_is_said_once_and_then_the_log_is_left_alone() -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()
    denied = refusal("AccessDeniedException", "not authorized to perform: logs:DescribeLogStreams")
    logs.client.scripts["describe_log_streams"] = denied
    for _ in range(3):
        assert tail.look(ONE_INSTANCE) == 0
    tail.show_last(ONE_INSTANCE)
    assert len(seen) == 1
    assert "logs:DescribeLogStreams" in seen[0]
    assert len(logs.client.calls) == 1


def test_the_end_of_a_log_that_was_not_followed() -> None:
    logs = CloudWatchLogs()
    tail, seen = logs.tail()

    def newest(logStreamName: str, startFromHead: bool, limit: int, **_: Any) -> dict[str, Iterable[Any]]:  # noqa: N803
        assert not startFromHead
        stamps = range(0, 200, 2) if "algo-1" in logStreamName else range(1, 200, 2)
        return {"events": [{"message": str(stamp), "timestamp": stamp} for stamp in stamps][-limit:]}

    logs.streams |= {"job/algo-1-17": [], "job/algo-2-17": []}
    logs.client.scripts["get_log_events"] = newest
    tail.show_last(TWO_INSTANCES)
    assert [line.split()[-1] for line in tail.last_lines] == [str(number) for number in range(150, 200)]
    assert seen == []

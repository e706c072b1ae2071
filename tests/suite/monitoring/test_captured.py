"""Captured data: which files belong to a window, and what is listed of them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import DataError, InputError, ResourceMissingError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring import window as windows
from kfp_sagemaker.monitoring.traffic import captured
from tests.suite.aws.scripted import ManualClock
from tests.suite.conftest import Account

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def record(minute: float, body: str = "1,2", answer: str = "0.5", **metadata: Any) -> dict[str, Any]:
    """A captured invocation so many minutes after noon."""
    moment = NOON + timedelta(minutes=minute)
    return {
        "captureData": {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": body, "encoding": "CSV"},
            "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": answer, "encoding": "CSV"},
        },
        "eventMetadata": {"eventId": "e", "inferenceTime": windows.iso(moment), **metadata},
        "eventVersion": "0",
    }


class Capture:
    """Captured data of a test's endpoint."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.uri = account.uri("capture/prices")

    def put(self, minute: float, *records: dict[str, Any], variant: str = "AllTraffic", name: str = "00.jsonl") -> None:
        """Write a file into the folder of its hour."""
        folder = (NOON + timedelta(minutes=minute)).strftime("%Y/%m/%d/%H")
        lines = "".join(json.dumps(item) + "\n" for item in records)
        self.account.put(f"capture/prices/{variant}/{folder}/{name}", lines)

    def list(self, clock: ManualClock | None = None, **arguments: Any) -> captured.Listed:
        query = captured.build_query(**{"captured_s3_uri": self.uri, "end_time": windows.iso(NOON), **arguments})
        clock = clock or ManualClock()
        return captured.run(open_session("us-east-1"), query, timing=clock.timing(), sink=lambda line: None)


@pytest.fixture
def capture(account: Account) -> Capture:
    return Capture(account)


def test_the_window_decides_not_the_folder(capture: Capture) -> None:
    capture.put(-61, record(-61), record(-60), name="before.jsonl")
    capture.put(-5, record(-5), record(-1 / 60))
    capture.put(0, record(0), name="at-the-end.jsonl")
    listed = capture.list(window_seconds=3600)
    assert listed.record_count == 3
    assert listed.file_count == 2
    assert listed.captured_s3_uri == capture.uri


def test_days_and_variants_are_counted_apart(capture: Capture) -> None:
    capture.put(-24 * 60, record(-24 * 60))
    capture.put(-1, record(-1), record(-1))
    capture.put(-1, record(-1), variant="challenger")
    listed = capture.list(window_seconds=2 * 86400)
    assert listed.table["rows"] == [
        ["AllTraffic/2026/01/30/12", "", 1],
        ["AllTraffic/2026/01/31/11", "", 2],
        ["challenger/2026/01/31/11", "", 1],
    ]
    assert capture.list(window_seconds=60, variant_name="challenger").record_count == 1


def test_a_target_model_is_found_both_ways(capture: Capture) -> None:
    capture.put(
        -1,
        record(-1, targetModel="a.tar.gz"),
        record(-1, customAttributes=["who=me;TargetModel=b.tar.gz"]),
        record(-1, customAttributes=["anything"]),
    )
    listed = capture.list()
    assert [row[1:] for row in listed.table["rows"]] == [["", 1], ["a.tar.gz", 1], ["b.tar.gz", 1]]
    one = capture.list(target_model="b.tar.gz")
    assert (one.record_count, one.samples[0]["target_model"]) == (1, "b.tar.gz")


def test_samples_are_readable(capture: Capture) -> None:
    binary, text = record(-1), record(-1)
    for item, content in ((binary, b"\xff\xfe\xfd"), (text, "größe".encode())):
        item["captureData"]["endpointInput"] |= {"encoding": "BASE64", "data": base64.b64encode(content).decode()}
    del text["captureData"]["endpointOutput"]
    capture.put(-1, binary, text, record(-1, "x" * 1000))
    first, second, third = capture.list(sample_count=3).samples
    assert first["input"] == "3 bytes of text/csv"
    assert (first["output"], second["input"], second["output"]) == ("0.5", "größe", "")
    assert third["input"].endswith("... (1,000 characters)")
    assert first["s3_uri"].startswith(capture.uri)


def test_it_waits_for_what_is_expected(capture: Capture) -> None:
    class Clock(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.seconds > 5:
                capture.put(-1, record(-1), record(-1))

    assert capture.list(Clock(), expected_records=2).record_count == 2


def test_what_does_not_come_is_said(capture: Capture) -> None:
    capture.put(-1, record(-1))
    clock = ManualClock()
    with pytest.raises(DataError, match=r"endpoint prices: 1 records captured from .*, 2 expected; looked below s3://"):
        capture.list(clock, expected_records=2, max_wait_seconds=60)
    assert clock.seconds == pytest.approx(60)


def test_an_empty_window_holds_nothing(capture: Capture) -> None:
    listed = capture.list()
    assert (listed.file_count, listed.record_count, listed.samples) == (0, 0, [])


@pytest.mark.parametrize("line", ["{", "[]", '{"captureData": {}}', '{"eventMetadata": {"inferenceTime": "noon"}}'])
def test_what_is_no_capture_is_named_by_file_and_line(capture: Capture, account: Account, line: str) -> None:
    account.put("capture/prices/AllTraffic/2026/01/31/11/x.jsonl", f"{json.dumps(record(-1))}\n{line}\n")
    with pytest.raises(DataError, match=r"11/x\.jsonl, line 2 is not a captured invocation"):
        capture.list()


def test_a_deleted_endpoint_is_told_how_to_go_on(account: Account) -> None:
    session = open_session("us-east-1")
    with pytest.raises(ResourceMissingError, match=r"endpoint gone does not exist in us-east-1; .*captured_s3_uri"):
        windows.find_place(session, "gone", "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"captured_s3_uri": ""}, "endpoint_name is '', must be given, or captured_s3_uri"),
        ({"start_time": "noon"}, "start_time is 'noon', must be a time in ISO 8601"),
        ({"start_time": "2026-02-01T00:00:00Z"}, "before the window's end, which is 2026-01-31T12:00:00Z"),
        ({"start_time": "2024-02-01"}, "at most 366 days before the window's end"),
        ({"sample_count": 1000}, "sample_count is 1000, must be a number from 0 to 100"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], problem: str) -> None:
    given = {"captured_s3_uri": "s3://bucket/capture/e", "end_time": windows.iso(NOON), **arguments}
    with pytest.raises(InputError) as caught:
        captured.build_query(**given)
    assert any(problem in found for found in caught.value.problems), caught.value


def test_a_window_without_times_ends_now() -> None:
    problems = Problems("x")
    window = windows.build(start_time="", end_time="", window_seconds=90, problems=problems, clock=lambda: NOON)
    assert (str(window), problems.found) == ("2026-01-31T11:58:30Z to 2026-01-31T12:00:00Z", [])


def test_a_time_without_zone_is_utc_and_another_zone_is_converted() -> None:
    problems = Problems("x")
    window = windows.build(
        start_time="2026-01-31T10:00:00", end_time="2026-01-31T13:00:00+02:00", window_seconds=1, problems=problems
    )
    assert str(window) == "2026-01-31T10:00:00Z to 2026-01-31T11:00:00Z"

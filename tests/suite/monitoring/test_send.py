"""Traffic: which rows, how often, how fast, how long, with what drift."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import DataError, InputError, ResourceMissingError, ThresholdError
from kfp_sagemaker.aws.s3 import write_text
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.monitoring.traffic import plan as plans
from kfp_sagemaker.monitoring.traffic import send
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal
from tests.suite.conftest import Account

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)


class Endpoint(ScriptedClient):
    """An endpoint that takes a while for each request."""

    def __init__(self, clock: ManualClock, seconds: float = 0.0, answer: Callable[[str], str] = lambda body: body):
        super().__init__({"invoke_endpoint": self.answer_call})
        self.meta = type("Meta", (), {"events": type("Events", (), {"unregister": lambda *_, **__: None})()})()
        self._clock, self._seconds, self._answer = clock, seconds, answer

    def answer_call(self, **parameters: Any) -> dict[str, Any]:
        self._clock.seconds += self._seconds
        text = self._answer(parameters["Body"].decode())
        return {"Body": io.BytesIO(text.encode()), "ContentType": "text/csv"}

    @property
    def bodies(self) -> list[str]:
        return [call["Body"].decode() for call in self.named("invoke_endpoint")]


def traffic(
    clock: ManualClock | None = None,
    seconds: float = 0.0,
    answer: Callable[[str], str] = lambda body: body,
    **plan: Any,
) -> tuple[send.Sent, Endpoint]:
    clock = clock or ManualClock()
    endpoint = Endpoint(clock, seconds, answer)
    session: Any = ScriptedSession(**{"sagemaker-runtime": endpoint})
    sent = send.run(
        session,
        plans.build(endpoint_name="e", max_concurrency=1, **plan),
        timing=clock.timing(),
        clock=lambda: NOON + timedelta(seconds=clock.seconds),
        sink=lambda line: None,
    )
    return sent, endpoint


def test_every_row_is_sent_once_as_it_was_given() -> None:
    sent, endpoint = traffic(rows=["1.0,a", [2.5, "b, c"], ["", None]])
    assert endpoint.bodies == ["1.0,a", '2.5,"b, c"', ","]
    assert (sent.sent_count, sent.failed_count, sent.drifted_columns) == (3, 0, [])


def test_the_window_holds_everything_that_was_sent() -> None:
    sent, _ = traffic(seconds=2.0, rows=["1", "2"])
    assert (sent.started_at, sent.ended_at) == ("2026-01-31T12:00:00Z", "2026-01-31T12:00:05Z")


def test_rows_are_sent_again_until_their_number_is_reached() -> None:
    sent, endpoint = traffic(rows=["1", "2", "3"], row_count=7)
    assert endpoint.bodies == ["1", "2", "3", "1", "2", "3", "1"]
    assert sent.sent_count == 7


def test_rows_are_sent_again_until_the_time_is_over() -> None:
    sent, _ = traffic(seconds=2.0, rows=["1", "2"], duration_seconds=9)
    assert sent.sent_count == 5


def test_the_rate_is_kept() -> None:
    clock = ManualClock()
    traffic(clock, rows=["1"], row_count=21, rows_per_second=10)
    assert clock.seconds == pytest.approx(2.0)
    several = ManualClock()
    traffic(several, rows=["1"], row_count=20, rows_per_second=10, rows_per_request=5)
    assert several.seconds == pytest.approx(1.5)


def test_rows_share_requests_up_to_their_number() -> None:
    _, endpoint = traffic(rows=["1", "2", "3"], row_count=5, rows_per_request=2)
    assert endpoint.bodies == ["1\n2", "3\n1", "2"]


def test_each_row_goes_to_each_target_model_and_says_so() -> None:
    sent, endpoint = traffic(rows=["1", "2"], target_models=["a.tar.gz", "b.tar.gz"])
    calls = [
        (call["Body"], call["TargetModel"], call["CustomAttributes"]) for call in endpoint.named("invoke_endpoint")
    ]
    assert calls == [
        (body, target, f"TargetModel={target}") for body in (b"1", b"2") for target in ("a.tar.gz", "b.tar.gz")
    ]
    assert sent.sent_count == 4


def test_drift_is_declared_by_name() -> None:
    sent, endpoint = traffic(
        rows=["1.5,yes,3", "2.5,no,4"],
        column_names=["minutes", "plan", "calls"],
        drift=[{"column": "minutes", "shift": 10}, {"column": "plan", "nulls": 1}],
    )
    assert endpoint.bodies == ["11.5,,3", "12.5,,4"]
    assert sent.drifted_columns == ["minutes", "plan"]


def test_the_label_is_not_sent_but_counts_as_a_column() -> None:
    _, endpoint = traffic(rows=["1,10,20"], label_first=True, drift=[{"column": 1, "shift": 5}])
    assert endpoint.bodies == ["15,20"]


def test_json_rows_drift_by_their_keys() -> None:
    _, endpoint = traffic(
        rows=[{"a": 1, "b": "x"}, '{"a": 2, "b": "y"}'],
        content_type="application/json",
        drift=[{"column": "a", "scale": 3}, {"column": "b", "nulls": 1}],
    )
    assert endpoint.bodies == ['{"a":3,"b":null}', '{"a":6,"b":null}']


def test_an_object_is_replayed_with_its_header_as_names(account: Account) -> None:
    uri = account.put("rows.csv", "minutes,plan\n1,yes\n2,no\n")
    clock = ManualClock()
    endpoint = Endpoint(clock)
    session = open_session("us-east-1")
    both: Any = ScriptedSession(**{"sagemaker-runtime": endpoint, "s3": session.client("s3")})
    plan = plans.build(
        endpoint_name="e",
        input_s3_uri=uri,
        has_header=True,
        row_count=3,
        max_concurrency=1,
        drift=[{"column": "plan", "swap": ["yes", "no"]}],
    )
    sent = send.run(both, plan, timing=clock.timing(), sink=lambda line: None)
    assert endpoint.bodies == ["1,no", "2,yes", "1,no"]
    assert sent.drifted_columns == ["plan"]


@pytest.mark.parametrize(
    ("content", "arguments", "problem"),
    [
        ("", {}, "there are no rows"),
        ("a,b\n", {"has_header": True, "row_count": 5}, "there are no rows"),
        ("a,a\n1,2\n", {"has_header": True}, "does not name each column once"),
        (
            "a,b\n1,2\n",
            {"has_header": True, "drift": [{"column": "c", "shift": 1}]},
            "no column 'c'; the columns are a, b",
        ),
        (
            "a,b\n1,x\n",
            {"has_header": True, "drift": [{"column": "b", "shift": 1}]},
            r"rows.csv, row 1: column 'b' holds",
        ),
        ("1,2\n", {"drift": [{"column": "c", "shift": 1}]}, "give column_names"),
    ],
)
def test_what_an_object_lacks_is_said(account: Account, content: str, arguments: dict[str, Any], problem: str) -> None:
    session = open_session("us-east-1")
    uri = account.uri("rows.csv")
    write_text(session, uri, content)
    with pytest.raises(DataError, match=problem):
        send.run(session, plans.build(endpoint_name="e", input_s3_uri=uri, **arguments))


def test_failed_rows_fail_the_step_with_what_the_container_said() -> None:
    def refuse(body: str) -> str:
        raise refusal("ModelError", "container says no", "InvokeEndpoint", 424)

    with pytest.raises(ThresholdError, match=r"2 of 2 rows failed \(100 %, allowed 50 %\)"):
        traffic(answer=refuse, rows=["1", "2"], max_failed_percent=50)


def test_an_endpoint_that_is_gone_ends_it_at_once(account: Account) -> None:
    with pytest.raises(ResourceMissingError, match="gone"):
        send.run(open_session("us-east-1"), plans.build(endpoint_name="gone", rows=["1"], row_count=1000))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "rows is '0 rows', must be given, or else input_s3_uri"),
        ({"rows": ["1"], "input_s3_uri": "s3://bucket/rows.csv"}, "and not both"),
        ({"input_s3_uri": "s3://bucket/rows/"}, "an object and not a prefix"),
        ({"rows": ["1"], "has_header": True}, "has_header is True"),
        ({"rows": ["1"], "content_type": "image/png"}, "content_type is 'image/png', must be one of text/csv"),
        ({"rows": ["1"], "drift": [{"column": "b", "shift": 1}], "column_names": ["a"]}, "one of a"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        plans.build(endpoint_name="e", **arguments)
    assert any(problem in found for found in caught.value.problems), caught.value

"""The forms of a schedule expression, and the window of an execution."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagemaker_emulator.monitoring.schedule_expression import Cron, ScheduleExpressionError, parse
from sagemaker_emulator.monitoring.window import WindowError, analysis_window, parse_offset

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("cron(0 * ? * * *)", tuple(range(24))),
        ("cron(0 0 ? * * *)", (0,)),
        ("cron(0 17 ? * * *)", (17,)),
        ("cron(0 0/6 ? * * *)", (0, 6, 12, 18)),
        ("cron(0 17/12 ? * * *)", (5, 17)),  # the developer guide: every 12 hours, starting at 5 PM
        ("cron(0 0/10 ? * * *)", (0, 10, 20)),  # the SDK: midnight, 10 am and 8 pm
        ("cron(0 3/24 ? * * *)", (3,)),
    ],
)
def test_cron_forms(expression: str, hours: tuple[int, ...]) -> None:
    assert parse(expression) == Cron(hours)


def test_now_is_no_cron() -> None:
    assert parse("NOW") is None


@pytest.mark.parametrize(
    "expression",
    ["now", "rate(1 hour)", "cron(* * ? * * *)", "cron(0 24 ? * * *)", "cron(0 0/0 ? * * *)", "cron(0 0/25 ? * * *)",
     "cron(0 * * * ? *)", " cron(0 * ? * * *)", "cron(0 * ? * MON *)"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(expression: str) -> None:
    with pytest.raises(ScheduleExpressionError, match=r"every N hours"):
        parse(expression)


def test_times_of_a_cron() -> None:
    cron = Cron((5, 17))
    assert cron.next_after(NOON) == NOON.replace(hour=17)
    assert cron.next_after(NOON.replace(hour=17)) == NOON.replace(day=2, hour=5)
    assert cron.next_after(NOON.replace(hour=16, minute=59, second=59)) == NOON.replace(hour=17)
    assert cron.last_before(NOON) == NOON.replace(hour=5)
    assert cron.last_before(NOON.replace(hour=5)) == NOON.replace(month=2, day=28, hour=17)
    assert cron.last_before(NOON.replace(hour=5, second=1)) == NOON.replace(hour=5)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("-PT1H", timedelta(hours=-1)),
        ("PT0H", timedelta()),
        ("-P1D", timedelta(days=-1)),
        ("-P1DT2H3M4S", -timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("+P1W", timedelta(weeks=1)),
    ],
)
def test_offsets(text: str, offset: timedelta) -> None:
    assert parse_offset(text) == offset


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "-P1H", "PT1.5H", "-PT1H "])
def test_what_is_no_offset(text: str) -> None:
    with pytest.raises(WindowError, match="ISO 8601"):
        parse_offset(text)


@pytest.mark.parametrize(
    ("schedule_config", "monitoring_input", "cron", "start_hour", "end_hour"),
    [
        ({}, {}, None, 11, 12),
        ({"DataAnalysisStartTime": "-PT6H", "DataAnalysisEndTime": "-PT1H"}, {}, None, 6, 11),
        ({}, {}, Cron((0, 12)), 0, 12),
        ({}, {"StartTimeOffset": "-PT2H", "EndTimeOffset": "-PT1H"}, Cron((12,)), 10, 11),
    ],
)
def test_windows(
    schedule_config: dict[str, Any], monitoring_input: dict[str, Any], cron: Cron | None, start_hour: int, end_hour: int
) -> None:
    window = analysis_window(schedule_config, monitoring_input, cron, NOON)
    assert (window.start, window.end) == (NOON.replace(hour=start_hour), NOON.replace(hour=end_hour))


def test_the_hours_a_window_touches() -> None:
    window = analysis_window({"DataAnalysisStartTime": "-PT90M"}, {}, None, NOON + timedelta(minutes=1))
    assert [hour.hour for hour in window.hours()] == [10, 11, 12]
    assert [hour.hour for hour in analysis_window({}, {}, None, NOON).hours()] == [11]


def test_a_window_has_whole_seconds_and_holds_what_was_captured_just_now() -> None:
    window = analysis_window({}, {}, None, NOON + timedelta(milliseconds=444))
    assert (window.start, window.end) == (NOON - timedelta(hours=1), NOON + timedelta(seconds=1))

"""Declared drift: what is changed, in how many rows, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring.traffic.drift import Drift, parse

NAMES = ["minutes", "plan", "calls"]


def drift(*changes: dict[str, Any], names: list[str] = NAMES, seed: int = 1) -> Drift:
    problems = Problems("send_traffic")
    parsed = parse(list(changes), names, problems)
    assert problems.found == []
    return Drift(parsed, names, seed)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({"column": "minutes", "shift": 50.0}, [151.25, "yes", "3"]),
        ({"column": 0, "shift": -1}, [100.25, "yes", "3"]),
        ({"column": "calls", "scale": 1.5}, ["101.25", "yes", 4]),
        ({"column": "plan", "swap": ["yes", "no"]}, ["101.25", "no", "3"]),
        ({"column": "plan", "swap": {"yes": "perhaps"}}, ["101.25", "perhaps", "3"]),
        ({"column": "plan", "nulls": 1}, ["101.25", None, "3"]),
        ({"column": "plan", "drop": True}, ["101.25", "3"]),
        ({"column": "minutes", "shift": 1, "share": 0}, ["101.25", "yes", "3"]),
    ],
)
def test_a_change_changes_its_column_only(change: dict[str, Any], row: list[Any]) -> None:
    assert drift(change).apply(["101.25", "yes", "3"]) == row


def test_rows_may_be_objects() -> None:
    changed = drift({"column": "minutes", "scale": 2}, {"column": "calls", "drop": True}, names=[])
    assert changed.apply({"minutes": 1.5, "plan": "no", "calls": 3}) == {"minutes": 3.0, "plan": "no"}


def test_a_missing_value_stays_missing() -> None:
    assert drift({"column": "minutes", "shift": 1}).apply(["", "no", "1"]) == ["", "no", "1"]


def test_a_share_of_the_rows_is_changed_the_same_ones_for_a_seed() -> None:
    def changed(seed: int) -> list[bool]:
        shifted = drift({"column": "minutes", "shift": 1, "share": 0.25}, seed=seed)
        return [shifted.apply([0, "no", 0])[0] == 1 for _ in range(2000)]

    first = changed(1)
    assert 0.2 < sum(first) / 2000 < 0.3
    assert changed(1) == first
    assert changed(2) != first


def test_another_change_does_not_move_the_first_to_other_rows() -> None:
    def nulls(*more: dict[str, Any]) -> list[bool]:
        applied = drift({"column": "plan", "nulls": 0.5}, *more)
        return [applied.apply([1, "no", 1])[1] is None for _ in range(100)]

    assert nulls() == nulls({"column": "calls", "shift": 1, "share": 0.5})


def test_the_drifted_columns_have_their_names() -> None:
    assert drift({"column": 2, "shift": 1}, {"column": "plan", "nulls": 1}).column_names == ["calls", "plan"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("minutes", "drift[0] is 'minutes', must be a change such as"),
        ({"column": "minutes"}, "a change with exactly one of shift, scale, swap, nulls, drop"),
        ({"column": "minutes", "shift": 1, "scale": 2}, "a change with exactly one of"),
        ({"column": "minute", "shift": 1}, "drift[0].column is 'minute', must be one of minutes, plan, calls"),
        ({"column": 3, "shift": 1}, "drift[0].column is 3, must be a number from 0 to 2"),
        ({"shift": 1}, "drift[0].column is None, must be the name of a column"),
        ({"column": "minutes", "shift": "much"}, "drift[0].shift is 'much', must be a number"),
        ({"column": "minutes", "nulls": 1.5}, "drift[0].nulls is 1.5, must be a number from 0 to 1"),
        ({"column": "minutes", "shift": 1, "share": -1}, "drift[0].share is -1, must be a number from 0 to 1"),
        ({"column": "minutes", "drop": False}, "drift[0].drop is False, must be true"),
        ({"column": "plan", "swap": ["yes"]}, "drift[0].swap is ['yes'], must be two categories"),
        ({"column": "plan", "shuffle": 1, "nulls": 1}, "drift[0].shuffle is 1, must be left out; known keys are"),
    ],
)
def test_what_is_no_change_is_refused(change: Any, problem: str) -> None:
    problems = Problems("send_traffic")
    parse([change], NAMES, problems)
    assert problem in problems.found[0]


@pytest.mark.parametrize(
    ("change", "row", "problem"),
    [
        ({"column": "plan", "shift": 1}, [1, "yes", 3], "column 'plan' holds 'yes', which is not a number to shift"),
        ({"column": "calls", "shift": 1}, [1], "it has no column 'calls'"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(change: dict[str, Any], row: list[Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        drift(change).apply(row)

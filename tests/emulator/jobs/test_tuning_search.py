"""What a tuning job chooses: ranges, scaling, each strategy, and when a trial is given up."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_emulator.jobs.tuning_search import GridSearch, MedianRule, OptunaSearch, Search
from sagemaker_emulator.jobs.tuning_space import Choice, Number, RangeError, Space, grid_size, parse_space


def integer(name: str, low: str, high: str, scaling: str = "Linear") -> dict[str, Any]:
    return {
        "IntegerParameterRanges": [{"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}],
    }


def continuous(name: str, low: str, high: str, scaling: str = "Linear") -> dict[str, Any]:
    return {
        "ContinuousParameterRanges": [{"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}],
    }


def search(strategy: str, space: Space, *, is_minimized: bool = True, seed: int = 1, **options: Any) -> OptunaSearch:
    return OptunaSearch(strategy, space, is_minimized=is_minimized, seed=seed, **options)


def proposed(search: Search) -> dict[str, str]:
    trial = search.propose()
    assert trial is not None
    return trial.values


def best_loss(strategy: str, seed: int) -> float:
    """The least of a bowl's values that thirty trials find."""
    space = parse_space(continuous("x", "-10", "10") | integer("y", "-10", "10"), {})
    searching = search(strategy, space, seed=seed, first_random=5)
    losses = []
    for _ in range(30):
        trial = searching.propose()
        assert trial is not None
        losses.append((float(trial.values["x"]) - 3) ** 2 + (int(trial.values["y"]) + 4) ** 2)
        searching.finish(trial, losses[-1])
    return min(losses)


def test_bayesian_learns_and_random_does_not() -> None:
    bayesian = [best_loss("Bayesian", seed) for seed in range(6)]
    blind = [best_loss("Random", seed) for seed in range(6)]
    assert sum(bayesian) < 0.6 * sum(blind)


def test_a_maximised_objective_is_learned_too() -> None:
    searching = search("Bayesian", parse_space(continuous("x", "0", "1"), {}), is_minimized=False, first_random=5)
    values = []
    for _ in range(25):
        trial = searching.propose()
        assert trial is not None
        values.append(float(trial.values["x"]))
        searching.finish(trial, values[-1])
    assert sum(values[-5:]) > sum(values[:5])
    assert max(values) > 0.95


def test_parallel_trials_differ() -> None:
    searching = search("Bayesian", parse_space(integer("x", "1", "1000"), {}), first_random=2)
    chosen = {proposed(searching)["x"] for _ in range(8)}
    assert len(chosen) > 6


@pytest.mark.parametrize("strategy", ["Random", "Bayesian", "Hyperband"])
def test_a_seed_repeats_the_choices(strategy: str) -> None:
    space = parse_space(continuous("x", "0", "1"), {})
    first, again, other = (search(strategy, space, seed=seed) for seed in (7, 7, 8))
    values = [[proposed(each)["x"] for _ in range(5)] for each in (first, again, other)]
    assert values[0] == values[1] != values[2]


@settings(deadline=None, max_examples=30)
@given(
    low=st.floats(1e-6, 0.5),
    width=st.floats(0, 0.4),
    scaling=st.sampled_from(["Linear", "Logarithmic", "ReverseLogarithmic", "Auto"]),
)
def test_choices_stay_in_their_range(low: float, width: float, scaling: str) -> None:
    space = parse_space(continuous("x", repr(low), repr(low + width), scaling), {})
    searching = search("Random", space)
    for _ in range(10):
        assert low <= float(proposed(searching)["x"]) <= low + width


@pytest.mark.parametrize(
    ("scaling", "below_a_hundredth", "above_ninety_nine"),
    [("Linear", (0, 30), (0, 30)), ("Logarithmic", (80, 140), (0, 30)), ("ReverseLogarithmic", (0, 30), (80, 140))],
)
def test_scaling_says_where_values_lie(
    scaling: str, below_a_hundredth: tuple[int, int], above_ninety_nine: tuple[int, int]
) -> None:
    searching = search("Random", parse_space(continuous("x", "0.0001", "0.9999", scaling), {}))
    values = [float(proposed(searching)["x"]) for _ in range(200)]
    assert below_a_hundredth[0] <= sum(value < 0.01 for value in values) <= below_a_hundredth[1]
    assert above_ninety_nine[0] <= sum(value > 0.99 for value in values) <= above_ninety_nine[1]


def test_integers_are_whole_and_reach_both_bounds() -> None:
    searching = search("Random", parse_space(integer("x", "1", "4"), {}))
    assert {proposed(searching)["x"] for _ in range(60)} == {"1", "2", "3", "4"}


def test_grid_has_every_combination_once() -> None:
    space: Space = {"a": Choice("a", ("1", "2", "3")), "b": Choice("b", ("x", "y"))}
    searching = GridSearch(space)
    searching.learn({"a": "2", "b": "x"}, 0.5)
    found = []
    while trial := searching.propose():
        found.append((trial.values["a"], trial.values["b"]))
    assert grid_size(space) == 6
    assert found == [pair for pair in itertools.product("123", "xy") if pair != ("2", "x")]


def test_hyperband_gives_up_the_worse_and_ends_at_the_greatest_resource() -> None:
    searching = search("Hyperband", parse_space(continuous("x", "0", "1"), {}), resources=(1, 9))
    steps = []
    for _ in range(30):
        trial = searching.propose()
        assert trial is not None
        loss = float(trial.values["x"])
        while True:
            trial.history.append(loss)
            if searching.is_hopeless(trial):
                break
        steps.append((loss, len(trial.history)))
        searching.finish(trial, loss)
    assert max(count for _, count in steps) == 9
    complete = [loss for loss, count in steps if count == 9]
    given_up = [loss for loss, count in steps if count < 9]
    assert len(given_up) > 8
    assert sum(complete) / len(complete) < sum(given_up) / len(given_up)


def test_a_search_learns_from_earlier_trials_that_fit_its_space() -> None:
    space = parse_space(
        continuous("x", "0", "1") | {"CategoricalParameterRanges": [{"Name": "c", "Values": ["a"]}]}, {}
    )
    taught, blind = (search("Bayesian", space, first_random=10) for _ in range(2))
    for number in range(20):
        value = number / 20
        taught.learn({"x": str(value), "c": "a", "static": "1"}, (value - 0.9) ** 2)
        taught.learn({"x": str(value), "c": "unknown"}, -100.0)
        taught.learn({"x": "7", "c": "a"}, -100.0)
        taught.learn({"x": str(value)}, -100.0)
        taught.learn({"x": str(value), "c": "a"}, None)
    distances = [[abs(float(proposed(each)["x"]) - 0.9) for _ in range(5)] for each in (taught, blind)]
    assert sum(distances[0]) < sum(distances[1])


def test_the_median_rule_compares_running_averages_at_the_same_epoch() -> None:
    rule = MedianRule(is_minimized=True)
    rule.add([10.0, 8.0, 6.0])
    assert not rule.is_hopeless([99.0])
    rule.add([8.0, 6.0, 4.0])
    rule.add([])
    assert rule.is_hopeless([9.1])  # the median of 10 and 8
    assert not rule.is_hopeless([9.0])
    assert rule.is_hopeless([20.0, 8.1])  # the median of 9 and 7
    assert not rule.is_hopeless([20.0, 7.9])
    assert not rule.is_hopeless([9.0, 9.0, 9.0, 9.0])  # no job got so far
    rising = MedianRule(is_minimized=False)
    rising.add([0.5])
    rising.add([0.7])
    assert rising.is_hopeless([0.59])
    assert not rising.is_hopeless([0.61])


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (integer("x", "5", "1"), "greater than its MaxValue"),
        (integer("x", "1.5", "3"), "does not have integers as bounds"),
        (continuous("x", "a", "3"), "does not have numbers as bounds"),
        (continuous("x", "0", "inf"), "does not have numbers as bounds"),
        (continuous("x", "0", "1", "Logarithmic"), "above 0"),
        (continuous("x", "0.5", "1", "ReverseLogarithmic"), "not including, 1"),
        (integer("x", "0", "0", "ReverseLogarithmic"), "not including, 1"),
        (continuous("x", "0", "1") | integer("x", "0", "1"), "more than one range"),
        (continuous("k", "0", "1"), "in the static hyperparameters and in the parameter ranges"),
    ],
)
def test_wrong_ranges_are_refused(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(RangeError, match=message):
        parse_space(ranges, {"k": "10"})


def test_a_grid_of_numbers_is_refused() -> None:
    with pytest.raises(RangeError, match=r"\[x\] is numeric"):
        grid_size(parse_space(integer("x", "1", "2"), {}))


def test_auto_scaling_and_auto_parameters() -> None:
    space = parse_space(
        continuous("wide", "0.001", "1", "Auto")
        | integer("narrow", "1", "50", "Auto")
        | {
            "AutoParameters": [
                {"Name": "rate", "ValueHint": "0.3"},
                {"Name": "rounds", "ValueHint": "25"},
                {"Name": "flag", "ValueHint": "True"},
                {"Name": "text", "ValueHint": "adam"},
                {"Name": "zero", "ValueHint": "0"},
            ]
        },
        {},
    )
    assert space == {
        "wide": Number("wide", 0.001, 1.0, False, "Logarithmic"),
        "narrow": Number("narrow", 1.0, 50.0, True, "Linear"),
        "rate": Number("rate", 0.03, 1.0, False, "Logarithmic"),
        "rounds": Number("rounds", 2.0, 250.0, True, "Logarithmic"),
        "flag": Choice("flag", ("true", "false")),
        "text": Choice("text", ("adam",)),
        "zero": Choice("zero", ("0",)),
    }

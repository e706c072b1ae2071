from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_sagemaker.aws.values import drop_empty, normalise, string_map

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def as_kubeflow_hands_it_over(value: Any) -> Any:
    """Every number a float, as protobuf's Struct has it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, dict):
        return {key: as_kubeflow_hands_it_over(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_kubeflow_hands_it_over(item) for item in value]
    return value


@given(JSON)
def test_what_kubeflow_made_floats_becomes_integers_again(value: Any) -> None:
    assert json.dumps(normalise(as_kubeflow_hands_it_over(value))) == json.dumps(normalise(value))


@given(JSON)
def test_normalising_changes_no_value_and_settles_at_once(value: Any) -> None:
    assert normalise(value) == value
    assert repr(normalise(normalise(value))) == repr(normalise(value))


def test_normalise_keeps_booleans_fractions_and_infinities() -> None:
    assert repr(normalise([True, 0.5, math.inf, (1.0, 2.5)])) == "[True, 0.5, inf, [1, 2.5]]"
    assert math.isnan(normalise(math.nan))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10.0, "10"),
        (100, "100"),
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (True, "true"),
        (False, "false"),
        ("auto", "auto"),
        ("", ""),
        ([1.0, 2.0], "[1,2]"),
        ({"a": 1.0}, '{"a":1}'),
        ("Zürich", "Zürich"),
        (["Zürich"], '["Zürich"]'),
    ],
)
def test_hyperparameters_become_strings(value: Any, expected: str) -> None:
    assert string_map({"name": value}) == {"name": expected}


def test_a_hyperparameter_of_none_is_left_out() -> None:
    assert string_map({"a": None, "b": 0}) == {"b": "0"}


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_every_value_becomes_a_string(mapping: dict[str, Any]) -> None:
    assert all(isinstance(value, str) for value in string_map(mapping).values())


def test_drop_empty_removes_what_was_not_given_and_keeps_zero_and_false() -> None:
    request = {
        "A": "",
        "B": None,
        "C": {"D": {}, "E": {"F": []}},
        "G": 0,
        "H": False,
        "I": [{"J": "", "K": 1}, ""],
        "Environment": {"DEBUG": ""},
        "HyperParameters": {},
    }
    assert drop_empty(request) == {"G": 0, "H": False, "I": [{"K": 1}, ""], "Environment": {"DEBUG": ""}}


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_drop_empty_settles_at_once(mapping: dict[str, Any]) -> None:
    once = drop_empty(mapping)
    assert drop_empty(once) == once
    assert all(value is not None and value not in ("", {}, []) for value in once.values())

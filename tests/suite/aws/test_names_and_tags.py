from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_sagemaker.aws import names, tags
from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.run_context import RunContext
from kfp_sagemaker.aws.validation import NAME_PATTERN

RUN = RunContext("run-1", "housing", "train")
REQUESTS = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none(), max_size=5)


@given(prefix=st.text(max_size=120), request=REQUESTS, attempt=st.integers(1, 999), max_length=st.integers(17, 63))
def test_every_name_is_one_sagemaker_takes(
    prefix: str, request: dict[str, object], attempt: int, max_length: int
) -> None:
    name = names.attempt_name(names.resource_name(prefix, request, RUN, max_length), attempt, max_length)
    assert re.fullmatch(NAME_PATTERN, name)
    assert len(name) <= max_length


@given(prefix=st.text(max_size=120), request=REQUESTS)
def test_an_attempts_suffix_never_cuts_the_hash(prefix: str, request: dict[str, object]) -> None:
    name = names.resource_name(prefix, request, RUN)
    assert names.attempt_name(name, 999) == f"{name}-999"


@given(prefix=st.sampled_from(["", "train", "a-b"]), request=REQUESTS)
def test_names_are_deterministic_and_the_order_of_keys_does_not_matter(prefix: str, request: dict[str, object]) -> None:
    backwards = dict(reversed(request.items()))
    assert names.request_hash(request) == names.request_hash(backwards)
    assert names.resource_name(prefix, request, RUN) == names.resource_name(prefix, backwards, RUN)


@pytest.mark.parametrize("other", [RunContext("run-2", "housing", "train"), RunContext("run-1", "housing", "train-2")])
def test_another_run_or_task_gives_another_name(other: RunContext) -> None:
    assert names.resource_name("train", {}, RUN) != names.resource_name("train", {}, other)


def test_outside_a_run_each_name_is_new() -> None:
    assert names.resource_name("train", {}, RunContext()) != names.resource_name("train", {}, RunContext())


def test_a_long_explicit_name_makes_room_for_the_attempt() -> None:
    assert names.attempt_name("a" * 63, 2) == "a" * 61 + "-2"


def test_tags_name_the_run_and_keep_the_users() -> None:
    found = tags.as_mapping(tags.run_tags(RUN, {"team": "prices"}, request_hash="abc"))
    assert found == {
        "team": "prices",
        tags.RUN_ID: "run-1",
        tags.PIPELINE: "housing",
        tags.TASK: "train",
        tags.REQUEST: "abc",
    }


def test_outside_a_run_there_are_no_run_tags() -> None:
    assert tags.run_tags(RunContext(), {}) == []


@given(value=st.text(max_size=400))
def test_every_tag_value_of_a_run_is_one_aws_takes(value: str) -> None:
    for tag in tags.run_tags(RunContext(value, value, value)):
        assert len(tag["Value"]) <= 256
        assert re.fullmatch(r"[\w\s.:/=+\-@]*", tag["Value"])


@pytest.mark.parametrize(
    "wrong",
    [
        {tags.RUN_ID: "x"},
        {"aws:x": "y"},
        {"": "x"},
        {"k" * 129: "x"},
        {"k": "v" * 257},
        {"k": "a,b"},
        {f"k{number}": "v" for number in range(50)},
    ],
    ids=str,
)
def test_tags_that_aws_would_refuse_are_input_errors(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match="tags"):
        tags.run_tags(RUN, wrong)


def test_all_wrong_tags_are_reported_at_once() -> None:
    with pytest.raises(InputError) as info:
        tags.run_tags(RUN, {"aws:x": "a,b", "ok": "ok", "k": "c,d"})
    assert len(info.value.problems) == 3

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.validation import Problems


def check(method: str, *arguments: Any) -> list[str]:
    problems = Problems("train")
    fine = getattr(problems, method)("argument", *arguments)
    assert fine is (not problems.found)
    return problems.found


def test_all_problems_are_raised_at_once_in_order() -> None:
    problems = Problems("train")
    problems.required("role_arn", "")
    problems.between("instance_count", -1, 1, 100)
    problems.one_of("input_mode", "Fast", ["File", "Pipe"])
    with pytest.raises(InputError) as info:
        problems.raise_if_any()
    assert str(info.value) == (
        "train: 3 invalid arguments:\n"
        "  - role_arn is '', must be given\n"
        "  - instance_count is -1, must be a number from 1 to 100\n"
        "  - input_mode is 'Fast', must be one of File, Pipe"
    )


def test_without_problems_nothing_is_raised() -> None:
    problems = Problems("train")
    assert problems.required("role_arn", "x")
    problems.raise_if_any()


@pytest.mark.parametrize("value", ["", None, [], {}, ()])
def test_required(value: object) -> None:
    assert check("required", value) == [f"argument is {value!r}, must be given"]
    assert check("required", 0) == check("required", False) == check("required", [0]) == []


@pytest.mark.parametrize("method", ["s3_uri", "role_arn", "name", "instance_type"])
@pytest.mark.parametrize("value", ["", None])
def test_what_was_not_given_is_not_wrong(method: str, value: object) -> None:
    assert check(method, value) == []


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("s3_uri", "s3://bucket"),
        ("s3_uri", "s3://my-bucket.x/a b/c"),
        ("s3_uri", "s3://abc/line\nbreak"),
        ("role_arn", "arn:aws:iam::123456789012:role/service-role/My_Role+=,.@-"),
        ("role_arn", "arn:aws-us-gov:iam::123456789012:role/x"),
        ("name", "a"),
        ("name", "Train-1--x"),
        ("name", "a" * 63),
        ("instance_type", "ml.m5.large"),
        ("instance_type", "ml.p4d.24xlarge"),
        ("instance_type", "ml.m7i-flex.xlarge"),
        ("instance_type", "ml.c6g.metal"),
    ],
)
def test_good_values(method: str, value: str) -> None:
    assert check(method, value) == []


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("s3_uri", "bucket/key"),
        ("s3_uri", "https://bucket.s3.amazonaws.com/key"),
        ("s3_uri", "s3://"),
        ("s3_uri", "s3://UPPER/key"),
        ("s3_uri", "s3:/bucket/key"),
        ("s3_uri", 7),
        ("role_arn", "my-role"),
        ("role_arn", "arn:aws:iam::123:role/x"),
        ("role_arn", "arn:aws:iam::123456789012:user/x"),
        ("name", "-a"),
        ("name", "a-"),
        ("name", "a_b"),
        ("name", "a" * 64),
        ("name", "a\n"),
        ("instance_type", "m5.large"),
        ("instance_type", "ml.m5.hugee"),
        ("instance_type", "ml.m5"),
        ("between", "5"),
        ("between", True),
        ("between", float("nan")),
    ],
)
def test_bad_values(method: str, value: object) -> None:
    [problem] = check(method, value, *((1, 10) if method == "between" else ()))
    assert problem.startswith(f"argument is {value!r}, must be ")


def test_open_bounds() -> None:
    assert check("between", 5, 1) == check("between", 5, None, 10) == check("between", None, 1, 2) == []
    assert check("between", 0, 1) == ["argument is 0, must be a number of at least 1"]
    assert check("between", 11, None, 10) == ["argument is 11, must be a number of at most 10"]


def test_a_long_value_is_shortened() -> None:
    [problem] = check("s3_uri", "x" * 1000)
    assert len(problem) < 250
    assert "(1002 characters)" in problem

from __future__ import annotations

import pytest

from kfp_sagemaker.aws.errors import DataError, InputError
from kfp_sagemaker.data.split import Sink, distribute, split_dataset


class Collected(Sink):
    def __init__(self) -> None:
        self.rows: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.rows += data.splitlines(keepends=True)


def rows(count: int) -> list[bytes]:
    return [b"%d\n" % number for number in range(count)]


def split(
    sources: list[tuple[str, list[bytes]]], fractions: list[float], seed: int = 0, has_header: bool = False
) -> tuple[list[int], list[list[bytes]]]:
    sinks = [Collected() for _ in fractions]
    counts = distribute(((name, iter(data)) for name, data in sources), fractions, seed, sinks, has_header)
    return counts, [sink.rows for sink in sinks]


@pytest.mark.parametrize("count", [0, 1, 2, 10, 900, 999, 1000, 1001, 5432])
@pytest.mark.parametrize("fractions", [[0.7, 0.3], [0.8, 0.1, 0.1], [1 / 3, 1 / 3, 1 / 3], [1.0], [0.999, 0.001]])
def test_every_row_goes_to_one_part_and_shares_are_exact_within_a_row(count: int, fractions: list[float]) -> None:
    counts, parts = split([("x", rows(count))], fractions)
    assert sorted(row for part in parts for row in part) == sorted(rows(count))
    assert counts == [len(part) for part in parts]
    for fraction, part in zip(fractions, parts, strict=True):
        assert abs(len(part) - fraction * count) < 1


def test_seventy_thirty_of_nine_hundred_is_exact() -> None:
    assert split([("x", rows(900))], [0.7, 0.3])[0] == [630, 270]


def test_the_seed_decides_and_nothing_else() -> None:
    assert split([("x", rows(3000))], [0.7, 0.3], seed=1) == split([("x", rows(3000))], [0.7, 0.3], seed=1)
    assert split([("x", rows(3000))], [0.7, 0.3], seed=1) != split([("x", rows(3000))], [0.7, 0.3], seed=2)
    whole = split([("x", rows(3000))], [0.5, 0.5], seed=3)
    assert split([("x", rows(3000)[:7]), ("y", rows(3000)[7:])], [0.5, 0.5], seed=3) == whole


def test_assignment_is_spread_over_the_data_and_keeps_the_order() -> None:
    _, (train, validation) = split([("x", rows(1000))], [0.5, 0.5])
    for part in (train, validation):
        numbers = [int(row) for row in part]
        assert numbers == sorted(numbers)
        # Of 500 of 1,000 drawn without replacement the first half holds 250 with a standard deviation of 8.
        assert abs(sum(number < 500 for number in numbers) - 250) < 50


def test_the_header_of_each_object_goes_once_to_each_part() -> None:
    sources = [("x", [b"a,b\n", b"1,2\n", b"3,4\n"]), ("empty", []), ("y", [b"a,b\r\n", b"5,6\n", b"7,8\n"])]
    counts, parts = split(sources, [0.5, 0.5], has_header=True)
    assert counts == [2, 2]
    for part in parts:
        assert part[0] == b"a,b\n"
        assert b"a,b\r\n" not in part[1:]


def test_different_headers_are_refused() -> None:
    with pytest.raises(DataError, match="y: the header b'a,c"):
        split([("x", [b"a,b\n"]), ("y", [b"a,c\n"])], [1.0], has_header=True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"input_s3_uri": ""}, "input_s3_uri is '', must be given"),
        ({"input_s3_uri": "in.csv"}, "input_s3_uri is 'in.csv', must be an S3 URI"),
        ({"output_s3_uri": "s3:/x"}, "output_s3_uri is 's3:/x', must be an S3 URI"),
        ({"train_fraction": -0.1}, "train_fraction is -0.1, must be a number from 0 to 1"),
        ({"test_fraction": 7}, "test_fraction is 7, must be a number from 0 to 1"),
        (
            {"test_fraction": 0.5},
            "train_fraction + validation_fraction + test_fraction is '0.7 + 0.3 + 0.5', must be 1",
        ),
        ({"compression_type": "zip"}, "compression_type is 'zip', must be one of None, Gzip"),
        ({"tags": {str(n): "x" for n in range(11)}}, "tags is '11 tags', must be at most 10 tags"),
    ],
)
def test_one_wrong_argument_is_one_problem_before_any_call(arguments: dict[str, object], problem: str) -> None:
    given: dict[str, object] = {"input_s3_uri": "s3://bucket/in.csv", "output_s3_uri": "s3://bucket/out"}
    with pytest.raises(InputError, match="split_dataset: 1 invalid argument") as caught:
        split_dataset(**{**given, **arguments})  # type: ignore[arg-type]
    assert caught.value.problems == [problem] or caught.value.problems[0].startswith(problem)

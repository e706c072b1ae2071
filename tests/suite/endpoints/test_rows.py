"""Rows into bodies, answers into predictions."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.endpoints import rows


@pytest.mark.parametrize(
    ("row", "content_type", "sent"),
    [
        ("1,2,n\n", rows.CSV, "1,2,n"),
        ([1.0, 2.5, "n"], rows.CSV, "1,2.5,n"),
        (["a,b", 'say "x"'], rows.CSV, '"a,b","say ""x"""'),
        (3.0, rows.CSV, "3"),
        ({"a": 1.0}, rows.JSON, '{"a":1}'),
        ([1.0, 2], rows.JSON_LINES, "[1,2]"),
        ('{"a": 1}', rows.JSON, '{"a": 1}'),
        ("anything", "application/x-own", "anything"),
    ],
)
def test_a_row_as_it_is_sent(row: Any, content_type: str, sent: str) -> None:
    assert rows.encode(row, content_type) == sent


@pytest.mark.parametrize(("row", "content_type"), [({"a": 1}, rows.CSV), (None, rows.CSV), ([1], "application/x-own")])
def test_a_row_that_does_not_fit(row: Any, content_type: str) -> None:
    with pytest.raises(ValueError, match=f"because content_type is {content_type}"):
        rows.encode(row, content_type)


@pytest.mark.parametrize(
    ("row", "content_type", "label", "rest"),
    [
        ("12.5,1,n", rows.CSV, 12.5, "1,n"),
        ("yes,1", rows.CSV, "yes", "1"),
        ([3.0, 1, 2], rows.CSV, 3, [1, 2]),
        ("[3, 1, 2]", rows.JSON_LINES, 3, [1, 2]),
    ],
)
def test_the_label_is_taken_off(row: Any, content_type: str, label: Any, rest: Any) -> None:
    assert rows.split_label(row, content_type) == (label, rest)


@pytest.mark.parametrize("row", ["12.5", [1], {"a": 1}])
def test_a_row_without_a_label(row: Any) -> None:
    with pytest.raises(ValueError, match="label_first is true"):
        rows.split_label(row, rows.CSV)


def test_several_rows_share_a_body() -> None:
    assert rows.join(["1,2", "3,4"], rows.CSV) == b"1,2\n3,4"
    assert rows.join(["[1]", "[2]"], rows.JSON) == b"[[1],[2]]"
    assert rows.join(["[1]"], rows.JSON) == b"[1]"
    assert rows.join(["[1]", "[2]"], rows.JSON_LINES) == b"[1]\n[2]"


@pytest.mark.parametrize(
    ("body", "content_type", "count", "predictions"),
    [
        (b"12.5\n", "text/csv; charset=utf-8", 1, [12.5]),
        (b"1\n2\n3\n", "text/csv", 3, [1, 2, 3]),
        (b"1.5,2.5", "text/csv", 2, [1.5, 2.5]),
        (b"0.25,0.75\n", "text/csv", 1, [[0.25, 0.75]]),
        (b"cat", "text/plain", 1, ["cat"]),
        (b"nan", "text/csv", 1, ["nan"]),
        (b'{"predictions": [{"score": 1.5}]}', "application/json", 1, [{"score": 1.5}]),
        (b'{"predictions": [1, 2]}', "application/json", 2, [1, 2]),
        (b"[1, 2]", "application/json", 2, [1, 2]),
        (b"[0.1, 0.2, 0.7]", "application/json", 1, [[0.1, 0.2, 0.7]]),
        (b'{"a": 1}', "application/json", 1, [{"a": 1}]),
        (b'{"a": 1}\n{"a": 2}\n', "application/jsonlines", 2, [{"a": 1}, {"a": 2}]),
        (b"raw", "application/x-own", 1, ["raw"]),
        (b"two\nlines", "text/csv", 1, ["two\nlines"]),
    ],
)
def test_an_answer_is_a_prediction_a_row(body: bytes, content_type: str, count: int, predictions: list[Any]) -> None:
    assert rows.decode(body, content_type, count) == predictions


@pytest.mark.parametrize(("body", "content_type"), [(b"1\n2\n", "text/csv"), (b"[1]", "application/json")])
def test_an_answer_of_another_length_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(ValueError, match="predictions for 3 rows; set rows_per_request to 1"):
        rows.decode(body, content_type, 3)

"""The formats built-in algorithms read and answer with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sagemaker_emulator.containers import formats, recordio
from sagemaker_emulator.containers.formats import ContentType

numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=numbers))
def test_csv_keeps_every_number(matrix: np.ndarray) -> None:
    text = "\n".join(",".join(map(repr, row)) for row in matrix.tolist())
    np.testing.assert_array_equal(formats.read_csv_matrix(text.encode()), matrix)
    np.testing.assert_array_equal(formats.read_csv_matrix((text.replace("\n", "\r\n") + "\r\n").encode()), matrix)


def test_csv_takes_the_label_from_the_first_column() -> None:
    table = formats.read_csv(b"1,2,3\n4,5,6\n", 1)
    assert table.labels is not None
    assert table.labels.tolist() == [1, 4]
    assert table.dense_features.tolist() == [[2, 3], [5, 6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,x\n", "line 2: could not convert string to float: 'x'"),
        ("price,sqft\n3,4\n", "line 1"),
        ("1,2\n3\n4,5,6\n", "line 2 has 1 columns, line 1 has 2"),
        ("1,2\n3,\n", "line 2"),
    ],
)
def test_csv_that_is_wrong_names_the_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        formats.read_csv_matrix(text.encode())


def test_quoted_csv_and_missing_values() -> None:
    assert formats.read_csv_matrix(b'"1","2"\n3,4\n').tolist() == [[1, 2], [3, 4]]
    matrix = formats.read_csv_matrix(b"1,,3\n4,5,\n", empty_is_nan=True)
    np.testing.assert_array_equal(matrix, [[1, np.nan, 3], [4, 5, np.nan]])


def test_libsvm_with_and_without_labels() -> None:
    table = formats.read_libsvm(b"1 0:2.5 3:1  # comment\n0:0.5 1:4\n")
    assert table.labels is not None
    assert table.labels.tolist() == [1, 0]
    assert table.dense_features.tolist() == [[2.5, 0, 0, 1], [0, 4, 0, 0]]
    assert table.weights is not None
    assert table.weights.tolist() == [1, 0.5]
    unlabelled = formats.read_libsvm(b"0:1 2:3\n1:1\n", has_labels=False)
    assert unlabelled.labels is None
    assert unlabelled.dense_features.tolist() == [[1, 0, 3], [0, 1, 0]]
    assert formats.read_libsvm(b"7 0:1\n", has_labels=False).dense_features.tolist() == [[1]]
    with pytest.raises(ValueError, match="line 2"):
        formats.read_libsvm(b"1 0:1\n0 a:b\n")


def test_content_types_carry_parameters() -> None:
    kind = ContentType.parse('Text/CSV; Label_Size=0; charset="utf-8"')
    assert (kind.media_type, kind.label_size, kind.parameters["charset"]) == ("text/csv", 0, "utf-8")
    with pytest.raises(ValueError, match="label_size=2"):
        assert ContentType.parse("text/csv;label_size=2").label_size


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", b"1,2\n3,4"),
        ("application/json", json.dumps({"instances": [{"features": [1, 2]}, {"features": [3, 4]}]}).encode()),
        (
            "application/json; charset=utf-8",
            json.dumps(
                {
                    "instances": [
                        {"data": {"features": {"values": [1, 2]}}},
                        {"data": {"features": {"values": [4, 3], "keys": [1, 0], "shape": [2]}}},
                    ]
                }
            ).encode(),
        ),
        ("application/jsonlines", b'{"features": [1, 2]}\n\n{"features": [3, 4]}\n'),
        ("application/x-recordio-protobuf", recordio.write_records(np.array([[1, 2], [3, 4]]))),
    ],
)
def test_requests_of_every_type(content_type: str, body: bytes) -> None:
    assert formats.read_request(body, content_type).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "body", [b"[1, 2]", b'{"instances": [{"x": 1}]}', b'{"instances": [{"features": [1]}, {"features": [1, 2]}]}', b"{"]
)
def test_wrong_json_requests_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        formats.read_request(body, "application/json")


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(formats.UnsupportedFormatError, match="image/png"):
        formats.read_request(b"", "image/png")


def test_answers_in_every_type() -> None:
    answers = [{"score": [0.1, 0.9], "predicted_label": 1}, {"score": [0.5, 0.5], "predicted_label": 0}]
    body, kind = formats.write_answers(answers, "*/*")
    assert (json.loads(body), kind) == ({"predictions": answers}, "application/json")
    body, _ = formats.write_answers(answers, "application/jsonlines")
    assert [json.loads(line) for line in body.splitlines()] == answers
    body, _ = formats.write_answers(answers, "text/csv")
    assert body == b'"[0.1, 0.9]",1\n"[0.5, 0.5]",0\n'
    body, _ = formats.write_answers([{"score": 1.5}, {"score": 2.5}], "text/csv")
    assert body == b"1.5\n2.5\n"
    assert formats.write_answers(answers, "application/x-recordio-protobuf")[1] == "application/x-recordio-protobuf"
    with pytest.raises(formats.UnsupportedAcceptError, match="image/png"):
        formats.write_answers(answers, "image/png")

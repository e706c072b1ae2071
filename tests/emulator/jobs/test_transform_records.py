"""Packing, filtering and joining the records of a batch transform."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_emulator.jobs.json_path import JsonPath
from sagemaker_emulator.jobs.transform_records import DataProcessing, RecordError, pack, record_format


def processing(input_filter="$", output_filter="$", *, joins=False, content_type="text/csv", is_split=True):
    return DataProcessing(
        JsonPath(input_filter),
        JsonPath(output_filter),
        joins_input=joins,
        input_format=record_format(content_type, is_split=is_split),
        is_split=is_split,
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.integers(21, 60))
def test_packing_keeps_every_line_and_the_limit(lines, limit):
    groups = list(pack(iter(lines), max_payload_bytes=limit, single_record=False))
    assert [line for group in groups for line in group] == [line for line in lines if line]
    assert all(len(b"\n".join(group)) <= limit for group in groups)


def test_single_record_sends_one_line_at_a_time():
    assert list(pack(iter([b"a", b"", b"b"]), max_payload_bytes=100, single_record=True)) == [[b"a"], [b"b"]]


def test_a_line_larger_than_the_payload_is_an_error():
    with pytest.raises(RecordError, match="Maximum payload exceeded"):
        list(pack(iter([b"x" * 11]), max_payload_bytes=10, single_record=False))


def test_csv_columns_are_dropped_joined_and_chosen():
    both = processing("$[1:]", "$[0,-1]", joins=True)
    records = [b"7,0.5,1", b"8,0.6,2"]
    assert both.request_body(records) == b"0.5,1\n0.6,2"
    assert both.result(records, b"100\n200\n", "text/csv; charset=utf-8") == b"7,100\n8,200"


def test_csv_fields_keep_their_quotes():
    assert processing("$[0:2]").request_body([b'"a,b",c,d']) == b'"a,b",c'


def test_json_lines_are_joined_under_their_own_key():
    joining = processing("$.features", "$['id','SageMakerOutput']", joins=True, content_type="application/jsonlines")
    records = [b'{"id": 1, "features": [1, 2]}']
    assert joining.request_body(records) == b"[1, 2]"
    assert joining.result(records, b'{"score": 0.9}\n', "application/jsonlines") == (
        b'{"id": 1, "SageMakerOutput": {"score": 0.9}}'
    )


def test_a_json_array_is_joined_beside_the_output():
    joining = processing(joins=True, content_type="application/json", is_split=False)
    expected = b'{"SageMakerInput": [1, 2], "SageMakerOutput": [3]}'
    assert joining.result([b"[1, 2]"], b"[3]", "application/json") == expected


def test_without_filters_bytes_pass_untouched():
    opaque = processing(content_type="image/png", is_split=False)
    assert opaque.request_body([b"\x89PNG\n"]) == b"\x89PNG\n"
    assert opaque.result([b"\x89PNG\n"], b"\x00\xff", "application/octet-stream") == b"\x00\xff"


@pytest.mark.parametrize(
    ("given_processing", "body", "content_type", "message"),
    [
        (processing(joins=True), b"1\n2\n", "text/csv", "answered 2 records to 1"),
        (processing(joins=True), b'{"a": 1}', "application/json", "in the format of the input"),
        (processing(output_filter="$[5]"), b"1,2", "text/csv", "selects nothing"),
        (processing(output_filter="$[0]"), b"1", "image/png", "the model answered 'image/png'"),
        (
            processing(output_filter="$[0]"),
            b"1",
            "",
            "answered without a Content-Type, and TransformOutput has no Accept",
        ),
        (processing(output_filter="$.x"), b"{oops", "application/jsonlines", "not valid"),
    ],
)
def test_what_does_not_fit_is_explained(given_processing, body, content_type, message):
    with pytest.raises(RecordError, match=message):
        given_processing.result([b"7,8"], body, content_type)

"""The JSONPath subset of batch transform's filters."""

import pytest

from sagemaker_emulator.jobs.json_path import JsonPath, JsonPathError

ROW = ["a", "b", "c", "d"]
RECORD = {"id": 7, "features": [1, 2, 3], "nested": {"name": "x"}, "odd key": True}


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        ("$", ROW, ROW),
        ("$[1:]", ROW, ["b", "c", "d"]),
        ("$[:-1]", ROW, ["a", "b", "c"]),
        ("$[1:3]", ROW, ["b", "c"]),
        ("$[0]", ROW, "a"),
        ("$[-1]", ROW, "d"),
        ("$[0,2]", ROW, ["a", "c"]),
        ("$[0, -1]", ROW, ["a", "d"]),
        ("$[*]", ROW, ROW),
        ("$.id", RECORD, 7),
        ("$.nested.name", RECORD, "x"),
        ("$['odd key']", RECORD, True),
        ("$['id','features']", RECORD, {"id": 7, "features": [1, 2, 3]}),
        ("$.features[1:]", RECORD, [2, 3]),
        ("$.nested.*", RECORD, ["x"]),
    ],
)
def test_selects(expression, value, expected):
    assert JsonPath(expression).select(value) == expected


@pytest.mark.parametrize("expression", ["id", "$..id", "$[?(@.id)]", "$[", "$.a b", ""])
def test_refuses_what_is_not_supported(expression):
    with pytest.raises(JsonPathError):
        JsonPath(expression)


@pytest.mark.parametrize("expression", ["$.missing", "$[9]", "$.id[0]", "$.features.name", "$['id','missing']"])
def test_says_when_a_value_lacks_the_element(expression):
    with pytest.raises(JsonPathError, match="selects nothing"):
        JsonPath(expression).select(RECORD)

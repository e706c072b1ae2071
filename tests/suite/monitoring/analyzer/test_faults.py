"""Bad input ends in one error that names file and line, and in no report."""

from __future__ import annotations

import gzip
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_sagemaker.aws.errors import DataError, InputError, KfpSagemakerError
from kfp_sagemaker.monitoring.analyzer import analysis
from kfp_sagemaker.monitoring.analyzer.options import DatasetFormat, Options
from tests.suite.monitoring.analyzer.conftest import Analyze, feature
from tests.suite.monitoring.analyzer.test_inputs import captured

LONG = "".join(f"{i},{i}\n" for i in range(1_000))
GZIPPED = gzip.compress(np.random.default_rng(1).bytes(100_000).hex().encode(), mtime=0)
INVOCATION = json.loads(captured("1", "2"))


@pytest.mark.parametrize(
    ("content", "dataset_format", "message"),
    [
        ("a,b\n" + LONG + "7\n", "csv", "data line 1002: 1 field where 2 columns are expected: '7'"),
        ("a,b\n" + LONG + "7,8,9\n1\n", "csv", "data line 1002: 3 fields where 2 columns are expected: '7,8,9'"),
        ('a,b\n"x\ny",1\n1,2,3\n', "csv", "data line 4: 3 fields where 2 columns"),
        ("a,b\n1,x\n2,Zürich\n".encode("latin-1"), "csv", "data line 3: byte 0xfc is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "csv", "data line 1: the file is UTF-16"),
        ('a,b\n1,"x\n2,y\n', "csv", "data line 2: a double quote opened at or after this line is never closed"),
        ("a,b,a\n1,2,3\n", "csv", "data line 1: the header names 'a' more than once"),
        (",\n1,2\n", "csv", "data line 1: the header is empty"),
        ({"1.csv": "a,b\n1,2\n", "2.csv": "a,c\n1,2\n"}, "csv", "it lacks 'b' and has 'c' besides"),
        ({"1": "1,2\n", "2": "1,2,3\n"}, "csv_no_header", "3 columns, but"),
        pytest.param(GZIPPED[: len(GZIPPED) // 2], "csv", "data: the gzip stream is cut off", id="cut off"),
        pytest.param(
            GZIPPED[:200] + b"\x00" * 50 + GZIPPED[250:], "csv", "data: the gzip stream is damaged", id="damaged"
        ),
        ('{"a": 1}\n{"a": 1\n', "json", "data line 2: not valid JSON"),
        ('{"a": 1}\n\n[1]\n', "json", "data line 3: a JSON object is expected, not list"),
        ('{"a": 1}\n{"a": {"b": 1}}\n', "json", "data line 2: 'a' is an object: the analyzer takes flat rows"),
        ('{"a": 1}\n{"a": [1]}\n', "json", "data line 2: 'a' is a list"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "json", "data line 2: byte 0xff is not UTF-8"),
        (b"PAR1 nonsense PAR1", "parquet", "data is not a readable Parquet file"),
        ('{"a": 1}\n', "capture", "data line 1: no captureData"),
        (captured("1", "2") + "nonsense\n" + captured("1", "2"), "capture", "data line 2: not valid JSON"),
        (
            captured("1\n2\n3", "1\n2"),
            "capture",
            "data line 1: the numbers of rows do not agree: 2 in endpointOutput and 3",
        ),
        (captured("1,2", "1") + captured("1", "1"), "capture", "data line 2: 2 values where other lines have 3"),
        (captured('{"a": [1, 2]}', "1", encoding="JSON"), "capture", "data line 1: 'a' is a list"),
        (captured("{a}", "1", encoding="JSON"), "capture", "data line 1: endpointInput is not valid JSON"),
        (captured("1", "2", encoding="XML"), "capture", "data line 1: endpointOutput has encoding 'XML'"),
        ("", "csv", "there is no data to analyse in"),
        ("a,b\n", "csv", "there is no data to analyse in"),
    ],
)
def test_unreadable_data(analyze: Analyze, tmp_path: Path, content: Any, dataset_format: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        analyze(content, dataset_format)
    assert message in str(caught.value)
    assert not (tmp_path / "report1").exists()


def test_base64_that_is_no_text(analyze: Analyze) -> None:
    side = {"observedContentType": "image/png", "mode": "INPUT", "data": "iVBORw0KGgo=", "encoding": "BASE64"}
    with pytest.raises(DataError, match="line 1: endpointInput of content type image/png is no text in BASE64"):
        analyze(json.dumps({"captureData": {"endpointInput": side}}) + "\n", "capture")


def test_a_window_without_data_says_what_was_looked_for(analyze: Analyze) -> None:
    with pytest.raises(DataError, match=r"no data to analyse in .* for the target model b\.tar\.gz"):
        analyze(captured("1", "2", targetModel="a.tar.gz"), "capture", target_model="b.tar.gz")


def test_a_source_that_does_not_exist(tmp_path: Path) -> None:
    options = Options(dataset_sources=[str(tmp_path / "nowhere")], output_path=str(tmp_path / "report"))
    with pytest.raises(DataError, match="nowhere does not exist"):
        analysis.run(options)


def test_every_wrong_option_is_named_at_once(tmp_path: Path) -> None:
    options = Options(
        dataset_sources=[], output_path="", dataset_format="csv", target_model="x", categorical_drift_method="KL"
    )
    with pytest.raises(InputError) as caught:
        analysis.run(options)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    "value", ["xml", '{"csv": {}, "json": {}}', "[]", '{"avro": {}}', '{"json": {"lines": false}}']
)
def test_a_format_that_is_none(value: str) -> None:
    with pytest.raises(InputError, match="dataset_format"):
        DatasetFormat.parse(value)


def test_nan_and_infinity_are_missing_and_told_of(analyze: Analyze) -> None:
    result = analyze("x,y,n\n1.5,1,1\nNaN,2,nan\n-inf,Infinity,2\n2.5,3,3\n")
    x = feature(result, "x")["numerical_statistics"]
    assert x["common"] == {"num_present": 2, "num_missing": 2}
    assert x["mean"] == 2.0
    assert feature(result, "n")["inferred_type"] == "Integral"
    assert "Infinity" not in Path(result.output_files["statistics"]).read_text()
    assert "2 NaN or infinite, taken as missing" in Path(result.output_files["report"]).read_text()


def test_extreme_numbers_stay_finite(analyze: Analyze) -> None:
    result = analyze("x\n1.7e308\n1.7e308\n-1.7e308\n1e-320\n")
    statistics = feature(result, "x")["numerical_statistics"]
    assert statistics["mean"] == pytest.approx(1.7e308 / 4)
    bounds = [bucket["lower_bound"] for bucket in statistics["distribution"]["kll"]["buckets"]]
    assert all(map(math.isfinite, bounds))
    assert json.loads(Path(result.output_files["statistics"]).read_text()) == result.statistics


def test_a_column_of_mixed_types_is_text(analyze: Analyze) -> None:
    result = analyze("a,b\n1,x\n2.5,1\nx,\n,2\n")
    a = feature(result, "a")
    assert a["inferred_type"] == "String"
    assert a["string_statistics"]["common"] == {"num_present": 3, "num_missing": 1}
    values = {each["value"] for each in a["string_statistics"]["distribution"]["categorical"]["buckets"]}
    assert values == {"1", "2.5", "x"}


def test_columns_without_any_value(analyze: Analyze, against: Any) -> None:
    baseline = analyze("a,b\n1,\n2,\n")
    assert feature(baseline, "b")["inferred_type"] == "Unknown"
    assert analyze("a,b\n1,5\n2,\n", **against(baseline)).violations == []


def test_unicode_names_and_values(analyze: Analyze, against: Any) -> None:
    content = "größe,都市,<b>\n1,東京,x\n2,大阪,y\n3,東京,z\n4,東京,x\n"
    baseline = analyze(content)
    result = analyze(content.replace("大阪", "札幌"), **against(baseline))
    assert [each["name"] for each in result.statistics["features"]] == ["größe", "都市", "<b>"]
    assert [each.feature_name for each in result.violations] == ["都市"]
    assert "<b></strong>" not in Path(result.output_files["report"]).read_text()


def test_ten_thousand_columns(analyze: Analyze, against: Any) -> None:
    names = [f"c{at}" for at in range(10_000)]
    rows = "".join(",".join(str(at * row % 7) for at in range(10_000)) + "\n" for row in range(5))
    baseline = analyze(",".join(names) + "\n" + rows)
    assert len(baseline.statistics["features"]) == 10_000
    assert analyze(",".join(names) + "\n" + rows, **against(baseline)).violations == []


@pytest.mark.parametrize("dataset_format", ["csv", "json"])
def test_a_line_of_fifty_megabytes(analyze: Analyze, dataset_format: str) -> None:
    value = "x" * (50 << 20)
    content = (
        f"a,b\n1,{value}\n2,y\n" if dataset_format == "csv" else f'{{"a": 1, "b": "{value}"}}\n{{"a": 2, "b": "y"}}\n'
    )
    result = analyze(content, dataset_format)
    assert result.item_count == 2
    assert Path(result.output_files["statistics"]).stat().st_size < 10_000


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(
    analyze: Analyze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_sagemaker.monitoring.analyzer.blocks.LONGEST_LINE_BYTES", 40 << 20)
    with pytest.raises(DataError, match="line 2: the line is longer than 40 MB, or a quote is never closed"):
        analyze('a,b\n1,"x\n' + "2,y\n" * (20 << 20))


def test_memory_does_not_grow_with_the_data(analyze: Analyze) -> None:
    rows = "".join(f"{i * 7919 % 100_003},{i % 97}v\n" for i in range(20_000))
    peaks = []
    for files in (4, 16):
        tracemalloc.start()
        analyze({f"{at}.csv": "a,b\n" + rows for at in range(files)})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    ("statistics", "constraints", "message"),
    [
        ("{", "", "is not valid JSON"),
        ("[]", "", "it has no list of features with names"),
        (
            '{"features": [{"name": "a", "numerical_statistics": {}}]}',
            "",
            "the baseline's statistics of 'a' are not in",
        ),
        ("", '{"features": [{"name": "a", "completeness": "much"}]}', "completeness of 'a' is 'much'; a number"),
        (
            "",
            '{"features": [], "monitoring_config": {"datatype_check_threshold": null}}',
            "datatype_check_threshold is None",
        ),
    ],
)
def test_a_baseline_that_is_none(
    analyze: Analyze, tmp_path: Path, statistics: str, constraints: str, message: str
) -> None:
    options = {}
    for name, text in (("statistics", statistics), ("constraints", constraints)):
        if text:
            (tmp_path / f"{name}.json").write_text(text)
            options[f"baseline_{name}"] = str(tmp_path / f"{name}.json")
    with pytest.raises(DataError) as caught:
        analyze("a\n1\n", **options)
    assert message in str(caught.value)


def test_a_baseline_of_another_schema_is_a_violation_not_an_error(analyze: Analyze, against: Any) -> None:
    baseline = analyze("a,b\n1,x\n2,y\n")
    result = analyze("c,d,e\n1,2,3\n", **against(baseline))
    assert {each.constraint_check_type for each in result.violations} == {"missing_column_check", "extra_column_check"}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("def preprocess_handler(record):\n    return 1 / 0\n", "line 2 raised ZeroDivisionError"),
        ("def preprocess_handler(record):\n    return 'text'\n", "returned str 'text'; it is to return a flat dict"),
        ("def preprocess_handler(record):\n    return [1]\n", "returned list [1]"),
        ("def preprocess_handler(record):\n    return None\n", "returned NoneType None"),
        ("def preprocess_handler(record):\n    return {'a': {'b': 1}}\n", "'a' is an object"),
        ("def preprocess_handler(record):\n    return []\n", "there is no data to analyse"),
        ("def other(): pass\n", "defines no function preprocess_handler"),
        ("def preprocess_handler(:\n", "line 1 is not valid Python"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError"),
    ],
)
def test_preprocessors_that_fail(analyze: Analyze, tmp_path: Path, script: str, message: str) -> None:
    (tmp_path / "pre.py").write_text(script)
    with pytest.raises(DataError) as caught:
        analyze(captured("1", "2"), "capture", record_preprocessor=str(tmp_path / "pre.py"))
    assert message in str(caught.value)
    assert not (tmp_path / "report1").exists()


def test_a_postprocessor_that_fails(analyze: Analyze, tmp_path: Path) -> None:
    (tmp_path / "post.py").write_text("def postprocess_handler():\n    raise ValueError('no')\n")
    with pytest.raises(KfpSagemakerError, match=r"post\.py line 2 raised ValueError: no"):
        analyze("a\n1\n", post_processor=str(tmp_path / "post.py"))

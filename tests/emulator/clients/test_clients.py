"""Unmodified clients against the embedded AWS: the AWS command line and both majors of the SageMaker Python SDK."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
V2_PYTHON = ROOT / ".venv-sagemaker-v2" / "bin" / "python"
ROWS = [(3 * a + 2 * b + 1, a, b) for a in range(8) for b in range(5)]
EXPECTED = 3 * 1.0 + 2 * 2.0 + 1
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
    emulator.client("iam").create_role(RoleName="clients", AssumeRolePolicyDocument=json.dumps(TRUST))
    return "clients"


def run(emulator: Any, *command: str, tmp_path: Path) -> str:
    """Run a client with nothing but the environment the emulator prints; return its standard output."""
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), **emulator.env}
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
    assert all(str(EXPECTED)[:3] in text for text in [*answer["answers"], answer["single"]])


def test_sdk_v3(emulator: Any, bucket: str, tmp_path: Path) -> None:
    out = run(emulator, sys.executable, "-W", "ignore", str(HERE / "sdk_v3.py"), bucket, ROLE, tmp_path=tmp_path)
    answer = json.loads(out.splitlines()[-1])
    assert answer["status"] == "Completed"
    assert float(answer["single"]) == pytest.approx(EXPECTED)
    assert float(answer["multi"]) == pytest.approx(EXPECTED)


def test_aws_command_line(emulator: Any, bucket: str, tmp_path: Path) -> None:
    """A training job, a deployment and a multi-model invocation, typed as a person types them."""

    def aws(*words: str) -> Any:
        out = run(emulator, "aws", *words, "--output", "json", tmp_path=tmp_path)
        return json.loads(out) if out.strip() else None

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
    aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "cli-train")
    job = aws("sagemaker", "describe-training-job", "--training-job-name", "cli-train")
    assert job["TrainingJobStatus"] == "Completed"

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
    aws("sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "cli")
    aws(
        "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "cli", "--target-model", "one.tar.gz",
        "--content-type", "text/csv", "--accept", "text/csv", "--body", "1.0,2.0",
        "--cli-binary-format", "raw-in-base64-out", "answer.csv",
    )  # fmt: skip
    assert float((tmp_path / "answer.csv").read_text()) == pytest.approx(EXPECTED)
    aws("sagemaker", "delete-endpoint", "--endpoint-name", "cli")
    aws("sagemaker", "wait", "endpoint-deleted", "--endpoint-name", "cli")

"""The housing pipeline: how long `make run` takes, how well its models price, how long one training job takes."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from sagemaker_emulator.emulator import Emulator

ROOT = Path(__file__).parents[1]
RUN_SECONDS = 150
ERROR_PERCENT = 3
TRAINING_JOB_SECONDS = 3
ROWS = 1000


def measure() -> Iterator[Figure]:
    """Run the pipeline as `make run` does, then one training job by itself."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        subprocess.run(
            ["make", "--no-print-directory", "run", f"ARGS=--runs-dir {folder}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        seconds = time.perf_counter() - begin
        (steps_file,) = Path(folder).glob("*/steps.json")
        steps = json.loads(steps_file.read_text())
    yield Figure("make_run_seconds", seconds, "s", f"<= {RUN_SECONDS}", seconds <= RUN_SECONDS)
    errors = next(step["outputs"]["error_percent"] for step in steps if "error_percent" in step["outputs"])
    for location, percent in errors.items():
        yield Figure(f"price_error_{location}", percent, "%", f"<= {ERROR_PERCENT}", percent <= ERROR_PERCENT)
    job = measure_training_job()
    yield Figure("housing_training_job", job, "s", f"<= {TRAINING_JOB_SECONDS}", job <= TRAINING_JOB_SECONDS)


def measure_training_job() -> float:
    """Seconds from creating a linear-learner job of 1,000 houses to its completion."""
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator:
        role_arn = _create_role(emulator.client("iam"))
        s3 = emulator.client("s3")
        s3.create_bucket(Bucket="bench")
        rows = _houses(ROWS)
        for channel, part in {"train": rows[: ROWS * 7 // 10], "validation": rows[ROWS * 7 // 10 :]}.items():
            s3.put_object(Bucket="bench", Key=f"{channel}/houses.csv", Body="\n".join(part).encode())
        sagemaker = emulator.client("sagemaker")
        begin = time.perf_counter()
        sagemaker.create_training_job(**_request(role_arn))
        while (job := sagemaker.describe_training_job(TrainingJobName="bench"))["TrainingJobStatus"] == "InProgress":
            time.sleep(0.02)
        seconds = time.perf_counter() - begin
        if job["TrainingJobStatus"] != "Completed":
            raise RuntimeError(f"the training job ended as {job['TrainingJobStatus']}: {job.get('FailureReason')}")
        return seconds


def _houses(count: int) -> list[str]:
    """Preprocessed houses: the price first, then the ten features."""
    rng = random.Random(0)
    rows = []
    for _ in range(count):
        porch, deck = rng.randint(0, 1), rng.randint(0, 1)
        house = [rng.randint(1985, 2019), rng.randint(1500, 6000), rng.randint(2, 6), rng.randint(2, 6) / 2, 1, 2]
        price = 150 * house[1] + 10_000 * (house[2] + porch + deck) + 15_000 * house[3] - 5_000 * (2019 - house[0])
        rows.append(",".join(map(str, [price, *house, 1 - porch, porch, 1 - deck, deck])))
    return rows


def _create_role(iam: Any) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    return str(iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])


def _request(role_arn: str) -> dict[str, Any]:
    def channel(name: str) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://bench/{name}/", "S3DataDistributionType": "FullyReplicated"}
        return {"ChannelName": name, "ContentType": "text/csv;label_size=1", "DataSource": {"S3DataSource": source}}

    return {
        "TrainingJobName": "bench",
        "RoleArn": role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1",
            "TrainingInputMode": "File",
        },
        "HyperParameters": {
            "feature_dim": "10",
            "predictor_type": "regressor",
            "mini_batch_size": "100",
            "epochs": "10",
            "num_models": "32",
            "loss": "absolute_loss",
        },
        "InputDataConfig": [channel("train"), channel("validation")],
        "OutputDataConfig": {"S3OutputPath": "s3://bench/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }

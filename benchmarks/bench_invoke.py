"""InvokeEndpoint with TargetModel on the scikit-learn container, metrics on: throughput, latency, memory of everything.

1,000 model archives are published, 100 of them are loaded and invoked in turn. The load comes from another process on
the same machine. Memory is the proportional set size of the emulator and all its descendants.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure
from sagemaker_emulator.emulator import Emulator

PUBLISHED_MODELS = 1000
LOADED_MODELS = 100
CONNECTIONS = 8
SECONDS = 5.0
NAME = "bench-invoke"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE_ARN = "arn:aws:iam::000000000000:role/bench"

INFERENCE = """\
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

def input_fn(body, content_type):
    return [[float(value) for value in line.split(",")] for line in body.strip().splitlines()]
"""


def measure() -> Iterable[Figure]:
    """Publish, deploy, load and invoke."""
    with Emulator() as emulator:
        models = _publish(emulator)
        _deploy(emulator)
        loads = load_generator(emulator, NAME, 1, 0, models[:LOADED_MODELS])
        yield Figure("invoke_endpoint_cold_p50", round(loads["p50_ms"], 1), "ms", "", True)
        many = load_generator(emulator, NAME, CONNECTIONS, SECONDS, models[:LOADED_MODELS])
        rate = many["count"] / many["seconds"]
        yield Figure("invoke_endpoint_requests", round(rate), "requests/s", ">= 600", rate >= 600)
        one = load_generator(emulator, NAME, 1, SECONDS, models[:LOADED_MODELS])
        p50 = one["p50_ms"]
        yield Figure("invoke_endpoint_p50_one_connection", round(p50, 2), "ms", "<= 4", p50 <= 4)
        yield Figure("invoke_endpoint_p99_one_connection", round(one["p99_ms"], 2), "ms", "", True)
        yield _count_metrics(emulator, int(loads["count"] + many["count"] + one["count"]))
        memory = sum(_pss_megabytes(pid) for pid in _process_tree(emulator.pid))
        yield Figure("emulator_memory_1000_published_100_loaded", round(memory), "MB", "<= 500", memory <= 500)


def _publish(emulator: Emulator) -> list[str]:
    """Upload the archives; returns their names."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=NAME)
    archives = _archives()
    names = [f"model-{index:04}.tar.gz" for index in range(PUBLISHED_MODELS)]

    def put(index: int) -> None:
        s3.put_object(Bucket=NAME, Key=f"models/{names[index]}", Body=archives[index % len(archives)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(PUBLISHED_MODELS)))
    return names


def _archives() -> list[bytes]:
    """Small models of kinds people host: linear, logistic, a pipeline, a tree."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeRegressor

    random = np.random.default_rng(0)
    features = random.normal(size=(200, 10))
    target = features @ random.normal(size=10)
    fitted = [
        Ridge().fit(features, target),
        LogisticRegression().fit(features, target > 0),
        make_pipeline(StandardScaler(), Ridge()).fit(features, target),
        DecisionTreeRegressor(max_depth=5).fit(features, target),
    ]
    archives = []
    for model in fitted:
        pickled = io.BytesIO()
        joblib.dump(model, pickled)
        archives.append(archive({"model.joblib": pickled.getvalue(), "code/inference.py": INFERENCE.encode()}))
    return archives


def archive(files: dict[str, bytes]) -> bytes:
    """Return a model.tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _deploy(emulator: Emulator) -> None:
    sagemaker = emulator.client("sagemaker")
    container = {
        "Image": IMAGE,
        "Mode": "MultiModel",
        "ModelDataUrl": f"s3://{NAME}/models/",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": NAME,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    while (description := sagemaker.describe_endpoint(EndpointName=NAME))["EndpointStatus"] == "Creating":
        time.sleep(0.05)
    if description["EndpointStatus"] != "InService":
        raise RuntimeError(f"the endpoint is {description['EndpointStatus']}: {description.get('FailureReason')}")


def load_generator(
    emulator: Emulator, endpoint: str, connections: int, seconds: float, models: list[str]
) -> dict[str, float]:
    """Load an endpoint from another process; see :mod:`benchmarks.invoke_load`."""
    arguments = [emulator.endpoint_url, endpoint, str(connections), str(seconds), *models]
    command = [sys.executable, "-m", "benchmarks.invoke_load", *arguments]
    finished = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, float] = json.loads(finished.stdout)
    return result


def _count_metrics(emulator: Emulator, expected: int) -> Figure:
    """Check that CloudWatch counted every invocation: metrics were on."""
    cloudwatch = emulator.client("cloudwatch")
    deadline = time.monotonic() + 10
    counted = 0
    while counted < expected and time.monotonic() < deadline:
        counted = _invocations(cloudwatch)
        time.sleep(0.1)
    return Figure(
        "invoke_endpoint_invocations_in_cloudwatch", counted, "invocations", f"== {expected}", counted == expected
    )


def _invocations(cloudwatch: Any) -> int:
    now = time.time()
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": NAME}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=now - 3600,
        EndTime=now + 3600,
        Period=24 * 3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return int(sum(point["Sum"] for point in points))


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for process in psutil.Process(pid).children(recursive=True):
        yield process.pid


def _pss_megabytes(pid: int) -> float:
    """Memory of a process, shared pages divided among those who share them; resident memory where Linux is not."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if rollup.exists():
        line = next(line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / 2**20

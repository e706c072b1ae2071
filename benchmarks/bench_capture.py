"""What data capture at 100 % costs: InvokeEndpoint's throughput with and without it, in turn, in the same run.

Two multi-model endpoints serve the same small scikit-learn models, the quickest container the emulator has, so that
the share is as large as it gets. Every invocation must be in S3 afterwards.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.bench_invoke import IMAGE, INFERENCE, ROLE_ARN, archive, load_generator
from benchmarks.figures import Figure
from sagemaker_emulator.emulator import Emulator

NAME = "bench-capture"
CONNECTIONS = 8
SECONDS = 1.5
ROUNDS = 11
MODELS = [f"model-{index}.tar.gz" for index in range(8)]


def measure() -> Iterable[Figure]:
    """Deploy both endpoints and load them in turn."""
    with Emulator() as emulator:
        _publish(emulator)
        endpoints = {captures: _deploy(emulator, captures=captures) for captures in (False, True)}
        for endpoint in endpoints.values():
            load_generator(emulator, endpoint, 1, 0, MODELS)
        rates: dict[bool, list[float]] = {False: [], True: []}
        counted = len(MODELS)
        for round_index in range(ROUNDS):
            # Which of the two is first alternates: the machine's speed drifts.
            for captures in (False, True) if round_index % 2 else (True, False):
                load = load_generator(emulator, endpoints[captures], CONNECTIONS, SECONDS, MODELS)
                rates[captures].append(load["count"] / load["seconds"])
                counted += int(load["count"]) if captures else 0
        without, with_capture = (statistics.median(rates[captures]) for captures in (False, True))
        yield Figure("invoke_endpoint_without_capture", round(without), "requests/s", "", True)
        yield Figure("invoke_endpoint_with_capture", round(with_capture), "requests/s", "", True)
        cost = statistics.median(1 - on / off for off, on in zip(rates[False], rates[True], strict=True))
        yield Figure("data_capture_cost", round(100 * cost, 1), "% of throughput", "<= 15", cost <= 0.15)
        yield _count_captured(emulator, counted)


def _publish(emulator: Emulator) -> None:
    import io

    import joblib
    import numpy as np
    from sklearn.linear_model import Ridge

    random = np.random.default_rng(0)
    features = random.normal(size=(200, 10))
    pickled = io.BytesIO()
    joblib.dump(Ridge().fit(features, features.sum(axis=1)), pickled)
    body = archive({"model.joblib": pickled.getvalue(), "code/inference.py": INFERENCE.encode()})
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=NAME)
    for name in MODELS:
        s3.put_object(Bucket=NAME, Key=f"models/{name}", Body=body)


def _deploy(emulator: Emulator, *, captures: bool) -> str:
    sagemaker = emulator.client("sagemaker")
    name = f"{NAME}-{'on' if captures else 'off'}"
    container = {
        "Image": IMAGE,
        "Mode": "MultiModel",
        "ModelDataUrl": f"s3://{NAME}/models/",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    capture: dict[str, Any] = {
        "EnableCapture": captures,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{NAME}/captured",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], DataCaptureConfig=capture)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    return name


def _count_captured(emulator: Emulator, expected: int) -> Figure:
    s3 = emulator.client("s3")
    deadline = time.monotonic() + 20
    seen: dict[str, int] = {}
    while sum(seen.values()) < expected and time.monotonic() < deadline:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=NAME, Prefix="captured/"):
            for entry in page.get("Contents", ()):
                if entry["Key"] not in seen:
                    body = s3.get_object(Bucket=NAME, Key=entry["Key"])["Body"].read()
                    seen[entry["Key"]] = body.count(b"\n")
        time.sleep(0.1)
    counted = sum(seen.values())
    return Figure("captured_invocations_in_s3", counted, "invocations", f"== {expected}", counted == expected)

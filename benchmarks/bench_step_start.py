"""From the start of a step's process to its first AWS request: `train` against a bare component with boto3.

Both run the very command that is in the compiled pipeline, in turns, against a server on loopback that notes when the
first request arrives. The bare component imports boto3, creates a SageMaker client and calls it, as anybody's would.
"""

# kfp reads the annotations of components as they are, so `from __future__ import annotations` cannot be used here.

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kfp import dsl

from benchmarks.figures import Figure
from kfp_sagemaker.components import train

ROUNDS = 15
WARM_UPS = 2
MAX_RATIO = 1.15
WAIT_SECONDS = 60

TRAIN_INPUTS = {
    "role_arn": "arn:aws:iam::123456789012:role/kfp",
    "output_s3_uri": "s3://bucket/output",
    "channels": [{"name": "train", "s3_uri": "s3://bucket/train", "content_type": "text/csv"}],
    "algorithm": "linear-learner",
    "hyperparameters": {"predictor_type": "regressor", "feature_dim": 10.0, "mini_batch_size": 100.0},
    "region": "us-east-1",
}


@dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
def bare() -> str:
    """The least a component that calls SageMaker does."""
    import boto3

    client = boto3.client("sagemaker", region_name="us-east-1")
    return str(client.list_training_jobs(MaxResults=1))


def measure() -> Iterable[Figure]:
    """Time both in turns and compare the medians."""
    with tempfile.TemporaryDirectory() as folder:
        seconds: dict[str, list[float]] = {"bare": [], "train": []}
        for turn in range(WARM_UPS + ROUNDS):
            for name, component, inputs in (("bare", bare, {}), ("train", train, TRAIN_INPUTS)):
                taken = _seconds_to_first_request(_command(component, inputs, Path(folder)))
                if turn >= WARM_UPS:
                    seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["train"] / medians["bare"]
    yield Figure("step_start_bare_component", medians["bare"], "s", "", True)
    yield Figure("step_start_train", medians["train"], "s", "", True)
    yield Figure("step_start_ratio", ratio, "ratio", f"<= {MAX_RATIO}", ratio <= MAX_RATIO)


def _command(component: Any, inputs: dict[str, Any], folder: Path) -> list[str]:
    """The command of the component's container, with the placeholder resolved as the launcher does."""
    spec = component.component_spec
    outputs: dict[str, Any] = {"outputFile": str(folder / "output.json"), "artifacts": {}, "parameters": {}}
    for name, output in (spec.outputs or {}).items():
        if "@" in output.type:
            schema = {"schemaTitle": output.type.split("@")[0], "schemaVersion": "0.0.1"}
            outputs["artifacts"][name] = {"artifacts": [{"name": name, "type": schema, "uri": str(folder / name)}]}
        else:
            outputs["parameters"][name] = {"outputFile": str(folder / name)}
    executor_input = json.dumps({"inputs": {"parameterValues": inputs}, "outputs": outputs})
    container = spec.implementation.container
    return [*container.command, *(executor_input if part == "{{$}}" else part for part in container.args)]


def _seconds_to_first_request(command: list[str]) -> float:
    # A server for each run: what an earlier process sends late goes to a port that is closed.
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryFile("w+") as output:
        server.settimeout(WAIT_SECONDS)
        environment = _environment(f"http://127.0.0.1:{server.getsockname()[1]}")
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(WAIT_SECONDS)
                request = connection.recv(4096)
                taken = time.perf_counter() - start
                if b"X-Amz-Target: SageMaker." not in request:
                    raise RuntimeError(f"the step's first request is another one: {request[:300]!r}")
                os.killpg(process.pid, signal.SIGKILL)
        except TimeoutError:
            output.seek(0)
            raise RuntimeError(f"no request within {WAIT_SECONDS} s; the step said:\n{output.read()[-2000:]}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return taken


def _environment(endpoint_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KFP_", "PYTHON"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }

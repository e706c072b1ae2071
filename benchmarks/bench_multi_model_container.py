"""The multi-model container by itself: requests per second, cold load, memory, with 100 small scikit-learn models.

The container is the real program in its own process; load is made by this process with raw HTTP over eight connections.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from benchmarks.figures import Figure

MODELS = 100
CONNECTIONS = 8
SECONDS = 5.0

INFERENCE = """\
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

def input_fn(body, content_type):
    return [[float(value) for value in line.split(",")] for line in body.strip().splitlines()]
"""


def measure() -> Iterable[Figure]:
    """Start the container, load the models one by one, invoke them for a few seconds, look at its memory."""
    with tempfile.TemporaryDirectory() as folder:
        models = _make_models(Path(folder))
        with _container(Path(folder) / "container") as (port, pid):
            yield from _measure(port, pid, models)


def _measure(port: int, pid: int, models: dict[str, Path]) -> Iterator[Figure]:
    loads = []
    for name, path in models.items():
        body = json.dumps({"model_name": name, "url": str(path)}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/models", body)
        started = time.perf_counter()
        with urllib.request.urlopen(request) as response:  # noqa: S310
            response.read()
        loads.append(1000 * (time.perf_counter() - started))
    cold = statistics.median(loads[1:])
    yield Figure("multi_model_container_cold_load_p50", cold, "ms", "<= 10", cold <= 10)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the load must not be what is measured
        count, elapsed = runner.run(_load(port, list(models)))
    rate = count / elapsed
    yield Figure("multi_model_container_requests", rate, "requests/s", ">= 1400", rate >= 1400)
    memory = _pss_megabytes(pid)
    yield Figure("multi_model_container_memory_100_models", memory, "MB", "<= 200", memory <= 200)


def _make_models(folder: Path) -> dict[str, Path]:
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
    kinds = [
        lambda: Ridge().fit(features, target),
        lambda: LogisticRegression().fit(features, target > 0),
        lambda: make_pipeline(StandardScaler(), Ridge()).fit(features, target),
        lambda: DecisionTreeRegressor(max_depth=5).fit(features, target),
    ]
    models = {}
    for index in range(MODELS):
        path = folder / f"model-{index}"
        (path / "code").mkdir(parents=True)
        (path / "code" / "inference.py").write_text(INFERENCE)
        joblib.dump(kinds[index % len(kinds)](), path / "model.joblib")
        models[f"model-{index}"] = path
    return models


@contextmanager
def _container(base: Path) -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (base / "model").mkdir(parents=True)
    variables = {
        **os.environ,
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MULTI_MODEL": "true",
        "SAGEMAKER_PROGRAM": "inference.py",
    }
    command = [sys.executable, "-m", "sagemaker_emulator.containers.scikit_learn", "serve"]
    with subprocess.Popen(command, env=variables) as process:
        try:
            _wait_for_ping(port, process)
            yield port, process.pid
        finally:
            process.terminate()


def _wait_for_ping(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping"):
                return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("the container did not answer /ping within 30 s")


async def _load(port: int, names: list[str]) -> tuple[int, float]:
    """Invoke every model once, then all of them in turn over eight connections for some seconds."""
    await _requests(port, names, time.monotonic())
    started = time.monotonic()
    parts = [names[index::CONNECTIONS] for index in range(CONNECTIONS)]
    counts = await asyncio.gather(*(_requests(port, part, started + SECONDS) for part in parts))
    return sum(counts), time.monotonic() - started


async def _requests(port: int, names: list[str], end: float) -> int:
    """One connection: invoke the models in turn, at least once each, until the end; every answer is checked."""
    body = ",".join(["0.5"] * 10).encode()
    messages = [
        f"POST /models/{name}/invoke HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for name in names
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while count < len(messages) or time.monotonic() < end:
        writer.write(messages[count % len(messages)])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the container answered {head!r} {answer!r}")
        count += 1
    writer.close()
    return count


def _pss_megabytes(pid: int) -> float:
    """Memory of a process, shared pages divided among those who share them; resident memory where Linux is not."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if rollup.exists():
        line = next(line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) / 1024
    resident = subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])
    return int(resident) / 1024

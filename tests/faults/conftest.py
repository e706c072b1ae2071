"""What the tests of bad input and faults share: components called as their steps call them, and a look at what is left.

Each test asks the same two things: is there one clear error, and is nothing half-made left behind without a word?
"""

from __future__ import annotations

import inspect
import io
import json
import os
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from kfp_sagemaker import components
from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry
from sagemaker_emulator.runtime.processes import OWNER_VARIABLE
from tests.suite.conftest import Account

DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 0.02
_ECHO_PROGRAM = Path(__file__).parents[1] / "emulator" / "hosting" / "echo_container.py"


def call(name: str, folder: Path, **arguments: Any) -> Any:
    """Call a component's function the way KFP does; its output artifacts lie in the folder."""
    function = getattr(components, name).python_func
    artifacts = {
        parameter.name: parameter.annotation.__origin__(name=parameter.name, uri=str(folder / parameter.name))
        for parameter in inspect.signature(function).parameters.values()
        if hasattr(parameter.annotation, "__metadata__")
    }
    return function(**{**artifacts, **arguments})


class Stage(Account):
    """A bucket, images and environment of one test, and the components called on them.

    Args:
        emulator: The running emulator.
        name: The test's unique name, and its bucket's.
        folder: For programs and artifacts.
    """

    def __init__(self, emulator: Emulator, name: str, folder: Path) -> None:
        super().__init__(emulator, name, folder)
        self.folder = folder

    def call(self, component: str, **arguments: Any) -> Any:
        """Call a component; a training job gets what every one needs."""
        if component == "train":
            rows = {"name": "train", "s3_uri": self.uri("in/rows.csv"), "content_type": "text/csv"}
            needed = {"role_arn": self.role_arn, "output_s3_uri": self.uri("out"), "channels": [rows]}
            self.put("in/rows.csv", "1,2\n2,4\n3,6\n" * 20)
            arguments = {**needed, "job_name_prefix": self.prefix, "timeout_seconds": 60, **arguments}
        return call(component, self.folder, **arguments)

    @property
    def prefix(self) -> str:
        """Opens the names of what the test makes."""
        return f"{self.name[:20].strip('-')}-{self.name[-8:]}"

    def echo_image(self) -> str:
        """The image of the emulator tests' serving container."""
        registry = ImageRegistry(self.emulator.state_dir / REGISTRY_FILE)
        registry.register(f".*/echo-{self.prefix}:.*", name="echo", serve=[sys.executable, str(_ECHO_PROGRAM)])
        return f"000000000000.dkr.ecr.us-east-1.amazonaws.com/echo-{self.prefix}:1"

    def create_model(self, suffix: str = "", **container: Any) -> str:
        """Create a model of the echo container; returns its name."""
        containers = [{"image": self.echo_image(), **container}]
        name = f"{self.prefix}{suffix}"
        self.call("create_model", role_arn=self.role_arn, containers=containers, model_name=name)
        return name

    def left(self) -> dict[str, list[str]]:
        """Names of the test's resources that exist, by their kind."""
        calls = {
            "training": ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
            "processing": ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName"),
            "transform": ("list_transform_jobs", "TransformJobSummaries", "TransformJobName"),
            "models": ("list_models", "Models", "ModelName"),
            "configurations": ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
            "endpoints": ("list_endpoints", "Endpoints", "EndpointName"),
        }
        found = {}
        for kind, (operation, member, key) in calls.items():
            answer = getattr(self.sagemaker, operation)(NameContains=self.prefix)
            if names := [item[key] for item in answer[member]]:
                found[kind] = names
        return found


def archive(files: dict[str, bytes]) -> bytes:
    """A model archive; names are taken as they are, ``../`` included."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def throttle(emulator: Emulator, share: float, *, seed: int = 1, operations: tuple[str, ...] = ()) -> None:
    """Let that share of the calls be throttled."""
    plan = json.dumps({"throttle_share": share, "seed": seed, "operations": operations}).encode()
    request = urllib.request.Request(f"{emulator.endpoint_url}/_emulator/faults", plan, method="POST")  # noqa: S310
    urllib.request.urlopen(request).close()  # noqa: S310 - loopback


def throttled_count(emulator: Emulator) -> int:
    """How many calls were throttled."""
    with urllib.request.urlopen(f"{emulator.endpoint_url}/_emulator/faults") as answer:  # noqa: S310 - loopback
        return int(json.load(answer)["throttled"])


def containers_of(state_dir: Path) -> list[psutil.Process]:
    """The processes that an emulator with that state has started as containers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == str(state_dir) and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds; returns what it returned."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS} s"
        time.sleep(_POLL_SECONDS)
    return value


@pytest.fixture
def stage(emulator: Emulator, unique_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage on the shared emulator; the test's own process works in it too."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return Stage(emulator, unique_name, tmp_path)


@pytest.fixture
def open_stage(
    start_emulator: Callable[..., Emulator], unique_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Stage]:
    """Opens a stage on an emulator of the test's own."""

    def build(**settings: Any) -> Stage:
        emulator = start_emulator(**settings)
        for name, value in emulator.env.items():
            monkeypatch.setenv(name, value)
        return Stage(emulator, unique_name, tmp_path)

    return build


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's retries come at once; that they wait is its own business."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)

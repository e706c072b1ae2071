"""Endpoints for tests: a container image of our own, and the few calls that put it into service."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.config import Config

from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry

ECHO_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/echo:1"
ROLE_ARN = "arn:aws:iam::000000000000:role/execution"
DEADLINE_SECONDS = 60.0
_clients: dict[tuple[str, str], Any] = {}


def archive(files: dict[str, bytes]) -> bytes:
    """Return a model.tar.gz; names are taken as they are, ``../`` included."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Workbench:
    """boto3 clients of one emulator, and shortcuts to endpoints that serve the echo container.

    Attributes:
        name: Prefix of every resource of the test.
        bucket: A bucket of the test's own.
    """

    def __init__(self, emulator: Emulator, name: str, bucket: str = "") -> None:
        self.emulator = emulator
        self.name = name
        self.bucket = bucket or f"b-{self.name}"
        registry = ImageRegistry(emulator.state_dir / REGISTRY_FILE)
        program = Path(__file__).with_name("echo_container.py")
        registry.register(ECHO_IMAGE.replace(".", r"\."), name="echo", serve=[sys.executable, str(program)])
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime")
        self.s3 = self.client("s3")
        self.cloudwatch = self.client("cloudwatch")
        if not bucket:
            self.s3.create_bucket(Bucket=self.bucket)

    @property
    def one_try(self) -> Any:
        """A runtime client that does not retry."""
        return self.emulator.client("sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}))

    def client(self, service: str) -> Any:
        """Return a client of the emulator, made once: making one takes longer than most tests."""
        key = (self.emulator.endpoint_url, service)
        if key not in _clients:
            _clients[key] = self.emulator.client(service)
        return _clients[key]

    def put_model(self, key: str, weights: str = "w", size: int = 0) -> str:
        """Upload a model archive; returns its URI."""
        self.s3.put_object(
            Bucket=self.bucket, Key=key, Body=archive({"weights.txt": weights.encode(), "padding": b"\0" * size})
        )
        return f"s3://{self.bucket}/{key}"

    def container(self, **members: Any) -> dict[str, Any]:
        """Return a ContainerDefinition of the echo image; ``env`` becomes its environment."""
        environment = members.pop("env", {})
        return {"Image": ECHO_IMAGE, "Environment": {"TEST": self.name, **environment}, **members}

    def multi_model_container(self, **members: Any) -> dict[str, Any]:
        """Return a MultiModel container over ``models/`` of the bucket."""
        return self.container(Mode="MultiModel", ModelDataUrl=f"s3://{self.bucket}/models/", **members)

    def create_model(self, *containers: dict[str, Any], suffix: str = "", **members: Any) -> str:
        """Create a model of one container or a pipeline; returns its name."""
        name = f"{self.name}{suffix}"
        definition = {"PrimaryContainer": containers[0]} if len(containers) == 1 else {"Containers": list(containers)}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE_ARN, **definition, **members)
        return name

    def variant(self, model: str, name: str = "AllTraffic", **members: Any) -> dict[str, Any]:
        """Return a ProductionVariant."""
        instances = {} if "ServerlessConfig" in members else {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        return {"VariantName": name, "ModelName": model, "InitialVariantWeight": 1.0, **instances, **members}

    def create_config(self, *variants: dict[str, Any], suffix: str = "", **members: Any) -> str:
        """Create an endpoint configuration; returns its name."""
        name = f"{self.name}{suffix}"
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants), **members)
        return name

    def deploy(self, *containers: dict[str, Any], **members: Any) -> str:
        """Create model, configuration and endpoint from containers and wait; returns the endpoint's name."""
        config = self.create_config(self.variant(self.create_model(*containers), **members))
        self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=config)
        assert self.wait("InService")["EndpointStatus"] == "InService"
        return self.name

    def processes(self, **environment: str) -> list[psutil.Process]:
        """Return the emulator's descendants that have these environment variables, and the test's marker."""
        wanted = {"TEST": self.name, **environment}.items()
        found = []
        for process in psutil.Process(self.emulator.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if wanted <= process.environ().items():
                    found.append(process)
        return found

    def wait(self, *statuses: str, name: str = "") -> dict[str, Any]:
        """Poll DescribeEndpoint until it has one of the statuses or fails; returns the description."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            description: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name or self.name)
            if description["EndpointStatus"] in (*statuses, "Failed"):
                return description
            assert time.monotonic() < deadline, description

    def invoke(self, body: bytes | str = b"1,2", **members: Any) -> dict[str, Any]:
        """Invoke the endpoint; returns what the echo container says."""
        answer = self.invoke_raw(body, **members)
        parsed: dict[str, Any] = json.loads(answer["Body"].read())
        return parsed

    def metric(
        self, name: str, *, sample_count: int, namespace: str = "AWS/SageMaker", variant: str = "AllTraffic"
    ) -> Any:
        """Return the statistics of one of the endpoint's metrics once CloudWatch has that many samples of it."""
        now = datetime.now(UTC)
        dimensions = {"EndpointName": self.name, "VariantName": variant}
        request = {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "StartTime": now - timedelta(hours=6),
            "EndTime": now + timedelta(hours=6),
            "Period": 24 * 3600,
            "Statistics": ["SampleCount", "Sum", "Average", "Minimum", "Maximum"],
        }
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            points = self.cloudwatch.get_metric_statistics(**request)["Datapoints"]
            if sum(point["SampleCount"] for point in points) >= sample_count:
                return points[0]
            assert time.monotonic() < deadline, points

    def invoke_raw(self, body: bytes | str = b"1,2", **members: Any) -> dict[str, Any]:
        """Invoke the endpoint; returns boto3's answer."""
        request = {"EndpointName": self.name, "ContentType": "text/csv", "Body": body, **members}
        answer: dict[str, Any] = self.runtime.invoke_endpoint(**request)
        return answer


@pytest.fixture
def bench(emulator: Emulator, unique_name: str) -> Workbench:
    """A workbench on the shared emulator."""
    return Workbench(emulator, _short(unique_name))


@pytest.fixture
def open_bench(start_emulator: Callable[..., Emulator], unique_name: str) -> Callable[..., Workbench]:
    """Opens workbenches on emulators of the test's own."""
    return lambda **settings: Workbench(start_emulator(**settings), _short(unique_name))


def _short(name: str) -> str:
    """Leave room for suffixes; the random end stays."""
    return f"{name[:24].strip('-')}-{name[-8:]}"


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Calls something until what it returns is true; returns that."""

    def wait_for(look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := look()):
            assert time.monotonic() < deadline, found
        return found

    return wait_for

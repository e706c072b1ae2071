"""Fixtures of the suite's tests."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import ImageRegistry


@pytest.fixture(scope="session")
def service_model() -> ServiceModel:
    """botocore's model of SageMaker."""
    return botocore.session.get_session().get_service_model("sagemaker")


@pytest.fixture(scope="session")
def accepted_by_botocore(service_model: ServiceModel) -> Callable[[str, dict[str, Any]], None]:
    """Fails the test when botocore itself would refuse to send the request."""

    def check(operation: str, request: dict[str, Any]) -> None:
        report = ParamValidator().validate(request, service_model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()

    return check


class Account:
    """A bucket, images and environment of one test on the shared emulator.

    Args:
        emulator: The running emulator.
        name: The test's unique name, and its bucket's.
        folder: Where the programs of its images are kept.
    """

    role_arn = "arn:aws:iam::000000000000:role/jobs"

    def __init__(self, emulator: Emulator, name: str, folder: Path) -> None:
        self.emulator = emulator
        self.name = name
        self.bucket = name
        self.sagemaker = emulator.client("sagemaker")
        self.s3 = emulator.client("s3")
        self._folder = folder
        self.s3.create_bucket(Bucket=self.bucket)

    def uri(self, key: str) -> str:
        """S3 URI of a key in the test's bucket."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, content: str | bytes) -> str:
        """Write an object; returns its S3 URI."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return self.uri(key)

    def get(self, uri: str) -> bytes:
        """Read an object of the test's bucket by its S3 URI."""
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=uri.removeprefix(self.uri("")))["Body"].read())

    def image(self, **scripts: str) -> str:
        """Register an image whose train, serve or process program is a script; returns the image's URI."""
        commands = {}
        for verb, script in scripts.items():
            path = self._folder / f"{verb}.py"
            path.write_text(textwrap.dedent(script))
            commands[verb] = [sys.executable, str(path)]
        registry = ImageRegistry(self.emulator.state_dir / "images.json")
        registry.register(f".*/{self.name}:.*", name=self.name, **commands)
        return f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{self.name}:1"


@pytest.fixture
def account(emulator: Emulator, unique_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account on the emulator; the test's own process works in it too."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return Account(emulator, unique_name, tmp_path)

"""Sessions for the tests of endpoints: one that can build requests only, one on the emulator."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.endpoints import autoscaling, deploy, deploy_options, endpoint_config
from kfp_sagemaker.models import model
from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry


@pytest.fixture(scope="module")
def offline() -> Iterator[Session]:
    """A session whose address nobody answers: a request builder that calls AWS fails at once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        }.items():
            patch.setenv(name, value)
        session = open_session()
        session.client("sagemaker")
        yield session


@pytest.fixture
def session(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session on the emulator."""
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return open_session()


ECHO_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/suite-echo:1"
ROLE = "arn:aws:iam::000000000000:role/execution"


class Host:
    """Makes models of the emulator tests' echo container, with a prefix and a bucket of the test's own.

    Attributes:
        name: Prefix of every resource of the test.
        bucket: Its bucket.
    """

    def __init__(self, emulator: Emulator, session: Session, unique_name: str) -> None:
        self.name = f"{unique_name[:20].strip('-')}-{unique_name[-8:]}"
        self.bucket = f"b-{self.name}"
        self.session = session
        program = Path(__file__).parents[2] / "emulator" / "hosting" / "echo_container.py"
        registry = ImageRegistry(emulator.state_dir / REGISTRY_FILE)
        registry.register(ECHO_IMAGE.replace(".", r"\."), name="suite-echo", serve=[sys.executable, str(program)])
        session.client("s3").create_bucket(Bucket=self.bucket)

    def model(self, suffix: str = "", **container: Any) -> str:
        """Create a model; returns its name."""
        request = model.build_request(self.session, role_arn=ROLE, containers=[{"image": ECHO_IMAGE, **container}])
        return model.create(self.session, request, model_name=f"{self.name}{suffix}").model_name

    def put_archive(self, key: str) -> str:
        """Upload an archive the echo container can load; returns its URI."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            member = tarfile.TarInfo("weights.txt")
            member.size = len(key)
            tar.addfile(member, io.BytesIO(key.encode()))
        self.session.client("s3").put_object(Bucket=self.bucket, Key=key, Body=buffer.getvalue())
        return f"s3://{self.bucket}/{key}"

    def deploy(self, model_name: str, sink: Callable[[str], None] = print, **arguments: Any) -> deploy.Deployed:
        """Deploy a model to the test's endpoint."""
        options = {name: arguments.pop(name) for name in ("keep_failed", "keep_superseded_config") if name in arguments}
        scaling = arguments.pop("autoscaling", {})
        config = endpoint_config.build_request(self.session, model_name=model_name, **arguments)
        return deploy.run(
            self.session,
            config,
            deploy_options.build(self.session, endpoint_name=self.name, timeout_seconds=90, **options),
            scaling=autoscaling.build_policy(scaling, config),
            sink=sink,
        )

    def configs(self) -> list[str]:
        """The configurations of the test that exist."""
        answer = self.session.client("sagemaker").list_endpoint_configs(NameContains=self.name)
        return [item["EndpointConfigName"] for item in answer["EndpointConfigs"]]


@pytest.fixture
def host(emulator: Emulator, session: Session, unique_name: str) -> Host:
    """Models and endpoints on the shared emulator."""
    return Host(emulator, session, unique_name)

"""What the tests of jobs share: images made of a few lines of Python, and waiting for a job to end."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import ImageRegistry

ROLE_ARN = "arn:aws:iam::000000000000:role/jobs"
DEADLINE_SECONDS = 60.0
_POLL_SECONDS = 0.02


class Lab:
    """A bucket and images of one test on the shared emulator.

    Args:
        emulator: The running emulator.
        name: The test's unique name: of its bucket, and of what it creates.
        folder: Where the programs of its images are kept.
    """

    def __init__(self, emulator: Emulator, name: str, folder: Path) -> None:
        self.emulator = emulator
        self.name = name
        self.folder = folder
        self.sagemaker = emulator.client("sagemaker")
        self.s3 = emulator.client("s3")
        self.logs = emulator.client("logs")
        self.bucket = name
        self.s3.create_bucket(Bucket=self.bucket)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, content: str | bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return self.uri(key)

    def get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str = "") -> list[str]:
        answer = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def image(self, *, train: str = "", serve: str = "", process: str = "", name: str = "") -> str:
        """Register an image whose programs are these scripts; returns its URI."""
        name = name or self.name
        commands = {}
        for verb, script in (("train", train), ("serve", serve), ("process", process)):
            if script:
                path = self.folder / f"{name}-{verb}.py"
                path.write_text(textwrap.dedent(script))
                commands[verb] = [sys.executable, str(path)]
        registry = ImageRegistry(self.emulator.state_dir / "images.json")
        registry.register(f".*/{name}:.*", name=name, **commands)
        return f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{name}:1"

    def log_lines(self, group: str, stream_prefix: str = "") -> list[str]:
        """Return the lines of all streams of a job."""
        streams = self.logs.describe_log_streams(
            logGroupName=group, logStreamNamePrefix=stream_prefix or f"{self.name}/"
        )["logStreams"]
        lines = []
        for stream in streams:
            events = self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
            lines += [event["message"] for event in events]
        return lines

    def until(self, condition: Callable[[], Any], what: str, deadline_seconds: float = DEADLINE_SECONDS) -> Any:
        """Wait until a condition holds; returns what it returned."""
        deadline = time.monotonic() + deadline_seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what} did not happen within {deadline_seconds} s"
            time.sleep(_POLL_SECONDS)
        return value

    def ended(self, kind: str, name: str = "") -> dict[str, Any]:
        """Wait for the end of a job of a kind, such as ``Training``; returns its description."""
        describe = getattr(self.sagemaker, f"describe_{kind.lower()}_job")

        def description() -> dict[str, Any] | None:
            answer = describe(**{f"{kind}JobName": name or self.name})
            return answer if answer[f"{kind}JobStatus"] in ("Completed", "Failed", "Stopped") else None

        return self.until(description, f"the end of {kind.lower()} job {name or self.name}")

    def leftover_folders(self) -> list[Path]:
        """Return what jobs have left on disk."""
        return [path for path in (self.emulator.state_dir / "jobs").glob("*/*/*") if path.name == self.name]


@pytest.fixture
def lab(emulator: Emulator, unique_name: str, tmp_path: Path) -> Lab:
    """A bucket, clients and images of this test's own."""
    return Lab(emulator, unique_name, tmp_path)

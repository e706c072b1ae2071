"""Fixtures every part of the test suite shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.emulator import Emulator

# A test never reaches the account, profile or proxy of whoever runs it.
for _name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator, one per worker; tests share it, so they use names of their own."""
    with Emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def start_emulator(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators of the test's own, with any settings; they end with the test."""
    started: list[Emulator] = []

    def start(state_dir: Path | None = None, **settings: Any) -> Emulator:
        emulator = Emulator(state_dir or tmp_path / f"emulator-{len(started)}", **settings)
        started.append(emulator)
        return emulator.start()

    yield start
    for emulator in started:
        emulator.stop()


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> str:
    """A resource name no other test uses on the shared emulator."""
    words = "".join(character if character.isalnum() else "-" for character in request.node.name.lower())
    return f"{words[:40].strip('-')}-{os.urandom(4).hex()}"

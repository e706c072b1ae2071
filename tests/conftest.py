"""Fixtures every part of the test suite shares."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from sagemaker_emulator.emulator import Emulator

ROOT = Path(__file__).parents[1]
# A test never reaches the account, profile or proxy of whoever runs it.
for _name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@functools.cache
def _parsed(file_path: str, load: Callable[[JSONFileLoader, str], Any] = JSONFileLoader.load_file) -> Any:
    return load(JSONFileLoader(), file_path)


# A session of botocore parses its service models anew, most of the time of a test that opens one: once a worker.
JSONFileLoader.load_file = lambda _self, file_path: _parsed(file_path)  # type: ignore[method-assign,assignment]


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


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs and nothing else, built as the wheel is: by setup.py, from a clean tree."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "installed"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("components", "emulator"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command: list[str | Path] = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", target]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return target


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name binary arguments after the parameter: archives hold the time, and every worker must find the same tests."""
    return argname if isinstance(val, bytes) and not val.isascii() else None

"""The Dockerfile against what it must agree with; building it needs a container engine and is not done here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kfp_sagemaker import _component
from kfp_sagemaker._version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_tag_is_the_version() -> None:
    assert f"{_component.IMAGE_REPOSITORY}:{__version__}" == _component.RUNTIME_IMAGE


def test_the_images_title_is_the_name_steps_pull(instructions: list[tuple[str, str]]) -> None:
    (label,) = [rest for name, rest in instructions if name == "LABEL"]
    title = _component.IMAGE_REPOSITORY.rpartition("/")[2]
    assert f'org.opencontainers.image.title="{title}"' in label
    assert 'org.opencontainers.image.version="${VERSION}"' in label
    assert _component.IMAGE_REPOSITORY in (ROOT / "Dockerfile").read_text()


def test_the_version_is_written_in_one_place_only() -> None:
    assert __version__ not in (ROOT / "Dockerfile").read_text()


def test_the_analyzers_image_is_a_step_image_with_the_locked_extra() -> None:
    text = (ROOT / "Dockerfile.analyzer").read_text()
    assert f"{_component.ANALYZER_REPOSITORY}:{__version__}" == _component.ANALYZER_IMAGE
    # kfp.local takes only such an image for one that its SubprocessRunner can stand in for.
    assert "python" in _component.ANALYZER_IMAGE
    assert _component.ANALYZER_REPOSITORY in text
    assert "--require-hashes -r requirements/analyzer.txt" in text
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/analyzer.txt").read_text(), re.MULTILINE))
    assert {"kfp", "kfp-kubernetes", "boto3", "polars", "datasketches"} <= locked


def test_it_is_slim_and_runs_as_a_numbered_user_that_is_not_root(instructions: list[tuple[str, str]]) -> None:
    bases = [rest.split()[0] for name, rest in instructions if name == "FROM"]
    assert all(base.endswith("-slim") for base in bases)
    (user,) = [rest for name, rest in instructions if name == "USER"]
    assert int(user.partition(":")[0]) > 0


def test_it_installs_the_locked_core_and_compiles_it(instructions: list[tuple[str, str]]) -> None:
    installs = [part for name, rest in instructions if name == "RUN" for part in rest.split("&&") if "uv pip" in part]
    assert all("--compile-bytecode" in part for part in installs)
    assert any("--require-hashes -r requirements/core.txt" in part for part in installs)
    assert any("--no-deps dist/*.whl" in part for part in installs)


def test_the_core_brings_no_emulator_and_no_tools() -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/core.txt").read_text(), re.MULTILINE))
    assert {"kfp", "kfp-kubernetes", "boto3"} <= locked
    assert not locked & {"ministack", "aiohttp", "scikit-learn", "xgboost-cpu", "sagemaker", "pytest", "mypy"}


def test_everything_it_copies_exists_and_is_sent_to_the_engine(instructions: list[tuple[str, str]]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name, rest in instructions:
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in ignored, source

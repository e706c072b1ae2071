from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import new_component

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the suite's sources to scaffold in."""
    shutil.copytree(
        ROOT / "components/kfp_sagemaker",
        tmp_path / "components/kfp_sagemaker",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(tree / "components"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("capability", ["models", "access"], ids=["a folder with components", "a new folder"])
def test_what_is_scaffolded_is_clean_passes_its_test_and_is_in_the_catalogue(tree: Path, capability: str) -> None:
    assert new_component.main(["--name", "count_tags", "--capability", capability, "--root", str(tree)]) == 0
    package = tree / "components/kfp_sagemaker"
    test = tree / f"tests/suite/{capability}/test_count_tags.py"

    catalogue = ast.parse((package / "components.py").read_text())
    before = ast.parse((ROOT / "components/kfp_sagemaker/components.py").read_text())
    assert _names(catalogue) == sorted([*_names(before), "count_tags"])
    assert ast.get_docstring(catalogue) == ast.get_docstring(before)

    files = [str(path) for path in (package / capability, package / "components.py", test)]
    for command in (["check"], ["format", "--check"]):
        linted = python(tree, "-m", "ruff", *command, *files)
        assert linted.returncode == 0, linted.stdout
    tested = python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(test))
    assert tested.returncode == 0, tested.stdout
    assert "4 passed" in tested.stdout

    program = (
        "from kfp_sagemaker import components\n"
        "component = components.count_tags\n"
        "print(component.component_spec.inputs['resource_arn'].description, list(component.component_spec.outputs))"
    )
    seen = python(tree, "-c", program)
    assert "ARN of the SageMaker resource" in seen.stdout, seen.stderr
    assert "['tag_count']" in seen.stdout


def _names(catalogue: ast.Module) -> list[str]:
    assigned = next(node for node in catalogue.body if isinstance(node, ast.Assign))
    names: list[str] = ast.literal_eval(assigned.value)
    return names


def test_an_existing_component_is_left_alone(tree: Path) -> None:
    face = tree / "components/kfp_sagemaker/training/component.py"
    before = face.read_text()
    with pytest.raises(SystemExit, match="training/train exists already"):
        new_component.main(["--name", "train", "--capability", "training", "--root", str(tree)])
    assert face.read_text() == before


@pytest.mark.parametrize(("name", "capability"), [("", "models"), ("Train", "models"), ("x", ""), ("class", "models")])
def test_wrong_names_are_refused(tree: Path, name: str, capability: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        new_component.main(["--name", name, "--capability", capability, "--root", str(tree)])
    assert "make component NAME=" in capsys.readouterr().err

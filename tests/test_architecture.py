"""Who may import whom; see docs/architecture.md."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "components/kfp_sagemaker"
EMULATOR = ROOT / "emulator/sagemaker_emulator"

SUITE_FILES = sorted(SUITE.rglob("*.py"))
EMULATOR_FILES = sorted(EMULATOR.rglob("*.py"))
# The face of a capability, the catalogue of faces and the decorator: what KFP compiles. The command line compiles too.
FACES = [path for path in SUITE_FILES if path.name == "component.py"]
COMPILED_WITH_KFP = {*FACES, SUITE / "components.py", SUITE / "_component.py", *(SUITE / "cli").rglob("*.py")}
WORK = [path for path in SUITE_FILES if path not in COMPILED_WITH_KFP]


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, at its top or anywhere inside."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{label(path)}: imports are absolute"
            # `from package import module` imports the module as well
            yield from [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]


def imported_from(path: Path, package: str) -> list[str]:
    return sorted({name for name in imports(path) if name == package or name.startswith(f"{package}.")})


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SUITE.parent).with_suffix("").parts)


def test_there_is_something_to_check() -> None:
    assert len(WORK) > 20
    assert len(FACES) > 4
    assert len(EMULATOR_FILES) > 20


@pytest.mark.parametrize("path", WORK, ids=label)
def test_work_modules_import_no_kfp(path: Path) -> None:
    assert imported_from(path, "kfp") == []


@pytest.mark.parametrize("path", WORK, ids=label)
def test_work_modules_import_no_face(path: Path) -> None:
    faces = {module_of(face) for face in [*FACES, SUITE / "components.py", SUITE / "_component.py"]}
    assert faces.isdisjoint(imports(path))


@pytest.mark.parametrize("path", SUITE_FILES, ids=label)
def test_the_suite_does_not_import_the_emulator_or_the_sdk(path: Path) -> None:
    assert imported_from(path, "sagemaker_emulator") == []
    assert imported_from(path, "sagemaker") == []


@pytest.mark.parametrize("path", EMULATOR_FILES, ids=label)
def test_the_emulator_does_not_import_the_suite(path: Path) -> None:
    assert imported_from(path, "kfp_sagemaker") == []
    assert imported_from(path, "kfp") == []


@pytest.mark.parametrize("path", sorted((SUITE / "aws").rglob("*.py")), ids=label)
def test_the_shared_layer_knows_no_capability(path: Path) -> None:
    own = imported_from(path, "kfp_sagemaker")
    assert [name for name in own if not name.startswith(("kfp_sagemaker.aws", "kfp_sagemaker._version"))] == []


@pytest.mark.parametrize("path", FACES, ids=label)
def test_a_face_imports_its_work_only_inside_its_functions(path: Path) -> None:
    top = ast.parse(path.read_text(encoding="utf-8")).body
    modules = {node.module for node in top if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in modules if name and name.startswith("kfp_sagemaker")} == {"kfp_sagemaker._component"}


@pytest.mark.parametrize("path", [path for path in SUITE_FILES if path.name == "__init__.py"], ids=label)
def test_a_packages_init_imports_nothing(path: Path) -> None:
    """It holds a docstring, and at most a `__getattr__` that finds a name when it is asked for."""
    docstring, *rest = ast.parse(path.read_text(encoding="utf-8")).body
    assert ast.get_docstring(ast.Module([docstring], []))
    if rest:
        assert isinstance(rest[-1], ast.FunctionDef)
        assert rest[-1].name == "__getattr__"
    for node in rest[:-1]:
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        assert typing_only or (isinstance(node, ast.ImportFrom) and node.module == "typing")


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*/pipeline.py")), ids=label)
def test_a_pipeline_is_made_of_public_components(path: Path) -> None:
    top = ast.parse(path.read_text(encoding="utf-8")).body
    imported = {node.module for node in top if isinstance(node, ast.ImportFrom)}
    own = {name for name in imported if name and name.startswith("kfp_sagemaker")}
    assert own <= {"kfp_sagemaker", "kfp_sagemaker.components", "kfp_sagemaker._component"}
    assert imported_from(path, "sagemaker_emulator") == []


def test_every_work_module_imports_in_a_step() -> None:
    """In a step's pod kfp is there without its compiler: one process imports them all, and none brings kfp in."""
    program = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('kfp', 'sagemaker', 'sagemaker_emulator')])"
    )
    modules = json.dumps([module_of(path).removesuffix(".__init__") for path in WORK])
    environment = os.environ | {"_KFP_RUNTIME": "true"}
    done = subprocess.run(
        [sys.executable, "-c", program, modules],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler

import kfp_sagemaker
from kfp_sagemaker import components
from kfp_sagemaker._component import ANALYZER_IMAGE, RUNTIME_IMAGE

# Whose outputs depend on the inputs alone, so that Kubeflow may reuse them. Everything else changes or observes AWS.
CACHEABLE = {
    "batch_transform",
    "compare_predictions",
    "process",
    "split_dataset",
    "suggest_baseline",
    "train",
    "tune",
    "upload_source",
}
# What needs polars and datasketches, or scikit-learn, in its step.
ANALYSING = {"evaluate_model", "monitor_data_quality", "suggest_baseline"}
MAX_EXECUTOR_BYTES = 4096

each_component = pytest.mark.parametrize("name", components.__all__)


def component(name: str) -> Any:
    return getattr(components, name)


def program(name: str) -> str:
    return str(component(name).component_spec.implementation.container.command[-1])


def compiled(name: str, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "component.yaml"
    compiler.Compiler().compile(component(name), str(path))
    document: dict[str, Any] = next(yaml.safe_load_all(path.read_text()))
    return document


def test_the_catalogue_is_sorted_and_has_every_component() -> None:
    assert components.__all__ == sorted(components.__all__)
    found = set()
    for module in pkgutil.walk_packages(kfp_sagemaker.__path__, "kfp_sagemaker."):
        if module.name.endswith(".component"):
            members = vars(importlib.import_module(module.name))
            found |= {name for name, value in members.items() if hasattr(value, "python_func")}
    assert found == set(components.__all__)


@each_component
def test_every_argument_and_output_is_documented(name: str) -> None:
    specification = component(name).component_spec
    described = {**(specification.inputs or {}), **(specification.outputs or {})}
    assert [key for key, value in described.items() if not value.description] == []
    # The sentence people read in the UI form: whole, and more than the name again.
    for key, value in described.items():
        text = value.description.strip()
        assert text.endswith("."), f"{key}: {text}"
        assert len(text.split()) >= 3, f"{key}: {text}"
    summary = inspect.getdoc(component(name).python_func) or ""
    assert re.match(r"[A-Z].*\.\n", summary), summary[:80]


@each_component
def test_the_docstring_names_no_argument_there_is_not(name: str) -> None:
    function = component(name).python_func
    docstring = inspect.getdoc(function) or ""
    _, _, rest = docstring.partition("Args:\n")
    arguments, _, rest = rest.partition("Returns:\n")
    returns, _, _ = rest.partition("Raises:\n")
    outputs = set(component(name).component_spec.outputs or {})
    documented = set(re.findall(r"^    (\w+): ", arguments, re.MULTILINE))
    assert documented <= set(inspect.signature(function).parameters)
    assert set(re.findall(r"^    (\w+): ", returns, re.MULTILINE)) <= outputs


@each_component
def test_an_empty_default_says_what_it_means(name: str) -> None:
    for parameter in inspect.signature(component(name).python_func).parameters.values():
        if parameter.default == "":
            text = component(name).component_spec.inputs[parameter.name].description.lower()
            assert re.search(r"\b(empty|default|without|or else|in place of|script mode|needed|required)\b", text), (
                parameter.name
            )


@each_component
def test_every_component_ends_with_the_common_arguments(name: str) -> None:
    *_, before_last, last = [
        parameter for parameter in inspect.signature(component(name).python_func).parameters if parameter != "tags"
    ]
    assert (before_last, last) == ("region", "assume_role_arn")


@each_component
def test_it_compiles_alone_with_the_right_caching_and_image(name: str, tmp_path: Path) -> None:
    document = compiled(name, tmp_path)
    (task,) = document["root"]["dag"]["tasks"].values()
    assert task["cachingOptions"].get("enableCache", False) is (name in CACHEABLE)
    (executor,) = document["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == (ANALYZER_IMAGE if name in ANALYSING else RUNTIME_IMAGE)
    assert "pip install" not in json.dumps(executor)


@each_component
def test_the_executor_block_is_small(name: str, tmp_path: Path) -> None:
    (executor,) = compiled(name, tmp_path)["deploymentSpec"]["executors"].values()
    assert len(json.dumps(executor)) < MAX_EXECUTOR_BYTES


@each_component
def test_the_body_only_imports_and_calls(name: str) -> None:
    function = next(node for node in ast.parse(program(name)).body if isinstance(node, ast.FunctionDef))
    assert len(function.body) <= 8
    assert not [node for node in ast.walk(function) if isinstance(node, ast.For | ast.While | ast.Try)]


# What the executor does with a step's program, and then what the step's body does first.
STEP = """
import ast, sys
from pathlib import Path
path = Path(sys.argv[1])
from kfp.dsl.utils import load_module
module = load_module(module_name="ephemeral_component", module_directory=str(path.parent))
from kfp.dsl.executor import Executor
function = next(node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
assert callable(getattr(module, function.name))
imports = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
assert imports, "the face imports no work"
exec(compile(ast.Module(imports, []), "imports", "exec"), {})
suite = [name for name in sys.modules if name.startswith("kfp_sagemaker.")]
faces = [name for name in suite if name.endswith((".component", ".components"))]
assert not faces, f"the step imports the faces {faces}"
heavy = {"sagemaker", "matplotlib", "pandas", "numpy", "kubernetes", "boto3"} & set(sys.modules)
print(",".join(sorted(heavy)))
"""


@each_component
def test_a_step_can_import_its_work(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ephemeral_component.py"
    path.write_text(program(name))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(path)],
        env={**environment, "_KFP_RUNTIME": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", "imported before it is needed"


def test_the_catalogue_is_refused_in_a_step_or_harmless(tmp_path: Path) -> None:
    """In a step's pod a face is a plain function; importing one by mistake does not look for KFP's compiler."""
    script = "from kfp_sagemaker.training.component import train; print(train.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "_KFP_RUNTIME": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "train", done.stderr

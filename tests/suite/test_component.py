"""The decorator: what KFP compiles from a face, and what a step's process finds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from kfp import compiler, dsl, local

from kfp_sagemaker._component import IMAGE_REPOSITORY, RUNTIME_IMAGE, sagemaker_component
from kfp_sagemaker._version import __version__
from tests.suite import component_faces as faces


@dsl.pipeline(name="two-of-each")
def two_of_each():
    """Four tasks, and one in a loop."""
    faces.look_up_run(label="first")
    faces.look_up_run(label="second")
    faces.add(left=1, right=2)
    with dsl.ParallelFor([1, 2]) as item:
        faces.add(left=item, right=item)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The pipeline's YAML: its specification, and what Kubernetes adds to it."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(cast(Any, two_of_each), str(path))
    return list(yaml.safe_load_all(path.read_text()))


def executors(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: item["container"] for name, item in documents[0]["deploymentSpec"]["executors"].items()}


def test_steps_run_in_the_suites_image_and_install_nothing(documents: list[dict[str, Any]]) -> None:
    assert f"{IMAGE_REPOSITORY}:{__version__}" == RUNTIME_IMAGE
    assert (
        "python" in RUNTIME_IMAGE
    )  # kfp.local takes only such an image for one that its SubprocessRunner can stand in for
    for container in executors(documents).values():
        assert container["image"] == RUNTIME_IMAGE
        assert "pip install" not in "".join(container["command"])


def test_side_effects_are_not_cached_and_the_rest_is(documents: list[dict[str, Any]]) -> None:
    tasks = documents[0]["root"]["dag"]["tasks"]
    cached = {name: task["cachingOptions"].get("enableCache", False) for name, task in tasks.items() if "look" in name}
    assert cached == {"look-up-run": False, "look-up-run-2": False}
    assert tasks["add"]["cachingOptions"] == {"enableCache": True}


def test_a_pipelines_author_may_still_change_caching(tmp_path: Path) -> None:
    @dsl.pipeline(name="cached")
    def cached():
        faces.look_up_run(label="x").set_caching_options(True)

    compiler.Compiler().compile(cast(Any, cached), str(tmp_path / "p.yaml"))
    [document, _] = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert document["root"]["dag"]["tasks"]["look-up-run"]["cachingOptions"] == {"enableCache": True}


def test_a_component_compiled_by_itself_is_not_cached_either(tmp_path: Path) -> None:
    compiler.Compiler().compile(faces.look_up_run, str(tmp_path / "c.yaml"))
    document = next(yaml.safe_load_all((tmp_path / "c.yaml").read_text()))
    assert document["root"]["dag"]["tasks"]["look-up-run"]["cachingOptions"] == {}


def test_every_task_is_told_its_run_and_its_name(documents: list[dict[str, Any]]) -> None:
    names = {name: container["env"] for name, container in executors(documents).items()}
    assert names == {
        f"exec-{task}": [{"name": "KFP_SAGEMAKER_TASK_NAME", "value": task}]
        for task in ("look-up-run", "look-up-run-2", "add", "add-2")
    }
    platform = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    run_id = {"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
    assert platform == {name: {"fieldPathAsEnv": [run_id]} for name in names}


def test_the_step_carries_a_small_program(documents: list[dict[str, Any]]) -> None:
    program = executors(documents)["exec-look-up-run"]["command"][-1]
    assert "def look_up_run(" in program
    assert "from kfp_sagemaker.aws import run_context" in program
    assert "Returns:" not in program  # the docstring is in the specification already
    assert len(program) < 1000


def test_the_function_is_at_hand_for_tests() -> None:
    assert faces.add.python_func(left=1, right=2) == 3
    assert faces.add.component_spec.inputs["left"].description == "One summand."


def test_a_face_without_a_docstring_works() -> None:
    assert faces.bare.component_spec.implementation.container.command[-1].rstrip().endswith("return number")


def test_a_step_of_a_local_run_knows_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("kfp.local.config.LocalExecutionConfig.instance", None)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path))

    @dsl.pipeline(name="prices")
    def pipeline() -> str:
        first = faces.look_up_run(label="x")
        second = faces.look_up_run(label=first.output)
        return cast(str, second.output)

    run_id, task_name, label = cast(Any, pipeline)().output.split("|", 2)
    assert run_id.startswith("prices-")
    assert task_name == "look-up-run-2"
    assert label == f"{run_id}|look-up-run|x"


def test_another_image_can_be_compiled_in() -> None:
    environment = os.environ | {"KFP_SAGEMAKER_IMAGE": "registry.example/python-steps:dev"}
    program = "from kfp_sagemaker._component import RUNTIME_IMAGE; print(RUNTIME_IMAGE)"
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True, timeout=60
    )
    assert shown.stdout.strip() == "registry.example/python-steps:dev"


def test_in_a_step_a_face_is_its_plain_function_and_kfp_is_not_imported() -> None:
    program = (
        "import sys\n"
        "from kfp_sagemaker._component import sagemaker_component\n"
        "def face(): return 7\n"
        "assert sagemaker_component(face) is face and sagemaker_component(cache=False)(face)() == 7\n"
        "assert 'kfp' not in sys.modules\n"
    )
    environment = os.environ | {"_KFP_RUNTIME": "true"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def test_it_is_a_decorator_with_and_without_options() -> None:
    assert sagemaker_component(faces.add.python_func).python_func is faces.add.python_func
    assert sagemaker_component(cache=True)(faces.add.python_func).python_func is faces.add.python_func

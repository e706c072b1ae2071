"""Every pipeline's checked-in YAML: up to date, accepted by the KFP API server, runnable from the built wheel."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_sagemaker.cli.catalogue import PipelineFolder, list_pipelines

ROOT = Path(__file__).parents[2]
PIPELINES = list_pipelines(ROOT / "pipelines")
# Tasks of these components change something outside of their outputs: reusing an earlier run's outputs would skip it.
SIDE_EFFECTS = {
    "create-model",
    "publish-models",
    "deploy-endpoint",
    "invoke-endpoint",
    "endpoint-metrics",
    "delete-resources",
    "delete-resources-on-exit",
    "clean-up",
    "plan-serving",
}

pytestmark = pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))


def without_sdk_version(path: Path) -> str:
    return re.sub(r"^sdkVersion: .*$", "", path.read_text(), flags=re.MULTILINE)


def programs(spec: dict[str, Any]) -> dict[str, str]:
    """The program of each executor, as its step runs it."""
    executors = spec["deploymentSpec"]["executors"]
    return {name: executor["container"]["command"][-1] for name, executor in executors.items()}


def test_it_is_what_the_source_compiles_to(pipeline: PipelineFolder, tmp_path: Path) -> None:
    target = tmp_path / "pipeline.yaml"
    command = [Path(sys.executable).with_name("kfp-sagemaker"), "compile", pipeline.name, "-o", target]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True)

    stale = f"{pipeline.compiled} is not up to date: kfp-sagemaker compile {pipeline.name}"
    assert without_sdk_version(target) == without_sdk_version(pipeline.compiled), stale


def test_it_is_a_strict_pipeline_spec(pipeline: PipelineFolder) -> None:
    spec, *platforms = documents(pipeline.compiled)

    message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    deployment = json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    assert message.root.dag.tasks
    assert deployment.executors.keys() == programs(spec).keys()
    for platform in platforms:
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        for name, config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
            json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
            assert name in programs(spec)


def test_the_api_server_would_accept_it(pipeline: PipelineFolder) -> None:
    # kubeflow/pipelines, backend/src/apiserver/template/v2_template.go, NewV2SpecTemplate
    first, *others = documents(pipeline.compiled)

    assert "pipelineInfo" in first
    assert len(others) <= 1, "one pipeline and at most one platform document"
    assert all(document.keys() == {"platforms"} for document in others)
    assert first["schemaVersion"] == "2.1.0"
    assert re.fullmatch(r"[a-z0-9][-a-z0-9]{0,127}", first["pipelineInfo"]["name"])
    assert first["root"]["dag"]["tasks"]
    # The Argo workflow made of it is one Kubernetes object, which may have 1.5 MB in etcd.
    assert pipeline.compiled.stat().st_size < 700_000


def test_what_it_refers_to_exists(pipeline: PipelineFolder) -> None:
    spec = documents(pipeline.compiled)[0]
    components, executors = spec["components"], spec["deploymentSpec"]["executors"]
    dags = [spec["root"], *(each for each in components.values() if "dag" in each)]

    used = {task["componentRef"]["name"] for each in dags for task in each["dag"]["tasks"].values()}
    assert used == components.keys()
    assert {each["executorLabel"] for each in components.values() if "executorLabel" in each} == executors.keys()
    for each in dags:
        tasks = each["dag"]["tasks"]
        for name, task in tasks.items():
            assert set(task.get("dependentTasks", [])) <= tasks.keys()
            inputs = components[task["componentRef"]["name"]].get("inputDefinitions", {})
            parameters = inputs.get("parameters", {})
            given = task.get("inputs", {}).get("parameters", {})
            assert {key for key in given if not key.startswith("pipelinechannel--")} <= parameters.keys(), name
            required = {
                key for key, entry in parameters.items() if not entry.get("isOptional") and "defaultValue" not in entry
            }
            loop_item = task.get("parameterIterator", {}).get("itemInput")
            assert required - {loop_item} <= given.keys(), name


def test_steps_with_side_effects_are_not_cached(pipeline: PipelineFolder) -> None:
    spec = documents(pipeline.compiled)[0]
    dags = [spec["root"], *(each for each in spec["components"].values() if "dag" in each)]
    tasks = [(name, task) for each in dags for name, task in each["dag"]["tasks"].items()]
    cached = {re.sub(r"-\d+$", "", name) for name, task in tasks if task.get("cachingOptions", {}).get("enableCache")}

    assert not cached & SIDE_EFFECTS
    assert "train" in cached


def test_it_names_no_secret_and_no_local_path(pipeline: PipelineFolder) -> None:
    text = pipeline.compiled.read_text()

    for local in (str(ROOT), str(Path.home()), "/tmp/", "127.0.0.1", "localhost"):  # noqa: S108
        assert local not in text
    assert not re.search(
        r"(AKIA|ASIA)[A-Z0-9]{16}|aws_secret_access_key *[=:] *['\"]?[A-Za-z0-9/+]{20,}", text, flags=re.IGNORECASE
    )


def test_its_steps_import_from_the_built_wheel(pipeline: PipelineFolder, installed_wheel: Path, tmp_path: Path) -> None:
    spec = documents(pipeline.compiled)[0]
    statements = sorted(
        {
            ast.unparse(node)
            for program in programs(spec).values()
            for node in ast.walk(ast.parse(program))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kfp_sagemaker")
        }
    )
    assert statements
    check = "\n".join(["import kfp_sagemaker, sys", *statements, "print(kfp_sagemaker.__file__)"])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed_wheel), "_KFP_RUNTIME": "true"}
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed_wheel))

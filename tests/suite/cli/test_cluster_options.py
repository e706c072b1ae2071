"""What ``compile`` writes into a pipeline for a cluster: every way of credentials, images, resources, retries."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.cli import kfp_local
from kfp_sagemaker.cli.catalogue import PipelineFolder, list_pipelines
from kfp_sagemaker.cli.cluster_options import CREDENTIALS, PLAIN_IMAGE, ClusterOptions, apply
from kfp_sagemaker.cli.main import main

PIPELINES = Path(__file__).parents[3] / "pipelines"
HOUSING = PipelineFolder(PIPELINES / "housing_mme")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The housing pipeline without anything about a cluster."""
    path = tmp_path_factory.mktemp("bare") / "pipeline.yaml"
    HOUSING.compile(path)
    spec, platform = yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
    for executor in spec["deploymentSpec"]["executors"].values():
        del executor["container"]["resources"]
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        del config["secretAsEnv"]
    text = "---\n".join(yaml.dump(each) for each in (spec, platform))
    return kfp_local._without_retries(text)


@pytest.fixture
def compiled(bare: str, tmp_path: Path) -> Any:
    """Applies options; returns the executors and their Kubernetes configurations."""

    def compile_with(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        path = tmp_path / "pipeline.yaml"
        path.write_text(bare)
        apply(path, ClusterOptions(**options))
        spec, platform = yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for config in configs.values():
            json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        return spec, configs

    return compile_with


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_every_step_gets_its_credentials_one_way(credentials: str, compiled: Any) -> None:
    spec, configs = compiled(credentials=credentials)

    assert configs.keys() == spec["deploymentSpec"]["executors"].keys()
    for config in configs.values():
        secrets = config.get("secretAsEnv", [])
        required = {e["envVar"] for s in secrets if not s["optional"] for e in s["keyToEnv"]}
        optional = {e["envVar"] for s in secrets if s["optional"] for e in s["keyToEnv"]}
        assert {each["secretName"] for each in secrets} <= {"aws-secret"}
        assert (required, optional) == {
            "any": (set(), {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}),
            "secret": ({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, {"AWS_SESSION_TOKEN"}),
            "irsa": (set(), set()),
            "pod-identity": (set(), set()),
        }[credentials]


@pytest.mark.parametrize("pipeline", list_pipelines(PIPELINES), ids=lambda pipeline: pipeline.name)
def test_checked_in_pipelines_work_with_and_without_the_secret(pipeline: PipelineFolder) -> None:
    spec, platform = yaml.load_all(pipeline.compiled.read_text(), Loader=yaml.CSafeLoader)
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]

    assert configs.keys() == spec["deploymentSpec"]["executors"].keys()
    for config in configs.values():
        assert [(each["secretName"], each["optional"]) for each in config["secretAsEnv"]] == [("aws-secret", True)]
    assert "retryPolicy" in pipeline.compiled.read_text()


def test_resources_and_retries_are_on_every_step_and_on_no_group(compiled: Any) -> None:
    spec, _ = compiled(retries=3, memory_limit="1Gi")

    for executor in spec["deploymentSpec"]["executors"].values():
        resources = executor["container"]["resources"]
        assert resources["resourceMemoryLimit"] == "1Gi"
        assert resources["memoryLimit"] == pytest.approx(1.073741824)
        assert resources["cpuRequest"] == pytest.approx(0.1)
    components = spec["components"]
    holders = [spec["root"], *components.values()]
    tasks = [task for holder in holders for task in holder.get("dag", {}).get("tasks", {}).values()]
    for task in tasks:
        is_step = "executorLabel" in components[task["componentRef"]["name"]]
        assert task.get("retryPolicy", {}).get("maxRetryCount") == (3 if is_step else None)


def test_a_run_here_leaves_retries_out(compiled: Any) -> None:
    spec, _ = compiled(retries=3)

    assert "retryPolicy" in yaml.dump(spec)
    assert "retryPolicy" not in kfp_local._without_retries(yaml.dump(spec))


def test_an_image_takes_the_place_of_ours(compiled: Any) -> None:
    spec, _ = compiled(image="mirror.example.com/steps:1")

    images = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    assert images == {"mirror.example.com/steps:1"}


def test_install_puts_the_package_into_a_plain_image_and_starts_the_step_as_it_was(
    compiled: Any, tmp_path: Path
) -> None:
    spec, _ = compiled(install="kfp-sagemaker[monitoring]==1.0.0")
    container = spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert container["image"] == PLAIN_IMAGE
    # A Python that only says what it was asked to do: first to install, then to run the step.
    fake = tmp_path / "python3"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    command = [*container["command"], *container["args"]]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    install, step = done.stdout.splitlines()
    assert install.startswith("-m pip install")
    assert install.endswith("kfp-sagemaker[monitoring]==1.0.0")
    assert step.startswith("-m kfp.dsl.executor_main")
    assert step.endswith("--executor_input {{$}} --function_to_execute train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"credentials": "keys"}, "--credentials is 'keys'"),
        ({"install": "x; rm -rf /"}, "--install is"),
        ({"install": "x", "image": "y"}, "exclude each other"),
        ({"retries": 99}, "--retries is 99"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClusterOptions(**options)


def test_all_pipelines_are_compiled_into_a_folder(toy_folder: PipelineFolder, tmp_path: Path) -> None:
    arguments = ["compile", "--all", "-o", str(tmp_path / "out"), "--pipelines-dir", str(toy_folder.path.parent)]
    done = CliRunner().invoke(main, [*arguments, "--credentials", "irsa", "--retries", "0"])

    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "toy.yaml").read_text()
    assert "secretAsEnv" not in text
    assert "retryPolicy" not in text
    assert CliRunner().invoke(main, ["compile"]).exit_code == 2

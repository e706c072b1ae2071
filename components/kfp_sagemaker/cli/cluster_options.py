"""What a compiled pipeline says about the cluster it runs on: credentials, images, resources, retries.

Applied to the YAML that kfp wrote, so that pipelines say nothing about it and one source fits every cluster. The
Kubernetes part is kfp-kubernetes's own format (``KubernetesExecutorConfig``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kfp_sagemaker.access.cluster import KEY_ID, SECRET_KEY, SECRET_NAME, SESSION_TOKEN
from kfp_sagemaker.aws.errors import InputError

CREDENTIALS = ("any", "secret", "irsa", "pod-identity")
# For clusters without an image of ours; the newest Python that every dependency of the suite has wheels for.
PLAIN_IMAGE = "python:3.12-slim"
# Requirements as pip takes them: a name with extras and versions, or a URL. Nothing a shell could misread.
_SPEC = re.compile(r"[A-Za-z0-9][\w.\-\[\],=<>!~@:/+#&%? ]*")


@dataclass(frozen=True)
class ClusterOptions:
    """How a pipeline is to run on a cluster.

    Attributes:
        credentials: ``any``: from the Secret when it is there, otherwise from the service account's role; ``secret``:
            the Secret, without which no step starts; ``irsa`` and ``pod-identity``: the service account's role.
        secret_name: The Secret, in the run's namespace.
        image: For the steps that run in the suite's image; empty leaves it.
        install: What the steps install when they start, in a plain Python image; empty for the suite's own image.
        cpu_request: Of each step, which mostly waits.
        memory_request: Of each step.
        memory_limit: Of each step.
        retries: How often a step that failed is started again; it finds its own AWS job and goes on waiting for it.
        retry_delay_seconds: Before the first of them; twice as long before each further one.
    """

    credentials: str = "any"
    secret_name: str = SECRET_NAME
    image: str = ""
    install: str = ""
    cpu_request: str = "100m"
    memory_request: str = "256Mi"
    memory_limit: str = "2Gi"
    retries: int = 1
    retry_delay_seconds: int = 30

    def __post_init__(self) -> None:
        problems = []
        if self.credentials not in CREDENTIALS:
            problems.append(f"--credentials is {self.credentials!r}, must be one of {', '.join(CREDENTIALS)}")
        if self.install and self.image:
            problems.append("--install and --image exclude each other: --install is for clusters without an image")
        if self.install and not _SPEC.fullmatch(self.install):
            problems.append(f"--install is {self.install!r}, must be what pip installs, such as kfp-sagemaker==1.0.0")
        if not 0 <= self.retries <= 10:
            problems.append(f"--retries is {self.retries}, must be from 0 to 10")
        if problems:
            raise InputError(problems, "compile")


def apply(path: Path, options: ClusterOptions) -> None:
    """Write the options into a compiled pipeline.

    Args:
        path: The YAML file, as kfp's compiler wrote it.
        options: The options.
    """
    text = path.read_text()
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    spec, *platforms = yaml.load_all(text, Loader=yaml.CSafeLoader)
    platform = platforms[0] if platforms else {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, executor in spec["deploymentSpec"]["executors"].items():
        if "container" in executor:  # and not an importer, which has no pod of its own
            _set_container(executor["container"], options)
            if secrets := _secrets(options):
                configs.setdefault(name, {})["secretAsEnv"] = secrets
    for task in _steps(spec):
        if options.retries and "retryPolicy" not in task:
            task["retryPolicy"] = {
                "maxRetryCount": options.retries,
                "backoffDuration": f"{options.retry_delay_seconds}s",
                "backoffFactor": 2.0,
                "backoffMaxDuration": "3600s",
            }
    documents = [spec, platform] if configs else [spec]
    # As kfp's compiler writes it.
    path.write_text(head + "---\n".join(yaml.dump(document, sort_keys=True) for document in documents))


def _steps(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tasks that are steps, and not groups of steps."""
    components = spec["components"]
    for holder in (spec["root"], *components.values()):
        for task in holder.get("dag", {}).get("tasks", {}).values():
            if "executorLabel" in components[task["componentRef"]["name"]]:
                yield task


def _set_container(container: dict[str, Any], options: ClusterOptions) -> None:
    from kfp_sagemaker._component import RUNTIME_IMAGE

    if options.image and container["image"] == RUNTIME_IMAGE:
        container["image"] = options.image
    if options.install:
        container["image"] = PLAIN_IMAGE
        install = (
            f"python3 -m pip install --quiet --no-cache-dir --root-user-action=ignore {shlex.quote(options.install)}"
        )
        container["command"] = ["sh", "-c", f'{install} && exec "$0" "$@"', *container["command"]]
    resources = container.setdefault("resources", {})
    # A step that asks for its own keeps it. KFP reads both spellings: numbers of its older versions, and Kubernetes'.
    for old, new, value in (
        ("cpuRequest", "resourceCpuRequest", options.cpu_request),
        ("memoryRequest", "resourceMemoryRequest", options.memory_request),
        ("memoryLimit", "resourceMemoryLimit", options.memory_limit),
    ):
        if value and not resources.keys() & {old, new}:
            resources[new] = value
            resources[old] = _number(value, gigabytes=old.startswith("memory"))


def _number(quantity: str, *, gigabytes: bool) -> float:
    """A Kubernetes quantity as the number kfp's compiler writes: cores, or gigabytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[KMGT]i?|)", quantity)
    if match is None:
        raise InputError([f"{quantity!r} is no quantity, such as 100m, 0.5, 256Mi or 2Gi"], "compile")
    unit = match[2]
    factor = 1e-3 if unit == "m" else 1.0
    if unit and unit != "m":
        factor = (1024 if unit.endswith("i") else 1000) ** ("KMGT".index(unit[0]) + 1)
    number = float(match[1]) * factor
    return number / 1e9 if gigabytes else number


def _secrets(options: ClusterOptions) -> list[dict[str, Any]]:
    if options.credentials in ("irsa", "pod-identity"):
        return []
    if options.credentials == "any":
        return [_secret(options.secret_name, (KEY_ID, SECRET_KEY, SESSION_TOKEN), optional=True)]
    return [
        _secret(options.secret_name, (KEY_ID, SECRET_KEY), optional=False),
        _secret(options.secret_name, (SESSION_TOKEN,), optional=True),
    ]


def _secret(name: str, keys: tuple[str, ...], *, optional: bool) -> dict[str, Any]:
    return {
        "keyToEnv": [{"envVar": key, "secretKey": key} for key in keys],
        "optional": optional,
        "secretName": name,
        "secretNameParameter": {"runtimeValue": {"constant": name}},
    }

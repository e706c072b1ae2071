"""Which pipeline run and task this process is a step of.

Names and tags are built from it, so it must be the same when a pod is retried and another in another run. What a step
can know, tried with kfp 2.17 and read in the backend's source (``backend/src/v2``):

- The run's id is on the pod as the label ``pipeline/runid``; ``@sagemaker_component`` has every task's pod expose it as
  the environment variable ``KFP_RUN_ID`` (Downward API). Placeholders such as ``{{$.pipeline_job_uuid}}`` are no way:
  the launcher resolves only ``inputs`` and ``outputs`` in a container's command, and arguments keep the literal text.
- ``--executor_input`` on the command line is resolved by the launcher. The URIs of output artifacts in it end in
  ``<pipeline>/<run id>/<task>/<salt>/<artifact>`` on the cluster (older launchers leave out the salt).
  Under ``kfp.local`` every output, parameters included, lies at ``<pipeline>-<timestamp>/<task>/<output>``.
- A component's function name is on the command line as ``--function_to_execute``.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RUN_ID_VARIABLE = "KFP_RUN_ID"
# Set by hand, these win over everything found: another orchestrator, a test, a notebook that wants stable names.
OVERRIDES = {
    "run_id": "KFP_SAGEMAKER_RUN_ID",
    "pipeline_name": "KFP_SAGEMAKER_PIPELINE_NAME",
    "task_name": "KFP_SAGEMAKER_TASK_NAME",
}

_CLUSTER_PATH = re.compile(
    r"(?:^|/)(?P<pipeline>[^/]+)/(?P<run>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})/(?P<task>[^/]+)/"
)
# kfp.local.executor_input_utils.get_local_pipeline_resource_name: the pipeline's name and a time to the microsecond.
_LOCAL_PATH = re.compile(r"(?:^|/)(?P<run>(?P<pipeline>[^/]+)-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6})/(?P<task>[^/]+)/")


@dataclass(frozen=True)
class RunContext:
    """The run and task a resource belongs to; empty strings where that is not known.

    Attributes:
        run_id: Kubeflow's id of the run (a UUID; a name with a time under ``kfp.local``).
        pipeline_name: The pipeline's name.
        task_name: The task's name, or the component's function name where the task's is not known.
    """

    run_id: str = ""
    pipeline_name: str = ""
    task_name: str = ""


def current(environ: Mapping[str, str] | None = None, arguments: Sequence[str] | None = None) -> RunContext:
    """The run this process is a step of.

    Args:
        environ: The environment; the process's own by default.
        arguments: The command line; the process's own by default.

    Returns:
        The context; all fields are empty outside a run.
    """
    environ = os.environ if environ is None else environ
    arguments = sys.argv if arguments is None else arguments
    found = _from_outputs(_executor_input(arguments))
    run_id = environ.get(RUN_ID_VARIABLE) or found.run_id
    task_name = found.task_name or _option(arguments, "--function_to_execute")
    return RunContext(
        run_id=environ.get(OVERRIDES["run_id"]) or run_id,
        pipeline_name=environ.get(OVERRIDES["pipeline_name"]) or found.pipeline_name,
        task_name=environ.get(OVERRIDES["task_name"]) or (task_name if run_id else ""),
    )


def _executor_input(arguments: Sequence[str]) -> dict[str, Any]:
    try:
        value = json.loads(_option(arguments, "--executor_input") or "{}")
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _from_outputs(executor_input: Mapping[str, Any]) -> RunContext:
    for path in _output_paths(executor_input.get("outputs") or {}):
        match = _CLUSTER_PATH.search(path) or _LOCAL_PATH.search(path)
        if match:
            return RunContext(match["run"], match["pipeline"], match["task"])
    return RunContext()


def _output_paths(outputs: Mapping[str, Any]) -> Iterator[str]:
    for artifacts in (outputs.get("artifacts") or {}).values():
        for artifact in artifacts.get("artifacts") or []:
            yield str(artifact.get("uri", ""))
    for parameter in (outputs.get("parameters") or {}).values():
        yield str(parameter.get("outputFile", ""))
    yield str(outputs.get("outputFile", ""))


def _option(arguments: Sequence[str], name: str) -> str:
    """Value of a ``--name value`` pair; the executor's own parser is not worth its import here."""
    for option, value in itertools.pairwise(arguments):
        if option == name:
            return value
    return ""

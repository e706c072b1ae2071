"""The arguments of the components that a flow's preprocessing and tuning become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp_sagemaker.flow.definition import Glue, Processing
from kfp_sagemaker.flow.sources import Sources

_INPUT_PATH = "/opt/ml/processing/input/data"
_OUTPUT_PATH = "/opt/ml/processing/output"


def glue_arguments(glue: Glue, source: str, *, role_arn: str, sources: Sources) -> dict[str, Any]:
    """The arguments of ``run_glue_job``, without its output; the script is put among the sources."""
    given = {f"--{name}": as_text(value) for name, value in glue.arguments.items()}
    arguments: dict[str, Any] = {
        "arguments": {"--input_s3_uri": source, **given},
        "max_runtime_minutes": glue.max_runtime_minutes,
    }
    if glue.job_name:
        return {"job_name": glue.job_name, **arguments}
    arguments |= {
        "script_s3_uri": sources.add(glue.script),
        "role_arn": role_arn,
        "command": glue.command,
        "glue_version": glue.glue_version,
    }
    if glue.command == "pythonshell":
        return {**arguments, "max_capacity": glue.max_capacity}
    return {**arguments, "worker_type": glue.worker_type, "number_of_workers": glue.number_of_workers}


def processing_arguments(processing: Processing, source: str, *, role_arn: str, sources: Sources) -> dict[str, Any]:
    """The arguments of ``process``, without its output; the script is put among the sources."""
    chosen = {
        "image_uri": processing.image,
        "framework": processing.framework,
        "framework_version": processing.framework_version,
        "code_s3_uri": sources.add(processing.script) if processing.script else "",
        "container_entrypoint": list(processing.container_entrypoint),
        "container_arguments": list(processing.container_arguments),
        "environment": dict(processing.environment),
    }
    return {
        "role_arn": role_arn,
        "inputs": [{"name": "data", "s3_uri": source, "local_path": _INPUT_PATH}],
        **{name: value for name, value in chosen.items() if value},
        "instance_type": processing.instance_type,
        "instance_count": processing.instance_count,
        "volume_size_gb": processing.volume_size_gb,
        "max_runtime_seconds": processing.max_runtime_seconds,
    }


def with_output(component: str, arguments: dict[str, Any], output: str) -> dict[str, Any]:
    """A preprocessing component's arguments with the prefix it writes below."""
    if component == "run_glue_job":
        return {**arguments, "arguments": {**arguments["arguments"], "--output_s3_uri": output}}
    if component == "process":
        return {**arguments, "outputs": [{"name": "channels", "s3_uri": output, "local_path": _OUTPUT_PATH}]}
    return {**arguments, "output_s3_uri": output}


def tuning_ranges(ranges: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The ranges of ``tune``, by kind, from those of the flow, by hyperparameter."""
    found: dict[str, list[Any]] = {}
    for name, given in ranges.items():
        scaling = {"scaling_type": given["scaling_type"]} if "scaling_type" in given else {}
        for kind in ("continuous", "integer"):
            if kind in given:
                low, high = given[kind]
                bounds = {"name": name, "min_value": low, "max_value": high, **scaling}
                found.setdefault(f"{kind}_ranges", []).append(bounds)
        if "categorical" in given:
            values = [as_text(value) for value in given["categorical"]]
            found.setdefault("categorical_ranges", []).append({"name": name, "values": values})
    return found


def as_text(value: Any) -> str:
    """A value as a command line or a hyperparameter takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The environment of a user's training script: ``SM_*`` variables and arguments.

As documented for SageMaker's training toolkit: https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagemaker_emulator.containers.contract import TrainingConfig

_FRAMEWORK_PREFIX = "sagemaker_"
# What a tuning job adds; it is no argument of the script.
_TUNING_METRIC = "_tuning_objective_metric"
# Hyperparameters the toolkit itself takes; other names with the prefix become SM_FRAMEWORK_PARAMS.
_OWN = frozenset(
    "sagemaker_" + name
    for name in (
        "program",
        "submit_directory",
        "enable_cloudwatch_metrics",
        "container_log_level",
        "job_name",
        "region",
        "s3_output",
        "user_entry_point",
        "default_invocations_accept",
    )
)
_INFO = 20


def decode_hyperparameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-decode every value that is JSON: the SDK encodes them, the API takes any string."""
    return {name: _decode(value) for name, value in given.items()}


def _decode(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


@dataclass(frozen=True)
class ScriptEnvironment:
    """What a training script is started with.

    Attributes:
        config: The job's configuration.
        framework_module: Named in ``SM_FRAMEWORK_MODULE``, such as ``sagemaker_sklearn_container.training:main``.
        hyperparameters: The user's, decoded.
        framework_parameters: Those that begin with ``sagemaker_`` and belong to the framework.
        program: The entry point, a path in the source.
        submit_directory: Where the source is.
        log_level: As the SDK's ``container_log_level``.
    """

    config: TrainingConfig
    framework_module: str
    hyperparameters: Mapping[str, Any]
    framework_parameters: Mapping[str, Any]
    program: str
    submit_directory: str
    log_level: int

    @classmethod
    def of(cls, config: TrainingConfig, framework_module: str) -> ScriptEnvironment:
        """Sort the hyperparameters; program and source may also come by environment variable."""
        decoded = decode_hyperparameters(config.hyperparameters)
        own = {name: value for name, value in decoded.items() if name in _OWN}
        return cls(
            config=config,
            framework_module=framework_module,
            hyperparameters={
                k: v for k, v in decoded.items() if not k.startswith(_FRAMEWORK_PREFIX) and k != _TUNING_METRIC
            },
            framework_parameters={
                k: v for k, v in decoded.items() if k.startswith(_FRAMEWORK_PREFIX) and k not in _OWN
            },
            program=str(own.get("sagemaker_program") or os.environ.get("SAGEMAKER_PROGRAM") or ""),
            submit_directory=str(
                own.get("sagemaker_submit_directory") or os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or ""
            ),
            log_level=int(own.get("sagemaker_container_log_level") or _INFO),
        )

    @property
    def arguments(self) -> list[str]:
        """The hyperparameters as ``--name value``, by name; a name of one letter as ``-n value``."""
        arguments: list[str] = []
        for name, value in sorted(self.hyperparameters.items()):
            arguments += [f"--{name}" if len(name) > 1 else f"-{name}", _argument(value)]
        return arguments

    @property
    def variables(self) -> dict[str, str]:
        """The ``SM_*`` environment variables."""
        config = self.config
        folders, resources = config.folders, config.resources
        output_data = folders.output / "data"
        if len(config.hosts) > 1:
            output_data = output_data / config.current_host
        values: dict[str, Any] = {
            "hosts": config.hosts,
            "current_host": config.current_host,
            "current_instance_type": resources.get("current_instance_type"),
            "current_instance_group": resources.get("current_group_name", "homogeneousCluster"),
            "network_interface_name": resources.get("network_interface_name", "eth0"),
            "resource_config": dict(resources),
            "input_data_config": dict(config.channels),
            "input_dir": str(folders.input),
            "input_config_dir": str(folders.config),
            "output_dir": str(folders.output),
            "output_data_dir": str(output_data),
            "output_intermediate_dir": str(folders.output / "intermediate"),
            "model_dir": str(folders.model),
            "module_dir": self.submit_directory,
            "module_name": self.program.removesuffix(".py"),
            "user_entry_point": self.program,
            "framework_module": self.framework_module,
            "log_level": self.log_level,
            "num_cpus": _cpu_count(),
            "num_gpus": 0,
            "hps": dict(self.hyperparameters),
            "framework_params": dict(self.framework_parameters),
            "channels": sorted(config.channels),
        }
        channels = {name: str(folders.data / name) for name in config.channels}
        summary = {
            **{k: v for k, v in values.items() if k not in ("hps", "framework_params", "channels")},
            "additional_framework_parameters": values["framework_params"],
            "channel_input_dirs": channels,
            "hyperparameters": values["hps"],
            "is_master": config.current_host == config.hosts[0],
            "job_name": os.environ.get("TRAINING_JOB_NAME", ""),
        }
        values |= {
            "training_env": summary,
            "user_args": self.arguments,
            **{f"channel_{name}": path for name, path in channels.items()},
            **{f"hp_{name}": value for name, value in self.hyperparameters.items()},
        }
        return {f"SM_{name.upper()}": _variable(value) for name, value in values.items()}

    def make_folders(self) -> None:
        """Create the folders the toolkit creates."""
        variables = self.variables
        for name in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR", "SM_OUTPUT_INTERMEDIATE_DIR"):
            Path(variables[name]).mkdir(parents=True, exist_ok=True)


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in sorted(value.items()))
    return "" if value is None else str(value)


def _variable(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

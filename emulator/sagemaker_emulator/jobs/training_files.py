"""The configuration files and environment variables a training container finds.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sagemaker_emulator.jobs.instances import Instance, resource_config_document
from sagemaker_emulator.runtime import namespace


def channel_input_mode(job: Mapping[str, Any], channel: Mapping[str, Any]) -> str:
    """Return the input mode of a channel: its own, or the job's."""
    mode: str = channel.get("InputMode") or job["AlgorithmSpecification"].get("TrainingInputMode", "File")
    return mode


def write_training_files(job: Mapping[str, Any], instance: Instance, instances: Sequence[Instance]) -> None:
    """Make an instance's folders and write its configuration files."""
    base = instance.base_dir
    config = base / "input" / "config"
    for folder in (config, base / "input" / "data", base / "model", base / "output" / "data", base / "code"):
        folder.mkdir(parents=True, exist_ok=True)
    instance.home.mkdir(parents=True, exist_ok=True)
    _write_json(config / "hyperparameters.json", job.get("HyperParameters", {}))
    _write_json(config / "resourceconfig.json", resource_config_document(instance, instances))
    _write_json(
        config / "inputdataconfig.json",
        {channel["ChannelName"]: _channel_document(job, channel) for channel in job.get("InputDataConfig", ())},
    )


def training_environment(job: Mapping[str, Any], instance: Instance, instances: Sequence[Instance]) -> dict[str, str]:
    """Return the environment of a training container: SageMaker's variables, ``SM_*``, and the job's own."""
    root = namespace.current().root(instance.base_dir)
    channels = [channel["ChannelName"] for channel in job.get("InputDataConfig", ())]
    hosts = [each.host for each in instances]
    env = {
        "TRAINING_JOB_NAME": job["TrainingJobName"],
        "TRAINING_JOB_ARN": job["TrainingJobArn"],
        "SM_MODEL_DIR": f"{root}/model",
        "SM_INPUT_DIR": f"{root}/input",
        "SM_INPUT_CONFIG_DIR": f"{root}/input/config",
        "SM_OUTPUT_DIR": f"{root}/output",
        "SM_OUTPUT_DATA_DIR": f"{root}/output/data",
        "SM_CURRENT_HOST": instance.host,
        "SM_CURRENT_INSTANCE_TYPE": instance.instance_type,
        "SM_CURRENT_INSTANCE_GROUP": instance.group,
        "SM_HOSTS": json.dumps(hosts),
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": "0",
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_HPS": json.dumps({name: _parsed(text) for name, text in job.get("HyperParameters", {}).items()}),
    }
    for channel in channels:
        env[f"SM_CHANNEL_{_variable(channel)}"] = f"{root}/input/data/{channel}"
    for name, text in job.get("HyperParameters", {}).items():
        env[f"SM_HP_{_variable(name)}"] = str(text)
    return {**env, **job.get("Environment", {})}


def _channel_document(job: Mapping[str, Any], channel: Mapping[str, Any]) -> dict[str, Any]:
    source = channel["DataSource"]["S3DataSource"]
    document = {
        "TrainingInputMode": channel_input_mode(job, channel),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if channel.get("ContentType"):
        document["ContentType"] = channel["ContentType"]
    return document


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def _variable(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name).upper()


def _parsed(text: str) -> Any:
    # Hyperparameters are strings; the SDK encodes them as JSON, and the containers' SM_HPS shows them decoded.
    try:
        return json.loads(text)
    except ValueError:
        return text

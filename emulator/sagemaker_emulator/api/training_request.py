"""What a request to train must fulfil beyond the service model: what AWS checks across members, and what is refused."""

from __future__ import annotations

import re
from typing import Any

from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.jobs.training import CHECKPOINT_PATH
from sagemaker_emulator.jobs.training_files import channel_input_mode

DEFAULT_MAX_RUNTIME_SECONDS = 86_400
_NOT_IMPLEMENTED = ("ServerlessJobConfig", "MlflowConfig", "ModelPackageConfig")


def check_members(params: dict[str, Any]) -> None:
    """Check the members of a request against each other; calls nothing.

    Raises:
        ValidationException: One does not fit another, or the emulator does not do what it asks for.
    """
    for member in _NOT_IMPLEMENTED:
        if member in params:
            raise ValidationException(f"sagemaker-emulator does not implement {member} of CreateTrainingJob.")
    algorithm = params.get("AlgorithmSpecification", {})
    if algorithm.get("AlgorithmName"):
        raise ValidationException(
            "sagemaker-emulator does not implement algorithm resources (AlgorithmSpecification.AlgorithmName); "
            "give a TrainingImage."
        )
    if not algorithm.get("TrainingImage"):
        raise ValidationException(
            "Either AlgorithmSpecification.TrainingImage or AlgorithmSpecification.AlgorithmName is required."
        )
    for definition in algorithm.get("MetricDefinitions", ()):
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise ValidationException(
                f"The regular expression {definition['Regex']!r} of metric {definition['Name']!r} is invalid: {error}."
            ) from error
    _check_resources(params.get("ResourceConfig", {}))
    _check_stopping_condition(params)
    channels = [channel["ChannelName"] for channel in params.get("InputDataConfig", ())]
    if len(set(channels)) != len(channels):
        raise ValidationException(
            f"Channel names must be unique within a training job; given are {', '.join(channels)}."
        )
    for channel in params.get("InputDataConfig", ()):
        _check_channel_members(params, channel)
    local_path = params.get("CheckpointConfig", {}).get("LocalPath") or CHECKPOINT_PATH
    if not local_path.startswith("/opt/ml/") or ".." in local_path.split("/"):
        raise ValidationException(
            f'CheckpointConfig.LocalPath "{local_path}": sagemaker-emulator only provides folders below /opt/ml.'
        )


def _check_resources(resources: dict[str, Any]) -> None:
    if resources.get("InstancePreferences") or resources.get("InstancePlacementConfig"):
        raise ValidationException(
            "sagemaker-emulator does not implement InstancePreferences and InstancePlacementConfig of ResourceConfig."
        )
    if resources.get("InstanceGroups"):
        if resources.get("InstanceType") or resources.get("InstanceCount"):
            raise ValidationException(
                "ResourceConfig has InstanceGroups: InstanceType and InstanceCount must be given in the groups only."
            )
    elif not resources.get("InstanceType") or not resources.get("InstanceCount"):
        raise ValidationException("ResourceConfig requires InstanceType and InstanceCount, or InstanceGroups.")


def _check_stopping_condition(params: dict[str, Any]) -> None:
    stopping = params.get("StoppingCondition", {})
    max_runtime_seconds = stopping.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS)
    max_wait_seconds = stopping.get("MaxWaitTimeInSeconds")
    if params.get("EnableManagedSpotTraining"):
        if max_wait_seconds is None or max_wait_seconds < max_runtime_seconds:
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif max_wait_seconds is not None:
        raise ValidationException("MaxWaitTimeInSeconds requires EnableManagedSpotTraining to be true.")


def _check_channel_members(params: dict[str, Any], channel: dict[str, Any]) -> None:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if not source:
        raise ValidationException(
            f"Channel {name!r}: sagemaker-emulator reads channels from S3 only; DataSource.S3DataSource is missing."
        )
    kind = source["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile", "AugmentedManifestFile"):
        raise ValidationException(f"Channel {name!r}: sagemaker-emulator does not implement S3DataType {kind}.")
    if kind == "AugmentedManifestFile":
        if channel_input_mode(params, channel) != "Pipe":
            raise ValidationException(f"Channel {name!r}: an AugmentedManifestFile requires Pipe input mode.")
        if not source.get("AttributeNames"):
            raise ValidationException(f"Channel {name!r}: an AugmentedManifestFile requires AttributeNames.")
    elif source.get("AttributeNames"):
        raise ValidationException(f"Channel {name!r}: AttributeNames are only valid for an AugmentedManifestFile.")
    groups = {group["InstanceGroupName"] for group in params["ResourceConfig"].get("InstanceGroups", ())}
    if unknown := set(source.get("InstanceGroupNames", ())) - groups:
        raise ValidationException(
            f"Channel {name!r}: there is no instance group {', '.join(sorted(unknown))} in ResourceConfig."
        )

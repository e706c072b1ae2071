"""The request of a SageMaker training job: built and checked with no AWS.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.model import ServiceModel

from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.aws.job_arguments import check_job_arguments, check_vpc, gather
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.values import normalise, string_map

# Arguments that go into the request as they are.
_MEMBERS = {
    "role_arn": "RoleArn",
    "output_s3_uri": "OutputDataConfig.S3OutputPath",
    "output_kms_key_id": "OutputDataConfig.KmsKeyId",
    "output_compression_type": "OutputDataConfig.CompressionType",
    "algorithm_arn": "AlgorithmSpecification.AlgorithmName",
    "training_input_mode": "AlgorithmSpecification.TrainingInputMode",
    "metric_definitions": "AlgorithmSpecification.MetricDefinitions",
    "enable_sagemaker_metrics": "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries",
    "container_entrypoint": "AlgorithmSpecification.ContainerEntrypoint",
    "container_arguments": "AlgorithmSpecification.ContainerArguments",
    "volume_kms_key_id": "ResourceConfig.VolumeKmsKeyId",
    "max_runtime_seconds": "StoppingCondition.MaxRuntimeInSeconds",
    "use_spot": "EnableManagedSpotTraining",
    "checkpoint_s3_uri": "CheckpointConfig.S3Uri",
    "checkpoint_local_path": "CheckpointConfig.LocalPath",
    "environment": "Environment",
    "subnets": "VpcConfig.Subnets",
    "security_group_ids": "VpcConfig.SecurityGroupIds",
    "enable_network_isolation": "EnableNetworkIsolation",
    "enable_inter_container_traffic_encryption": "EnableInterContainerTrafficEncryption",
    "profiler_config": "ProfilerConfig",
    "profiler_rule_configurations": "ProfilerRuleConfigurations",
    "debug_hook_config": "DebugHookConfig",
    "debug_rule_configurations": "DebugRuleConfigurations",
    "tensor_board_output_config": "TensorBoardOutputConfig",
    "experiment_config": "ExperimentConfig",
}
# Arguments whose 0 stands for "not given".
_MEMBERS_UNLESS_ZERO = {
    "volume_size_gb": "ResourceConfig.VolumeSizeInGB",
    "keep_alive_period_seconds": "ResourceConfig.KeepAlivePeriodInSeconds",
    "maximum_retry_attempts": "RetryStrategy.MaximumRetryAttempts",
}
_CHANNEL_PLACES = {
    "name": "ChannelName",
    "s3_uri": "DataSource.S3DataSource.S3Uri",
    "s3_data_type": "DataSource.S3DataSource.S3DataType",
    "distribution": "DataSource.S3DataSource.S3DataDistributionType",
    "attribute_names": "DataSource.S3DataSource.AttributeNames",
    "instance_groups": "DataSource.S3DataSource.InstanceGroupNames",
    "file_system_id": "DataSource.FileSystemDataSource.FileSystemId",
    "file_system_type": "DataSource.FileSystemDataSource.FileSystemType",
    "file_system_access_mode": "DataSource.FileSystemDataSource.FileSystemAccessMode",
    "directory_path": "DataSource.FileSystemDataSource.DirectoryPath",
    "content_type": "ContentType",
    "input_mode": "InputMode",
    "compression": "CompressionType",
    "record_wrapper": "RecordWrapperType",
    "shuffle_seed": "ShuffleConfig.Seed",
}
_INSTANCE_GROUP_PLACES = {
    "name": "InstanceGroupName",
    "instance_type": "InstanceType",
    "instance_count": "InstanceCount",
}
_QUEUE_ALLOWANCE_SECONDS = 3600
# The framework containers' toolkit reads these; the SageMaker SDK sends them the same way. 20 is logging.INFO.
_CONTAINER_LOG_LEVEL = 20


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # its environment may hold secrets, which no log shows
class TrainingJob:
    """The arguments of ``train`` that describe the job; see the component for the meaning of each."""

    role_arn: str
    output_s3_uri: str
    channels: Sequence[Any]
    algorithm: str = ""
    algorithm_version: str = ""
    training_image: str = ""
    algorithm_arn: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    source_s3_uri: str = ""
    entry_point: str = ""
    container_entrypoint: Sequence[str] = ()
    container_arguments: Sequence[Any] = ()
    training_input_mode: str = "File"
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    volume_size_gb: int = 30
    instance_groups: Sequence[Any] = ()
    keep_alive_period_seconds: int = 0
    max_runtime_seconds: int = 86400
    use_spot: bool = False
    max_wait_seconds: int = 0
    checkpoint_s3_uri: str = ""
    checkpoint_local_path: str = ""
    maximum_retry_attempts: int = 0
    metric_definitions: Sequence[Any] = ()
    enable_sagemaker_metrics: bool = True
    environment: Mapping[str, Any] = field(default_factory=dict)
    subnets: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()
    output_kms_key_id: str = ""
    volume_kms_key_id: str = ""
    output_compression_type: str = ""
    enable_network_isolation: bool = False
    enable_inter_container_traffic_encryption: bool = False
    profiler_config: Mapping[str, Any] = field(default_factory=dict)
    profiler_rule_configurations: Sequence[Any] = ()
    debug_hook_config: Mapping[str, Any] = field(default_factory=dict)
    debug_rule_configurations: Sequence[Any] = ()
    tensor_board_output_config: Mapping[str, Any] = field(default_factory=dict)
    experiment_config: Mapping[str, Any] = field(default_factory=dict)
    extra_request: Mapping[str, Any] = field(default_factory=dict)
    job_name: str = ""
    job_name_prefix: str = ""
    timeout_seconds: float = 0
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_script_mode(self) -> bool:
        """Whether the container runs the user's script."""
        return bool(self.source_s3_uri or self.entry_point)

    @property
    def name_prefix(self) -> str:
        """Start of the job's name when it is derived."""
        return self.job_name_prefix or self.algorithm or "train"

    @property
    def deadline_seconds(self) -> float:
        """When the step gives up."""
        limit = max(self.max_wait_seconds, self.max_runtime_seconds)
        return self.timeout_seconds or limit + _QUEUE_ALLOWANCE_SECONDS


def build_request(job: TrainingJob, *, region: str, service_model: ServiceModel) -> dict[str, Any]:
    """Build the ``CreateTrainingJob`` request, without the job's name and tags.

    Args:
        job: The arguments.
        region: The region whose images are meant.
        service_model: botocore's model of SageMaker.

    Returns:
        The request.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("train")
    check_job_arguments(
        problems,
        job_name=job.job_name,
        job_name_prefix=job.job_name_prefix,
        timeout_seconds=job.timeout_seconds,
        tags=job.tags,
    )
    _check(job, problems)
    request = RequestBuilder(service_model, "CreateTrainingJob", problems)
    for argument, path in _MEMBERS.items():
        request.set(path, getattr(job, argument), argument=argument)
    for argument, path in _MEMBERS_UNLESS_ZERO.items():
        request.set(path, getattr(job, argument) or None, argument=argument)
    request.set("AlgorithmSpecification.TrainingImage", _image(job, region, problems), argument="training_image")
    request.set("HyperParameters", _hyperparameters(job, region, problems), argument="hyperparameters")
    channels = [_with_channel_defaults(channel) for channel in _listed(job.channels, "channels", problems)]
    request.set("InputDataConfig", channels, argument="channels", places=_CHANNEL_PLACES)
    if job.instance_groups:
        groups = job.instance_groups
        request.set("ResourceConfig.InstanceGroups", groups, argument="instance_groups", places=_INSTANCE_GROUP_PLACES)
    else:
        request.set("ResourceConfig.InstanceType", job.instance_type, argument="instance_type")
        if problems.between("instance_count", job.instance_count, minimum=1):
            request.set("ResourceConfig.InstanceCount", job.instance_count, argument="instance_count")
    if job.use_spot:
        wait = job.max_wait_seconds or job.max_runtime_seconds
        request.set("StoppingCondition.MaxWaitTimeInSeconds", wait, argument="max_wait_seconds")
    reserved = {"TrainingJobName": "job_name", "Tags": "tags"}
    request.merge(job.extra_request, argument="extra_request", reserved=reserved)
    return request.finish(supplied_later=["TrainingJobName"])


def _check(job: TrainingJob, problems: Problems) -> None:
    """What AWS's model does not say: arguments that need or exclude each other."""
    for argument in ("role_arn", "output_s3_uri"):
        problems.required(argument, getattr(job, argument))
    programs = [name for name in ("algorithm", "training_image", "algorithm_arn") if getattr(job, name)]
    if not programs:
        problems.add("algorithm", "", "given, or training_image, or algorithm_arn")
    for argument in programs[1:]:
        problems.add(argument, getattr(job, argument), f"left out with {programs[0]}")
    if job.algorithm_version and not job.algorithm:
        problems.add("algorithm_version", job.algorithm_version, "left out without algorithm")
    if job.algorithm_arn and job.container_entrypoint:
        problems.add("container_entrypoint", job.container_entrypoint, "left out with algorithm_arn")
    if job.is_script_mode:
        problems.required("source_s3_uri", job.source_s3_uri)
        problems.required("entry_point", job.entry_point)
        problems.s3_uri("source_s3_uri", job.source_s3_uri)
    elif job.algorithm and not job.channels:
        problems.add("channels", job.channels, "given: a built-in algorithm trains on at least one channel")
    if not job.instance_groups:
        problems.required("instance_type", job.instance_type)
    _check_spot(job, problems)
    check_vpc(problems, job.subnets, job.security_group_ids)


def _check_spot(job: TrainingJob, problems: Problems) -> None:
    if job.use_spot and job.max_wait_seconds and job.max_wait_seconds < job.max_runtime_seconds:
        allowed = f"at least max_runtime_seconds, which is {job.max_runtime_seconds}"
        problems.add("max_wait_seconds", job.max_wait_seconds, allowed)
    if job.max_wait_seconds and not job.use_spot:
        problems.add("max_wait_seconds", job.max_wait_seconds, "left out without use_spot")
    # SageMaker developer guide, "Train using SageMaker managed warm pools", considerations.
    if job.keep_alive_period_seconds and (job.use_spot or job.instance_groups):
        other = "use_spot" if job.use_spot else "instance_groups"
        problems.add("keep_alive_period_seconds", job.keep_alive_period_seconds, f"0 with {other}")
    if job.checkpoint_local_path and not job.checkpoint_s3_uri:
        problems.add("checkpoint_local_path", job.checkpoint_local_path, "given together with checkpoint_s3_uri")


def _image(job: TrainingJob, region: str, problems: Problems) -> str | None:
    if not job.algorithm:
        return job.training_image
    instance_type = job.instance_type
    if job.instance_groups and isinstance(job.instance_groups[0], Mapping):
        group = job.instance_groups[0]
        instance_type = group.get("instance_type") or group.get("InstanceType") or ""
    version = job.algorithm_version
    return gather(
        problems,
        lambda: image_uri(job.algorithm, region, version=version, instance_type=instance_type),
        argument="algorithm",
    )


def _hyperparameters(job: TrainingJob, region: str, problems: Problems) -> Mapping[str, str] | None:
    """As text; in script mode as JSON, with what tells the container's toolkit where the script is."""
    given = job.hyperparameters
    if not isinstance(given, Mapping):
        problems.add("hyperparameters", given, "an object of names and values")
        return None
    for name, value in given.items():
        if not name:
            problems.add("hyperparameters", name, "an object whose names are not empty")
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            problems.add(f"hyperparameters.{name}", value, "text, a finite number, true, false, a list or an object")
    if not job.is_script_mode:
        return string_map(given)
    toolkit = {
        "sagemaker_program": job.entry_point,
        "sagemaker_submit_directory": job.source_s3_uri,
    }
    defaults = {"sagemaker_container_log_level": _CONTAINER_LOG_LEVEL, "sagemaker_region": region}
    return {name: json.dumps(value, default=str) for name, value in (defaults | normalise(given) | toolkit).items()}


def _with_channel_defaults(channel: Any) -> Any:
    """A channel in friendly spelling with the values nearly everybody means."""
    if not isinstance(channel, Mapping):
        return channel
    if channel.get("s3_uri"):
        return {"s3_data_type": "S3Prefix", "distribution": "FullyReplicated"} | dict(channel)
    if channel.get("file_system_id"):
        return {"file_system_access_mode": "ro"} | dict(channel)
    return channel


def _listed(value: Any, argument: str, problems: Problems) -> Sequence[Any]:
    """The value when it is a list whose elements have different names."""
    if not isinstance(value, list | tuple):
        problems.add(argument, value, "a list")
        return []
    names = [item.get("name") or item.get("ChannelName") for item in value if isinstance(item, Mapping)]
    for name in sorted({name for name in names if isinstance(name, str) and names.count(name) > 1}):
        problems.add(argument, name, "a list in which each name occurs once")
    return value

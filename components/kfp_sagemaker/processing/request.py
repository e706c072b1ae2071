"""The request of a SageMaker processing job: built and checked with no AWS.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.model import ServiceModel

from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.aws.job_arguments import check_job_arguments, check_vpc, gather
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems

# Arguments that go into the request as they are.
_MEMBERS = {
    "role_arn": "RoleArn",
    "container_arguments": "AppSpecification.ContainerArguments",
    "environment": "Environment",
    "instance_type": "ProcessingResources.ClusterConfig.InstanceType",
    "instance_count": "ProcessingResources.ClusterConfig.InstanceCount",
    "volume_size_gb": "ProcessingResources.ClusterConfig.VolumeSizeInGB",
    "volume_kms_key_id": "ProcessingResources.ClusterConfig.VolumeKmsKeyId",
    "max_runtime_seconds": "StoppingCondition.MaxRuntimeInSeconds",
    "enable_network_isolation": "NetworkConfig.EnableNetworkIsolation",
    "enable_inter_container_traffic_encryption": "NetworkConfig.EnableInterContainerTrafficEncryption",
    "subnets": "NetworkConfig.VpcConfig.Subnets",
    "security_group_ids": "NetworkConfig.VpcConfig.SecurityGroupIds",
    "experiment_config": "ExperimentConfig",
}
_INPUT_PLACES = {
    "name": "InputName",
    "s3_uri": "S3Input.S3Uri",
    "local_path": "S3Input.LocalPath",
    "s3_data_type": "S3Input.S3DataType",
    "s3_input_mode": "S3Input.S3InputMode",
    "s3_data_distribution_type": "S3Input.S3DataDistributionType",
    "s3_compression_type": "S3Input.S3CompressionType",
}
_OUTPUT_PLACES = {
    "name": "OutputName",
    "s3_uri": "S3Output.S3Uri",
    "local_path": "S3Output.LocalPath",
    "s3_upload_mode": "S3Output.S3UploadMode",
    "feature_group_name": "FeatureStoreOutput.FeatureGroupName",
}
# Where the SageMaker SDK's ScriptProcessor puts the script, and what it calls the input.
_CODE_INPUT = "code"
_CODE_PATH = "/opt/ml/processing/input/code"
_ARCHIVE_SUFFIX = ".tar.gz"
_QUEUE_ALLOWANCE_SECONDS = 3600


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # its environment may hold secrets, which no log shows
class ProcessingJob:
    """The arguments of ``process`` that describe the job; see the component for the meaning of each."""

    role_arn: str
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()
    image_uri: str = ""
    framework: str = ""
    framework_version: str = ""
    code_s3_uri: str = ""
    entry_point: str = ""
    container_entrypoint: Sequence[str] = ()
    container_arguments: Sequence[Any] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    volume_size_gb: int = 30
    max_runtime_seconds: int = 86400
    subnets: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()
    output_kms_key_id: str = ""
    volume_kms_key_id: str = ""
    enable_network_isolation: bool = False
    enable_inter_container_traffic_encryption: bool = False
    experiment_config: Mapping[str, Any] = field(default_factory=dict)
    extra_request: Mapping[str, Any] = field(default_factory=dict)
    job_name: str = ""
    job_name_prefix: str = ""
    timeout_seconds: float = 0
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deadline_seconds(self) -> float:
        """When the step gives up."""
        return self.timeout_seconds or self.max_runtime_seconds + _QUEUE_ALLOWANCE_SECONDS


def build_request(job: ProcessingJob, *, region: str, service_model: ServiceModel) -> dict[str, Any]:
    """Build the ``CreateProcessingJob`` request, without the job's name and tags.

    Args:
        job: The arguments.
        region: The region whose images are meant.
        service_model: botocore's model of SageMaker.

    Returns:
        The request.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("process")
    check_job_arguments(
        problems,
        job_name=job.job_name,
        job_name_prefix=job.job_name_prefix,
        timeout_seconds=job.timeout_seconds,
        tags=job.tags,
    )
    _check(job, problems)
    request = RequestBuilder(service_model, "CreateProcessingJob", problems)
    for argument, path in _MEMBERS.items():
        request.set(path, getattr(job, argument), argument=argument)
    request.set("AppSpecification.ImageUri", _image(job, region, problems), argument="image_uri")
    request.set("AppSpecification.ContainerEntrypoint", _entrypoint(job), argument="container_entrypoint")
    inputs = _with_defaults(job.inputs, "inputs", problems, _INPUT_DEFAULTS)
    if job.code_s3_uri and problems.s3_uri("code_s3_uri", job.code_s3_uri):
        inputs = [*inputs, {"name": _CODE_INPUT, "s3_uri": job.code_s3_uri, "local_path": _CODE_PATH} | _INPUT_DEFAULTS]
    outputs = _with_defaults(job.outputs, "outputs", problems, _OUTPUT_DEFAULTS)
    request.set("ProcessingInputs", inputs, argument="inputs", places=_INPUT_PLACES)
    request.set("ProcessingOutputConfig.Outputs", outputs, argument="outputs", places=_OUTPUT_PLACES)
    if outputs:
        request.set("ProcessingOutputConfig.KmsKeyId", job.output_kms_key_id, argument="output_kms_key_id")
    reserved = {"ProcessingJobName": "job_name", "Tags": "tags"}
    request.merge(job.extra_request, argument="extra_request", reserved=reserved)
    return request.finish(supplied_later=["ProcessingJobName"])


_INPUT_DEFAULTS = {
    "s3_data_type": "S3Prefix",
    "s3_input_mode": "File",
    "s3_data_distribution_type": "FullyReplicated",
    "s3_compression_type": "None",
}
_OUTPUT_DEFAULTS = {"s3_upload_mode": "EndOfJob"}


def _check(job: ProcessingJob, problems: Problems) -> None:
    """What AWS's model does not say: arguments that need or exclude each other."""
    for argument in ("role_arn", "instance_type"):
        problems.required(argument, getattr(job, argument))
    if bool(job.image_uri) == bool(job.framework):
        problems.add("image_uri", job.image_uri, "given, or else framework, and not both")
    if job.framework_version and not job.framework:
        problems.add("framework_version", job.framework_version, "left out without framework")
    if job.entry_point and not job.code_s3_uri:
        problems.add("entry_point", job.entry_point, "left out without code_s3_uri")
    if job.entry_point.startswith("/") or ".." in job.entry_point.split("/"):
        problems.add("entry_point", job.entry_point, "a path below code_s3_uri")
    if job.code_s3_uri and not job.entry_point and job.code_s3_uri.endswith(("/", _ARCHIVE_SUFFIX)):
        problems.add("entry_point", job.entry_point, f"given, because {job.code_s3_uri} is not a script itself")
    check_vpc(problems, job.subnets, job.security_group_ids)


def _image(job: ProcessingJob, region: str, problems: Problems) -> str | None:
    if not job.framework:
        return job.image_uri
    version, instance_type = job.framework_version, job.instance_type
    return gather(
        problems,
        lambda: image_uri(job.framework, region, version=version, instance_type=instance_type),
        argument="framework",
    )


def _entrypoint(job: ProcessingJob) -> Sequence[str]:
    """The container's command: the user's own, or the script's."""
    if not job.code_s3_uri or not isinstance(job.container_entrypoint, list | tuple):
        return job.container_entrypoint
    command = list(job.container_entrypoint) or ["python3"]
    if not job.code_s3_uri.endswith(_ARCHIVE_SUFFIX):
        return [*command, f"{_CODE_PATH}/{job.entry_point or posixpath.basename(job.code_s3_uri)}"]
    # An archive, such as upload_source makes, is unpacked first; "$@" are the container's arguments.
    archive = posixpath.basename(job.code_s3_uri)
    run = shlex.join([*command, job.entry_point])
    return ["/bin/sh", "-c", f'cd {_CODE_PATH} && tar -xzf {shlex.quote(archive)} && exec {run} "$@"', "sh"]


def _with_defaults(items: Any, argument: str, problems: Problems, defaults: Mapping[str, str]) -> list[Any]:
    """The inputs or outputs, those in friendly spelling with a name and the values nearly everybody means."""
    if not isinstance(items, list | tuple):
        problems.add(argument, items, "a list")
        return []
    completed = []
    for index, item in enumerate(items):
        if isinstance(item, Mapping) and not {"InputName", "OutputName"} & item.keys():
            item = {"name": f"{argument.removesuffix('s')}-{index + 1}"} | dict(item)
            if item.get("s3_uri") or item.get("local_path"):
                item = dict(defaults) | item
            if item.get("s3_uri") and not (item.get("local_path") or item.get("app_managed")):
                problems.add(f"{argument}[{index}].local_path", "", "a path of the container below /opt/ml/processing")
        completed.append(item)
    names = [str(item["name"]) for item in completed if isinstance(item, Mapping) and item.get("name")]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(argument, name, "a list in which each name occurs once")
    return completed

"""The request of a SageMaker batch transform job: built and checked with no AWS.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.model import ServiceModel

from kfp_sagemaker.aws.job_arguments import check_job_arguments
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems

# Arguments that go into the request as they are.
_MEMBERS = {
    "model_name": "ModelName",
    "input_s3_uri": "TransformInput.DataSource.S3DataSource.S3Uri",
    "s3_data_type": "TransformInput.DataSource.S3DataSource.S3DataType",
    "content_type": "TransformInput.ContentType",
    "split_type": "TransformInput.SplitType",
    "compression_type": "TransformInput.CompressionType",
    "output_s3_uri": "TransformOutput.S3OutputPath",
    "accept": "TransformOutput.Accept",
    "assemble_with": "TransformOutput.AssembleWith",
    "output_kms_key_id": "TransformOutput.KmsKeyId",
    "instance_type": "TransformResources.InstanceType",
    "instance_count": "TransformResources.InstanceCount",
    "volume_kms_key_id": "TransformResources.VolumeKmsKeyId",
    "batch_strategy": "BatchStrategy",
    "input_filter": "DataProcessing.InputFilter",
    "output_filter": "DataProcessing.OutputFilter",
    "join_source": "DataProcessing.JoinSource",
    "environment": "Environment",
    "data_capture_config": "DataCaptureConfig",
    "experiment_config": "ExperimentConfig",
}
# The largest request the service sends; developer guide, "Use batch transform".
_MAX_PAYLOAD_MB = 100


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # its environment may hold secrets, which no log shows
class TransformJob:
    """The arguments of ``batch_transform`` that describe the job; see the component for the meaning of each."""

    model_name: str
    input_s3_uri: str
    output_s3_uri: str
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    content_type: str = ""
    split_type: str = ""
    compression_type: str = ""
    s3_data_type: str = "S3Prefix"
    accept: str = ""
    assemble_with: str = ""
    batch_strategy: str = ""
    max_payload_mb: int = -1
    max_concurrent_transforms: int = 0
    input_filter: str = ""
    output_filter: str = ""
    join_source: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    invocations_timeout_seconds: int = 0
    invocations_max_retries: int = -1
    data_capture_config: Mapping[str, Any] = field(default_factory=dict)
    output_kms_key_id: str = ""
    volume_kms_key_id: str = ""
    experiment_config: Mapping[str, Any] = field(default_factory=dict)
    extra_request: Mapping[str, Any] = field(default_factory=dict)
    job_name: str = ""
    job_name_prefix: str = ""
    timeout_seconds: float = 86400
    tags: Mapping[str, Any] = field(default_factory=dict)


def build_request(job: TransformJob, *, service_model: ServiceModel) -> dict[str, Any]:
    """Build the ``CreateTransformJob`` request, without the job's name and tags.

    Args:
        job: The arguments.
        service_model: botocore's model of SageMaker.

    Returns:
        The request.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("batch_transform")
    check_job_arguments(
        problems,
        job_name=job.job_name,
        job_name_prefix=job.job_name_prefix,
        timeout_seconds=job.timeout_seconds,
        tags=job.tags,
    )
    _check(job, problems)
    request = RequestBuilder(service_model, "CreateTransformJob", problems)
    for argument, path in _MEMBERS.items():
        request.set(path, getattr(job, argument), argument=argument)
    # Here 0 is a value of its own and -1 stands for "not given".
    for argument, path in (
        ("max_payload_mb", "MaxPayloadInMB"),
        ("invocations_max_retries", "ModelClientConfig.InvocationsMaxRetries"),
    ):
        value = getattr(job, argument)
        if value != -1:
            request.set(path, value, argument=argument)
    for argument, path in (
        ("max_concurrent_transforms", "MaxConcurrentTransforms"),
        ("invocations_timeout_seconds", "ModelClientConfig.InvocationsTimeoutInSeconds"),
    ):
        request.set(path, getattr(job, argument) or None, argument=argument)
    reserved = {"TransformJobName": "job_name", "Tags": "tags"}
    request.merge(job.extra_request, argument="extra_request", reserved=reserved)
    return request.finish(supplied_later=["TransformJobName"])


def _check(job: TransformJob, problems: Problems) -> None:
    """What AWS's model does not say: arguments that need or exclude each other."""
    for argument in ("model_name", "input_s3_uri", "output_s3_uri", "instance_type"):
        problems.required(argument, getattr(job, argument))
    if job.timeout_seconds == 0:
        problems.add("timeout_seconds", 0, "a number of at least 1: AWS sets no limit of its own on a transform job")
    fine = problems.between("max_payload_mb", job.max_payload_mb, minimum=-1, maximum=_MAX_PAYLOAD_MB)
    if fine and max(job.max_concurrent_transforms, 1) * job.max_payload_mb > _MAX_PAYLOAD_MB:
        allowed = f"such that max_concurrent_transforms times max_payload_mb is at most {_MAX_PAYLOAD_MB}"
        problems.add("max_payload_mb", job.max_payload_mb, allowed)
    if job.join_source == "Input" and job.split_type in ("RecordIO", "TFRecord"):
        problems.add("join_source", job.join_source, f"None with split_type {job.split_type}")

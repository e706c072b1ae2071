"""An endpoint configuration: variants, data capture, serverless and asynchronous inference.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems

DEFAULT_VARIANT = "AllTraffic"
# Friendly key to AWS's place below a ProductionVariant.
_VARIANT_PLACES = {
    "container_startup_health_check_timeout_seconds": "ContainerStartupHealthCheckTimeoutInSeconds",
    "model_data_download_timeout_seconds": "ModelDataDownloadTimeoutInSeconds",
    "routing_strategy": "RoutingConfig.RoutingStrategy",
    "serverless": "ServerlessConfig",
    "variant_instance_provision_timeout_seconds": "VariantInstanceProvisionTimeoutInSeconds",
    "volume_size_gb": "VolumeSizeInGB",
}
_SERVERLESS_NAMES = {"memory_size_mb": "MemorySizeInMB"}
_DATA_CAPTURE_PLACES = {
    "capture": "CaptureOptions",
    "csv_content_types": "CaptureContentTypeHeader.CsvContentTypes",
    "destination_s3_uri": "DestinationS3Uri",
    "enable_capture": "EnableCapture",
    "json_content_types": "CaptureContentTypeHeader.JsonContentTypes",
    "kms_key_id": "KmsKeyId",
    "sampling_percentage": "InitialSamplingPercentage",
}
_DATA_CAPTURE_DEFAULTS = {"capture": ["Input", "Output"], "enable_capture": True, "sampling_percentage": 100}
_ASYNC_PLACES = {
    "error_topic_arn": "OutputConfig.NotificationConfig.ErrorTopic",
    "failure_s3_uri": "OutputConfig.S3FailurePath",
    "include_inference_response_in": "OutputConfig.NotificationConfig.IncludeInferenceResponseIn",
    "kms_key_id": "OutputConfig.KmsKeyId",
    "max_concurrent_invocations_per_instance": "ClientConfig.MaxConcurrentInvocationsPerInstance",
    "output_s3_uri": "OutputConfig.S3OutputPath",
    "success_topic_arn": "OutputConfig.NotificationConfig.SuccessTopic",
}


def build_request(
    session: Session,
    *,
    model_name: str = "",
    instance_type: str = "ml.m5.xlarge",
    initial_instance_count: int = 1,
    production_variants: Sequence[dict[str, Any]] = (),
    shadow_production_variants: Sequence[dict[str, Any]] = (),
    data_capture: Mapping[str, Any] | None = None,
    serverless: Mapping[str, Any] | None = None,
    async_inference: Mapping[str, Any] | None = None,
    explainer: Mapping[str, Any] | None = None,
    kms_key_id: str = "",
    execution_role_arn: str = "",
    subnet_ids: Sequence[str] = (),
    security_group_ids: Sequence[str] = (),
    enable_network_isolation: bool = False,
) -> dict[str, Any]:
    """The CreateEndpointConfig request without name and tags; calls nothing. The arguments are the component's.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("deploy_endpoint")
    builder = RequestBuilder(session.client("sagemaker").meta.service_model, "CreateEndpointConfig", problems)
    variants = list(production_variants)
    if bool(model_name) == bool(variants):
        problems.add("model_name", model_name, "given, or production_variants, and not both")
    if variants and serverless:
        problems.add("serverless", serverless, "left out; give it to each of production_variants")
    if model_name:
        instances = {"instance_type": instance_type, "initial_instance_count": initial_instance_count}
        hosting: dict[str, Any] = {"serverless": serverless} if serverless else instances
        variants = [{"model_name": model_name, "variant_name": DEFAULT_VARIANT} | hosting]
    known = len(problems.found)
    _set_variants(builder, "ProductionVariants", variants, "production_variants", problems)
    if model_name:  # what describes the only variant was given outside of a list
        problems.found[known:] = [text.removeprefix("production_variants[0].") for text in problems.found[known:]]
    _set_variants(
        builder, "ShadowProductionVariants", shadow_production_variants, "shadow_production_variants", problems
    )
    if data_capture:
        _set_object(
            builder, "DataCaptureConfig", _captured(data_capture), "data_capture", _DATA_CAPTURE_PLACES, problems
        )
    if async_inference:
        _set_object(builder, "AsyncInferenceConfig", async_inference, "async_inference", _ASYNC_PLACES, problems)
    builder.set("ExplainerConfig", explainer, argument="explainer")
    builder.set("KmsKeyId", kms_key_id, argument="kms_key_id")
    builder.set("ExecutionRoleArn", execution_role_arn, argument="execution_role_arn")
    builder.set("VpcConfig.Subnets", list(subnet_ids), argument="subnet_ids")
    builder.set("VpcConfig.SecurityGroupIds", list(security_group_ids), argument="security_group_ids")
    if enable_network_isolation:
        builder.set("EnableNetworkIsolation", True, argument="enable_network_isolation")
    return builder.finish(supplied_later=["EndpointConfigName"])


def model_names(config: Mapping[str, Any]) -> list[str]:
    """The models a configuration (a request or a description) serves."""
    variants = [*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ())]
    return list(dict.fromkeys(variant["ModelName"] for variant in variants if variant.get("ModelName")))


def _set_variants(
    builder: RequestBuilder, path: str, variants: Sequence[Any], argument: str, problems: Problems
) -> None:
    if not isinstance(variants, (list, tuple)):
        problems.add(argument, variants, "a list of dicts")
        return
    completed = []
    names: list[str] = []
    for index, variant in enumerate(variants):
        if not isinstance(variant, Mapping):
            problems.add(f"{argument}[{index}]", variant, "a dict")
            continue
        item = dict(variant)
        if not (item.get("variant_name") or item.get("VariantName")):
            item["variant_name"] = DEFAULT_VARIANT if len(variants) == 1 else f"variant-{index + 1}"
        name = item.get("variant_name") or item.get("VariantName")
        if name in names:
            problems.add(f"{argument}[{index}].variant_name", name, "different from the other variants'")
        names.append(str(name))
        _complete_hosting(item, f"{argument}[{index}]", problems)
        completed.append(item)
    builder.set(path, completed, argument=argument, places=_VARIANT_PLACES)


def _complete_hosting(variant: dict[str, Any], argument: str, problems: Problems) -> None:
    """One way of hosting a variant; one instance where their number is not given."""
    serverless = variant.get("serverless") or variant.get("ServerlessConfig") or variant.get("serverless_config")
    has_instances = any(
        variant.get(key) for key in ("instance_type", "InstanceType", "instance_pools", "InstancePools")
    )
    if serverless and has_instances:
        problems.add(f"{argument}.instance_type", variant.get("instance_type"), "left out where serverless is given")
    if not serverless and not has_instances:
        problems.add(f"{argument}.instance_type", None, "given, or serverless")
    if isinstance(variant.get("serverless"), Mapping):
        names = _SERVERLESS_NAMES
        variant["serverless"] = {names.get(key, key): value for key, value in variant["serverless"].items()}
    if has_instances and not (variant.get("initial_instance_count") or variant.get("InitialInstanceCount")):
        if variant.get("initial_instance_count") is not None:
            problems.add(f"{argument}.initial_instance_count", variant["initial_instance_count"], "at least 1")
        variant["initial_instance_count"] = 1


def _captured(data_capture: Any) -> Any:
    """With the defaults filled in, and the options in AWS's form."""
    if not isinstance(data_capture, Mapping) or _is_aws_spelled(data_capture):
        return data_capture
    capture = _DATA_CAPTURE_DEFAULTS | dict(data_capture)
    if isinstance(capture["capture"], (list, tuple)):
        capture["capture"] = [{"capture_mode": mode} for mode in capture["capture"]]
    return capture


def _set_object(
    builder: RequestBuilder, path: str, value: Any, argument: str, places: Mapping[str, str], problems: Problems
) -> None:
    if not isinstance(value, Mapping) or _is_aws_spelled(value):
        builder.set(path, value, argument=argument)
        return
    for key, item in value.items():
        if key in places:
            builder.set(f"{path}.{places[key]}", item, argument=f"{argument}.{key}")
        else:
            problems.add(f"{argument}.{key}", item, f"left out; known keys are {', '.join(places)}")


def _is_aws_spelled(value: Mapping[str, Any]) -> bool:
    return any(key[:1].isupper() for key in value)

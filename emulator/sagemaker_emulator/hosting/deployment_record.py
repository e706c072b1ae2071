"""What the store keeps of an endpoint's deployments.

An endpoint's document holds the members DescribeEndpoint answers about the endpoint itself, and up to two deployments:
``Active``, what serves, and ``Pending``, what is being started. A deployment carries copies of its configuration and
models, because both may be deleted while the endpoint lives on and is started again after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sagemaker_emulator.hosting import data_capture

ENDPOINT = "endpoint"
"""The store's kind of endpoint documents."""

_RETAINED = {
    "DesiredInstanceCount": ("CurrentInstanceCount", "DesiredInstanceCount"),
    "DesiredWeight": ("CurrentWeight", "DesiredWeight"),
}


def new_deployment(
    config: dict[str, Any],
    models: dict[str, dict[str, Any]],
    started: datetime,
    deployment_config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a deployment.

    Args:
        config: The endpoint configuration.
        models: Its models, by name.
        started: When it began.
        deployment_config: How the traffic is shifted to it.
    """
    return {
        "Config": config,
        "Models": models,
        "Variants": [_summary(one, models, started) for one in config["ProductionVariants"]],
        "ShadowVariants": [_summary(one, models, started) for one in config.get("ShadowProductionVariants", ())],
        "DeploymentConfig": deployment_config or {},
        "StartTime": started,
    }


def retain_variant_properties(
    deployment: dict[str, Any], current: dict[str, Any], excluded: Iterable[dict[str, Any]]
) -> None:
    """Keep instance counts and weights of variants that exist already (``RetainAllVariantProperties``).

    Args:
        deployment: The new deployment; changed in place.
        current: The one in service.
        excluded: ``ExcludeRetainedVariantProperties``.
    """
    taken_anew = {one["VariantPropertyType"] for one in excluded}
    before = {summary["VariantName"]: summary for summary in current["Variants"]}
    for summary in deployment["Variants"]:
        if not (old := before.get(summary["VariantName"])):
            continue
        for kind, members in _RETAINED.items():
            if kind not in taken_anew:
                summary.update({member: old[member] for member in members if member in old})


def request_capacities(deployment: dict[str, Any], desired: Iterable[dict[str, Any]]) -> None:
    """Record what UpdateEndpointWeightsAndCapacities asks for as desired; changes the deployment in place."""
    summaries = {summary["VariantName"]: summary for summary in deployment["Variants"]}
    for one in desired:
        summary = summaries[one["VariantName"]]
        for member in ("DesiredWeight", "DesiredInstanceCount"):
            if member in one:
                summary[member] = one[member]
        if "ServerlessUpdateConfig" in one:
            summary["DesiredServerlessConfig"] = summary["CurrentServerlessConfig"] | one["ServerlessUpdateConfig"]


def reach_capacities(deployment: dict[str, Any]) -> None:
    """Make what is desired current; changes the deployment in place."""
    for summary in deployment["Variants"]:
        for current, desired in (
            ("CurrentWeight", "DesiredWeight"),
            ("CurrentInstanceCount", "DesiredInstanceCount"),
            ("CurrentServerlessConfig", "DesiredServerlessConfig"),
        ):
            if desired in summary:
                summary[current] = summary[desired]


def describe_endpoint(document: dict[str, Any]) -> dict[str, Any]:
    """Return what DescribeEndpoint answers about an endpoint's document."""
    answer = {key: value for key, value in document.items() if key not in ("Active", "Pending")}
    if active := document.get("Active"):
        answer["ProductionVariants"] = active["Variants"]
        if active["ShadowVariants"]:
            answer["ShadowProductionVariants"] = active["ShadowVariants"]
        answer |= _config_members(active["Config"])
    if pending := document.get("Pending"):
        summary = {
            "EndpointConfigName": pending["Config"]["EndpointConfigName"],
            "ProductionVariants": pending["Variants"],
            "StartTime": pending["StartTime"],
        }
        if pending["ShadowVariants"]:
            summary["ShadowProductionVariants"] = pending["ShadowVariants"]
        answer["PendingDeploymentSummary"] = summary
    return answer


def set_variant_status(deployment: dict[str, Any], status: str, started: datetime) -> None:
    """Set ``VariantStatus`` of all variants, such as ``Baking``; an empty status removes it."""
    for summary in [*deployment["Variants"], *deployment["ShadowVariants"]]:
        summary.pop("VariantStatus", None)
        if status:
            summary["VariantStatus"] = [{"Status": status, "StartTime": started}]


def _config_members(config: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {
        key: config[key] for key in ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig") if key in config
    }
    if capture := config.get("DataCaptureConfig"):
        members["DataCaptureConfig"] = {
            "EnableCapture": data_capture.is_enabled(config),
            "CaptureStatus": "Started" if data_capture.is_enabled(config) else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    return members


def _summary(variant: dict[str, Any], models: dict[str, dict[str, Any]], started: datetime) -> dict[str, Any]:
    model = models[variant["ModelName"]]
    images = [one["Image"] for one in model.get("Containers") or [model.get("PrimaryContainer", {})] if "Image" in one]
    weight = variant.get("InitialVariantWeight", 1.0)
    summary: dict[str, Any] = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [
            # The image is a registered program: there is no digest to resolve it to.
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": started}
            for image in images
        ],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "VariantStatus": [{"Status": "Creating", "StartTime": started}],
    }
    if serverless := variant.get("ServerlessConfig"):
        summary |= {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
        summary |= {"CurrentInstanceCount": 0, "DesiredInstanceCount": 0}
    else:
        count = variant.get("InitialInstanceCount", 1)
        summary |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    summary |= {key: variant[key] for key in ("ManagedInstanceScaling", "RoutingConfig") if key in variant}
    return summary

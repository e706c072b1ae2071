"""Endpoints: create, update, describe, list, weights, delete.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import (
    common,
    job_operations,  # noqa: F401 - its start hook ends what a killed emulator left running, before ours starts anew
)
from sagemaker_emulator.api.endpoint_configs import ENDPOINT_CONFIG
from sagemaker_emulator.api.models import MODEL
from sagemaker_emulator.app import App
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.hosting import deployment
from sagemaker_emulator.hosting.deployment_record import (
    ENDPOINT,
    describe_endpoint,
    new_deployment,
    request_capacities,
    retain_variant_properties,
)
from sagemaker_emulator.hosting.traffic import plan_traffic
from sagemaker_emulator.operations import Context, on_start, on_stop, operation

_IN_PROGRESS = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}


@on_start
async def start_endpoints(app: App) -> None:
    """Bring the endpoints up again."""
    await app.hosting.start()


@on_stop
async def stop_endpoints(app: App) -> None:
    """End the containers; the endpoints come up again at the next start."""
    await app.hosting.stop()


@operation("CreateEndpoint")
async def create_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Record the endpoint as ``Creating`` and start its variants."""
    name = params["EndpointName"]
    endpoint_arn = common.arn(ctx, "endpoint", name)
    if ctx.app.store.get(ENDPOINT, ctx.region, name) is not None:
        raise ValidationException(f'Cannot create already existing endpoint "{endpoint_arn}".')
    now = ctx.app.clock.now()
    config = _config(ctx, params["EndpointConfigName"])
    deployment_config = params.get("DeploymentConfig", {})
    if deployment_config:
        plan_traffic(deployment_config, _instance_count(config))
    document = {
        "EndpointName": name,
        "EndpointArn": endpoint_arn,
        "EndpointConfigName": params["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "LastDeploymentConfig": deployment_config or None,
        "Tags": params.get("Tags", []),
        "Pending": new_deployment(config, _models(ctx, config), now),
    }
    kept = {key: value for key, value in document.items() if value is not None}
    ctx.app.store.insert(ENDPOINT, ctx.region, name, kept)
    hosting = ctx.app.hosting
    hosting.begin(ctx.region, name, deployment.create(hosting, ctx.region, name))
    return {"EndpointArn": endpoint_arn}


@operation("UpdateEndpoint")
async def update_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Record the new configuration as pending and start the blue/green update."""
    name = params["EndpointName"]
    document = _changeable(ctx, name)
    if document["EndpointStatus"] == "Failed":
        raise ValidationException(
            f'Cannot update endpoint "{document["EndpointArn"]}" because its status is Failed. Delete it instead.'
        )
    config = _config(ctx, params["EndpointConfigName"])
    now = ctx.app.clock.now()
    deployment_config = _deployment_config(params, document)
    plan_traffic(deployment_config, _instance_count(config))
    pending = new_deployment(config, _models(ctx, config), now, deployment_config)
    excluded = params.get("ExcludeRetainedVariantProperties", [])
    if params.get("RetainAllVariantProperties"):
        retain_variant_properties(pending, document["Active"], excluded)
    elif excluded:
        raise ValidationException(
            "ExcludeRetainedVariantProperties can only be given together with RetainAllVariantProperties set to true."
        )
    document |= {"EndpointStatus": "Updating", "LastModifiedTime": now, "Pending": pending}
    document.pop("FailureReason", None)
    ctx.app.store.put(ENDPOINT, ctx.region, name, document)
    hosting = ctx.app.hosting
    hosting.begin(ctx.region, name, deployment.update(hosting, ctx.region, name))
    return {"EndpointArn": document["EndpointArn"]}


@operation("UpdateEndpointWeightsAndCapacities")
async def update_endpoint_weights_and_capacities(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change the share of the traffic and the instance count of variants in service."""
    name = params["EndpointName"]
    document = _changeable(ctx, name)
    if "Active" not in document:
        raise ValidationException(f'Endpoint "{document["EndpointArn"]}" is not in service.')
    desired = params["DesiredWeightsAndCapacities"]
    active = document["Active"]
    summaries = {summary["VariantName"]: summary for summary in active["Variants"]}
    for one in desired:
        variant_name = one["VariantName"]
        if variant_name not in summaries:
            raise ValidationException(
                f'Variant "{variant_name}" not found in endpoint "{document["EndpointArn"]}"; '
                f"it has {', '.join(summaries)}."
            )
        if "ServerlessUpdateConfig" in one and "CurrentServerlessConfig" not in summaries[variant_name]:
            raise ValidationException(f'Variant "{variant_name}" is not serverless.')
    request_capacities(active, desired)
    document |= {"EndpointStatus": "Updating", "LastModifiedTime": ctx.app.clock.now(), "Active": active}
    ctx.app.store.put(ENDPOINT, ctx.region, name, document)
    hosting = ctx.app.hosting
    hosting.begin(ctx.region, name, deployment.change_capacities(hosting, ctx.region, name))
    return {"EndpointArn": document["EndpointArn"]}


@operation("DeleteEndpoint")
async def delete_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Stop an endpoint; refused while it is being created or updated, as on AWS."""
    name = params["EndpointName"]
    document = _changeable(ctx, name)
    document |= {"EndpointStatus": "Deleting", "LastModifiedTime": ctx.app.clock.now()}
    ctx.app.store.put(ENDPOINT, ctx.region, name, document)
    hosting = ctx.app.hosting
    hosting.begin(ctx.region, name, deployment.delete(hosting, ctx.region, name))
    return {}


@operation("DescribeEndpoint")
async def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the endpoint, its variants, and the deployment in progress."""
    return describe_endpoint(_endpoint(ctx, params["EndpointName"]))


@operation("ListEndpoints")
async def list_endpoints(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the endpoints of a region."""
    members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    return common.page(
        ctx.app.store.list(ENDPOINT, ctx.region),
        params,
        name_key="EndpointName",
        status_key="EndpointStatus",
        summary=lambda item: {member: item[member] for member in members},
        result_key="Endpoints",
    )


def _endpoint(ctx: Context, name: str) -> dict[str, Any]:
    return common.require(ctx, ENDPOINT, name, f'Could not find endpoint "{common.arn(ctx, "endpoint", name)}".')


def _changeable(ctx: Context, name: str) -> dict[str, Any]:
    document = _endpoint(ctx, name)
    if document["EndpointStatus"] in _IN_PROGRESS:
        raise ValidationException(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
    return document


def _config(ctx: Context, name: str) -> dict[str, Any]:
    config = common.require(
        ctx, ENDPOINT_CONFIG, name, f'Could not find endpoint configuration "{common.arn(ctx, ENDPOINT_CONFIG, name)}".'
    )
    if "ExplainerConfig" in config:
        raise ValidationException(
            f"Endpoint configuration {name} has an ExplainerConfig, and sagemaker-emulator has no explainer."
        )
    for variant in config["ProductionVariants"]:
        if "ModelName" not in variant:
            raise ValidationException(
                f"Variant {variant['VariantName']} of endpoint configuration {name} names no model: sagemaker-emulator "
                "does not implement inference components."
            )
    return config


def _models(ctx: Context, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = [
        variant["ModelName"] for variant in [*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])]
    ]
    return {
        name: common.require(ctx, MODEL, name, f'Could not find model "{common.arn(ctx, MODEL, name)}".')
        for name in names
    }


def _deployment_config(params: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = params.get("DeploymentConfig", {})
    if not params.get("RetainDeploymentConfig"):
        return given
    if given:
        raise ValidationException("DeploymentConfig and RetainDeploymentConfig=true exclude each other.")
    last: dict[str, Any] = document.get("LastDeploymentConfig", {})
    return last


def _instance_count(config: dict[str, Any]) -> int:
    counts: list[int] = [variant.get("InitialInstanceCount", 1) for variant in config["ProductionVariants"]]
    return max(1, *counts)

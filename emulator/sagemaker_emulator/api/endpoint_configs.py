"""Endpoint configurations: which models an endpoint serves, on what, with which share of the traffic.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.api.models import MODEL
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.operations import Context, operation

ENDPOINT_CONFIG = "endpoint-config"


@operation("CreateEndpointConfig")
async def create_endpoint_config(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Check the variants and keep the configuration."""
    name = params["EndpointConfigName"]
    config_arn = common.arn(ctx, ENDPOINT_CONFIG, name)
    variants = [*params["ProductionVariants"], *params.get("ShadowProductionVariants", [])]
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise ValidationException(f"Variant names must be unique within an endpoint configuration: {', '.join(names)}.")
    for variant in variants:
        _check_variant(ctx, variant)
        variant.setdefault("InitialVariantWeight", 1.0)
    if not any(variant["InitialVariantWeight"] > 0 for variant in params["ProductionVariants"]):
        raise ValidationException("At least one production variant must have an InitialVariantWeight greater than 0.")
    if "AsyncInferenceConfig" in params and any("ServerlessConfig" in variant for variant in variants):
        raise ValidationException("AsyncInferenceConfig and ServerlessConfig exclude each other.")
    if role_arn := params.get("ExecutionRoleArn"):
        ctx.app.aws.check_service_role(ctx, role_arn)
    document = {
        **params,
        "EndpointConfigArn": config_arn,
        "CreationTime": ctx.app.clock.now(),
        "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
    }
    try:
        ctx.app.store.insert(ENDPOINT_CONFIG, ctx.region, name, document)
    except KeyError as error:
        raise ValidationException(f'Cannot create already existing endpoint configuration "{config_arn}".') from error
    return {"EndpointConfigArn": config_arn}


@operation("DescribeEndpointConfig")
async def describe_endpoint_config(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a configuration."""
    return _require(ctx, params["EndpointConfigName"])


@operation("ListEndpointConfigs")
async def list_endpoint_configs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the configurations of a region."""
    members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
    return common.page(
        ctx.app.store.list(ENDPOINT_CONFIG, ctx.region),
        params,
        name_key="EndpointConfigName",
        summary=lambda item: {member: item[member] for member in members},
        result_key="EndpointConfigs",
    )


@operation("DeleteEndpointConfig")
async def delete_endpoint_config(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a configuration; endpoints made from it keep serving."""
    _require(ctx, params["EndpointConfigName"])
    ctx.app.store.delete(ENDPOINT_CONFIG, ctx.region, params["EndpointConfigName"])
    return {}


def _require(ctx: Context, name: str) -> dict[str, Any]:
    config_arn = common.arn(ctx, ENDPOINT_CONFIG, name)
    return common.require(ctx, ENDPOINT_CONFIG, name, f'Could not find endpoint configuration "{config_arn}".')


def _check_variant(ctx: Context, variant: dict[str, Any]) -> None:
    name = variant["VariantName"]
    model_name = variant.get("ModelName")
    if model_name is not None and ctx.app.store.get(MODEL, ctx.region, model_name) is None:
        raise ValidationException(f'Could not find model "{common.arn(ctx, MODEL, model_name)}".')
    if "ServerlessConfig" in variant:
        for excluded in ("InstanceType", "InitialInstanceCount", "AcceleratorType"):
            if excluded in variant:
                raise ValidationException(f"Variant {name}: {excluded} cannot be specified with ServerlessConfig.")
        return
    if "InstancePools" in variant:
        raise ValidationException(
            f"Variant {name}: sagemaker-emulator does not implement InstancePools; specify InstanceType."
        )
    if "InstanceType" not in variant:
        raise ValidationException(f"Variant {name} must specify InstanceType, or ServerlessConfig.")
    if model_name is not None and "InitialInstanceCount" not in variant:
        raise ValidationException(f"Variant {name} must specify InitialInstanceCount.")

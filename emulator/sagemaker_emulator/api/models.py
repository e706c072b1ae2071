"""Models: one container, or an inference pipeline of up to fifteen.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
"""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_emulator.api import common
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.operations import Context, operation
from sagemaker_emulator.runtime import s3_transfer

MODEL = "model"


@operation("CreateModel")
async def create_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Check the containers and what they point to, and keep the model."""
    name = params["ModelName"]
    model_arn = common.arn(ctx, MODEL, name)
    containers = _containers(params)
    for container in containers:
        _check_container(container)
    _check_pipeline(params, containers)
    role_arn = params.get("ExecutionRoleArn", "")
    if role_arn:
        ctx.app.aws.check_service_role(ctx, role_arn)
    for container in containers:
        await _check_model_data(ctx, container, role_arn)
    document = {
        **params,
        "ModelArn": model_arn,
        "CreationTime": ctx.app.clock.now(),
        "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
    }
    try:
        ctx.app.store.insert(MODEL, ctx.region, name, document)
    except KeyError as error:
        raise ValidationException(f'Cannot create already existing model "{model_arn}".') from error
    return {"ModelArn": model_arn}


@operation("DescribeModel")
async def describe_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a model."""
    document = _require(ctx, params["ModelName"])
    for container in _containers(document):
        # As AWS answers it: a container that was given no mode is a single model.
        container.setdefault("Mode", "SingleModel")
    return document


@operation("ListModels")
async def list_models(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the models of a region."""
    return common.page(
        ctx.app.store.list(MODEL, ctx.region),
        params,
        name_key="ModelName",
        summary=lambda item: {member: item[member] for member in ("ModelName", "ModelArn", "CreationTime")},
        result_key="Models",
    )


@operation("DeleteModel")
async def delete_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a model; endpoints that serve it keep serving."""
    _require(ctx, params["ModelName"])
    ctx.app.store.delete(MODEL, ctx.region, params["ModelName"])
    return {}


def _require(ctx: Context, name: str) -> dict[str, Any]:
    return common.require(ctx, MODEL, name, f'Could not find model "{common.arn(ctx, MODEL, name)}".')


def _containers(params: dict[str, Any]) -> list[dict[str, Any]]:
    primary, several = params.get("PrimaryContainer"), params.get("Containers")
    if primary is not None and several is not None:
        raise ValidationException("Only one of PrimaryContainer and Containers can be specified; both were.")
    if primary is not None:
        return [primary]
    if not several:
        raise ValidationException("One of PrimaryContainer and Containers must be specified; neither was.")
    return list(several)


def _check_container(container: dict[str, Any]) -> None:
    if "ModelPackageName" in container:
        raise ValidationException(
            f"ModelPackageName {container['ModelPackageName']}: sagemaker-emulator has no model packages; "
            "give Image and ModelDataUrl."
        )
    if "Image" not in container:
        raise ValidationException("A container definition must specify Image or ModelPackageName; it has neither.")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise ValidationException("Only one of ModelDataUrl and ModelDataSource can be specified; both were.")
    is_multi_model = container.get("Mode") == "MultiModel"
    if is_multi_model and not ("ModelDataUrl" in container or "ModelDataSource" in container):
        raise ValidationException(
            "A container with Mode MultiModel must specify ModelDataUrl, the S3 prefix of its models."
        )
    if not is_multi_model and "MultiModelConfig" in container:
        raise ValidationException("MultiModelConfig requires a container with Mode MultiModel.")


def _check_pipeline(params: dict[str, Any], containers: list[dict[str, Any]]) -> None:
    hostnames = [container["ContainerHostname"] for container in containers if "ContainerHostname" in container]
    if len(set(hostnames)) < len(hostnames):
        raise ValidationException(f"ContainerHostname must be unique within a model: {', '.join(hostnames)}.")
    mode = params.get("InferenceExecutionConfig", {}).get("Mode")
    if mode == "Direct" and len(hostnames) < len(containers):
        raise ValidationException(
            "Each container of a model with InferenceExecutionConfig Mode Direct must specify ContainerHostname; "
            "invocations name it."
        )


async def _check_model_data(ctx: Context, container: dict[str, Any], role_arn: str) -> None:
    url = container.get("ModelDataUrl", "")
    # The models under a multi-model prefix come and go while the endpoint serves.
    if not url or container.get("Mode") == "MultiModel":
        return
    try:
        bucket, key = s3_transfer.parse_uri(url)
        s3 = await asyncio.to_thread(ctx.app.aws.client, "s3", ctx.region, role_arn)
        await asyncio.to_thread(s3.head_object, Bucket=bucket, Key=key)
    except (s3_transfer.TransferError, PermissionError, ClientError) as error:
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "404":
            raise ValidationException(f"Could not find model data at {url}.") from error
        raise ValidationException(
            f'Could not access model data at {url}. Please ensure that the role "{role_arn}" exists and that its trust '
            'relationship policy allows the action "sts:AssumeRole" for the service principal '
            '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the object '
            f"is located in {ctx.region}. ({error})"
        ) from error

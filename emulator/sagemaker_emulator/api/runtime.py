"""The runtime API: InvokeEndpoint, InvokeEndpointWithResponseStream, InvokeEndpointAsync.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Runtime.html
"""

from __future__ import annotations

import time
from typing import Any

from sagemaker_emulator.hosting.endpoint import LiveEndpoint
from sagemaker_emulator.hosting.event_stream import encode_payload
from sagemaker_emulator.hosting.invocation import Answer, Invocation, endpoint_not_found, validation_error
from sagemaker_emulator.operations import Context, operation

RUNTIME = "sagemaker-runtime"

_NOT_IMPLEMENTED = {
    "EnableExplanations": "explanations",
    "InferenceComponentName": "inference components",
}
_PASSED_ON = {
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    "SessionId": "X-Amzn-SageMaker-Session-Id",
    "TargetModel": "X-Amzn-SageMaker-Target-Model",
}
_ANSWERED = {
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "NewSessionId": "X-Amzn-SageMaker-New-Session-Id",
    "ClosedSessionId": "X-Amzn-SageMaker-Closed-Session-Id",
}
_DEFAULT_ACCEPT = "*/*"
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


@operation("InvokeEndpoint", service=RUNTIME)
async def invoke_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Send a payload through a variant's containers and answer theirs."""
    answer = await _invoke(ctx, params)
    result: dict[str, Any] = {
        "Body": answer.body,
        "ContentType": answer.content_type,
        "InvokedProductionVariant": answer.variant_name,
    }
    for member, header in _ANSWERED.items():
        if (value := answer.headers.get(header)) is not None:
            result[member] = value
    return result


@operation("InvokeEndpointWithResponseStream", service=RUNTIME)
async def invoke_endpoint_with_response_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer as an event stream, once the container has answered: its chunks are not passed on one by one."""
    answer = await _invoke(ctx, params)
    return {
        "Body": encode_payload(answer.body),
        "ContentType": answer.content_type,
        "InvokedProductionVariant": answer.variant_name,
        "CustomAttributes": answer.headers.get(_ANSWERED["CustomAttributes"]),
    }


@operation("InvokeEndpointAsync", service=RUNTIME)
async def invoke_endpoint_async(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Queue a payload that lies in S3, or comes with the request; the answer says where the result will be."""
    endpoint = await _endpoint(ctx, params)
    if not endpoint.async_inference_config:
        raise validation_error(
            f"Endpoint {params['EndpointName']} is not configured for asynchronous inference; use InvokeEndpoint."
        )
    if ("InputLocation" in params) == bool(params.get("Body")):
        raise validation_error("Exactly one of InputLocation and Body must be given.")
    return ctx.app.hosting.async_inference.accept(ctx, endpoint, params, _passed_on(params))


async def _invoke(ctx: Context, params: dict[str, Any]) -> Answer:
    received_at = time.perf_counter()
    endpoint = await _endpoint(ctx, params)
    if endpoint.async_inference_config:
        raise validation_error(
            f"Endpoint {params['EndpointName']} is configured for asynchronous inference; use InvokeEndpointAsync."
        )
    invocation = Invocation(
        body=params["Body"],
        content_type=params.get("ContentType") or _DEFAULT_CONTENT_TYPE,
        accept=params.get("Accept") or _DEFAULT_ACCEPT,
        target_model=params.get("TargetModel", ""),
        target_variant=params.get("TargetVariant", ""),
        target_container_hostname=params.get("TargetContainerHostname", ""),
        inference_id=params.get("InferenceId", ""),
        headers=_passed_on(params),
        received_at=received_at,
    )
    return await endpoint.invoke(invocation, ctx.request_id)


async def _endpoint(ctx: Context, params: dict[str, Any]) -> LiveEndpoint:
    name = params["EndpointName"]
    hosting = ctx.app.hosting
    endpoint = hosting.find(ctx.region, name) or await hosting.find_recovering(ctx.region, name)
    if endpoint is None:
        raise endpoint_not_found(name, ctx.account_id)
    for member, feature in _NOT_IMPLEMENTED.items():
        if member in params:
            raise validation_error(f"{member} is not supported: sagemaker-emulator does not implement {feature}.")
    return endpoint


def _passed_on(params: dict[str, Any]) -> dict[str, str]:
    return {header: params[member] for member, header in _PASSED_ON.items() if member in params}

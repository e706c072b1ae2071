"""What goes through an endpoint and comes out of it, and the errors of the runtime API in AWS's wording.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sagemaker_emulator.errors import ApiError, ModelError

INVOCATION_TIMEOUT_SECONDS = 60.0
"""How long a container may take (the InvokeEndpoint page)."""
_SHOWN_BODY_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request to an endpoint.

    Attributes:
        body: The payload.
        content_type: Its media type.
        accept: The media type asked for.
        target_model: Which archive of a multi-model container; empty for other endpoints.
        target_variant: Which variant, instead of one by weight; may be empty.
        target_container_hostname: Which container of a Direct pipeline; may be empty.
        inference_id: The caller's identifier of the request; may be empty.
        headers: Further headers for the container.
        timeout_seconds: How long the containers may take.
        received_at: ``time.perf_counter()`` when the request arrived; OverheadLatency counts from it.
    """

    body: bytes
    content_type: str
    accept: str
    target_model: str = ""
    target_variant: str = ""
    target_container_hostname: str = ""
    inference_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = INVOCATION_TIMEOUT_SECONDS
    received_at: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers.

    Attributes:
        body: The payload.
        content_type: Its media type.
        variant_name: Which variant answered.
        headers: The container's headers; names in any case.
    """

    body: bytes
    content_type: str
    variant_name: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """Where an endpoint is: what its errors and logs name.

    Attributes:
        partition: Such as ``aws``.
        region: Such as ``us-east-1``.
        account_id: Twelve digits.
        name: The endpoint's name.
    """

    partition: str
    region: str
    account_id: str
    name: str

    @property
    def log_group(self) -> str:
        """The CloudWatch log group of its containers."""
        return f"/aws/sagemaker/Endpoints/{self.name}"

    @property
    def log_group_arn(self) -> str:
        """The ARN of that group."""
        return f"arn:{self.partition}:logs:{self.region}:{self.account_id}:log-group:{self.log_group}"


def validation_error(message: str) -> ApiError:
    """A request the endpoint cannot take; the runtime API calls it ``ValidationError``."""
    return ApiError("ValidationError", message)


def endpoint_not_found(name: str, account_id: str) -> ApiError:
    """There is no endpoint of that name in service."""
    return validation_error(f"Endpoint {name} of account {account_id} not found.")


def target_model_missing(request_id: str) -> ApiError:
    """A multi-model endpoint was invoked without ``TargetModel``."""
    return validation_error(f"Request {request_id} is missing a target model header.")


def target_model_not_supported(endpoint_name: str) -> ApiError:
    """An endpoint that is not multi-model was invoked with ``TargetModel``."""
    return validation_error(
        f"Endpoint {endpoint_name} is not a multi-model endpoint and does not support target model header."
    )


def model_data_missing(bucket: str, key: str) -> ApiError:
    """The archive of a target model is not there, or the model's role may not read it."""
    return validation_error(
        f"Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that there is an object located "
        "at the URL and that the role passed to CreateModel has permissions to download the model."
    )


def model_data_invalid(bucket: str, key: str) -> ApiError:
    """The archive of a target model cannot be unpacked."""
    return validation_error(
        f"Failed to extract model data archive(bucket: {bucket}, key: {key}). Please ensure that the object located "
        "at the URL is a valid tar.gz archive."
    )


def model_error(address: EndpointAddress, container: str, status: int, message: str) -> ModelError:
    """A container answered other than 2xx.

    Args:
        address: The endpoint.
        container: The container's name: ``primary``, or its hostname in a pipeline.
        status: Its HTTP status; 0 when no answer came in time.
        message: Its body.
    """
    kind = "client" if 400 <= status < 500 else "server"
    shown = message[:_SHOWN_BODY_CHARACTERS]
    return ModelError(
        f'Received {kind} error ({status}) from {container} with message "{shown}". '
        f"See https://{address.region}.console.aws.amazon.com/cloudwatch/home?region={address.region}"
        f"#logEventViewer:group={address.log_group} in account {address.account_id} for more information.",
        status,
        message,
        address.log_group_arn,
    )


def invocation_timed_out(address: EndpointAddress, container: str) -> ModelError:
    """A container did not answer in time."""
    return model_error(
        address,
        container,
        0,
        f"Your invocation timed out while waiting for a response from container {container}. Review the latency "
        "metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
    )

"""Does the work of a Task state: calls the operation as the execution role and, with ``.sync``, waits for its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_emulator.aws_access import STATES_PRINCIPAL
from sagemaker_emulator.service_model import ServiceModel
from sagemaker_emulator.workflows import integrations
from sagemaker_emulator.workflows.failures import RUNTIME, TASK_FAILED, TIMEOUT, StateFailure
from sagemaker_emulator.workflows.integrations import Integration, Sync

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.workflows.history import Track

_FIRST_POLL_SECONDS = 0.1
_POLL_GROWTH = 1.5
_LONGEST_POLL_SECONDS = 2.0
# Step Functions tags what it starts and waits for; its role therefore needs sagemaker:AddTags.
_MANAGED_TAG = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}


class TaskRunner:
    """Runs the tasks of one execution.

    Args:
        app: The application.
        region: The state machine's region.
        role_arn: The execution role.

    Attributes:
        stops_jobs: Whether a task that is cancelled ends what it waits for; false when the emulator itself ends.
    """

    def __init__(self, app: App, region: str, role_arn: str) -> None:
        self.stops_jobs = True
        self._app = app
        self._region = region
        self._role_arn = role_arn

    async def run(self, resource: str, parameters: Any, timeout_seconds: float | None, track: Track) -> Any:
        """Do a task's work.

        Args:
            resource: The state's resource.
            parameters: Its effective input, as the state machine spells it.
            timeout_seconds: How long it may take; None for no limit.
            track: Where its events go.

        Returns:
            The task's result.

        Raises:
            StateFailure: The call was refused, what it started failed, or the time was over.
        """
        integration = integrations.find(resource)
        common = {"resourceType": integration.resource_type, "resource": integration.resource}
        timeout = {} if timeout_seconds is None else {"timeoutInSeconds": int(timeout_seconds)}
        shown = json.dumps(parameters, separators=(",", ":"))
        track.add("TaskScheduled", **common, region=integration.region or self._region, parameters=shown, **timeout)
        track.add("TaskStarted", **common)
        try:
            async with asyncio.timeout(timeout_seconds):
                result = await self._do(integration, parameters, common, track)
        except TimeoutError as error:
            track.add("TaskTimedOut", **common, error=TIMEOUT)
            raise StateFailure(TIMEOUT) from error
        except StateFailure as failure:
            track.add("TaskFailed", **common, error=failure.error, cause=failure.cause)
            raise
        track.add("TaskSucceeded", **common, output=result)
        return result

    async def _do(self, integration: Integration, parameters: Any, common: dict[str, str], track: Track) -> Any:
        if integration.function_arn:
            request = {"FunctionName": integration.function_arn, "Payload": json.dumps(parameters)}
            payload: Any = (await self._invoke(integration, request))["Payload"]
            return payload
        service = integrations.model(integration.service)
        input_shape = service.operations[integration.operation].input_shape
        request = _request(service, input_shape, parameters if input_shape else {})
        if integration.service == "lambda" and integration.operation == "Invoke":
            return await self._invoke(integration, request)
        if integration.sync is None:
            return _result(await self._call(integration, integration.operation, request), integration.is_sdk)
        if integration.service == "sagemaker":
            request["Tags"] = [*request.get("Tags", []), _MANAGED_TAG]
        return await self._start_and_wait(integration, integration.sync, request, common, track)

    async def _start_and_wait(
        self, integration: Integration, sync: Sync, request: dict[str, Any], common: dict[str, str], track: Track
    ) -> Any:
        starting = asyncio.ensure_future(self._call(integration, integration.operation, request))
        try:
            # Shielded: what a cancelled call may yet have started has to be stopped.
            answer = await asyncio.shield(starting)
            track.add("TaskSubmitted", **common, output=_result(answer, is_sdk=False))
            description = await self._wait(integration, sync, request, answer)
        except asyncio.CancelledError:
            with contextlib.suppress(StateFailure):
                answer = await starting
                if self.stops_jobs:
                    await self._call(integration, sync.stop, sync.stop_parameters(request, answer))
            raise
        result = _result(description, is_sdk=False)
        if description[sync.status] != sync.succeeded:
            raise StateFailure(TASK_FAILED, json.dumps(result, separators=(",", ":")))
        if integration.parses_output:
            result = {**result, "Output": json.loads(result.get("Output", "null"))}
        return result

    async def _wait(
        self, integration: Integration, sync: Sync, request: dict[str, Any], answer: Mapping[str, Any]
    ) -> dict[str, Any]:
        seconds = _FIRST_POLL_SECONDS
        while True:
            described = await self._call(integration, sync.describe, sync.describe_parameters(request, answer))
            description: dict[str, Any] = described[sync.member] if sync.member else described
            if description[sync.status] not in sync.running:
                return description
            await self._app.clock.sleep(seconds)
            seconds = min(seconds * _POLL_GROWTH, _LONGEST_POLL_SECONDS)

    async def _invoke(self, integration: Integration, request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = _result(await self._call(integration, "Invoke", request), is_sdk=False)
        if payload := answer.get("Payload"):
            with contextlib.suppress(ValueError):
                answer["Payload"] = json.loads(payload)
        if answer.pop("FunctionError", None):
            payload = answer.get("Payload")
            name = payload.get("errorType") if isinstance(payload, dict) else None
            raise StateFailure(name or "Lambda.Unknown", json.dumps(payload, separators=(",", ":")))
        return answer

    async def _call(self, integration: Integration, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self._call_blocking, integration, operation, request)

    def _call_blocking(self, integration: Integration, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        region = integration.region or self._region
        client: Any = None
        try:
            client = self._app.aws.client(integration.service, region, self._role_arn, STATES_PRINCIPAL)
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**request)
            for member, value in answer.items():
                if hasattr(value, "read"):
                    answer[member] = value.read()
        except ClientError as error:
            raise _refusal(integration, client, operation, error) from error
        except PermissionError as error:
            raise StateFailure("States.Permissions", str(error)) from error
        except BotoCoreError as error:
            raise StateFailure(RUNTIME, f"{integration.operation}: {error}") from error
        answer.pop("ResponseMetadata", None)
        return answer


def _refusal(integration: Integration, client: Any, operation: str, error: ClientError) -> StateFailure:
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code = details.get("Code", "Unknown")
    modelled = {shape.error_code for shape in client.meta.service_model.operation_model(operation).error_shapes}
    prefix = integration.error_prefix
    if code in modelled:
        name = code if code.endswith("Exception") else f"{code}Exception"
    else:
        name = f"{prefix}Exception" if integration.is_sdk else f"{_sdk_class(prefix)}Exception"
    cause = (
        f"{details.get('Message', '')} (Service: {prefix}; Status Code: {metadata.get('HTTPStatusCode')}; "
        f"Error Code: {code}; Request ID: {metadata.get('RequestId')})"
    )
    return StateFailure(f"{prefix}.{name}", cause)


def _sdk_class(prefix: str) -> str:
    # The optimized integrations are built on the first Java SDK, whose exceptions carry the vendor's name.
    return {"SageMaker": "AmazonSageMaker", "Glue": "AWSGlue", "Lambda": "AWSLambda"}.get(prefix, f"Amazon{prefix}")


def _request(service: ServiceModel, shape_name: str, value: Any) -> Any:
    """Return parameters as botocore takes them: names as the service spells them, JSON where it has text."""
    if not shape_name:
        return value
    shape = service.shape(shape_name)
    if shape.type == "structure" and isinstance(value, dict):
        spelled = {integrations.capitalised(member): member for member in shape.members}
        unknown = sorted(name for name in value if name not in spelled and name not in shape.members)
        if unknown:
            raise StateFailure(RUNTIME, f"The field '{unknown[0]}' is not supported by Step Functions.")
        given = ((spelled.get(str(name), str(name)), item) for name, item in value.items())
        return {name: _request(service, shape.members[name].shape, item) for name, item in given}
    if shape.type == "list" and isinstance(value, list):
        return [_request(service, shape.item, item) for item in value]
    if shape.type == "map" and isinstance(value, dict):
        return {name: _request(service, shape.item, item) for name, item in value.items()}
    if shape.type in ("string", "blob") and not isinstance(value, str | bytes) and isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    if shape.type == "blob" and not isinstance(value, str | bytes):
        return json.dumps(value)
    return value


def _result(value: Any, is_sdk: bool) -> Any:
    """Return an answer as a state gets it: names capitalised, times as text, or as milliseconds where optimized."""
    if isinstance(value, dict):
        return {integrations.capitalised(str(name)): _result(item, is_sdk) for name, item in value.items()}
    if isinstance(value, list):
        return [_result(item, is_sdk) for item in value]
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z") if is_sdk else round(moment.timestamp() * 1000)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value

"""Asynchronous inference: a queue in the store, workers per endpoint, input and output in S3.

An accepted request is in the store before it is acknowledged and leaves it when its result lies in S3, so requests
survive a killed emulator; one that was being worked on then is worked on again.

https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.hosting.endpoint import LiveEndpoint
from sagemaker_emulator.hosting.invocation import Answer, Invocation, validation_error
from sagemaker_emulator.runtime import s3_transfer

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.operations import Context

ASYNC_INVOCATION = "async-invocation"
"""The store's kind of requests that have no result yet."""

# API reference, AsyncInferenceClientConfig and InvokeEndpointAsync.
DEFAULT_CONCURRENCY_PER_INSTANCE = 4
DEFAULT_TTL_SECONDS = 6 * 3600
DEFAULT_INVOCATION_TIMEOUT_SECONDS = 15 * 60

logger = logging.getLogger(__name__)


@dataclass
class _Queue:
    """The requests of one endpoint that nobody works on yet, and who works."""

    waiting: deque[tuple[str, dict[str, Any]]] = field(default_factory=deque)
    workers: set[asyncio.Task[None]] = field(default_factory=set)


class AsyncInference:
    """The queued requests of all asynchronous endpoints.

    Args:
        app: The application; requests left in its store from before a restart are queued again.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._queues: dict[tuple[str, str], _Queue] = {}
        for region, request_id, request in app.store.all(ASYNC_INVOCATION):
            self._queue(region, request["EndpointName"]).waiting.append((request_id, request))

    def accept(
        self, ctx: Context, endpoint: LiveEndpoint, params: dict[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Queue a request.

        Args:
            ctx: The call's context.
            endpoint: An endpoint with an AsyncInferenceConfig.
            params: Of InvokeEndpointAsync.
            headers: Headers for the container.

        Returns:
            What InvokeEndpointAsync answers.

        Raises:
            ApiError: The configuration names no place for the result.
        """
        output = endpoint.async_inference_config["OutputConfig"]
        if "S3OutputPath" not in output:
            raise validation_error(f"Endpoint {endpoint.address.name} has no S3OutputPath in its OutputConfig.")
        request_id = str(uuid.uuid4())
        extension, name = params.get("S3OutputPathExtension", ""), params.get("Filename") or f"{request_id}.out"
        locations = {"OutputLocation": s3_transfer.join_uri(output["S3OutputPath"], extension, name)}
        if failure_path := output.get("S3FailurePath"):
            locations["FailureLocation"] = s3_transfer.join_uri(failure_path, f"{request_id}-error.out")
        request = {
            "EndpointName": endpoint.address.name,
            "InferenceId": params.get("InferenceId") or request_id,
            "InputLocation": params.get("InputLocation", ""),
            "Body": base64.b64encode(params.get("Body", b"")).decode(),
            "ContentType": params.get("ContentType", "application/octet-stream"),
            "Accept": params.get("Accept", "*/*"),
            "Headers": dict(headers),
            "KmsKeyId": output.get("KmsKeyId", ""),
            "ReceivedTime": ctx.app.clock.now(),
            "TtlSeconds": params.get("RequestTTLSeconds", DEFAULT_TTL_SECONDS),
            "TimeoutSeconds": params.get("InvocationTimeoutSeconds", DEFAULT_INVOCATION_TIMEOUT_SECONDS),
            **locations,
        }
        self._app.store.insert(ASYNC_INVOCATION, ctx.region, request_id, request)
        self._queue(ctx.region, endpoint.address.name).waiting.append((request_id, request))
        self.work(endpoint)
        return {"InferenceId": request["InferenceId"], **locations}

    def work(self, endpoint: LiveEndpoint) -> None:
        """Start as many workers for an endpoint as its queue needs and its configuration allows."""
        queue = self._queue(endpoint.address.region, endpoint.address.name)
        for _ in range(min(len(queue.waiting), _concurrency(endpoint) - len(queue.workers))):
            worker = asyncio.create_task(self._work_off(endpoint, queue))
            queue.workers.add(worker)
            worker.add_done_callback(queue.workers.discard)

    async def forget(self, region: str, endpoint_name: str) -> None:
        """Drop the requests of an endpoint that is being deleted."""
        queue = self._queues.pop((region, endpoint_name), None)
        if queue is not None:
            await _cancel(queue.workers)
            for its_region, request_id, request in self._app.store.all(ASYNC_INVOCATION):
                if (its_region, request["EndpointName"]) == (region, endpoint_name):
                    self._app.store.delete(ASYNC_INVOCATION, region, request_id)

    async def stop(self) -> None:
        """End the workers; what they worked on stays in the store."""
        await _cancel({worker for queue in self._queues.values() for worker in queue.workers})

    def _queue(self, region: str, endpoint_name: str) -> _Queue:
        return self._queues.setdefault((region, endpoint_name), _Queue())

    async def _work_off(self, endpoint: LiveEndpoint, queue: _Queue) -> None:
        while queue.waiting:
            request_id, request = queue.waiting.popleft()
            try:
                await self._process(endpoint, request)
            except Exception:
                # Neither the result nor the failure could be written: nothing more can be done for this request.
                logger.exception("Asynchronous invocation %s of %s", request_id, endpoint.address.name)
            self._app.store.delete(ASYNC_INVOCATION, endpoint.address.region, request_id)

    async def _process(self, endpoint: LiveEndpoint, request: dict[str, Any]) -> None:
        try:
            answer = await self._invoke(endpoint, request)
            await self._write(endpoint, request["OutputLocation"], answer.body, answer.content_type, request)
        except (ApiError, s3_transfer.TransferError) as error:
            reason = str(error)
            if location := request.get("FailureLocation"):
                await self._write(endpoint, location, reason.encode(), "text/plain", request)
            await self._notify(endpoint, request, "ErrorTopic", {"invocationStatus": "Failed", "failureReason": reason})
            return
        result = {"contentType": answer.content_type, "outputLocation": request["OutputLocation"]}
        await self._notify(
            endpoint, request, "SuccessTopic", {"invocationStatus": "Completed", "responseParameters": result}
        )

    async def _invoke(self, endpoint: LiveEndpoint, request: dict[str, Any]) -> Answer:
        received: datetime = request["ReceivedTime"]
        ttl_seconds = request["TtlSeconds"]
        if self._app.clock.now() > received + timedelta(seconds=ttl_seconds):
            raise validation_error(f"The request was queued for longer than its time to live, {ttl_seconds} seconds.")
        body = base64.b64decode(request["Body"])
        if request["InputLocation"]:
            s3 = await self._client("s3", endpoint)
            body = await asyncio.to_thread(s3_transfer.read_object, s3, request["InputLocation"])
        invocation = Invocation(
            body=body,
            content_type=request["ContentType"],
            accept=request["Accept"],
            inference_id=request["InferenceId"],
            headers=request["Headers"],
            timeout_seconds=request["TimeoutSeconds"],
        )
        return await endpoint.invoke(invocation, request["InferenceId"])

    async def _write(
        self, endpoint: LiveEndpoint, uri: str, body: bytes, content_type: str, request: dict[str, Any]
    ) -> None:
        bucket, key = s3_transfer.parse_uri(uri)
        encryption = {}
        if request["KmsKeyId"]:
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": request["KmsKeyId"]}
        s3 = await self._client("s3", endpoint)
        try:
            await asyncio.to_thread(
                s3.put_object, Bucket=bucket, Key=key, Body=body, ContentType=content_type, **encryption
            )
        except (ClientError, BotoCoreError) as error:
            raise s3_transfer.TransferError(f"Unable to write {uri}: {error}") from error

    async def _notify(
        self, endpoint: LiveEndpoint, request: dict[str, Any], topic: str, outcome: dict[str, Any]
    ) -> None:
        """Publish to the SNS topic of the configuration; a topic that cannot be reached costs a line in the log."""
        output = endpoint.async_inference_config["OutputConfig"]
        topic_arn = output.get("NotificationConfig", {}).get(topic)
        if not topic_arn:
            return
        message = {
            "awsRegion": endpoint.address.region,
            "eventTime": self._app.clock.now().isoformat(),
            "receivedTime": request["ReceivedTime"].isoformat(),
            "requestParameters": {
                "contentType": request["ContentType"],
                "endpointName": endpoint.address.name,
                "inputLocation": request["InputLocation"],
            },
            "inferenceId": request["InferenceId"],
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
            **outcome,
        }
        sns = await self._client("sns", endpoint)
        try:
            await asyncio.to_thread(sns.publish, TopicArn=topic_arn, Message=json.dumps(message))
        except (ClientError, BotoCoreError) as error:
            logger.warning("Endpoint %s cannot publish to %s: %s", endpoint.address.name, topic_arn, error)

    async def _client(self, service: str, endpoint: LiveEndpoint) -> Any:
        role_arn = endpoint.fleet.production[0].role_arn
        return await asyncio.to_thread(self._app.aws.client, service, endpoint.address.region, role_arn)


def _concurrency(endpoint: LiveEndpoint) -> int:
    client_config = endpoint.async_inference_config.get("ClientConfig", {})
    per_instance = client_config.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY_PER_INSTANCE)
    return int(per_instance) * max(1, endpoint.fleet.production[0].instance_count)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)

"""The started containers of one model: a single one, or a serial or direct inference pipeline.

Endpoints and transform jobs both serve models with it. What a multi-model container has loaded is not decided here:
whoever starts the containers gives ``invoke_target_model``, which loads the model and forwards the invocation.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from sagemaker_emulator.hosting.model_container import (
    INVOCATION_TIMEOUT_SECONDS,
    PING_TIMEOUT_SECONDS,
    STOP_GRACE_SECONDS,
    ContainerUnreachableError,
    ModelContainer,
    ModelStartError,
    Response,
    start_container,
    wait_until_healthy,
)

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

__all__ = [
    "ContainerUnreachableError",
    "InvokeTargetModel",
    "ModelContainer",
    "ModelContainers",
    "ModelStartError",
    "Response",
    "container_definitions",
]

InvokeTargetModel = Callable[[ModelContainer, str, bytes, Mapping[str, str]], Awaitable[Response]]
"""Has (container, target model, body, headers): makes sure the model is loaded, and invokes it."""


class ModelContainers:
    """The started containers of one model.

    Attributes:
        containers: In the order of the pipeline.
        is_direct: Whether a pipeline's containers are invoked one by one by their host name.
    """

    def __init__(
        self,
        containers: list[ModelContainer],
        http: aiohttp.ClientSession,
        work_dir: Path,
        *,
        is_direct: bool,
        invoke_target_model: InvokeTargetModel | None,
    ) -> None:
        self.containers = containers
        self.is_direct = is_direct
        self._http = http
        self._work_dir = work_dir
        self._invoke_target_model = invoke_target_model

    @classmethod
    async def start(
        cls,
        app: App,
        region: str,
        model: dict[str, Any],
        *,
        work_dir: Path,
        log_group: str,
        log_stream_prefix: str,
        startup_timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        invoke_target_model: InvokeTargetModel | None = None,
    ) -> ModelContainers:
        """Download the model data, start every container and wait until all answer their health check.

        Args:
            app: The application.
            region: The region of the model.
            model: The model's document, as DescribeModel answers it.
            work_dir: A folder for the containers; removed by :meth:`stop`.
            log_group: The log group of the endpoint or job.
            log_stream_prefix: Name of the log stream; a pipeline appends the container's name.
            startup_timeout_seconds: Time for all of it.
            environment: Set in every container, over the model's own environment.
            invoke_target_model: Serves the target models of multi-model containers.

        Raises:
            ModelStartError: A container cannot be started or did not become healthy.
        """
        definitions = container_definitions(model)
        http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        started: list[ModelContainer] = []
        self = cls(
            started,
            http,
            work_dir,
            is_direct=model.get("InferenceExecutionConfig", {}).get("Mode") == "Direct",
            invoke_target_model=invoke_target_model,
        )

        try:
            async with asyncio.timeout(startup_timeout_seconds):
                for position, definition in enumerate(definitions):
                    name = definition.get("ContainerHostname") or f"container-{position + 1}"
                    started.append(
                        await start_container(
                            app,
                            region,
                            definition,
                            name=name,
                            role_arn=model.get("ExecutionRoleArn", ""),
                            folder=work_dir / name,
                            log_group=log_group,
                            log_stream=log_stream_prefix if len(definitions) == 1 else f"{log_stream_prefix}/{name}",
                            environment=environment or {},
                            http=http,
                        )
                    )
                await asyncio.gather(*(wait_until_healthy(container) for container in started))
        except TimeoutError as error:
            await self.stop(grace_seconds=0)
            names = ", ".join(container.name for container in started) or "the container"
            raise ModelStartError(
                f"{names} did not pass the ping health check within {startup_timeout_seconds:g} s",
                started[0].name if started else "container-1",
                did_not_ping=True,
            ) from error
        except BaseException:
            await self.stop(grace_seconds=0)
            raise
        return self

    async def invoke(
        self,
        body: bytes,
        *,
        content_type: str,
        accept: str,
        target_model: str = "",
        container_hostname: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = INVOCATION_TIMEOUT_SECONDS,
    ) -> Response:
        """Send a payload through the pipeline, or to one container of a direct one.

        The answer of a container that is not 2xx ends the pipeline and is returned as it is.

        Args:
            body: The payload.
            content_type: Its MIME type.
            accept: The MIME type the last container should answer; empty leaves it to the container.
            target_model: The model of a multi-model container.
            container_hostname: The container of a direct pipeline; its first when empty.
            headers: Further headers for every container, such as the custom attributes.
            timeout_seconds: How long each container has; target models have their own limit.

        Raises:
            ContainerUnreachableError: A container closed the connection or did not answer in time.
            LookupError: No container has that host name.
        """
        stages = self.containers
        if self.is_direct or container_hostname:
            stages = [self._named(container_hostname)]
        response = Response(200, body, content_type)
        for position, container in enumerate(stages):
            sent = dict(headers or {})
            if response.content_type:
                sent["Content-Type"] = response.content_type
            # Only the last container sees the client's Accept; the ones before answer in their own default format.
            if accept and position == len(stages) - 1:
                sent["Accept"] = accept
            if container.is_multi_model and target_model and self._invoke_target_model:
                response = await self._invoke_target_model(container, target_model, response.body, sent)
            else:
                response = await container.request("POST", "/invocations", response.body, sent, timeout_seconds)
            if not response.is_success:
                break
        return response

    async def execution_parameters(self) -> dict[str, Any]:
        """Return what the first container answers to ``GET /execution-parameters``; empty when it has no such page."""
        try:
            response = await self.containers[0].request(
                "GET", "/execution-parameters", timeout_seconds=PING_TIMEOUT_SECONDS
            )
            parameters = json.loads(response.body) if response.is_success else {}
        except (ContainerUnreachableError, ValueError):
            return {}
        return parameters if isinstance(parameters, dict) else {}

    async def wait_until_one_exits(self) -> tuple[ModelContainer, int]:
        """Return the first container whose program ends, and its exit code."""
        waits = {asyncio.create_task(container.process.wait()): container for container in self.containers}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            task = done.pop()
            return waits[task], task.result()
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """End all programs, send the rest of their logs and remove their folders."""
        await asyncio.gather(*(container.stop(grace_seconds) for container in self.containers))
        await self._http.close()
        await asyncio.to_thread(shutil.rmtree, self._work_dir, ignore_errors=True)

    def _named(self, container_hostname: str) -> ModelContainer:
        if not container_hostname:
            return self.containers[0]
        for container in self.containers:
            if container.definition.get("ContainerHostname") == container_hostname:
                return container
        raise LookupError(f"The model has no container with the host name {container_hostname!r}")


def container_definitions(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ContainerDefinitions of a model, in the order of its pipeline."""
    primary = model.get("PrimaryContainer")
    return [primary] if primary else list(model.get("Containers") or ())

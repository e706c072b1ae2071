"""The started containers of one model: a single one, or a serial or direct inference pipeline.

Endpoints and transform jobs both serve models with it. What a multi-model container has loaded is not decided here:
whoever starts the containers gives ``invoke_target_model``, which loads the model and forwards the invocation.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from sagemaker_emulator.runtime import ports, s3_transfer
from sagemaker_emulator.runtime.images import UnknownImageError
from sagemaker_emulator.runtime.log_stream import LogStream
from sagemaker_emulator.runtime.processes import ContainerProcess, owner_environment

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

# Amazon SageMaker Developer Guide, "How Containers Serve Requests": the container has 60 s, a ping 2 s.
INVOCATION_TIMEOUT_SECONDS = 60.0
STOP_GRACE_SECONDS = 30.0
_PING_TIMEOUT_SECONDS = 2.0
_FIRST_PING_PAUSE_SECONDS = 0.02
_LONGEST_PING_PAUSE_SECONDS = 0.25


class ModelStartError(Exception):
    """The containers of a model cannot serve; nothing of them is left running.

    Args:
        message: What happened, as a sentence.
        container_name: Which container of the model.
        did_not_ping: Whether it ran but did not answer its health check.
    """

    def __init__(self, message: str, container_name: str, *, did_not_ping: bool = False) -> None:
        super().__init__(message)
        self.container_name = container_name
        self.did_not_ping = did_not_ping


class ContainerUnreachableError(Exception):
    """A running model's container closed the connection or did not answer in time.

    Args:
        message: What happened, as a sentence.
        container_name: Which container of the model.
        timed_out: Whether it was too slow.
    """

    def __init__(self, message: str, container_name: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.container_name = container_name
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Response:
    """What a container answered."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    container_name: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class ModelContainer:
    """One started serving container.

    Attributes:
        name: Its ``ContainerHostname``, or ``container-N`` counted from 1.
        definition: Its ContainerDefinition.
        is_multi_model: Whether its ``Mode`` is ``MultiModel``.
        process: The program.
        port: Where it listens on 127.0.0.1.
        model_folder: The folder that is its ``/opt/ml/model``.
        log: Its log stream.
    """

    def __init__(
        self,
        name: str,
        definition: dict[str, Any],
        process: ContainerProcess,
        port: int,
        log: LogStream,
        http: aiohttp.ClientSession,
    ) -> None:
        self.name = name
        self.definition = definition
        self.is_multi_model = definition.get("Mode") == "MultiModel"
        self.process = process
        self.port = port
        self.model_folder = process.base_dir / "model"
        self.log = log
        self._http = http
        self._base_url = f"http://127.0.0.1:{port}"

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = INVOCATION_TIMEOUT_SECONDS,
    ) -> Response:
        """Send the container an HTTP request.

        Raises:
            ContainerUnreachableError: It closed the connection or did not answer in time.
        """
        try:
            async with self._http.request(
                method,
                self._base_url + path,
                data=body,
                headers=headers,
                # Without an Accept header a container falls back to its own default; aiohttp would add */*.
                skip_auto_headers=("Accept", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            ) as answer:
                content = await answer.read()
                content_type = answer.headers.get("Content-Type", "")
                return Response(answer.status, content, content_type, answer.headers, self.name)
        except TimeoutError as error:
            raise ContainerUnreachableError(
                f"Container {self.name} did not answer {method} {path} within {timeout_seconds:g} s",
                self.name,
                timed_out=True,
            ) from error
        except aiohttp.ClientError as error:
            raise ContainerUnreachableError(
                f"Container {self.name} closed the connection of {method} {path}: {error}", self.name
            ) from error

    async def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """End the program, and send the rest of its log."""
        await self.process.stop(grace_seconds)
        ports.release_port(self.port)
        await self.log.close()


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

        async def start_container(position: int, definition: dict[str, Any]) -> ModelContainer:
            name = definition.get("ContainerHostname") or f"container-{position + 1}"
            stream = log_stream_prefix if len(definitions) == 1 else f"{log_stream_prefix}/{name}"
            log = LogStream(app, region, log_group, stream)
            try:
                return await _start_container(
                    app, region, model, definition, name, work_dir / name, log, http, environment or {}
                )
            except BaseException:
                await log.close()
                raise

        try:
            async with asyncio.timeout(startup_timeout_seconds):
                for position, definition in enumerate(definitions):
                    started.append(await start_container(position, definition))
                await asyncio.gather(*(_wait_until_healthy(container) for container in started))
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
                "GET", "/execution-parameters", timeout_seconds=_PING_TIMEOUT_SECONDS
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


async def _start_container(
    app: App,
    region: str,
    model: dict[str, Any],
    definition: dict[str, Any],
    name: str,
    folder: Path,
    log: LogStream,
    http: aiohttp.ClientSession,
    environment: Mapping[str, str],
) -> ModelContainer:
    try:
        image = app.images.resolve(definition.get("Image", ""))
    except UnknownImageError as error:
        raise ModelStartError(f"Cannot pull the image of container {name}: {error}", name) from error
    if not image.serve:
        raise ModelStartError(f"The image {image.name} of container {name} has no program that serves a model", name)
    base_dir, home = folder / "ml", folder / "home"
    for made in (base_dir / "model", base_dir / "input" / "config", home):
        made.mkdir(parents=True, exist_ok=True)
    role_arn = model.get("ExecutionRoleArn", "")
    if definition.get("Mode") != "MultiModel":
        s3 = await asyncio.to_thread(app.aws.client, "s3", region, role_arn)
        try:
            await asyncio.to_thread(_download_model_data, s3, definition, base_dir / "model")
        except s3_transfer.TransferError as error:
            raise ModelStartError(_model_data_message(name, definition, error), name) from error
    port = ports.reserve_port()
    env = {
        **owner_environment(app.settings.state_dir),
        "HOME": str(home),
        **await asyncio.to_thread(app.aws.container_credentials, region, role_arn),
        **definition.get("Environment", {}),
        **environment,
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
        "SAGEMAKER_MULTI_MODEL": "true" if definition.get("Mode") == "MultiModel" else "false",
    }
    try:
        process = await ContainerProcess.start(
            image.serve, base_dir=base_dir, env=env, on_line=log.write, working_directory=image.working_directory
        )
    except OSError as error:
        ports.release_port(port)
        raise ModelStartError(f"Cannot start {' '.join(image.serve)} for container {name}: {error}", name) from error
    return ModelContainer(name, definition, process, port, log, http)


def _download_model_data(s3: Any, definition: dict[str, Any], folder: Path) -> None:
    source = definition.get("ModelDataSource", {}).get("S3DataSource", {})
    uri = definition.get("ModelDataUrl") or source.get("S3Uri", "")
    if not uri:
        return
    if source.get("S3DataType") == "S3Prefix" or source.get("CompressionType") == "None":
        if not s3_transfer.download_prefix(s3, uri, folder):
            raise s3_transfer.TransferError(f"No objects found under {uri}")
    else:
        s3_transfer.download_archive(s3, uri, folder)


def _model_data_message(name: str, definition: dict[str, Any], error: s3_transfer.TransferError) -> str:
    uri = definition.get("ModelDataUrl") or definition.get("ModelDataSource", {}).get("S3DataSource", {}).get(
        "S3Uri", ""
    )
    if isinstance(error, s3_transfer.ArchiveError):
        return (
            f'Failed to extract model data archive for container "{name}" from URL "{uri}". Please ensure that the '
            f"object located at the URL is a valid tar.gz archive. ({error})"
        )
    return f'Failed to download model data for container "{name}" from URL: "{uri}". {error}'


async def _wait_until_healthy(container: ModelContainer) -> None:
    exited = asyncio.create_task(container.process.wait())
    healthy = asyncio.create_task(_ping_until_healthy(container))
    try:
        await asyncio.wait((exited, healthy), return_when=asyncio.FIRST_COMPLETED)
        if not healthy.done():
            raise ModelStartError(
                f"Container {container.name} ended with exit code {exited.result()} before it answered a ping",
                container.name,
                did_not_ping=True,
            )
    finally:
        for task in (exited, healthy):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _ping_until_healthy(container: ModelContainer) -> None:
    pause_seconds = _FIRST_PING_PAUSE_SECONDS
    while True:
        with contextlib.suppress(ContainerUnreachableError):
            if (await container.request("GET", "/ping", timeout_seconds=_PING_TIMEOUT_SECONDS)).status == 200:
                return
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.3, _LONGEST_PING_PAUSE_SECONDS)

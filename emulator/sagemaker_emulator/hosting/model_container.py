"""One started serving container: its program, its requests, its health.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
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
PING_TIMEOUT_SECONDS = 2.0
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


async def start_container(
    app: App,
    region: str,
    definition: dict[str, Any],
    *,
    name: str,
    role_arn: str,
    folder: Path,
    log_group: str,
    log_stream: str,
    environment: Mapping[str, str],
    http: aiohttp.ClientSession,
) -> ModelContainer:
    """Download the model data and start the program that serves it, without waiting for its health.

    Args:
        app: The application.
        region: The region of the model.
        definition: The ContainerDefinition.
        name: The container's name.
        role_arn: The model's execution role.
        folder: A folder of the container's own.
        log_group: Where its output goes.
        log_stream: The stream there.
        environment: Set over the definition's own.
        http: Sends the requests.

    Raises:
        ModelStartError: The image is unknown, the role cannot be assumed, the model data cannot be had, or the program
            cannot be started.
    """
    try:
        image = app.images.resolve(definition.get("Image", ""))
    except UnknownImageError as error:
        raise ModelStartError(f"Cannot pull the image of container {name}: {error}", name) from error
    if not image.serve:
        raise ModelStartError(f"The image {image.name} of container {name} has no program that serves a model", name)
    try:
        await asyncio.to_thread(app.aws.check_image_pull, region, role_arn, definition.get("Image", ""))
    except PermissionError as error:
        raise ModelStartError(f"Cannot pull the image of container {name}: {error}", name) from error
    base_dir, home = folder / "ml", folder / "home"
    for made in (base_dir / "model", base_dir / "input" / "config", home):
        made.mkdir(parents=True, exist_ok=True)
    try:
        aws_environment = await asyncio.to_thread(app.aws.container_environment, region, role_arn)
        if definition.get("Mode") != "MultiModel":
            s3 = await asyncio.to_thread(app.aws.client, "s3", region, role_arn)
            await asyncio.to_thread(_download_model_data, s3, definition, base_dir / "model")
    except s3_transfer.TransferError as error:
        raise ModelStartError(_model_data_message(name, definition, error), name) from error
    except PermissionError as error:
        raise ModelStartError(f"Cannot start container {name}: {error}", name) from error
    port = ports.reserve_port()
    log = LogStream(app, region, log_group, log_stream, role_arn)
    try:
        process = await ContainerProcess.start(
            image.serve,
            base_dir=base_dir,
            env={
                **owner_environment(app.settings.state_dir),
                "HOME": str(home),
                **aws_environment,
                **definition.get("Environment", {}),
                **environment,
                "SAGEMAKER_BIND_TO_PORT": str(port),
                "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
                "SAGEMAKER_MULTI_MODEL": "true" if definition.get("Mode") == "MultiModel" else "false",
            },
            on_line=log.write,
            working_directory=image.working_directory,
        )
    except BaseException as error:
        ports.release_port(port)
        await log.close()
        if isinstance(error, OSError):
            command = " ".join(image.serve)
            raise ModelStartError(f"Cannot start {command} for container {name}: {error}", name) from error
        raise
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


async def wait_until_healthy(container: ModelContainer) -> None:
    """Ping a container until it answers 200.

    Raises:
        ModelStartError: Its program ended before.
    """
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
            if (await container.request("GET", "/ping", timeout_seconds=PING_TIMEOUT_SECONDS)).status == 200:
                return
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.3, _LONGEST_PING_PAUSE_SECONDS)

"""One running variant of an endpoint: its containers, its limits, and the metrics of every invocation."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.errors import ApiError, ModelError, ServiceUnavailable, ThrottlingException
from sagemaker_emulator.hosting.instances import DEFAULT_VOLUME_GIB, GIB, MIB, memory_bytes
from sagemaker_emulator.hosting.invocation import (
    Answer,
    EndpointAddress,
    Invocation,
    invocation_timed_out,
    model_error,
    target_model_missing,
    target_model_not_supported,
    validation_error,
)
from sagemaker_emulator.hosting.metrics import VariantMetrics
from sagemaker_emulator.hosting.model_container import (
    ContainerUnreachableError,
    ModelContainer,
    ModelStartError,
    Response,
)
from sagemaker_emulator.hosting.model_containers import ModelContainers, container_definitions
from sagemaker_emulator.hosting.multi_model import ModelCache, ModelLoadError
from sagemaker_emulator.hosting.multi_model_container import open_model_cache
from sagemaker_emulator.hosting.utilization import ProcessUtilization

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

STARTUP_TIMEOUT_SECONDS = 480
"""For model download, start and first ping when the variant does not say: AWS gives a container 8 minutes to answer."""
_MICROSECONDS = 1_000_000
_FIRST_RESTART_PAUSE_SECONDS = 1.0
_LONGEST_RESTART_PAUSE_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    """What the running invocation tells its target models, and they tell it.

    Attributes:
        timeout_seconds: How long a container may take.
        load_wait_seconds: How long it waited for target models: overhead, not the model's time.
    """

    timeout_seconds: float
    load_wait_seconds: float = 0.0


_running: ContextVar[_Running] = ContextVar("running")


class Variant:
    """A production or shadow variant that serves.

    One set of processes stands for all instances of the variant: the instance count is recorded, and divides
    ``InvocationsPerInstance``, but does not multiply processes.

    Attributes:
        name: ``VariantName``.
        model_name: Its model.
        weight: Its share of the traffic relative to the others; changed while it runs.
        instance_count: How many instances it is said to have; changed while it runs.
        max_concurrency: Invocations at a time of a serverless variant; 0 is unlimited. Changed while it runs.
        in_flight: Invocations that have not ended.
        metrics: What it has recorded for CloudWatch.
        utilization_due: When the instance metrics are to be recorded next, on the clock that never goes backwards.
        role_arn: The model's execution role.
        is_multi_model: Whether it has a container in ``MultiModel`` mode.
    """

    def __init__(self, app: App, address: EndpointAddress, definition: dict[str, Any], model: dict[str, Any]) -> None:
        self.name: str = definition["VariantName"]
        self.model_name: str = definition["ModelName"]
        self.definition = definition
        self.weight = float(definition.get("InitialVariantWeight", 1.0))
        self.instance_count = int(definition.get("InitialInstanceCount", 1))
        self.max_concurrency = int(definition.get("ServerlessConfig", {}).get("MaxConcurrency", 0))
        self.in_flight = 0
        self.metrics = VariantMetrics(address.region, address.name, self.name)
        self.role_arn: str = model.get("ExecutionRoleArn", "")
        self.is_multi_model = any(one.get("Mode") == "MultiModel" for one in container_definitions(model))
        self._app = app
        self._address = address
        self._model = model
        self._containers: ModelContainers | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._caches: dict[str, ModelCache] = {}
        self._utilization = ProcessUtilization()
        self._recorded_models: tuple[float, ...] = ()
        self.utilization_due = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self, work_dir: Path, instance_id: str) -> None:
        """Start the containers and wait until they are healthy; from then on a program that ends is started again.

        Args:
            work_dir: A folder of its own.
            instance_id: Names the log stream: ``{variant}/{instance_id}``.

        Raises:
            ModelStartError: They cannot be started; nothing is left running.
        """
        await self._start_containers(work_dir, instance_id)
        self._supervisor = asyncio.create_task(self._keep_running(work_dir, instance_id))

    async def _start_containers(self, work_dir: Path, instance_id: str) -> None:
        containers = await ModelContainers.start(
            self._app,
            self._address.region,
            self._model,
            work_dir=work_dir / "containers",
            log_group=self._address.log_group,
            log_stream_prefix=f"{self.name}/{instance_id}",
            startup_timeout_seconds=self.definition.get(
                "ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_TIMEOUT_SECONDS
            ),
            invoke_target_model=self._invoke_target_model,
        )
        self._caches = {
            container.name: open_model_cache(
                self._app,
                self._address.region,
                container,
                role_arn=self.role_arn,
                memory_bytes=self._memory_bytes(),
                volume_gib=self.definition.get("VolumeSizeInGB", 0),
                folder=work_dir / "containers" / container.name / "models",
                observe=self.metrics.record,
            )
            for container in containers.containers
            if container.is_multi_model
        }
        self._containers = containers

    async def _keep_running(self, work_dir: Path, instance_id: str) -> None:
        """Start the containers anew whenever one of their programs ends, as an instance does."""
        pause_seconds = _FIRST_RESTART_PAUSE_SECONDS
        while True:
            if self._containers is not None:
                container, exit_code = await self._containers.wait_until_one_exits()
                logger.warning(
                    "Endpoint %s: container %s of variant %s ended with exit code %d; starting it again",
                    self._address.name, container.name, self.name, exit_code,
                )  # fmt: skip
                await self._stop_containers()
            try:
                await self._start_containers(work_dir, instance_id)
                pause_seconds = _FIRST_RESTART_PAUSE_SECONDS
            except ModelStartError:
                logger.exception("Endpoint %s: variant %s cannot be started again", self._address.name, self.name)
                await self._app.clock.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_RESTART_PAUSE_SECONDS)

    async def invoke(self, invocation: Invocation, request_id: str) -> Answer:
        """Send a payload through the variant's containers.

        Args:
            invocation: The request.
            request_id: Named in errors.

        Raises:
            ApiError: The request does not fit the endpoint, or a container did not answer 2xx.
        """
        record = self.metrics.record
        started = time.perf_counter()
        if self.max_concurrency and self.in_flight >= self.max_concurrency:
            record("Invocation4XXErrors", 1)
            raise ThrottlingException(
                f"Endpoint {self._address.name} has {self.in_flight} invocations running, "
                f"its MaxConcurrency. Try again later."
            )
        self._check(invocation, request_id)
        record("Invocations", 1)
        record("InvocationsPerInstance", 1 / max(1, self.instance_count))
        running = _Running(invocation.timeout_seconds)
        token = _running.set(running)
        self.in_flight += 1
        self._idle.clear()
        client_error = server_error = 0
        failed = 1
        try:
            response = await self._respond(invocation)
            failed = 0
        except ModelError as error:
            client_error = int(400 <= error.members["OriginalStatusCode"] < 500)
            server_error = 1 - client_error
            raise
        except ApiError as error:
            # Not the model's failure: the target model's archive is wrong, or the containers are starting again.
            client_error, failed = int(error.http_status < 500), 0
            server_error = 1 - client_error
            raise
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()
            _running.reset(token)
            ended = time.perf_counter()
            model_seconds = ended - started - running.load_wait_seconds
            record("ModelLatency", model_seconds * _MICROSECONDS)
            record("OverheadLatency", (ended - invocation.received_at - model_seconds) * _MICROSECONDS)
            record("Invocation4XXErrors", client_error)
            record("Invocation5XXErrors", server_error)
            record("InvocationModelErrors", failed)
        return Answer(response.body, response.content_type, self.name, response.headers)

    async def drain(self, timeout_seconds: float) -> None:
        """Wait until no invocation is running, but not longer than that."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    async def stop(self) -> None:
        """End the containers."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        await self._stop_containers()

    async def _stop_containers(self) -> None:
        containers, self._containers = self._containers, None
        caches, self._caches = self._caches, {}
        for cache in caches.values():
            await cache.close()
        if containers is not None:
            await containers.stop()

    def record_models(self) -> None:
        """Record how many models a multi-model variant holds and what they count, when that has changed."""
        held = (
            sum(cache.loaded_model_count for cache in self._caches.values()),
            max((cache.memory_utilization_percent for cache in self._caches.values()), default=0.0),
        )
        if self._caches and held != self._recorded_models:
            self._recorded_models = held
            self.metrics.record("LoadedModelCount", held[0])
            self.metrics.record("MemoryUtilization", held[1])

    def record_utilization(self) -> None:
        """Record the instance metrics. Looks at processes: call it in a thread.

        The memory utilisation of a multi-model variant is the share of the budget its loaded models count for, by
        which it unloads; that of any other is what its processes hold of the instance's memory.
        """
        if self._containers is None or not self._utilization.look(
            container.process.pid for container in self._containers.containers
        ):
            return
        self.metrics.record("CPUUtilization", self._utilization.cpu_percent())
        volume_bytes = self.definition.get("VolumeSizeInGB", DEFAULT_VOLUME_GIB) * GIB
        unpacked_bytes = sum(cache.disk_bytes for cache in self._caches.values())
        self.metrics.record("DiskUtilization", 100.0 * unpacked_bytes / volume_bytes)
        if self._caches:
            self._recorded_models = ()
            self.record_models()
        else:
            resident_bytes = self._utilization.resident_bytes()
            self.metrics.record("MemoryUtilization", 100.0 * resident_bytes / self._memory_bytes())

    def _memory_bytes(self) -> int:
        if serverless := self.definition.get("ServerlessConfig"):
            return int(serverless["MemorySizeInMB"]) * MIB
        return memory_bytes(self.definition["InstanceType"])

    def _check(self, invocation: Invocation, request_id: str) -> None:
        name = self._address.name
        if invocation.target_model and not self.is_multi_model:
            raise target_model_not_supported(name)
        if self.is_multi_model and not invocation.target_model:
            raise target_model_missing(request_id)
        is_direct = self._model.get("InferenceExecutionConfig", {}).get("Mode") == "Direct"
        if is_direct and not invocation.target_container_hostname:
            raise validation_error(
                f"Endpoint {name} invokes its containers directly; the request {request_id} is missing a target "
                "container hostname header."
            )
        if invocation.target_container_hostname and not is_direct:
            raise validation_error(
                f"Endpoint {name} is not a multi-container endpoint with direct invocation and does not support the "
                "target container hostname header."
            )

    async def _respond(self, invocation: Invocation) -> Response:
        if self._containers is None:
            raise ServiceUnavailable(f"The containers of variant {self.name} are being started again. Try again later.")
        is_pipeline = len(self._containers.containers) > 1
        try:
            async with asyncio.timeout(invocation.timeout_seconds):
                response = await self._containers.invoke(
                    invocation.body,
                    content_type=invocation.content_type,
                    accept=invocation.accept,
                    target_model=invocation.target_model,
                    container_hostname=invocation.target_container_hostname,
                    headers=invocation.headers,
                    timeout_seconds=invocation.timeout_seconds,
                )
        except TimeoutError as error:
            name = self._containers.containers[-1].name if is_pipeline else "primary"
            raise invocation_timed_out(self._address, name) from error
        except ContainerUnreachableError as error:
            name = error.container_name if is_pipeline else "primary"
            if error.timed_out:
                raise invocation_timed_out(self._address, name) from error
            raise model_error(self._address, name, 0, str(error)) from error
        except ModelLoadError as error:
            raise model_error(self._address, "model", error.status, error.message) from error
        except LookupError as error:
            raise validation_error(f"Endpoint {self._address.name}: {error}") from error
        if not response.is_success:
            name = response.container_name if is_pipeline else "primary"
            raise model_error(self._address, name, response.status, response.body.decode(errors="replace"))
        return response

    async def _invoke_target_model(
        self, container: ModelContainer, target_model: str, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        running = _running.get()
        started = time.perf_counter()
        async with self._caches[container.name].use(target_model) as model:
            running.load_wait_seconds += time.perf_counter() - started
            path = f"/models/{model.model_name}/invoke"
            return await container.request("POST", path, body, headers, running.timeout_seconds)

"""All endpoints of the emulator: which are live, what is being done to them, their metrics, and their way back up."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.hosting import data_capture
from sagemaker_emulator.hosting.async_inference import AsyncInference
from sagemaker_emulator.hosting.data_capture import DataCapture
from sagemaker_emulator.hosting.deployment_record import ENDPOINT
from sagemaker_emulator.hosting.endpoint import LiveEndpoint
from sagemaker_emulator.hosting.fleet import Fleet
from sagemaker_emulator.hosting.invocation import INVOCATION_TIMEOUT_SECONDS, EndpointAddress
from sagemaker_emulator.hosting.metrics import FLUSH_INTERVAL_SECONDS, MetricPublisher

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

UTILIZATION_INTERVAL_SECONDS = 30.0
"""How often CPU, disk and memory are looked at; AWS does once a minute."""
RECOVERY_TIMEOUT_SECONDS = 60.0
"""How long an invocation waits for an endpoint that comes up again after a restart of the emulator."""

logger = logging.getLogger(__name__)


class Hosting:
    """The running endpoints of the emulator.

    Args:
        app: The application.
        chooser: Picks variants by weight; give a seeded one to make that repeatable.

    Attributes:
        app: The application.
        chooser: See above.
        async_inference: The queues of asynchronous endpoints.
    """

    def __init__(self, app: App, chooser: random.Random | None = None) -> None:
        self.app = app
        self.chooser = chooser or random.Random()  # noqa: S311 - it balances load
        self._live: dict[tuple[str, str], LiveEndpoint] = {}
        self._captures: dict[tuple[str, str], DataCapture] = {}
        self._work: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._publisher = MetricPublisher(app)
        self.async_inference = AsyncInference(app)
        self._metrics_task: asyncio.Task[None] | None = None

    def find(self, region: str, name: str) -> LiveEndpoint | None:
        """Return a live endpoint, or None when none of that name serves."""
        return self._live.get((region, name))

    async def find_recovering(self, region: str, name: str) -> LiveEndpoint | None:
        """Return a live endpoint, waiting for one that is coming up again after a restart of the emulator."""
        document = self.app.store.get(ENDPOINT, region, name)
        work = self._work.get((region, name))
        if document is not None and "Active" in document and work is not None:
            # The work may go on after the endpoint is live (an update resumed): look again and again until either ends.
            deadline = self.app.clock.monotonic() + RECOVERY_TIMEOUT_SECONDS
            while not work.done() and self.app.clock.monotonic() < deadline and (region, name) not in self._live:
                await asyncio.wait([work], timeout=0.05)
        return self._live.get((region, name))

    def address(self, region: str, document: dict[str, Any]) -> EndpointAddress:
        """Return the address of an endpoint from its document."""
        _, partition, _, _, account_id, _ = document["EndpointArn"].split(":", 5)
        return EndpointAddress(partition, region, account_id, document["EndpointName"])

    def go_live(self, address: EndpointAddress, fleet: Fleet, config: dict[str, Any]) -> LiveEndpoint:
        """Let a started fleet serve as an endpoint."""
        endpoint = LiveEndpoint(address, fleet, config, self.chooser)
        self._live[address.region, address.name] = endpoint
        self._capture_data(endpoint, config)
        self.async_inference.work(endpoint)
        return endpoint

    def _capture_data(self, endpoint: LiveEndpoint, config: dict[str, Any]) -> None:
        address = endpoint.address
        endpoint.after_invocation.clear()
        if data_capture.is_enabled(config):
            role_arn = endpoint.fleet.production[0].role_arn
            capture = DataCapture(self.app, address, config["DataCaptureConfig"], role_arn, self.chooser)
            self._captures[address.region, address.name] = capture
            endpoint.after_invocation.append(capture.record)

    async def change_data_capture(self, endpoint: LiveEndpoint, config: dict[str, Any]) -> None:
        """Capture data as another configuration says, which may be not at all; ends the files of the one before."""
        ended = self._captures.pop((endpoint.address.region, endpoint.address.name), None)
        self._capture_data(endpoint, config)
        if ended is not None:
            await ended.flush()

    async def flush_captured_data(self, region: str, name: str) -> None:
        """Bring to S3 what an endpoint has captured so far."""
        if capture := self._captures.get((region, name)):
            await capture.flush()

    async def take_down(self, region: str, name: str) -> None:
        """End an endpoint's service: no new invocations, the running ones end, metrics are sent, containers stop."""
        endpoint = self._live.pop((region, name), None)
        await self.async_inference.forget(region, name)
        if endpoint is None:
            return
        await asyncio.gather(*(self.retire(fleet) for fleet in endpoint.fleets))
        await self.flush_captured_data(region, name)
        self._captures.pop((region, name), None)
        await self._publisher.flush(endpoint.unsent_metrics())

    async def retire(self, fleet: Fleet) -> None:
        """Let the running invocations of a fleet end, then stop it; goes on when the caller is cancelled."""
        task = asyncio.create_task(self._retire(fleet))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        await asyncio.shield(task)

    async def _retire(self, fleet: Fleet) -> None:
        waits = [
            asyncio.create_task(fleet.drain(INVOCATION_TIMEOUT_SECONDS)),
            asyncio.create_task(self._stopping.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await fleet.stop()

    def begin(self, region: str, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a deployment or deletion in the background; each endpoint has one at a time."""
        task = asyncio.create_task(work, name=f"endpoint {region}/{name}")
        self._work[region, name] = task
        task.add_done_callback(lambda done: self._forget(region, name, done))

    def _forget(self, region: str, name: str, done: asyncio.Task[None]) -> None:
        # The next work may have begun already.
        if self._work.get((region, name)) is done:
            del self._work[region, name]

    async def start(self) -> None:
        """Start the metrics, and bring every endpoint back to where it was when the emulator ended."""
        from sagemaker_emulator.hosting import deployment  # it works on a Hosting

        self._metrics_task = asyncio.create_task(self._send_metrics())
        await asyncio.to_thread(shutil.rmtree, self.app.settings.state_dir / "endpoints", ignore_errors=True)
        for region, name, document in self.app.store.all(ENDPOINT):
            if document["EndpointStatus"] != "Failed":
                self.begin(region, name, deployment.resume(self, region, name))

    async def stop(self) -> None:
        """End all containers; the endpoints' documents stay, and :meth:`start` brings them up again."""
        self._stopping.set()
        work = list(self._work.values())
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await self.async_inference.stop()
        if self._metrics_task is not None:
            self._metrics_task.cancel()
            await asyncio.gather(self._metrics_task, return_exceptions=True)
        endpoints = list(self._live.values())
        self._live.clear()
        await self._publisher.flush([metrics for endpoint in endpoints for metrics in endpoint.unsent_metrics()])
        await asyncio.gather(*(self.retire(fleet) for endpoint in endpoints for fleet in endpoint.fleets))
        await asyncio.gather(*self._retiring)
        await asyncio.gather(*(capture.flush() for capture in self._captures.values()))

    async def _send_metrics(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_SECONDS)
            endpoints = list(self._live.values())
            now = self.app.clock.monotonic()
            for variant in (one for endpoint in endpoints for fleet in endpoint.fleets for one in fleet.variants):
                variant.record_models()
                if now >= variant.utilization_due:
                    variant.utilization_due = now + UTILIZATION_INTERVAL_SECONDS
                    await asyncio.to_thread(variant.record_utilization)
            await self._publisher.flush([metrics for endpoint in endpoints for metrics in endpoint.unsent_metrics()])

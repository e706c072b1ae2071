"""The running variants of one endpoint configuration. An update runs two fleets beside each other."""

from __future__ import annotations

import asyncio
import random
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.hosting.invocation import EndpointAddress
from sagemaker_emulator.hosting.model_container import ModelStartError
from sagemaker_emulator.hosting.variant import Variant

if TYPE_CHECKING:
    from sagemaker_emulator.app import App


class FleetStartError(Exception):
    """A variant could not be started; the message is a FailureReason in AWS's wording."""


class Fleet:
    """The variants of one endpoint configuration.

    Attributes:
        production: They share the traffic by weight.
        shadows: They get a copy of the traffic; their answers are dropped.
    """

    def __init__(self, production: list[Variant], shadows: list[Variant], work_dir: Path) -> None:
        self.production = production
        self.shadows = shadows
        self._work_dir = work_dir
        self._by_name = {variant.name: variant for variant in production}

    @classmethod
    async def start(cls, app: App, address: EndpointAddress, deployment: dict[str, Any]) -> Fleet:
        """Start all variants at once and wait until all are healthy.

        Args:
            app: The application.
            address: The endpoint.
            deployment: What is deployed, as :mod:`.deployment_record` makes it.

        Raises:
            FleetStartError: A variant cannot be started; nothing is left running.
        """
        instance_id = f"i-{uuid.uuid4().hex[:17]}"
        work_dir = app.settings.state_dir / "endpoints" / address.region / address.name / instance_id
        config, models = deployment["Config"], deployment["Models"]
        production = [Variant(app, address, one, models[one["ModelName"]]) for one in config["ProductionVariants"]]
        shadows = [
            Variant(app, address, one, models[one["ModelName"]]) for one in config.get("ShadowProductionVariants", ())
        ]
        fleet = cls(production, shadows, work_dir)
        starts = [
            asyncio.create_task(variant.start(work_dir / variant.name, instance_id)) for variant in fleet.variants
        ]
        try:
            outcomes = await asyncio.gather(*starts, return_exceptions=True)
        except asyncio.CancelledError:
            await asyncio.gather(*starts, return_exceptions=True)
            await fleet.stop()
            raise
        for variant, outcome in zip(fleet.variants, outcomes, strict=True):
            if outcome is None:
                continue
            await fleet.stop()
            if isinstance(outcome, ModelStartError):
                raise FleetStartError(_failure_reason(outcome, variant.name, models[variant.model_name]))
            raise outcome
        fleet.apply_capacities(deployment["Variants"])
        return fleet

    def apply_capacities(self, summaries: Iterable[dict[str, Any]]) -> None:
        """Take over the current weights, instance counts and concurrencies of variant summaries."""
        variants = {variant.name: variant for variant in self.variants}
        for summary in summaries:
            variant = variants[summary["VariantName"]]
            variant.weight = summary["CurrentWeight"]
            variant.instance_count = summary.get("CurrentInstanceCount", 1)
            variant.max_concurrency = summary.get("CurrentServerlessConfig", {}).get("MaxConcurrency", 0)

    @property
    def variants(self) -> list[Variant]:
        """All variants, production and shadow."""
        return [*self.production, *self.shadows]

    def variant(self, name: str) -> Variant | None:
        """Return the production variant of that name."""
        return self._by_name.get(name)

    def choose(self, chooser: random.Random) -> Variant:
        """Return a production variant, at random by weight."""
        if len(self.production) == 1:
            return self.production[0]
        weights = [variant.weight for variant in self.production]
        # All weights zero: AWS documents no answer; every variant is as good as the other.
        return chooser.choices(self.production, weights if any(weights) else None)[0]

    async def drain(self, timeout_seconds: float) -> None:
        """Wait until no invocation runs, but not longer than that."""
        await asyncio.gather(*(variant.drain(timeout_seconds) for variant in self.variants))

    async def stop(self) -> None:
        """End all containers and remove their folders."""
        await asyncio.gather(*(variant.stop() for variant in self.variants))
        await asyncio.to_thread(shutil.rmtree, self._work_dir, ignore_errors=True)


def _failure_reason(error: ModelStartError, variant_name: str, model: dict[str, Any]) -> str:
    """Say in AWS's words why a variant could not be started."""
    if not error.did_not_ping:
        return str(error)
    container = f"{error.container_name} container" if "Containers" in model else "primary container"
    return (
        f"The {container} for production variant {variant_name} did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )

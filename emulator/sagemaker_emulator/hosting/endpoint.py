"""A live endpoint: the fleets behind it, which share of the traffic each gets, and the way of an invocation."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.hosting.fleet import Fleet
from sagemaker_emulator.hosting.invocation import Answer, EndpointAddress, Invocation, validation_error
from sagemaker_emulator.hosting.metrics import VariantMetrics
from sagemaker_emulator.hosting.variant import Variant

logger = logging.getLogger(__name__)

AfterInvocation = Callable[[EndpointAddress, Invocation, Answer], None]
"""Sees every answered invocation, those of shadow variants too; must not block. What data capture hooks into."""


class LiveEndpoint:
    """The running side of an endpoint.

    Attributes:
        address: The endpoint.
        async_inference_config: ``AsyncInferenceConfig`` of its configuration; empty for a real-time endpoint.
        after_invocation: Called with each answered invocation.
    """

    def __init__(self, address: EndpointAddress, fleet: Fleet, config: dict[str, Any], chooser: random.Random) -> None:
        self.address = address
        self.async_inference_config: dict[str, Any] = config.get("AsyncInferenceConfig", {})
        self.after_invocation: list[AfterInvocation] = []
        self._fleet = fleet
        self._next: Fleet | None = None
        self._next_share = 0.0
        self._chooser = chooser
        self._shadowing: set[asyncio.Task[None]] = set()
        self._unsent: list[VariantMetrics] = []

    @property
    def fleet(self) -> Fleet:
        """The fleet in service."""
        return self._fleet

    @property
    def fleets(self) -> list[Fleet]:
        """The fleet in service and, during an update, the one that will replace it."""
        return [self._fleet] if self._next is None else [self._fleet, self._next]

    async def invoke(self, invocation: Invocation, request_id: str) -> Answer:
        """Send a payload to one variant, by weight or by name, and a copy to the shadow variants.

        Raises:
            ApiError: The request does not fit the endpoint, or the model failed.
        """
        fleet = self._fleet
        if self._next is not None and self._chooser.random() < self._next_share:
            fleet = self._next
        if invocation.target_variant:
            variant = self._named(fleet, invocation.target_variant)
        else:
            variant = fleet.choose(self._chooser)
        if fleet.shadows:
            self._copy_to_shadows(fleet, variant, invocation, request_id)
        return await self._invoke(variant, invocation, request_id)

    async def _invoke(self, variant: Variant, invocation: Invocation, request_id: str) -> Answer:
        answer = await variant.invoke(invocation, request_id)
        for look in self.after_invocation:
            look(self.address, invocation, answer)
        return answer

    def begin_shift(self, fleet: Fleet) -> None:
        """Put a second fleet beside the one in service; it gets no traffic yet."""
        self._next, self._next_share = fleet, 0.0

    def shift(self, share: float) -> None:
        """Give the second fleet that share of the traffic, from 0 to 1."""
        self._next_share = share

    def finish_shift(self, fleet: Fleet, config: dict[str, Any]) -> Fleet:
        """Make a fleet the one in service; returns the one it replaces."""
        replaced, self._fleet = self._fleet, fleet
        self.async_inference_config = config.get("AsyncInferenceConfig", {})
        self._next, self._next_share = None, 0.0
        self._retire(replaced)
        return replaced

    def abandon_shift(self) -> Fleet | None:
        """Give all traffic back to the fleet in service; returns the second one, if there was one."""
        abandoned, self._next, self._next_share = self._next, None, 0.0
        if abandoned is not None:
            self._retire(abandoned)
        return abandoned

    def unsent_metrics(self) -> list[VariantMetrics]:
        """Return the metrics of all variants, those of replaced ones for the last time."""
        retired, self._unsent = self._unsent, []
        return retired + [variant.metrics for fleet in self.fleets for variant in fleet.variants]

    def _retire(self, fleet: Fleet) -> None:
        self._unsent += [variant.metrics for variant in fleet.variants]

    def _named(self, fleet: Fleet, name: str) -> Variant:
        variant = fleet.variant(name) or self._fleet.variant(name)
        if variant is None:
            raise validation_error(f"Variant {name} not found for Endpoint {self.address.name}.")
        return variant

    def _copy_to_shadows(self, fleet: Fleet, variant: Variant, invocation: Invocation, request_id: str) -> None:
        """Send shadow variants their share: a shadow of weight 1 beside a variant of weight 2 sees half of it."""
        for shadow in fleet.shadows:
            if self._chooser.random() * variant.weight < shadow.weight:
                task = asyncio.create_task(self._invoke_shadow(shadow, invocation, request_id))
                self._shadowing.add(task)
                task.add_done_callback(self._shadowing.discard)

    async def _invoke_shadow(self, shadow: Variant, invocation: Invocation, request_id: str) -> None:
        try:
            await self._invoke(shadow, invocation, request_id)
        except ApiError as error:
            logger.info("Shadow variant %s of %s: %s", shadow.name, self.address.name, error.message)

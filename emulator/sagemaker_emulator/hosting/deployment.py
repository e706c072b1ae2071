"""What happens to an endpoint in the background: create, update (blue/green), new capacities, delete, resume.

Each step is in the store before the next begins, so that a killed emulator goes on where it was. An update starts the
new variants beside the old ones, moves the traffic when all are healthy, and only then ends the old ones; when it
fails, the endpoint is ``InService`` with its old configuration and a ``FailureReason``.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sagemaker_emulator.hosting import scalable_targets
from sagemaker_emulator.hosting.deployment_record import ENDPOINT, reach_capacities, set_variant_status
from sagemaker_emulator.hosting.endpoint import LiveEndpoint
from sagemaker_emulator.hosting.fleet import Fleet, FleetStartError
from sagemaker_emulator.hosting.hosting import Hosting
from sagemaker_emulator.hosting.traffic import TrafficPlan, plan_traffic

ALARM_INTERVAL_SECONDS = 5.0
"""How often the alarms of an automatic rollback are looked at while a deployment bakes."""
MAX_REASON_LENGTH = 1024
"""``FailureReason`` of the service model."""

logger = logging.getLogger(__name__)


class _RolledBackError(Exception):
    """The update must be undone; the message is the FailureReason."""


async def create(hosting: Hosting, region: str, name: str) -> None:
    """Start the pending deployment of a new endpoint: ``Creating`` to ``InService`` or ``Failed``."""
    await _guarded(hosting, region, name, _create)


async def update(hosting: Hosting, region: str, name: str) -> None:
    """Replace the active deployment by the pending one: ``Updating`` to ``InService``."""
    await _guarded(hosting, region, name, _update)


async def change_capacities(hosting: Hosting, region: str, name: str) -> None:
    """Make the desired weights and instance counts current: ``Updating`` to ``InService``."""
    await _guarded(hosting, region, name, _change_capacities)


async def delete(hosting: Hosting, region: str, name: str) -> None:
    """Stop an endpoint and forget it."""
    await _guarded(hosting, region, name, _delete)


async def resume(hosting: Hosting, region: str, name: str) -> None:
    """Bring an endpoint back after a restart of the emulator, and finish what was being done to it."""
    await _guarded(hosting, region, name, _resume)


async def _guarded(
    hosting: Hosting, region: str, name: str, work: Callable[[Hosting, str, str], Awaitable[None]]
) -> None:
    """Run a step; a bug in it must not leave an endpoint in a status that never ends."""
    try:
        await work(hosting, region, name)
    except Exception as error:
        logger.exception("Endpoint %s in %s", name, region)
        reason = f"Internal error of sagemaker-emulator, see its log: {error}"
        if endpoint := hosting.find(region, name):
            if abandoned := endpoint.abandon_shift():
                await hosting.retire(abandoned)
            _change(hosting, region, name, EndpointStatus="InService", FailureReason=reason, Pending=None)
        elif hosting.app.store.get(ENDPOINT, region, name) is not None:
            _change(hosting, region, name, EndpointStatus="Failed", FailureReason=reason, Pending=None)


async def _create(hosting: Hosting, region: str, name: str) -> None:
    document = _document(hosting, region, name)
    pending = document["Pending"]
    address = hosting.address(region, document)
    try:
        fleet = await Fleet.start(hosting.app, address, pending)
    except FleetStartError as error:
        _change(hosting, region, name, EndpointStatus="Failed", FailureReason=str(error), Pending=None)
        return
    hosting.go_live(address, fleet, pending["Config"])
    set_variant_status(pending, "", hosting.app.clock.now())
    _change(hosting, region, name, EndpointStatus="InService", Active=pending, Pending=None)


async def _update(hosting: Hosting, region: str, name: str) -> None:
    endpoint = hosting.find(region, name)
    if endpoint is None:
        raise LookupError(f"Endpoint {name} is {_document(hosting, region, name)['EndpointStatus']} but does not serve")
    pending = _document(hosting, region, name)["Pending"]
    instance_count = max(1, *(variant.get("CurrentInstanceCount", 1) for variant in pending["Variants"]))
    plan = plan_traffic(pending["DeploymentConfig"], instance_count)
    try:
        async with asyncio.timeout(plan.timeout_seconds or None):
            fleet = await _shift_traffic(hosting, endpoint, pending, plan)
    except (FleetStartError, _RolledBackError, TimeoutError) as error:
        abandoned = endpoint.abandon_shift()
        if abandoned is not None:
            await hosting.retire(abandoned)
        reason = str(error) or f"The deployment did not end within {plan.timeout_seconds} seconds."
        _change(hosting, region, name, EndpointStatus="InService", FailureReason=reason, Pending=None)
        return
    replaced = endpoint.finish_shift(fleet, pending["Config"])
    set_variant_status(pending, "", hosting.app.clock.now())
    _change(
        hosting,
        region,
        name,
        EndpointConfigName=pending["Config"]["EndpointConfigName"],
        LastDeploymentConfig=pending["DeploymentConfig"] or None,
        FailureReason=None,
        Active=pending,
        Pending=None,
    )
    await hosting.change_data_capture(endpoint, pending["Config"])
    try:
        await hosting.app.clock.sleep(plan.termination_wait_seconds)
    finally:
        await hosting.retire(replaced)
    _change(hosting, region, name, EndpointStatus="InService")


async def _shift_traffic(hosting: Hosting, endpoint: LiveEndpoint, pending: dict[str, Any], plan: TrafficPlan) -> Fleet:
    """Start the new fleet and give it the traffic step by step."""
    address = endpoint.address
    fleet = await Fleet.start(hosting.app, address, pending)
    endpoint.begin_shift(fleet)
    for share in plan.shares:
        _set_pending_status(hosting, address.region, address.name, "ActivatingTraffic")
        endpoint.shift(share)
        _set_pending_status(hosting, address.region, address.name, "Baking")
        await _bake(hosting, address.region, plan)
    return fleet


async def _bake(hosting: Hosting, region: str, plan: TrafficPlan) -> None:
    """Wait between two steps, watching the alarms."""
    left = float(plan.wait_seconds)
    while True:
        if plan.alarm_names:
            alarmed = await asyncio.to_thread(_alarms_in_alarm, hosting, region, plan.alarm_names)
            if alarmed:
                raise _RolledBackError(
                    f"The deployment was rolled back because these CloudWatch alarms are in ALARM: {', '.join(alarmed)}"
                )
        if left <= 0:
            return
        pause = min(left, ALARM_INTERVAL_SECONDS)
        await hosting.app.clock.sleep(pause)
        left -= pause


def _alarms_in_alarm(hosting: Hosting, region: str, names: tuple[str, ...]) -> list[str]:
    client = hosting.app.aws.client("cloudwatch", region)
    alarms = client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    found = alarms.get("MetricAlarms", []) + alarms.get("CompositeAlarms", [])
    return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]


async def _change_capacities(hosting: Hosting, region: str, name: str) -> None:
    active = _document(hosting, region, name)["Active"]
    reach_capacities(active)
    endpoint = hosting.find(region, name)
    if endpoint is not None:
        endpoint.fleet.apply_capacities(active["Variants"])
    _change(hosting, region, name, EndpointStatus="InService", Active=active)


async def _delete(hosting: Hosting, region: str, name: str) -> None:
    await hosting.take_down(region, name)
    scalable_targets.forget_endpoint(hosting.app.store, region, name)
    hosting.app.store.delete(ENDPOINT, region, name)


async def _resume(hosting: Hosting, region: str, name: str) -> None:
    document = _document(hosting, region, name)
    status = document["EndpointStatus"]
    if status == "Deleting":
        await _delete(hosting, region, name)
        return
    if "Active" not in document:
        await _create(hosting, region, name)
        return
    if status == "InService":
        _change(hosting, region, name, EndpointStatus="SystemUpdating")
    address = hosting.address(region, document)
    active = document["Active"]
    try:
        fleet = await Fleet.start(hosting.app, address, active)
    except FleetStartError as error:
        _change(hosting, region, name, EndpointStatus="Failed", FailureReason=str(error), Pending=None)
        return
    hosting.go_live(address, fleet, active["Config"])
    if "Pending" in document:
        await _update(hosting, region, name)
    else:
        await _change_capacities(hosting, region, name)


def _document(hosting: Hosting, region: str, name: str) -> dict[str, Any]:
    document = hosting.app.store.get(ENDPOINT, region, name)
    if document is None:
        raise LookupError(f"Endpoint {name} in {region} is not in the store")
    return document


def _change(hosting: Hosting, region: str, name: str, **members: Any) -> None:
    """Change members of an endpoint's document; None removes one."""
    document = _document(hosting, region, name)
    if reason := members.get("FailureReason"):
        members["FailureReason"] = reason[:MAX_REASON_LENGTH]
    document.update(members)
    document["LastModifiedTime"] = hosting.app.clock.now()
    kept = {key: value for key, value in document.items() if value is not None}
    hosting.app.store.put(ENDPOINT, region, name, kept)


def _set_pending_status(hosting: Hosting, region: str, name: str, status: str) -> None:
    pending = _document(hosting, region, name)["Pending"]
    set_variant_status(pending, status, hosting.app.clock.now())
    _change(hosting, region, name, Pending=pending)

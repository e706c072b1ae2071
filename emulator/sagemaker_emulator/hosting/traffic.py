"""How an update moves traffic to the new fleet: the steps of a DeploymentConfig.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sagemaker_emulator.errors import ValidationException

ALL_AT_ONCE: dict[str, Any] = {
    "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
}
"""What an update without a DeploymentConfig does."""


@dataclass(frozen=True)
class TrafficPlan:
    """The course of a traffic shift.

    Attributes:
        shares: The new fleet's share of the traffic after each step; the last is 1.
        wait_seconds: The baking time after each step, in which alarms are watched.
        termination_wait_seconds: How long the old fleet stays up afterwards.
        timeout_seconds: How long the whole deployment may take; 0 is unlimited.
        alarm_names: CloudWatch alarms that roll the deployment back.
    """

    shares: tuple[float, ...]
    wait_seconds: int
    termination_wait_seconds: int
    timeout_seconds: int
    alarm_names: tuple[str, ...]


def plan_traffic(deployment_config: dict[str, Any], instance_count: int) -> TrafficPlan:
    """Read a DeploymentConfig.

    Args:
        deployment_config: Of CreateEndpoint or UpdateEndpoint; empty means all at once.
        instance_count: Instances of the new fleet, which sizes given as a count are a part of.

    Raises:
        ValidationException: It is contradictory, or asks for a rolling update.
    """
    if "RollingUpdatePolicy" in deployment_config:
        raise ValidationException(
            "sagemaker-emulator runs one set of containers for all instances of a variant, so it has no batches to "
            "roll: use BlueGreenUpdatePolicy instead of RollingUpdatePolicy."
        )
    policy = deployment_config.get("BlueGreenUpdatePolicy") or ALL_AT_ONCE["BlueGreenUpdatePolicy"]
    routing = policy["TrafficRoutingConfiguration"]
    alarms = deployment_config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return TrafficPlan(
        shares=_shares(routing, instance_count),
        wait_seconds=routing["WaitIntervalInSeconds"],
        termination_wait_seconds=policy.get("TerminationWaitInSeconds", 0),
        timeout_seconds=policy.get("MaximumExecutionTimeoutInSeconds", 0),
        alarm_names=tuple(alarm["AlarmName"] for alarm in alarms),
    )


def _shares(routing: dict[str, Any], instance_count: int) -> tuple[float, ...]:
    kind = routing["Type"]
    if kind == "ALL_AT_ONCE":
        return (1.0,)
    size_key = "CanarySize" if kind == "CANARY" else "LinearStepSize"
    size = routing.get(size_key)
    if size is None:
        raise ValidationException(f"TrafficRoutingConfiguration of type {kind} requires {size_key}.")
    step = size["Value"] / (100 if size["Type"] == "CAPACITY_PERCENT" else instance_count)
    smallest = 0.1 if kind == "LINEAR" else 0.0
    if not smallest <= step <= 0.5:
        allowed = "10-50%" if kind == "LINEAR" else "at most 50%"
        raise ValidationException(
            f"{size_key} must be {allowed} of the variant's total instance count ({instance_count}); "
            f"{size['Type']} {size['Value']} is {step:.0%}."
        )
    if kind == "CANARY":
        return (step, 1.0)
    steps = [step * number for number in range(1, int(1 / step) + 1)]
    # The last step takes the rest: 30 % steps are 30, 60, 90, 100.
    return (*(share for share in steps if share < 1.0 - 1e-9), 1.0)

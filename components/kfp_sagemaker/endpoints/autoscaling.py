"""Scaling an endpoint's variants by load, with AWS Application Auto Scaling.

API: https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-add-code-apply.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.aws import values
from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems

SERVICE_NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
POLICY_NAME = "kfp-sagemaker-invocations-per-instance"
_KEYS = (
    "min_capacity",
    "max_capacity",
    "target_invocations_per_instance",
    "scale_in_cooldown_seconds",
    "scale_out_cooldown_seconds",
    "variant_names",
)


@dataclass(frozen=True)
class Policy:
    """Target tracking of the variants of one endpoint.

    Attributes:
        variant_names: The variants it applies to; empty for no autoscaling.
        min_capacity: Fewest instances.
        max_capacity: Most instances.
        target_value: Invocations a minute and instance to aim for.
        scale_in_cooldown_seconds: Pause after instances were removed.
        scale_out_cooldown_seconds: Pause after instances were added.
    """

    variant_names: tuple[str, ...] = ()
    min_capacity: int = 1
    max_capacity: int = 1
    target_value: float = 0.0
    scale_in_cooldown_seconds: int = 300
    scale_out_cooldown_seconds: int = 60


NONE = Policy()


def check(autoscaling: Any) -> dict[str, Any]:
    """Check what can be checked of the component's ``autoscaling`` before there is a configuration; calls nothing.

    Returns:
        It, with numbers as they were meant.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("deploy_endpoint")
    if not isinstance(autoscaling, Mapping):
        problems.add("autoscaling", autoscaling, "a dict")
        problems.raise_if_any()
    if not autoscaling:
        return {}
    given: dict[str, Any] = values.normalise(autoscaling)
    for key in given:
        if key not in _KEYS:
            problems.add(f"autoscaling.{key}", given[key], f"left out; known keys are {', '.join(_KEYS)}")
    for key in ("max_capacity", "target_invocations_per_instance"):
        if given.get(key) is None:
            problems.add(f"autoscaling.{key}", None, "given")
    fine = [
        problems.between(f"autoscaling.{key}", given.get(key), minimum)
        for key, minimum in (
            ("min_capacity", 1),
            ("max_capacity", 1),
            ("target_invocations_per_instance", 1),
            ("scale_in_cooldown_seconds", 0),
            ("scale_out_cooldown_seconds", 0),
        )
    ]
    low, high = given.get("min_capacity") or 1, given.get("max_capacity")
    if all(fine) and high is not None and low > high:
        problems.add("autoscaling.min_capacity", low, f"at most max_capacity, which is {high}")
    problems.raise_if_any()
    return given


def build_policy(autoscaling: Any, config: Mapping[str, Any]) -> Policy:
    """Check the component's ``autoscaling`` against the configuration it applies to; calls nothing.

    Args:
        autoscaling: The component's argument; empty for none.
        config: From ``endpoint_config.build_request``.

    Raises:
        InputError: With everything that is wrong.
    """
    given = check(autoscaling)
    if not given:
        return NONE
    problems = Problems("deploy_endpoint")
    instances = [variant["VariantName"] for variant in config["ProductionVariants"] if variant.get("InstanceType")]
    chosen = given.get("variant_names") or instances
    for name in chosen:
        problems.one_of("autoscaling.variant_names", name, instances or ["(no variant runs on instances)"])
    if not chosen:
        problems.add("autoscaling", autoscaling, "left out, because no variant runs on instances")
    problems.raise_if_any()
    return Policy(
        tuple(chosen),
        given.get("min_capacity", 1),
        given["max_capacity"],
        float(given["target_invocations_per_instance"]),
        given.get("scale_in_cooldown_seconds", Policy.scale_in_cooldown_seconds),
        given.get("scale_out_cooldown_seconds", Policy.scale_out_cooldown_seconds),
    )


def requests(endpoint_name: str, policy: Policy) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A RegisterScalableTarget and a PutScalingPolicy request for each variant."""
    for variant in policy.variant_names:
        target = {
            "ServiceNamespace": SERVICE_NAMESPACE,
            "ResourceId": resource_id(endpoint_name, variant),
            "ScalableDimension": DIMENSION,
        }
        yield (
            target | {"MinCapacity": policy.min_capacity, "MaxCapacity": policy.max_capacity},
            target
            | {
                "PolicyName": POLICY_NAME,
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": policy.target_value,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
                    "ScaleInCooldown": policy.scale_in_cooldown_seconds,
                    "ScaleOutCooldown": policy.scale_out_cooldown_seconds,
                },
            },
        )


def resource_id(endpoint_name: str, variant_name: str) -> str:
    """How Application Auto Scaling names a variant."""
    return f"endpoint/{endpoint_name}/variant/{variant_name}"


def apply(session: Session, endpoint_name: str, policy: Policy) -> None:
    """Register the variants and put the policy on each; the same again changes nothing."""
    for target, scaling_policy in requests(endpoint_name, policy):
        with aws_errors(f"setting up autoscaling of {target['ResourceId']}"):
            client = session.client("application-autoscaling")
            client.register_scalable_target(**target)
            client.put_scaling_policy(**scaling_policy)


def remove(session: Session, endpoint_name: str, variant_names: list[str]) -> list[str]:
    """Deregister the endpoint's variants, with their policies.

    Returns:
        The resource ids that were registered.
    """
    wanted = [resource_id(endpoint_name, variant) for variant in variant_names]
    if not wanted:
        return []
    removed = []
    with aws_errors(f"removing the autoscaling of endpoint {endpoint_name}"):
        client = session.client("application-autoscaling")
        answer = client.describe_scalable_targets(ServiceNamespace=SERVICE_NAMESPACE, ResourceIds=wanted)
        for target in answer["ScalableTargets"]:
            client.deregister_scalable_target(
                ServiceNamespace=SERVICE_NAMESPACE,
                ResourceId=target["ResourceId"],
                ScalableDimension=target["ScalableDimension"],
            )
            removed.append(target["ResourceId"])
    return removed

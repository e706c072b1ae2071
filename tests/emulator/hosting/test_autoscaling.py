"""Application Auto Scaling over HTTP with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

DIMENSION = "sagemaker:variant:DesiredInstanceCount"


def target(bench: Any, variant: str = "AllTraffic") -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{bench.name}/variant/{variant}",
        "ScalableDimension": DIMENSION,
    }


TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}


def test_targets_and_policies(bench: Any) -> None:
    bench.deploy(bench.container())
    scaling = bench.client("application-autoscaling")
    with pytest.raises(scaling.exceptions.ObjectNotFoundException, match="No scalable target registered"):
        scaling.put_scaling_policy(
            PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING,
            **target(bench),
        )  # fmt: skip
    arn = scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, Tags={"team": "a"}, **target(bench))[
        "ScalableTargetARN"
    ]
    assert scaling.register_scalable_target(MaxCapacity=8, **target(bench))["ScalableTargetARN"] == arn
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[target(bench)["ResourceId"]])[
        "ScalableTargets"
    ]
    assert [(one["MinCapacity"], one["MaxCapacity"]) for one in found] == [(1, 8)]
    with pytest.raises(scaling.exceptions.ValidationException, match="Maximum capacity cannot be less"):
        scaling.register_scalable_target(MinCapacity=9, **target(bench))

    for _ in range(2):
        put = scaling.put_scaling_policy(
            PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING,
            **target(bench),
        )  # fmt: skip
    resource = {"ServiceNamespace": "sagemaker", "ResourceId": target(bench)["ResourceId"]}
    (policy,) = scaling.describe_scaling_policies(**resource)["ScalingPolicies"]
    assert policy["PolicyARN"] == put["PolicyARN"]
    assert policy["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    assert scaling.describe_scaling_activities(**resource)["ScalingActivities"] == []
    scaling.delete_scaling_policy(PolicyName="p", **target(bench))
    with pytest.raises(scaling.exceptions.ObjectNotFoundException, match="policy name: p"):
        scaling.delete_scaling_policy(PolicyName="p", **target(bench))
    scaling.deregister_scalable_target(**target(bench))
    with pytest.raises(scaling.exceptions.ObjectNotFoundException, match="No scalable target found"):
        scaling.deregister_scalable_target(**target(bench))


def test_targets_go_with_their_endpoint(bench: Any) -> None:
    bench.deploy(bench.container())
    scaling = bench.client("application-autoscaling")
    scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, **target(bench))
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    bench.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=bench.name, WaiterConfig={"Delay": 1})
    request = {"ServiceNamespace": "sagemaker", "ResourceIds": [target(bench)["ResourceId"]]}
    assert scaling.describe_scalable_targets(**request)["ScalableTargets"] == []


def test_what_cannot_be_scaled_is_refused(bench: Any) -> None:
    bench.deploy(bench.container())
    scaling = bench.client("application-autoscaling")
    with pytest.raises(ClientError, match="variant doesn't exist"):
        scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, **target(bench, "Other"))
    with pytest.raises(ClientError, match="sagemaker only"):
        scaling.describe_scalable_targets(ServiceNamespace="dynamodb")
    with pytest.raises(ClientError, match="MaxCapacity is required"):
        scaling.register_scalable_target(MinCapacity=1, **target(bench))

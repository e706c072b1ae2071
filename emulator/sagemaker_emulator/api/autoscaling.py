"""Application Auto Scaling of endpoint variants: targets and policies are kept and checked, nothing is ever scaled.

A variant runs one set of containers whatever its instance count, so there is nothing a scaling activity could change;
``DescribeScalingActivities`` truthfully answers that there were none.

https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from sagemaker_emulator.errors import ApiError, ValidationException
from sagemaker_emulator.hosting.deployment_record import ENDPOINT
from sagemaker_emulator.hosting.scalable_targets import SCALABLE_TARGET, SCALING_POLICY
from sagemaker_emulator.operations import Context, operation

SERVICE = "application-autoscaling"

_DIMENSIONS = ("sagemaker:variant:DesiredInstanceCount", "sagemaker:variant:DesiredProvisionedConcurrency")
_RESOURCE_ID = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")
_CONFIGURATIONS = {
    "StepScaling": "StepScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
}
_DEFAULT_PAGE_SIZE = 50


@operation("RegisterScalableTarget", service=SERVICE)
async def register_scalable_target(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Register a variant, or change the capacities of one that is registered."""
    _check_variant(ctx, params)
    key = _target_key(params)
    target = ctx.app.store.get(SCALABLE_TARGET, ctx.region, key)
    if target is None:
        for member in ("MinCapacity", "MaxCapacity"):
            if member not in params:
                raise ValidationException(f"{member} is required to register a new scalable target.")
        target = {
            "ScalableTargetARN": _target_arn(ctx),
            "RoleARN": params.get("RoleARN") or _service_linked_role(ctx),
            "CreationTime": ctx.app.clock.now(),
            "SuspendedState": dict.fromkeys(
                ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), False
            ),
        }
    target["SuspendedState"] |= params.get("SuspendedState", {})
    target |= {key: value for key, value in params.items() if key not in ("SuspendedState", "RoleARN")}
    if target["MaxCapacity"] < target["MinCapacity"]:
        raise ValidationException(
            f"Maximum capacity cannot be less than minimum capacity: MaxCapacity is {target['MaxCapacity']}, "
            f"MinCapacity is {target['MinCapacity']}."
        )
    ctx.app.store.put(SCALABLE_TARGET, ctx.region, key, target)
    return {"ScalableTargetARN": target["ScalableTargetARN"]}


@operation("DescribeScalableTargets", service=SERVICE)
async def describe_scalable_targets(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the registered variants."""
    _check_namespace(params)
    wanted = params.get("ResourceIds")
    targets = [
        target
        for target in ctx.app.store.list(SCALABLE_TARGET, ctx.region)
        if _has_dimension(target, params) and (not wanted or target["ResourceId"] in wanted)
    ]
    return _page(targets, params, "ScalableTargets")


@operation("DeregisterScalableTarget", service=SERVICE)
async def deregister_scalable_target(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a variant and its policies."""
    _check_namespace(params)
    if not ctx.app.store.delete(SCALABLE_TARGET, ctx.region, _target_key(params)):
        raise _not_found("No scalable target found", params)
    for policy in ctx.app.store.list(SCALING_POLICY, ctx.region):
        if _target_key(policy) == _target_key(params):
            ctx.app.store.delete(SCALING_POLICY, ctx.region, _policy_key(policy))
    return {}


@operation("PutScalingPolicy", service=SERVICE)
async def put_scaling_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add or replace a policy of a registered variant."""
    _check_namespace(params)
    if ctx.app.store.get(SCALABLE_TARGET, ctx.region, _target_key(params)) is None:
        raise _not_found("No scalable target registered", params)
    policy_type = params.get("PolicyType", "StepScaling")
    configuration = _CONFIGURATIONS.get(policy_type)
    if configuration is None:
        raise ValidationException(f"PolicyType {policy_type} is not supported for service namespace sagemaker.")
    if configuration not in params:
        raise ValidationException(f"PolicyType {policy_type} requires {configuration}.")
    known = (*_CONFIGURATIONS.values(), "PredictiveScalingPolicyConfiguration")
    if others := [member for member in known if member != configuration and member in params]:
        raise ValidationException(f"PolicyType {policy_type} does not take {', '.join(others)}.")
    key = _policy_key(params)
    before = ctx.app.store.get(SCALING_POLICY, ctx.region, key) or {}
    policy = params | {
        "PolicyType": policy_type,
        "PolicyARN": before.get("PolicyARN") or _policy_arn(ctx, params),
        "CreationTime": before.get("CreationTime") or ctx.app.clock.now(),
        "Alarms": [],
    }
    ctx.app.store.put(SCALING_POLICY, ctx.region, key, policy)
    return {"PolicyARN": policy["PolicyARN"], "Alarms": []}


@operation("DescribeScalingPolicies", service=SERVICE)
async def describe_scaling_policies(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the policies."""
    _check_namespace(params)
    names = params.get("PolicyNames")
    policies = [
        policy
        for policy in ctx.app.store.list(SCALING_POLICY, ctx.region)
        if _has_dimension(policy, params)
        and (not names or policy["PolicyName"] in names)
        and params.get("ResourceId") in (None, policy["ResourceId"])
    ]
    return _page(policies, params, "ScalingPolicies")


@operation("DeleteScalingPolicy", service=SERVICE)
async def delete_scaling_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Forget a policy."""
    _check_namespace(params)
    if not ctx.app.store.delete(SCALING_POLICY, ctx.region, _policy_key(params)):
        raise _not_found("No scaling policy found", params, f", policy name: {params['PolicyName']}")
    return {}


@operation("DescribeScalingActivities", service=SERVICE)
async def describe_scaling_activities(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer that nothing was scaled."""
    _check_namespace(params)
    return {"ScalingActivities": []}


def _check_namespace(params: dict[str, Any]) -> None:
    if params["ServiceNamespace"] != "sagemaker":
        raise ValidationException(
            f"sagemaker-emulator implements Application Auto Scaling for the service namespace sagemaker only, "
            f"not {params['ServiceNamespace']}."
        )
    dimension = params.get("ScalableDimension")
    if dimension is not None and dimension not in _DIMENSIONS:
        raise ValidationException(f"Unsupported service namespace, resource type or scalable dimension: {dimension}")


def _check_variant(ctx: Context, params: dict[str, Any]) -> None:
    _check_namespace(params)
    resource_id = params["ResourceId"]
    match = _RESOURCE_ID.fullmatch(resource_id)
    if match is None:
        raise ValidationException(f"ResourceId {resource_id!r} is not of the form endpoint/NAME/variant/NAME.")
    endpoint = ctx.app.store.get(ENDPOINT, ctx.region, match["endpoint"])
    active = (endpoint or {}).get("Active", {})
    if match["variant"] not in [variant["VariantName"] for variant in active.get("Variants", [])]:
        raise ValidationException(f"SageMaker endpoint variant doesn't exist or is not in service: {resource_id}")


def _target_key(params: dict[str, Any]) -> str:
    return f"{params['ResourceId']}|{params['ScalableDimension']}"


def _policy_key(params: dict[str, Any]) -> str:
    return f"{_target_key(params)}|{params['PolicyName']}"


def _has_dimension(document: dict[str, Any], params: dict[str, Any]) -> bool:
    return params.get("ScalableDimension") in (None, document["ScalableDimension"])


def _not_found(what: str, params: dict[str, Any], rest: str = "") -> ApiError:
    return ApiError(
        "ObjectNotFoundException",
        f"{what} for service namespace: {params['ServiceNamespace']}, resource ID: {params['ResourceId']}, "
        f"scalable dimension: {params['ScalableDimension']}{rest}",
    )


def _service_linked_role(ctx: Context) -> str:
    return (
        f"arn:{ctx.partition}:iam::{ctx.account_id}:role/aws-service-role/sagemaker.application-autoscaling."
        "amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )


def _target_arn(ctx: Context) -> str:
    return f"arn:{ctx.partition}:{SERVICE}:{ctx.region}:{ctx.account_id}:scalable-target/{uuid.uuid4().hex}"


def _policy_arn(ctx: Context, params: dict[str, Any]) -> str:
    return (
        f"arn:{ctx.partition}:autoscaling:{ctx.region}:{ctx.account_id}:scalingPolicy:{uuid.uuid4()}"
        f":resource/sagemaker/{params['ResourceId']}:policyName/{params['PolicyName']}"
    )


def _page(items: list[dict[str, Any]], params: dict[str, Any], result_key: str) -> dict[str, Any]:
    try:
        start = int(params.get("NextToken", "0"))
    except ValueError as error:
        raise ApiError("InvalidNextTokenException", f"Invalid NextToken: {params['NextToken']}") from error
    end = start + params.get("MaxResults", _DEFAULT_PAGE_SIZE)
    answer: dict[str, Any] = {result_key: items[start:end]}
    if end < len(items):
        answer["NextToken"] = str(end)
    return answer

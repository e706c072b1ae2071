"""Authorisation of SageMaker calls under ``--auth``: which action on which resource, and which roles are passed.

Resources and condition keys are those of the Service Authorization Reference ("Actions, resources, and condition keys
for Amazon SageMaker"). The evaluation itself (identity policies, boundaries, session policies) is ministack's, the same
that guards S3 and the rest.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sagemaker_emulator.api.common import find_by_arn
from sagemaker_emulator.ministack_iam import Caller, MinistackIam
from sagemaker_emulator.operations import Context
from sagemaker_emulator.service_model import Operation

KEPT_DECISIONS = 10_000

# The parameter that names an operation's resource, and the type in its ARN; the first one present is used.
_RESOURCE_PARAMETERS = (
    ("EndpointName", "endpoint"),
    ("EndpointConfigName", "endpoint-config"),
    ("ModelName", "model"),
    ("TrainingJobName", "training-job"),
    ("ProcessingJobName", "processing-job"),
    ("TransformJobName", "transform-job"),
    ("HyperParameterTuningJobName", "hyper-parameter-tuning-job"),
    ("AutoMLJobName", "automl-job"),
    ("ModelPackageGroupName", "model-package-group"),
    ("ModelPackageName", "model-package"),
    ("MonitoringScheduleName", "monitoring-schedule"),
    ("JobDefinitionName", "data-quality-job-definition"),
    ("PipelineName", "pipeline"),
    ("InferenceComponentName", "inference-component"),
)
# An operation names its own resource first, whatever else its parameters name.
_OWN_TYPE = re.compile(r"(?:Create|Describe|Update|Delete|Stop|Start|Invoke)(\w+?)(?:V2|Async|WeightsAndCapacities)?$")
# Other lists act on no resource: their parameters are filters.
_LISTS_OF_ONE = ("ListTrainingJobsForHyperParameterTuningJob",)
_ROLE_PARAMETERS = ("RoleArn", "ExecutionRoleArn", "roleArn")


@dataclass(frozen=True)
class _Namespace:
    """How a service's actions are spelled, what tagging at creation needs, and to whom it passes roles."""

    prefix: str
    tagging_action: str
    principal: str


_SAGEMAKER = _Namespace("sagemaker", "AddTags", "sagemaker.amazonaws.com")
_NAMESPACES = {
    "sagemaker": _SAGEMAKER,
    "sagemaker-runtime": _SAGEMAKER,
    "stepfunctions": _Namespace("states", "TagResource", "states.amazonaws.com"),
    "glue": _Namespace("glue", "TagResource", "glue.amazonaws.com"),
}


@dataclass(frozen=True, slots=True)
class AuthorizedCall:
    """One evaluated call.

    Attributes:
        principal_arn: Who called.
        action: Such as ``sagemaker:CreateModel``.
        resource_arn: What on.
        allowed: The decision.
    """

    principal_arn: str
    action: str
    resource_arn: str
    allowed: bool


class Authorizations:
    """The latest evaluated calls of every service, oldest first; what a least-privilege policy is drawn from."""

    def __init__(self) -> None:
        self._calls: deque[AuthorizedCall] = deque(maxlen=KEPT_DECISIONS)

    def record(self, principal_arn: str, action: str, resource_arn: str, allowed: bool) -> None:
        """Add a decision."""
        self._calls.append(AuthorizedCall(principal_arn, action, resource_arn, allowed))

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the calls as JSON-ready documents."""
        return [asdict(call) for call in self._calls]


def authorize(iam: MinistackIam, caller: Caller, ctx: Context, operation: Operation, params: dict[str, Any]) -> None:
    """Check that a caller may make a call.

    Args:
        iam: The evaluator.
        caller: Who calls.
        ctx: The call's context.
        operation: What is called.
        params: Its parsed parameters.

    Raises:
        ApiError: It may not.
    """
    namespace = _NAMESPACES.get(operation.service, _Namespace(operation.service, "TagResource", ""))
    action = f"{namespace.prefix}:{_action_name(operation.name)}"
    conditions = dict(_condition_keys(params))
    conditions.update(_resource_tags(ctx, operation, params))
    target = resource_arn(ctx, operation, params)
    iam.authorize(caller, action, target, conditions)
    if (params.get("Tags") or params.get("tags")) and operation.name.startswith("Create"):
        tagging = {**conditions, "sagemaker:taggingaction": operation.name}
        iam.authorize(caller, f"{namespace.prefix}:{namespace.tagging_action}", target, tagging)
    for role_arn in _passed_roles(ctx, operation, params):
        passed_to = {"iam:passedtoservice": namespace.principal}
        iam.authorize(caller, "iam:PassRole", role_arn, passed_to)


def resource_arn(ctx: Context, operation: Operation, params: dict[str, Any]) -> str:
    """Return the ARN an operation acts on, ``*`` for lists and searches."""
    if given := params.get("ResourceArn"):
        return str(given)
    if operation.service == "application-autoscaling" and (target := params.get("ResourceId")):
        return f"arn:{ctx.partition}:{operation.service}:{ctx.region}:{ctx.account_id}:scalable-target/{target}"
    if operation.service == "stepfunctions":
        return _state_machine_arn(ctx, params)
    if operation.service == "glue":
        job = params.get("JobName") or params.get("Name")
        return f"arn:{ctx.partition}:glue:{ctx.region}:{ctx.account_id}:job/{job}" if job else "*"
    match = _OWN_TYPE.match(operation.name)
    own = f"{match.group(1)}Name" if match else ""
    for parameter, resource_type in sorted(_RESOURCE_PARAMETERS, key=lambda item: item[0] != own):
        if name := params.get(parameter):
            if str(name).startswith("arn:"):
                return str(name)
            if operation.name.startswith("List") and operation.name not in _LISTS_OF_ONE:
                break
            return f"arn:{ctx.partition}:sagemaker:{ctx.region}:{ctx.account_id}:{resource_type}/{name.lower()}"
    return "*"


def _state_machine_arn(ctx: Context, params: dict[str, Any]) -> str:
    for member in ("resourceArn", "executionArn", "stateMachineArn"):
        if given := params.get(member):
            return str(given)
    name = params.get("name")
    return f"arn:{ctx.partition}:states:{ctx.region}:{ctx.account_id}:stateMachine:{name}" if name else "*"


def _passed_roles(ctx: Context, operation: Operation, params: dict[str, Any]) -> Iterator[str]:
    if operation.service == "glue":
        role = params.get("Role") or params.get("JobUpdate", {}).get("Role")
        yield from [glue_role_arn(ctx, role)] if role else []
        return
    # A tuning job's roles are in its training definitions.
    definitions = [params.get("TrainingJobDefinition", {}), *params.get("TrainingJobDefinitions", ())]
    roles = {
        part[name]
        for part in (params, _monitoring_job(params), *definitions)
        for name in _ROLE_PARAMETERS
        if part.get(name)
    }
    yield from sorted(roles)


def glue_role_arn(ctx: Context, role: str) -> str:
    """Return the ARN of a role that Glue takes by its name too."""
    return role if role.startswith("arn:") else f"arn:{ctx.partition}:iam::{ctx.account_id}:role/{role}"


def _monitoring_job(params: dict[str, Any]) -> dict[str, Any]:
    job: dict[str, Any] = params.get("MonitoringScheduleConfig", {}).get("MonitoringJobDefinition", {})
    return job


def _action_name(operation_name: str) -> str:
    return {"InvokeEndpointWithResponseStream": "InvokeEndpoint"}.get(operation_name, operation_name)


def _condition_keys(params: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    # A schedule holds its monitoring job inside; jobs that process hold their network settings one level down.
    params = {**params, **_monitoring_job(params)}
    network = {**params, **params.get("NetworkConfig", {})}
    for parameter, key in (
        ("EnableNetworkIsolation", "sagemaker:networkisolation"),
        ("EnableInterContainerTrafficEncryption", "sagemaker:intercontainertrafficencryption"),
    ):
        if parameter in network:
            yield key, str(network[parameter]).lower()
    if vpc := network.get("VpcConfig"):
        yield "sagemaker:vpcsubnets", vpc.get("Subnets", [])
        yield "sagemaker:vpcsecuritygroupids", vpc.get("SecurityGroupIds", [])
    if target_model := params.get("TargetModel"):
        yield "sagemaker:targetmodel", target_model
    output = params.get("OutputDataConfig") or params.get("TransformOutput") or params.get("ProcessingOutputConfig", {})
    output = output or params.get("MonitoringOutputConfig") or params.get("DataQualityJobOutputConfig", {})
    if output.get("KmsKeyId"):
        yield "sagemaker:outputkmskey", output["KmsKeyId"]
    resources = params.get("ResourceConfig") or params.get("TransformResources") or {}
    processing = ("ProcessingResources", "MonitoringResources", "JobResources")
    cluster: dict[str, Any] = next((params[member]["ClusterConfig"] for member in processing if member in params), {})
    if volume_key := params.get("KmsKeyId") or resources.get("VolumeKmsKeyId") or cluster.get("VolumeKmsKeyId"):
        yield "sagemaker:volumekmskey", volume_key
    groups = resources.get("InstanceGroups", [])
    machines = (resources, cluster, *groups, *params.get("ProductionVariants", []))
    if types := [machine["InstanceType"] for machine in machines if machine.get("InstanceType")]:
        yield "sagemaker:instancetypes", types
    if tags := params.get("Tags") or params.get("tags"):
        # SageMaker and Step Functions list tags, with members spelled differently; the others map them.
        values = tags if isinstance(tags, dict) else dict(tuple(tag.values()) for tag in tags)
        yield "aws:tagkeys", list(values)
        for key, value in values.items():
            yield f"aws:requesttag/{key.lower()}", value


def _resource_tags(ctx: Context, operation: Operation, params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if operation.service == "glue":
        name = resource_arn(ctx, operation, params).partition(":job/")[2]
        for key, value in (ctx.app.store.get("glue-job", ctx.region, name) or {}).get("Tags", {}).items():
            yield f"aws:resourcetag/{key.lower()}", value
        return
    found = find_by_arn(ctx, resource_arn(ctx, operation, params))
    for tag in found[1].get("Tags", []) if found else []:
        yield f"aws:resourcetag/{tag['Key'].lower()}", tag["Value"]
        yield f"sagemaker:resourcetag/{tag['Key'].lower()}", tag["Value"]

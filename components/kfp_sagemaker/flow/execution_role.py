"""The roles a flow needs besides SageMaker's: its state machine's, which may call what the states call, and Glue's.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html and connect-glue.html, "IAM policies"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kfp_sagemaker.access import documents
from kfp_sagemaker.access.documents import Document, Place
from kfp_sagemaker.access.permissions import SAGEMAKER_SERVICE, Grant
from kfp_sagemaker.flow.plan import Plan
from kfp_sagemaker.flow.requests import Request

GLUE_SERVICE = "glue.amazonaws.com"
ROLE_NAME = "kfp-sagemaker-flow-{flow}"
GLUE_ROLE_NAME = "kfp-sagemaker-glue"
_SAGEMAKER = "arn:{partition}:sagemaker:{region}:{account_id}:"
_RULE = "arn:{partition}:events:{region}:{account_id}:rule/StepFunctionsGetEventsForSageMaker*"
_RESOURCE_TYPES = {
    "TrainingJob": "training-job",
    "HyperParameterTuningJob": "hyper-parameter-tuning-job",
    "ProcessingJob": "processing-job",
    "TransformJob": "transform-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
}
_JOBS = ("TrainingJob", "HyperParameterTuningJob", "ProcessingJob", "TransformJob")


def role_name(flow: str) -> str:
    """Name of the role of a flow's state machine."""
    return ROLE_NAME.format(flow=flow)


def trust(place: Place) -> Document:
    """Who may assume the role: Step Functions, for this account."""
    return documents.state_machine_trust(place)


def glue_trust(place: Place) -> Document:
    """Who may assume the role of Glue jobs: Glue, for this account."""
    document = documents.state_machine_trust(place)
    document["Statement"][0]["Principal"] = {"Service": GLUE_SERVICE}
    return document


def glue_policy(place: Place) -> Document:
    """What a Glue job of a flow may do: read and write the bucket, and its log."""
    owner = ("glue",)
    objects = ("arn:{partition}:s3:::{bucket}/{key_prefix}*",)
    logs = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
    return documents.policy(
        place,
        [
            Grant(owner, "ListBucket", ("s3:ListBucket",), ("arn:{partition}:s3:::{bucket}",)),
            # Spark commits what it wrote by moving it: it deletes too.
            Grant(owner, "Objects", ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"), objects),
            Grant(owner, "WriteLogs", logs, ("arn:{partition}:logs:{region}:{account_id}:log-group:/aws-glue/*",)),
        ],
    )


def policy(place: Place, plan: Plan, requests: Sequence[Request]) -> Document:
    """What the role may do.

    Args:
        place: The account and region.
        plan: The flow's plan.
        requests: Its requests.

    Returns:
        The policy. It stays the same from commit to commit: jobs are named after the flow.
    """
    return documents.policy(place, list(grants(plan, requests)))


def grants(plan: Plan, requests: Sequence[Request]) -> Iterator[Grant]:
    """What the states call, a grant a kind of resource."""
    owner = (plan.flow.name.replace("-", "_"),)
    by_noun: Mapping[str, list[Request]] = {
        noun: [each for each in requests if each.noun == noun] for noun in dict.fromkeys(each.noun for each in requests)
    }
    for noun, made in by_noun.items():
        if noun in _RESOURCE_TYPES:
            resources = tuple(dict.fromkeys(_resource(each) for each in made))
            yield Grant(owner, f"Run{noun}s", _actions(noun), resources)
    if "Endpoint" in by_noun:
        config = _resource(by_noun["EndpointConfig"][0])
        yield Grant(owner, "UseConfiguration", ("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"), (config,))
    named = tuple(dict.fromkeys(_resource(each) for each in requests if each.noun in _RESOURCE_TYPES))
    if named:
        condition: dict[str, Any] = {"StringLike": {"sagemaker:TaggingAction": "Create*"}}
        yield Grant(owner, "TagWhatItCreates", ("sagemaker:AddTags",), named, condition)
        yield _pass_role(owner, "PassRole", plan.setting.role_arn, SAGEMAKER_SERVICE)
    if any(noun in _JOBS for noun in by_noun):
        # How .sync learns that a job ended: EventBridge rules that Step Functions makes and keeps.
        actions = ("events:DescribeRule", "events:PutRule", "events:PutTargets")
        yield Grant(owner, "WaitForJobs", actions, (_RULE,))
    yield from _glue_grants(owner, plan, by_noun)
    if plan.evaluation_s3_uri:
        prefix = plan.flow.prefix.strip("/")
        key = f"{prefix}/{plan.flow.name}" if prefix else plan.flow.name
        yield Grant(
            owner, "ReadMetrics", ("s3:GetObject",), (f"arn:{{partition}}:s3:::{{bucket}}/{key}/*/metrics.json",)
        )


def _glue_grants(owner: tuple[str, ...], plan: Plan, by_noun: Mapping[str, list[Request]]) -> Iterator[Grant]:
    runs = by_noun.get("JobRun", [])
    if not runs:
        return
    actions = ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"]
    name = runs[0].name
    if "Job" in by_noun:
        actions += ["glue:CreateJob", "glue:TagResource"]
        name = f"{plan.flow.name}-*"
        role_arn = plan.setting.glue_role_arn or plan.setting.role_arn
        yield _pass_role(owner, "PassGlueRole", role_arn, GLUE_SERVICE)
    yield Grant(owner, "RunGlueJobs", tuple(actions), (f"arn:{{partition}}:glue:{{region}}:{{account_id}}:job/{name}",))


def _actions(noun: str) -> tuple[str, ...]:
    verbs = ["Create", "Describe"]
    verbs += ["Stop"] if noun in _JOBS else ["Update"] if noun == "Endpoint" else []
    return tuple(f"sagemaker:{verb}{noun}" for verb in verbs)


def _resource(request: Request) -> str:
    """Its ARN: names begin with the flow's, of which a tuning job has room for a part only."""
    kind = _RESOURCE_TYPES[request.noun]
    if request.noun == "Endpoint":
        return f"{_SAGEMAKER}{kind}/{request.name.lower()}"
    start = request.name.rpartition("-")[0] if request.noun == "EndpointConfig" else _flow_part(request.name)
    return f"{_SAGEMAKER}{kind}/{start.lower()}-*"


def _flow_part(name: str) -> str:
    """``FLOW-TASK`` of ``FLOW-TASK-COMMIT-HASH``."""
    return name.rsplit("-", 2)[0]


def _pass_role(owner: tuple[str, ...], purpose: str, role_arn: str, service: str) -> Grant:
    return Grant(owner, purpose, ("iam:PassRole",), (role_arn,), {"StringEquals": {"iam:PassedToService": service}})

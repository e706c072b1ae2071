"""IAM policy and trust documents, made of the permissions for one partition, account, bucket and prefix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.access.permissions import (
    EXECUTION_GRANTS,
    METRICS_SERVICE_GRANTS,
    MODEL_ACCESS_BOUNDARY,
    NODE_GRANTS,
    POD_GRANTS,
    SAGEMAKER_SERVICE,
    Grant,
)
from kfp_sagemaker.aws.validation import Problems

Document = dict[str, Any]
EXECUTION_ROLE_NAME = "kfp-sagemaker-execution"
# IAM and STS quotas: the characters of a managed policy, not counting white space.
MANAGED_POLICY_CHARACTERS = 6144
STATES_SERVICE = "states.amazonaws.com"
_AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True)
class Place:
    """Where the documents are for.

    Attributes:
        account_id: The AWS account.
        bucket: The bucket of data, models and results.
        prefix: What the keys in it start with; empty for the whole bucket.
        partition: ``aws``, ``aws-cn``, ``aws-us-gov`` ...
        region: The region; ``*`` for all of the partition's.
        execution_role_name: The role SageMaker assumes.
    """

    account_id: str
    bucket: str
    prefix: str = ""
    partition: str = "aws"
    region: str = "*"
    execution_role_name: str = EXECUTION_ROLE_NAME

    def __post_init__(self) -> None:
        problems = Problems("IAM documents")
        problems.matches("account_id", self.account_id, r"\d{12}", "the 12 digits of an AWS account")
        problems.matches("bucket", self.bucket, r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of an S3 bucket")
        # A wildcard or variable in a prefix would widen what a policy allows.
        problems.matches("prefix", self.prefix, r"[^*?$]*", "without *, ? and $")
        problems.raise_if_any()

    @property
    def execution_role_arn(self) -> str:
        """ARN of the role SageMaker assumes."""
        return f"arn:{self.partition}:iam::{self.account_id}:role/{self.execution_role_name}"

    def fill(self, value: Any) -> Any:
        """The value with the places in braces filled in, in every string of it."""
        if isinstance(value, str):
            known = {
                "account_id": self.account_id,
                "bucket": self.bucket,
                "key_prefix": f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else "",
                "partition": self.partition,
                "region": self.region,
                "execution_role_arn": self.execution_role_arn,
            }
            return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], value)
        if isinstance(value, Mapping):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, Iterable):
            return [self.fill(item) for item in value]
        return value


def pod_policies(place: Place, components: Iterable[str] | None = None) -> dict[str, Document]:
    """What the steps' pods may do, a managed policy a topic.

    Args:
        place: Where.
        components: Only for these components; None for all of the suite's.

    Returns:
        Topic to policy.
    """
    wanted = None if components is None else set(components)
    chosen = {
        topic: [grant for grant in grants if wanted is None or grant.is_needed_by(wanted)]
        for topic, grants in POD_GRANTS.items()
    }
    return {topic: policy(place, grants) for topic, grants in chosen.items() if grants}


def pod_policy_name(owner: str, topic: str) -> str:
    """Name of a managed policy of a user or role."""
    return f"{owner}-{topic}"


def execution_policy(place: Place) -> Document:
    """What SageMaker's jobs and endpoints may do."""
    return policy(place, EXECUTION_GRANTS)


def node_policy(place: Place) -> Document:
    """What programs on the worker nodes may do: ask the suite's endpoints."""
    return policy(place, NODE_GRANTS)


def metrics_service_policy(place: Place) -> Document:
    """What the HTTPS service of training metrics may do: read jobs and metrics, write its own log."""
    return policy(place, METRICS_SERVICE_GRANTS)


def model_access_boundary(place: Place) -> Document:
    """The most that a role made by ``grant_model_access`` may do, whatever its policies say: call endpoints."""
    return policy(place, MODEL_ACCESS_BOUNDARY)


def execution_trust(place: Place) -> Document:
    """Lets SageMaker assume the execution role, for resources of this account only."""
    return _trust(
        {"Service": SAGEMAKER_SERVICE},
        "sts:AssumeRole",
        {"StringEquals": {"aws:SourceAccount": place.account_id}},
    )


def state_machine_trust(place: Place) -> Document:
    """Lets Step Functions assume a role, for state machines of this account only."""
    return _trust(
        {"Service": STATES_SERVICE},
        "sts:AssumeRole",
        {"StringEquals": {"aws:SourceAccount": place.account_id}},
    )


def irsa_trust(place: Place, oidc_issuer: str, namespace: str, service_account: str) -> Document:
    """Lets one service account of a cluster assume a role, through the cluster's OpenID Connect provider.

    Args:
        place: Where.
        oidc_issuer: The cluster's issuer, with or without ``https://``.
        namespace: Namespace of the service account.
        service_account: Its name.
    """
    issuer = oidc_issuer.removeprefix("https://")
    return _trust(
        {"Federated": f"arn:{place.partition}:iam::{place.account_id}:oidc-provider/{issuer}"},
        "sts:AssumeRoleWithWebIdentity",
        {
            "StringEquals": {
                f"{issuer}:aud": _AUDIENCE,
                f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
            }
        },
    )


def pod_identity_trust(place: Place, namespace: str, service_account: str) -> Document:
    """Lets EKS Pod Identity assume a role for one service account; EKS tells who it is by session tags."""
    return _trust(
        {"Service": "pods.eks.amazonaws.com"},
        ["sts:AssumeRole", "sts:TagSession"],
        {
            "StringEquals": {
                "aws:RequestTag/kubernetes-namespace": namespace,
                "aws:RequestTag/kubernetes-service-account": service_account,
                "aws:SourceAccount": place.account_id,
            }
        },
    )


def all_documents(place: Place, oidc_issuer: str, namespace: str, service_account: str) -> dict[str, Document]:
    """Every document there is, by the name of its file."""
    return {
        **{f"pod-{topic}-policy": document for topic, document in pod_policies(place).items()},
        "pod-trust-irsa": irsa_trust(place, oidc_issuer, namespace, service_account),
        "pod-trust-pod-identity": pod_identity_trust(place, namespace, service_account),
        "execution-role-policy": execution_policy(place),
        "execution-role-trust": execution_trust(place),
        "worker-node-policy": node_policy(place),
        "model-access-boundary-policy": model_access_boundary(place),
    }


def to_json(document: Document) -> str:
    """The document as a file holds it."""
    return json.dumps(document, indent=2) + "\n"


def policy(place: Place, grants: Iterable[Grant]) -> Document:
    """A policy that allows what the grants say, and nothing else."""
    return {"Version": "2012-10-17", "Statement": [_statement(place, grant) for grant in grants]}


def _statement(place: Place, grant: Grant) -> Document:
    statement = {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": list(grant.actions),
        "Resource": place.fill(grant.resources),
    }
    if not grant.conditions or (place.prefix.strip("/") == "" and "s3:prefix" in str(grant.conditions)):
        return statement
    return {**statement, "Condition": place.fill(grant.conditions)}


def _trust(principal: Document, action: str | list[str], conditions: Document) -> Document:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Condition": conditions}
    return {"Version": "2012-10-17", "Statement": [statement]}

"""Asks IAM what a principal may do, by its policy simulator: nothing is tried, so nothing can cost or break.

The simulator knows identity policies, permissions boundaries and service control policies. It does not know session
policies, nor those of resources other than the one it is given.

API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.access.needs import Need
from kfp_sagemaker.aws.errors import AccessDeniedError, ConfigurationError, ResourceMissingError
from kfp_sagemaker.aws.session import Session, aws_errors

ALLOWED, IMPLICITLY_DENIED, EXPLICITLY_DENIED = "allowed", "implicitly denied", "explicitly denied"
_DECISIONS = {"allowed": ALLOWED, "implicitDeny": IMPLICITLY_DENIED, "explicitDeny": EXPLICITLY_DENIED}
_ASSUMED_ROLE = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.+")


@dataclass(frozen=True)
class Decision:
    """What IAM says about a need.

    Attributes:
        need: What was asked about.
        decision: ``allowed``, ``implicitly denied`` or ``explicitly denied``.
        reason: Why not; names the statement that denies it.
    """

    need: Need
    decision: str
    reason: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether it may be done."""
        return self.decision == ALLOWED


def caller_of(session: Session) -> str:
    """ARN of the user or role the session works as, which is what IAM knows policies of.

    Returns:
        The ARN; of a role with its path, where the role may be looked up. Ends in ``:root`` for the account's root.

    Raises:
        ConfigurationError: It is a federated user, whose policies IAM cannot simulate.
    """
    with aws_errors("asking who the credentials belong to"):
        arn = str(session.client("sts").get_caller_identity()["Arn"])
    match = _ASSUMED_ROLE.fullmatch(arn)
    if match is None:
        if ":federated-user/" in arn:
            raise ConfigurationError(f"{arn} is a federated user, whose policies IAM cannot simulate: give role_arn")
        return arn
    # The ARN of a session leaves out the role's path.
    with aws_errors(f"role {match['role']}"):
        try:
            return str(session.client("iam").get_role(RoleName=match["role"])["Role"]["Arn"])
        except ClientError:
            return f"arn:{match['partition']}:iam::{match['account']}:role/{match['role']}"


def simulate(
    session: Session,
    principal_arn: str,
    needs: Iterable[Need],
    place: Place | None = None,
    *,
    resource_policy: str = "",
) -> list[Decision]:
    """Ask IAM about each need.

    Args:
        session: Who asks; needs ``iam:SimulatePrincipalPolicy`` on the principal.
        principal_arn: A user, group or role; root may do everything and is not asked about.
        needs: What to ask.
        place: What fills the wildcards of resources; None asks for the resources as they are.
        resource_policy: The policy of the resource, as JSON, where it may allow or deny something too.

    Returns:
        A decision a need, in the order of the needs.

    Raises:
        ResourceMissingError: There is no such principal.
        AccessDeniedError: The caller may not simulate.
    """
    needs = list(needs)
    if principal_arn.endswith(":root"):
        return [Decision(need, ALLOWED, "the account's root may do anything") for need in needs]
    found: dict[int, Decision] = {}
    # An action of several resources, or several actions in the same circumstances, are one call.
    by_request = sorted(range(len(needs)), key=lambda index: _request_key(needs[index]))
    for _, group in groupby(by_request, key=lambda index: _request_key(needs[index])):
        indices = list(group)
        resource = needs[indices[0]].resource_in(place) if place else needs[indices[0]].resource
        context = {"aws:RequestedRegion": session.region, **needs[indices[0]].context}
        actions = list(dict.fromkeys(needs[index].action for index in indices))
        results = _ask(session, principal_arn, actions, resource, context, resource_policy)
        for index in indices:
            need = needs[index]
            result = results[need.action.lower()]
            found[index] = Decision(need, *_verdict(result))
    return [found[index] for index in range(len(needs))]


def _request_key(need: Need) -> tuple[str, tuple[tuple[str, str], ...]]:
    return need.resource, tuple(sorted(need.context.items()))


def _ask(
    session: Session,
    principal_arn: str,
    actions: list[str],
    resource: str,
    context: Mapping[str, str],
    resource_policy: str,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "PolicySourceArn": principal_arn,
        "ActionNames": actions,
        "ResourceArns": [resource],
        "ContextEntries": [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ],
    }
    if resource_policy:
        request |= {"ResourcePolicy": resource_policy, "CallerArn": principal_arn}
    try:
        with aws_errors(f"asking IAM what {principal_arn} may do"):
            pages = session.client("iam").get_paginator("simulate_principal_policy").paginate(**request)
            return {each["EvalActionName"].lower(): each for page in pages for each in page["EvaluationResults"]}
    except ResourceMissingError as error:
        raise ResourceMissingError(
            f"{principal_arn} does not exist: IAM was asked what it may do and knows no such principal",
            operation=error.operation,
            code=error.code,
        ) from error
    except AccessDeniedError as error:
        raise AccessDeniedError(
            f"{error}. To ask, the identity needs iam:SimulatePrincipalPolicy on {principal_arn}",
            operation=error.operation,
            code=error.code,
        ) from error


def _verdict(result: Mapping[str, Any]) -> tuple[str, str]:
    specific = (result.get("ResourceSpecificResults") or [{}])[0]
    decision = _DECISIONS[specific.get("EvalResourceDecision") or result["EvalDecision"]]
    if decision == ALLOWED:
        return decision, ""
    if decision == EXPLICITLY_DENIED:
        statements = specific.get("MatchedStatements") or result.get("MatchedStatements") or []
        if statements:
            return decision, "; ".join(_statement(each) for each in statements)
        # The statement of a service control policy is not shown to the accounts it limits.
        return decision, "by a service control policy of the organization"
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return decision, "no service control policy of the organization allows it"
    boundary = (
        specific.get("PermissionsBoundaryDecisionDetail") or result.get("PermissionsBoundaryDecisionDetail") or {}
    )
    if not boundary.get("AllowedByPermissionsBoundary", True):
        return decision, "the permissions boundary does not allow it"
    missing = specific.get("MissingContextValues") or result.get("MissingContextValues") or []
    if missing:
        return decision, f"a statement about it asks for {', '.join(missing)}, which context does not give"
    return decision, "no statement allows it"


def _statement(matched: Mapping[str, Any]) -> str:
    policy, kind = matched.get("SourcePolicyId", "?"), matched.get("SourcePolicyType", "")
    start, end = matched.get("StartPosition", {}), matched.get("EndPosition", {})
    lines = f"lines {start.get('Line')}-{end.get('Line')}"
    if start.get("Line") == end.get("Line"):
        lines = f"line {start.get('Line')}, columns {start.get('Column')}-{end.get('Column')}"
    return f"denied by policy {policy} ({kind}), {lines}"

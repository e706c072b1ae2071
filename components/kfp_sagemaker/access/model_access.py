"""Lets a role call single models of a multi-model endpoint, and takes that away again.

A role has an inline policy for each endpoint: unlike a managed one it has no versions to be left behind, and goes with
the role. What the policy allows is bound to ``sagemaker:TargetModel``, which SageMaker fills with the call's
``TargetModel``.

API: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kfp_sagemaker.access import simulation
from kfp_sagemaker.access.changes import Changes
from kfp_sagemaker.access.documents import Document
from kfp_sagemaker.access.iam import Iam, RoleOptions
from kfp_sagemaker.access.needs import PROBE, Need
from kfp_sagemaker.access.patience import Patience
from kfp_sagemaker.access.permissions import MODEL_ACCESS_BOUNDARY_NAME, MODEL_ACCESS_PATH
from kfp_sagemaker.aws import run_context
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineError,
    InputError,
    ResourceMissingError,
)
from kfp_sagemaker.aws.names import request_hash
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.tags import run_tags
from kfp_sagemaker.aws.validation import Problems

INVOKE = "sagemaker:InvokeEndpoint"
TARGET_MODEL = "sagemaker:TargetModel"
CALLER = "caller"
NO_BOUNDARY = "none"
# IAM quotas: characters of all inline policies of a role together, not counting white space.
INLINE_POLICY_CHARACTERS = 10_240
# CreateRole, RoleName; the policy's name is made of the endpoint's.
ROLE_NAME_PATTERN = r"[A-Za-z0-9_+=,.@-]{1,64}"
_PATH_PATTERN = r"/|/[!-~]{1,510}/"
_PRINCIPAL_PATTERN = (
    r"caller|\d{12}|arn:aws[a-z-]*:(iam::\d{12}:(root|user/[!-~]+|role/[!-~]+)|sts::\d{12}:assumed-role/[!-~]+)"
)
_POLICY_PREFIX = "model-access-"
# The mark of roles made here: nobody else's role is changed further than by its policy, or deleted.
_OWN = {"Key": "kfp-sagemaker:model-access", "Value": "true"}


@dataclass(frozen=True)
class Request:
    """What to grant, valid; see :func:`build_request`."""

    endpoint_name: str
    role_name: str
    target_models: tuple[str, ...]
    trusted_principals: tuple[str, ...]
    options: RoleOptions
    timeout_seconds: float


class Granted(NamedTuple):
    """What the step returns."""

    role_arn: str
    role_name: str
    policy_name: str
    is_effective: bool


class Revoked(NamedTuple):
    """What the step returns."""

    deleted: list[str]


def build_request(
    *,
    endpoint_name: str,
    role_name: str,
    target_models: Sequence[str],
    trusted_principals: Sequence[str] = (CALLER,),
    path: str = MODEL_ACCESS_PATH,
    permissions_boundary_arn: str = "",
    max_session_seconds: int = 3600,
    timeout_seconds: float = 120,
    tags: Mapping[str, Any] | None = None,
) -> Request:
    """Check the arguments of a grant; those of the component.

    Raises:
        InputError: Arguments are wrong; names all of them.
    """
    problems = Problems("grant_model_access")
    _check_names(problems, endpoint_name, role_name)
    problems.required("target_models", target_models)
    for pattern in target_models:
        check_target_model(problems, "target_models", pattern)
    problems.required("trusted_principals", trusted_principals)
    for principal in trusted_principals:
        allowed = f"{CALLER}, an account's 12 digits, or the ARN of a user, role or root, without wildcards"
        if problems.matches("trusted_principals", principal, _PRINCIPAL_PATTERN, allowed) and "*" in principal:
            problems.add("trusted_principals", principal, allowed)
    problems.matches("path", path, _PATH_PATTERN, "/ or printable characters between slashes, such as /teams/houses/")
    problems.matches(
        "permissions_boundary_arn",
        permissions_boundary_arn,
        rf"{NO_BOUNDARY}|arn:aws[a-z-]*:iam::(\d{{12}}|aws):policy/[!-~]+",
        f"the ARN of a managed policy, or {NO_BOUNDARY}",
    )
    problems.between("max_session_seconds", max_session_seconds, 3600, 43_200)
    problems.between("timeout_seconds", timeout_seconds, 0)
    options = RoleOptions(path, permissions_boundary_arn, int(max_session_seconds))
    request = Request(
        endpoint_name, role_name, tuple(target_models), tuple(trusted_principals), options, timeout_seconds
    )
    size = policy_characters(_policy(request, "aws", "us-gov-west-1", "0" * 12))
    if size > INLINE_POLICY_CHARACTERS:
        problems.add(
            "target_models",
            f"{len(target_models)} patterns",
            f"fewer or shorter: their policy has {size} characters, and IAM takes {INLINE_POLICY_CHARACTERS}",
        )
    try:
        own = run_tags(run_context.current(), tags, request_hash=request_hash({"role_name": role_name}))
    except InputError as error:
        problems.found += error.problems
        own = []
    problems.raise_if_any()
    return Request(
        request.endpoint_name,
        request.role_name,
        request.target_models,
        request.trusted_principals,
        RoleOptions(path, permissions_boundary_arn, int(max_session_seconds), [_OWN, *own]),
        timeout_seconds,
    )


def check_target_model(problems: Problems, argument: str, value: object) -> None:
    """Check a target model or a pattern of such."""
    # A name travels in a header of InvokeEndpoint: the API takes 1 to 1024 printable ASCII characters.
    fine = problems.matches(argument, value, r"[!-~][ -~]{0,1023}", "1 to 1024 printable ASCII characters, such as a/*")
    if fine and "${" in str(value):
        problems.add(argument, value, "without ${, which IAM takes for a policy variable")


def grant(
    session: Session, request: Request, *, timing: Timing | None = None, sink: Callable[[str], None] = print_line
) -> Granted:
    """Bring role and policy to what they ought to be, and wait until IAM goes by it.

    Args:
        session: Who grants.
        request: What.
        timing: Clock and sleep.
        sink: Takes a line for each change.

    Raises:
        InputError: The policy has no room beside the role's others.
        ConfigurationError: A principal does not exist, or the role's boundary allows none of it.
        DeadlineError: The change is not effective in time.
    """
    iam = Iam(session, Changes(sink))
    role = iam.role(request.role_name)
    document = _policy(request, session.partition, session.region, session.account_id)
    policy_name = f"{_POLICY_PREFIX}{request.endpoint_name}"
    if role is not None:
        _check_room(iam, request, policy_name, document)
    if role is None or _is_own(role):
        trusted = sorted({_principal(session, each) for each in request.trusted_principals})
        trust = _trust(trusted)
        purpose = f"May call models of endpoint {request.endpoint_name}"
        role_arn = iam.put_role(request.role_name, trust, purpose, _with_boundary(iam, request.options))
    else:
        role_arn = str(role["Arn"])
        sink(f"role {request.role_name} was not made here: only its policy is put, its trust and options stay")
    patience = Patience(request.timeout_seconds, timing or Timing())
    while True:  # a role made a moment ago may not be seen everywhere yet
        try:
            iam.put_role_policy(request.role_name, policy_name, document)
            break
        except ResourceMissingError:
            if not patience.pause():
                raise
    is_effective = _wait_until_effective(session, role_arn, document, patience, sink)
    return Granted(role_arn, request.role_name, policy_name, is_effective)


def revoke(
    session: Session, *, role_name: str, endpoint_name: str = "", sink: Callable[[str], None] = print_line
) -> Revoked:
    """Take away what was granted; a role made for it goes with the last endpoint.

    Args:
        session: Who revokes.
        role_name: The role.
        endpoint_name: Only for this endpoint; empty for all.
        sink: Takes a line for each change.

    Returns:
        What was deleted; nothing when there was nothing.

    Raises:
        InputError: Arguments are wrong.
    """
    problems = Problems("revoke_model_access")
    _check_names(problems, endpoint_name or "any", role_name)
    problems.raise_if_any()
    iam = Iam(session, Changes(sink))
    role = iam.role(role_name)
    if role is None:
        sink(f"there is no role {role_name}: nothing to revoke")
        return Revoked([])
    granted = [name for name in iam.role_policy_names(role_name) if name.startswith(_POLICY_PREFIX)]
    going = [name for name in granted if endpoint_name in ("", name.removeprefix(_POLICY_PREFIX))]
    for name in going:
        iam.delete_role_policy(role_name, name)
    deleted = [f"policy {name} of role {role_name}" for name in going]
    if _is_own(role) and len(going) == len(granted):
        iam.delete("role", role_name)
        deleted.append(f"role {role_name}")
    return Revoked(deleted)


def policy_characters(document: Document) -> int:
    """How many characters of a quota a policy takes: all but white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def _wait_until_effective(
    session: Session, role_arn: str, document: Document, patience: Patience, sink: Callable[[str], None]
) -> bool:
    (statement,) = document["Statement"]
    patterns = statement["Condition"]["StringLike"][TARGET_MODEL]
    examples = [pattern.replace("*", PROBE).replace("?", "x") for pattern in patterns]
    needs = [Need(INVOKE, statement["Resource"], {TARGET_MODEL: example}) for example in examples]
    while True:
        try:
            decisions = simulation.simulate(session, role_arn, needs)
        except ResourceMissingError as error:
            reason = str(error)
        except AccessDeniedError as error:
            sink(f"whether it is effective yet is not known: {error}")
            return False
        else:
            refused = [each for each in decisions if not each.is_allowed]
            if not refused:
                sink(f"{role_arn} may call {', '.join(patterns)}")
                return True
            reason = f"{refused[0].need.context[TARGET_MODEL]} is {refused[0].decision}: {refused[0].reason}"
            if refused[0].decision == simulation.EXPLICITLY_DENIED or "boundary" in reason:
                raise ConfigurationError(f"{role_arn} has the policy, but may not call its models: {reason}")
        if not patience.pause():
            raise DeadlineError(f"{role_arn} may not call its models {patience.timeout_seconds:g} s later: {reason}")


def _policy(request: Request, partition: str, region: str, account_id: str) -> Document:
    # SageMaker's ARNs are in lower case, whatever the name is.
    endpoint = f"arn:{partition}:sagemaker:{region}:{account_id}:endpoint/{request.endpoint_name.lower()}"
    statement = {
        "Sid": "InvokeTargetModels",
        "Effect": "Allow",
        "Action": INVOKE,
        "Resource": endpoint,
        "Condition": {"StringLike": {TARGET_MODEL: list(request.target_models)}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _trust(principals: list[str]) -> Document:
    statement = {"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _principal(session: Session, principal: str) -> str:
    if principal == CALLER:
        return simulation.caller_of(session)
    # IAM keeps an account's number as the ARN of its root, and a trust has to compare equal the next time.
    return f"arn:{session.partition}:iam::{principal}:root" if principal.isdigit() else principal


def _with_boundary(iam: Iam, options: RoleOptions) -> RoleOptions:
    boundary = options.permissions_boundary_arn
    if not boundary:
        suites = iam.arn(f"policy/{MODEL_ACCESS_BOUNDARY_NAME}")
        boundary = suites if iam.policy_exists(suites) else NO_BOUNDARY
    boundary = "" if boundary == NO_BOUNDARY else boundary
    return RoleOptions(options.path, boundary, options.max_session_seconds, options.tags)


def _check_room(iam: Iam, request: Request, policy_name: str, document: Document) -> None:
    others = {name: each for name, each in iam.role_policies(request.role_name).items() if name != policy_name}
    taken, size = sum(map(policy_characters, others.values())), policy_characters(document)
    if taken + size > INLINE_POLICY_CHARACTERS:
        problem = (
            f"target_models need a policy of {size} characters, and role {request.role_name} has policies of {taken} "
            f"already ({', '.join(others)}), must be {INLINE_POLICY_CHARACTERS} together: use a role of its own"
        )
        raise InputError([problem], "grant_model_access")


def _is_own(role: Mapping[str, Any]) -> bool:
    return _OWN in role.get("Tags", [])


def _check_names(problems: Problems, endpoint_name: str, role_name: str) -> None:
    problems.required("endpoint_name", endpoint_name)
    problems.name("endpoint_name", endpoint_name)
    problems.required("role_name", role_name)
    hint = "1 to 64 letters, digits and _+=,.@- (what has slashes is its path)"
    problems.matches("role_name", role_name, ROLE_NAME_PATTERN, hint)

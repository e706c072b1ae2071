"""Checks that whoever runs a pipeline may do what the pipeline will ask of AWS, before it asks for anything.

API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kfp_sagemaker.access import needs, simulation
from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.access.simulation import Decision
from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import AccessDeniedError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems

COLUMNS = ("principal", "action", "resource", "decision", "why")
_SHOWN_DENIALS = 20


@dataclass(frozen=True)
class Request:
    """What to check, valid.

    Attributes:
        components: The components the pipeline uses; empty for all.
        actions: IAM actions to ask about in place of those of components.
        resource_arns: What the actions are on.
        context: Condition key to value, in which everything is asked.
        role_arn: Whose permissions; empty for the session's own identity.
        execution_role_arn: SageMaker's role, which is checked too; empty leaves it out.
        bucket: The bucket the pipeline works in; empty for the account's own.
        prefix: What the keys in it start with.
    """

    components: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    resource_arns: tuple[str, ...] = ()
    context: Mapping[str, str] | None = None
    role_arn: str = ""
    execution_role_arn: str = ""
    bucket: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Checked:
    """What IAM said, a decision a need, by principal."""

    decisions: Mapping[str, Sequence[Decision]]

    @property
    def rows(self) -> list[list[str]]:
        """A row for each decision, as in ``COLUMNS``."""
        return [
            [principal, each.need.action, each.need.resource, each.decision, each.reason]
            for principal, decisions in self.decisions.items()
            for each in decisions
        ]

    @property
    def denied(self) -> list[list[str]]:
        """The rows that are not allowed."""
        return [row for row in self.rows if row[3] != simulation.ALLOWED]

    def raise_if_denied(self) -> None:
        """Fail when something is not allowed.

        Raises:
            AccessDeniedError: Names every action, on what, for whom, and why not.
        """
        denied = self.denied
        if not denied:
            return
        lines = [f"  - {row[0]} may not {row[1]} on {row[2]}: {row[3]}, {row[4]}" for row in denied[:_SHOWN_DENIALS]]
        if len(denied) > _SHOWN_DENIALS:
            lines.append(f"  - and {len(denied) - _SHOWN_DENIALS} more")
        raise AccessDeniedError(
            f"{len(denied)} of {len(self.rows)} permissions are missing. `kfp-sagemaker credentials documents` writes "
            "the policies that grant them:\n" + "\n".join(lines),
            operation="SimulatePrincipalPolicy",
        )


def build_request(
    *,
    components: Sequence[str] = (),
    actions: Sequence[str] = (),
    resource_arns: Sequence[str] = (),
    context: Mapping[str, Any] | None = None,
    role_arn: str = "",
    execution_role_arn: str = "",
    bucket: str = "",
    prefix: str = "",
) -> Request:
    """Check the arguments; see :class:`Request`.

    Raises:
        InputError: Arguments are wrong; names all of them.
    """
    from kfp_sagemaker.access.pipeline_components import all_components

    problems = Problems("check_permissions")
    known = all_components()
    for component in components:
        problems.one_of("components", component, known)
    for action in actions:
        problems.matches("actions", action, r"[A-Za-z0-9-]+:[A-Za-z0-9]+", "service:Operation, without wildcards")
    for arn in resource_arns:
        problems.matches("resource_arns", arn, r"\*|arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", "an ARN, or *")
    if resource_arns and not actions:
        problems.add("resource_arns", list(resource_arns), "given together with actions")
    for key in context or {}:
        problems.matches("context", key, r"[^:\s]+:\S.*", "keyed by condition keys such as aws:SourceIp")
    problems.role_arn("role_arn", role_arn)
    problems.role_arn("execution_role_arn", execution_role_arn)
    problems.matches("bucket", bucket, r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of an S3 bucket")
    problems.matches("prefix", prefix, r"[^*?$]*", "without *, ? and $")
    problems.raise_if_any()
    return Request(
        tuple(components),
        tuple(actions),
        tuple(resource_arns),
        {key: str(value) for key, value in (context or {}).items()},
        role_arn,
        execution_role_arn,
        bucket,
        prefix,
    )


def run(session: Session, request: Request) -> Checked:
    """Ask IAM.

    Args:
        session: Who asks.
        request: What.

    Raises:
        ResourceMissingError: There is no such role.
        AccessDeniedError: The session's identity may not simulate.
    """
    principal = request.role_arn or simulation.caller_of(session)
    account_id = principal.split(":")[4]
    bucket = request.bucket or f"kfp-sagemaker-{account_id}-{session.region}"
    place = Place(account_id, bucket, request.prefix, session.partition, session.region)
    components = request.components or None
    if request.actions:
        asked = {principal: needs.of_actions(request.actions, request.resource_arns)}
    else:
        asked = {principal: needs.of_steps(place, components, request.execution_role_arn)}
        if request.execution_role_arn:
            asked[request.execution_role_arn] = needs.of_execution_role(place, components)
    extra = request.context or {}
    return Checked(
        {
            who: simulation.simulate(
                session,
                who,
                [needs.Need(each.action, each.resource, {**each.context, **extra}) for each in wanted],
                None if request.actions else place,
            )
            for who, wanted in asked.items()
        }
    )


class Outputs(NamedTuple):
    """What the step returns."""

    principal_arn: str
    denied: list[str]
    permissions: dict[str, Any]


def outputs(checked: Checked, *, fail_on_denied: bool, sink: Callable[[str], None] = print_line) -> Outputs:
    """The step's outputs; fails first when it is to.

    Args:
        checked: What IAM said.
        fail_on_denied: Whether a denial is a failure.
        sink: Takes the lines of the step's log.

    Raises:
        AccessDeniedError: Something is denied.
    """
    if fail_on_denied:
        checked.raise_if_denied()
    sink(f"{len(checked.rows) - len(checked.denied)} of {len(checked.rows)} permissions are allowed")
    denied = [f"{row[1]} on {row[2]}: {row[3]}, {row[4]}" for row in checked.denied]
    return Outputs(next(iter(checked.decisions)), denied, {"columns": list(COLUMNS), "rows": checked.rows})

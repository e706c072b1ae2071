"""What a run needs to be allowed, as questions to IAM, made of the same grants as the policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.access.permissions import EXECUTION_GRANTS, POD_GRANTS, Grant

# Stands for a name that a run makes up.
PROBE = "kfp-sagemaker-probe"


@dataclass(frozen=True)
class Need:
    """Something a principal has to be allowed.

    Attributes:
        action: Such as ``sagemaker:CreateModel``.
        resource: ARN, with wildcards where a run makes up the name.
        context: Condition key to value: the circumstances in which it has to be allowed.
    """

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)

    def resource_in(self, place: Place) -> str:
        """A resource as the request would name it: an ARN without wildcards, ``*`` where the action has none."""
        if self.resource == "*":
            return "*"
        parts = self.resource.split(":", 5)
        known = {3: place.region, 4: place.account_id}
        return ":".join(part.replace("*", known.get(index, PROBE)) for index, part in enumerate(parts))


def of_steps(place: Place, components: Iterable[str] | None = None, execution_role_arn: str = "") -> list[Need]:
    """What the steps of a pipeline need.

    Args:
        place: Where it works.
        components: The components it uses; None for all of the suite's.
        execution_role_arn: The role it passes to SageMaker; empty takes the place's.
    """
    grants = [grant for topic in POD_GRANTS.values() for grant in topic]
    own, given = place.execution_role_arn, execution_role_arn or place.execution_role_arn
    return [
        Need(need.action, given if need.resource == own else need.resource, need.context)
        for need in _needs(place, grants, components)
    ]


def of_execution_role(place: Place, components: Iterable[str] | None = None) -> list[Need]:
    """What SageMaker's jobs and endpoints of a pipeline need, as their execution role; see :func:`of_steps`."""
    return list(_needs(place, EXECUTION_GRANTS, components))


def of_actions(
    actions: Sequence[str], resource_arns: Sequence[str] = (), context: Mapping[str, str] | None = None
) -> list[Need]:
    """Each action on each resource, in the same circumstances."""
    return [Need(action, resource, dict(context or {})) for action in actions for resource in resource_arns or ("*",)]


def _needs(place: Place, grants: Iterable[Grant], components: Iterable[str] | None) -> Iterator[Need]:
    wanted = None if components is None else set(components)
    seen = set()
    for grant in grants:
        if wanted is not None and not grant.is_needed_by(wanted):
            continue
        context = dict(_circumstances(place.fill(grant.conditions)))
        for action in grant.actions:
            for resource in place.fill(grant.resources):
                identity = (action, resource, tuple(sorted(context.items())))
                if identity not in seen:
                    seen.add(identity)
                    yield Need(action, resource, context)


def _circumstances(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Values of the condition keys with which the conditions are met."""
    for operator, keys in conditions.items():
        for key, value in keys.items():
            first = value if isinstance(value, str) else value[0]
            if operator == "Null":
                yield key, "present"
            else:
                yield key, first.replace("*", PROBE)

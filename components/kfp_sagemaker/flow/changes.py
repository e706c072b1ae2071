"""What a change of a flow means for its jobs: the fields of their requests that are added, removed or changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kfp_sagemaker.flow.plan import GATES, Plan
from kfp_sagemaker.flow.requests import Request

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class FieldChange:
    """A field of a request that differs; the side that lacks it holds ``None``."""

    path: str
    before: Any
    after: Any

    @property
    def kind(self) -> Change:
        """Whether it was added, removed or changed."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def follows(self) -> bool:
        """Whether only a derived name differs: what an earlier job, which changed, is called."""
        return self.kind == "changed" and _without_hashes(self.before) == _without_hashes(self.after)


@dataclass(frozen=True)
class JobChange:
    """A job that differs.

    Attributes:
        step: What it is for.
        operation: The API operation.
        kind: Whether the job itself was added, removed or changed.
        fields: The fields that differ.
    """

    step: str
    operation: str
    kind: Change
    fields: tuple[FieldChange, ...]


def compare(before: tuple[Plan, Sequence[Request]], after: tuple[Plan, Sequence[Request]]) -> list[JobChange]:
    """The jobs that a change of the flow adds, removes or changes; a changed one runs again.

    Args:
        before: Plan and requests of the flow as it was.
        after: As it is.

    Returns:
        In the flow's order. Empty when the same jobs are made.
    """
    old, new = _documents(*before), _documents(*after)
    changes = []
    for key in dict.fromkeys([*old, *new]):
        kind: Change = "added" if key not in old else "removed" if key not in new else "changed"
        fields = tuple(_fields(old.get(key, {}), new.get(key, {})))
        if fields or kind != "changed":
            changes.append(JobChange(*key, kind, fields))
    return changes


def _documents(plan: Plan, requests: Sequence[Request]) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for request in requests:
        tags = plan.flow.tags
        parameters: dict[str, Any] = {**request.parameters, **({"Tags": dict(tags)} if tags else {})}
        found[request.step, request.operation] = dict(_flattened(parameters))
    in_steps = {request.task.name for request in requests}
    for task in plan.tasks:
        if task.name not in in_steps:
            arguments = {name: value for name, value in task.arguments.items() if name != "metric_values"}
            title = "Gates" if task.name == GATES else task.name.capitalize()
            found[title, task.component] = dict(_flattened(arguments))
    return found


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for path in dict.fromkeys([*before, *after]):
        change = FieldChange(path, before.get(path), after.get(path))
        if change.before != change.after:
            yield change


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flattened(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _flattened(item, f"{path}[{_label(item, index)}]")
    else:
        yield path, value


def _without_hashes(value: Any) -> str:
    """The value without what names are made unique by, see :mod:`kfp_sagemaker.flow.plan`."""
    return re.sub(r"-[0-9a-f]{10}(?=/|$)", "", str(value))


def _label(item: Any, index: int) -> Any:
    """A named element's name, so that one more in front of it changes nothing else."""
    names = ("ChannelName", "InputName", "OutputName", "Name", "VariantName", "name")
    return next((item[name] for name in names if isinstance(item, Mapping) and name in item), index)

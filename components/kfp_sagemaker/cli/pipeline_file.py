"""A compiled pipeline as the command line sees it: its parameters, and its steps as a tree in the order they run.

Reads the YAML alone, without kfp, because importing kfp takes longer than everything else a command does here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from kfp_sagemaker.aws.errors import InputError

Kind = Literal["step", "loop", "condition", "exit_handler", "group"]


_JSON_TYPES: dict[str, tuple[Any, str]] = {
    "NUMBER_INTEGER": (int, "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "LIST": (list, "a JSON list, or words with commas between them"),
    "STRUCT": (dict, "a JSON object"),
}


@dataclass
class Task:
    """A task of the pipeline: a step, or a group of tasks."""

    name: str
    display_name: str
    component: str
    kind: Kind
    spec: Mapping[str, Any]
    parent: Task | None = None
    children: list[Task] = field(default_factory=list)
    is_exit_task: bool = False

    def walk(self) -> Iterator[Task]:
        """This task and all below it, in the order they run."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Parameter:
    """A parameter of the pipeline."""

    name: str
    type: str
    description: str
    default: Any
    is_required: bool

    def parse(self, text: str) -> Any:
        """The value that a text on the command line stands for.

        Raises:
            ValueError: The text is not of the parameter's type; says what is.
        """
        if self.type == "STRING":
            return text
        if self.type == "BOOLEAN":
            if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
                raise ValueError("true or false")
            return text.lower() in ("true", "yes", "1")
        if self.type == "LIST" and not text.lstrip().startswith("["):
            return [item.strip() for item in text.split(",") if item.strip()]
        expected, meaning = _JSON_TYPES[self.type]
        try:
            value: Any = json.loads(text)
        except json.JSONDecodeError:
            raise ValueError(meaning) from None
        if not isinstance(value, expected) or isinstance(value, bool):
            raise ValueError(meaning)  # noqa: TRY004 - one kind of error for a text that does not fit
        return float(value) if self.type == "NUMBER_DOUBLE" else value  # kfp refuses a whole number there


class PipelineFile:
    """A compiled pipeline.

    Args:
        path: The YAML file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A second document holds Kubernetes settings, which mean nothing here.
        self.spec: dict[str, Any] = next(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def description(self) -> str:
        """What its author says about it."""
        return str(self.spec["pipelineInfo"].get("description", ""))

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name."""
        inputs = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return {
            name: Parameter(
                name,
                entry["parameterType"],
                entry.get("description", ""),
                entry.get("defaultValue"),
                not entry.get("isOptional", False) and "defaultValue" not in entry,
            )
            for name, entry in inputs.items()
        }

    def parse_arguments(self, pairs: Mapping[str, str]) -> dict[str, Any]:
        """Values of the parameters given on the command line.

        Raises:
            InputError: Names that are none, and values of the wrong type; all of them at once.
        """
        problems, values = [], {}
        for name, text in pairs.items():
            parameter = self.parameters.get(name)
            if parameter is None:
                problems.append(f"--param {name}: no such parameter; there are {', '.join(sorted(self.parameters))}")
                continue
            try:
                values[name] = parameter.parse(text)
            except ValueError as error:
                problems.append(f"--param {name} is {text!r}, must be {error}")
        if problems:
            raise InputError(problems, self.name)
        return values

    @cached_property
    def tasks(self) -> list[Task]:
        """The top-level tasks in the order they run, each with the tasks below it."""
        return self._tasks(self.spec["root"]["dag"], None)

    def all_tasks(self) -> Iterator[Task]:
        """Every task, in the order they run."""
        for task in self.tasks:
            yield from task.walk()

    def _tasks(self, dag: Mapping[str, Any], parent: Task | None) -> list[Task]:
        tasks = []
        for name, spec in _in_order(dag["tasks"]):
            component = spec["componentRef"]["name"]
            inner = self.spec["components"][component].get("dag")
            is_exit_task = "taskFinalStatus" in json.dumps(spec.get("inputs", {}))
            task = Task(
                name,
                spec["taskInfo"]["name"],
                component.removeprefix("comp-"),
                _kind(name, spec, inner is not None),
                spec,
                parent,
                is_exit_task=is_exit_task,
            )
            task.children = self._tasks(inner, task) if inner else []
            tasks.append(task)
        return sorted(tasks, key=lambda task: task.is_exit_task)

    def loop_items(
        self, loop: Task, arguments: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]]
    ) -> list[Any]:
        """What a loop runs over, as far as it is known.

        Args:
            loop: The loop.
            arguments: Arguments of the pipeline.
            outputs: Output parameters of the steps that have finished, by component.
        """
        items = loop.spec["parameterIterator"]["items"] if "parameterIterator" in loop.spec else {}
        if "raw" in items:
            return list(json.loads(items["raw"]))
        name, task = items.get("inputParameter", ""), loop
        while True:
            source = task.spec.get("inputs", {}).get("parameters", {}).get(name, {})
            if "taskOutputParameter" in source:
                producer = source["taskOutputParameter"]
                siblings = task.parent.children if task.parent else self.tasks
                component = next(each.component for each in siblings if each.name == producer["producerTask"])
                value = outputs.get(component, {}).get(producer["outputParameterKey"], [])
                break
            name = source.get("componentInputParameter", "")
            if task.parent is None:
                parameter = self.parameters.get(name)
                value = arguments.get(name, parameter.default if parameter else [])
                break
            task = task.parent
        return list(value) if isinstance(value, list) else []


def item_label(item: Any) -> str:
    """A loop's item in a word: itself, or of a dict its name or its first text."""
    if isinstance(item, Mapping):
        texts = [value for value in item.values() if isinstance(value, str)]
        return str(item.get("name") or (texts[0] if texts else "")) or "item"
    return str(item)


def _kind(name: str, spec: Mapping[str, Any], has_tasks: bool) -> Kind:
    if "parameterIterator" in spec or "artifactIterator" in spec:
        return "loop"
    if "condition" in spec.get("triggerPolicy", {}):
        return "condition"
    if not has_tasks:
        return "step"
    return "exit_handler" if re.fullmatch(r"exit-handler-\d+", name) else "group"


def _in_order(tasks: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Tasks after those they depend on: depth first, the order ``kfp.local`` runs them in."""
    ordered: dict[str, Any] = {}

    def visit(name: str) -> None:
        if name not in ordered:
            for upstream in sorted(tasks[name].get("dependentTasks", [])):
                visit(upstream)
            ordered[name] = tasks[name]

    for name in tasks:
        visit(name)
    return list(ordered.items())

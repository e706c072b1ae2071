"""Reads ``flow.yaml`` into a :class:`~kfp_sagemaker.flow.definition.Flow`, or says everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.flow import document as documents
from kfp_sagemaker.flow import schema, semantics
from kfp_sagemaker.flow.definition import (
    Algorithm,
    Channel,
    Data,
    Deployment,
    Evaluation,
    Flow,
    Gate,
    Glue,
    MetricDefinition,
    Objective,
    Processing,
    Resources,
    Roles,
    Script,
    Step,
    Training,
    Tuning,
)
from kfp_sagemaker.flow.document import Document, Problem

ENGINES = ("local", "kubeflow", "stepfunctions")
GATE_KINDS = ("at_least", "at_most", "no_worse_than_main_by")


class FlowFileError(InputError):
    """A flow's file is wrong; every problem is told, each with file, line and path.

    Args:
        problems: What is wrong.
        file: The file that was to be read.
    """

    def __init__(self, problems: list[Problem], file: str) -> None:
        self.details = sorted(problems)
        super().__init__([str(problem) for problem in self.details], file)


def load(path: Path | str, environ: Mapping[str, str] | None = None, *, engine: str = "") -> Flow:
    """Read a flow.

    Args:
        path: The file.
        environ: Values of ``${VARIABLE}``; the process's environment by default.
        engine: ``local``, ``kubeflow`` or ``stepfunctions``: also refuse what this engine cannot run; empty for any.

    Returns:
        The flow. Paths in it are absolute.

    Raises:
        FlowFileError: With everything that is wrong.
    """
    document = documents.load(path, os.environ if environ is None else environ)
    flow = check(document, engine=engine)
    if document.problems or flow is None:
        raise FlowFileError(document.problems, document.file)
    return flow


def check(document: Document, *, engine: str = "") -> Flow | None:
    """Check a document against the schema and beyond it; problems are added to it.

    Args:
        document: The document.
        engine: Also refuse what this engine cannot run.

    Returns:
        The flow, or ``None`` when it is too wrong to be one.
    """
    if document.content is None:
        return None
    fits = schema.check(document)
    semantics.check(document, engine)
    return _flow(document) if fits else None


def _flow(document: Document) -> Flow:
    content: dict[str, Any] = document.content
    data = content["data"]
    channels = {name: Channel(**channel) for name, channel in data["channels"].items()}
    plain = {name: content[name] for name in ("name", "bucket", "prefix", "region", "tags") if name in content}
    evaluation = content.get("evaluation")
    return Flow(
        **plain,
        data=Data(source_path(document, ("data", "source")), channels),
        preprocessing=_preprocessing(document),
        training=_training(document),
        evaluation=Evaluation(**_tuples(evaluation)) if evaluation else None,
        gates=tuple(_gate(gate) for gate in content.get("gates", ())),
        deployment=Deployment(**content["deployment"]) if "deployment" in content else None,
        roles=Roles(**content.get("roles", {})),
    )


def _preprocessing(document: Document) -> Glue | Processing | Step | None:
    given = document.content.get("preprocessing", "none")
    if given == "none":
        return None
    kind, options = next(iter(given.items()))
    options = _tuples(options)
    if options.get("script"):
        options["script"] = source_path(document, ("preprocessing", kind, "script"))
    made: Glue | Processing | Step = {"glue": Glue, "processing": Processing, "step": Step}[kind](**options)
    return made


def _training(document: Document) -> Training:
    given = _tuples(document.content["training"])
    if "algorithm" in given:
        given["algorithm"] = Algorithm(**given["algorithm"])
    if "script" in given:
        source_dir = source_path(document, ("training", "script", "source_dir"))
        given["script"] = Script(**{**given["script"], "source_dir": source_dir})
    if "metric_definitions" in given:
        given["metric_definitions"] = tuple(MetricDefinition(**each) for each in given["metric_definitions"])
    if "resources" in given:
        given["resources"] = Resources(**given["resources"])
    if "tuning" in given:
        given["tuning"] = Tuning(**{**given["tuning"], "objective": Objective(**given["tuning"]["objective"])})
    return Training(**given)


def _gate(given: Mapping[str, Any]) -> Gate:
    kind = next(kind for kind in GATE_KINDS if kind in given)
    return Gate(given["metric"], kind, float(given[kind]))  # type: ignore[arg-type]  # one of the literals


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def source_path(document: Document, path: documents.KeyPath) -> str:
    """A file or folder as an absolute path, seen from the file that names it; an S3 URI as it is."""
    value: Any = document.content
    for part in path:
        value = value[part]
    return value if value.startswith("s3://") else str((document.folder(path) / value).resolve())

"""What a flow must be beyond its schema: files that exist, names that are known, parts that fit together.

The checks read the raw document and skip what is missing or malformed, which the schema has told already: so all
problems are told at once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.image_uris import image_uri
from kfp_sagemaker.evaluation.options import METRICS
from kfp_sagemaker.flow.document import Document, KeyPath

_ANY_REGION = "us-east-1"
_REGION = r"[a-z]{2,3}(-[a-z]+)+-\d+"
_MADE_FROM_SCRIPT = ("command", "glue_version", "worker_type", "number_of_workers", "max_capacity")
# What split_dataset writes below its output.
_SPLIT_PARTS = {"train": 0.7, "validation": 0.3, "test": 0.0}
_T = TypeVar("_T")


def check(document: Document, engine: str = "") -> None:
    """Add what is wrong to the document's problems.

    Args:
        document: The document.
        engine: Also refuse what this engine cannot run; empty for none.
    """
    for one in (_sources, _preprocessing, _containers, _training, _tuning, _evaluation, _gates):
        for path, message in one(document):
            document.add(path, message)
    if engine == "stepfunctions" and _at(document, "evaluation", "through", kind=str) == "endpoint":
        allowed = "batch_transform with the engine stepfunctions: there is no step to invoke an endpoint from"
        document.add(("evaluation", "through"), f"is endpoint, must be {allowed}")


def _at(document: Document, *path: str, kind: type[_T]) -> _T | None:
    """The value at a path, when it is there and of that kind."""
    value: Any = document.content
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, kind) else None


def _sources(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """Paths of the repository."""
    files = [("data", "source"), ("preprocessing", "glue", "script"), ("preprocessing", "processing", "script")]
    for path in (*files, ("training", "script", "source_dir")):
        value = _at(document, *path, kind=str)
        if not value or value.startswith("s3://"):
            continue
        found = document.folder(path) / value
        if path[-1] == "source_dir":
            if not found.is_dir():
                yield path, f"is {value!r}, must be a folder; there is none at {found}"
            entry_point = _at(document, "training", "script", "entry_point", kind=str)
            if found.is_dir() and entry_point and not (found / entry_point).is_file():
                yield (*path[:-1], "entry_point"), f"is {entry_point!r}, must be a script in {found}"
        elif not (found.exists() if path[0] == "data" else found.is_file()):
            yield path, f"is {value!r}, must be a file or an S3 URI; there is none at {found}"
    if (uri := _at(document, "data", "source", kind=str)) and uri.startswith("s3://"):
        from kfp_sagemaker.aws.validation import S3_URI_PATTERN

        if not re.fullmatch(S3_URI_PATTERN, uri):
            yield ("data", "source"), f"is {uri!r}, must be an S3 URI such as s3://bucket/key"


def _preprocessing(document: Document) -> Iterator[tuple[KeyPath, str]]:
    glue = _at(document, "preprocessing", "glue", kind=dict) or {}
    if "job_name" in glue and "script" not in glue:
        for name in _MADE_FROM_SCRIPT:
            if name in glue:
                yield ("preprocessing", "glue", name), "must be left out with job_name: the job has its own"
    command = glue.get("command", "glueetl")
    for name in ("max_capacity",) if command == "glueetl" else ("worker_type", "number_of_workers"):
        if name in glue:
            yield ("preprocessing", "glue", name), f"must be left out with the command {command}"
    yield from _step(document)


def _step(document: Document) -> Iterator[tuple[KeyPath, str]]:
    step = _at(document, "preprocessing", "step", kind=dict)
    arguments = (step or {}).get("arguments", {})
    if not step or step.get("component") != "split_dataset" or not isinstance(arguments, dict):
        return
    from kfp_sagemaker.data.split import split_dataset

    path = ("preprocessing", "step", "arguments")
    known = [name for name in inspect.signature(split_dataset).parameters if name not in _GIVEN_BY_THE_FLOW]
    for name in arguments:
        if name not in (*known, *_GIVEN_BY_THE_FLOW):
            yield (*path, name), f"is unknown to split_dataset, must be one of {', '.join(known)}"
    suffix = ".csv.gz" if arguments.get("compression_type") == "Gzip" else ".csv"
    parts = {f"{part}/{part}{suffix}": arguments.get(f"{part}_fraction", share) for part, share in _SPLIT_PARTS.items()}
    channels = _at(document, "data", "channels", kind=dict) or {}
    for name, channel in channels.items():
        value = channel.get("path") if isinstance(channel, dict) else None
        made = [part for part, share in parts.items() if share]
        if isinstance(value, str) and not any(part.startswith(value) for part in made):
            yield ("data", "channels", name, "path"), f"is {value!r}, must be one of {', '.join(made)}, which it makes"


_GIVEN_BY_THE_FLOW = ("input_s3_uri", "output_s3_uri", "region", "assume_role_arn", "tags")


def _containers(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """Algorithms and frameworks that exist, in that version."""
    named: tuple[tuple[KeyPath, str, str, KeyPath], ...] = (
        (("training", "algorithm"), "name", "version", ("training", "resources", "instance_type")),
        (("training", "script"), "framework", "framework_version", ("training", "resources", "instance_type")),
        (
            ("preprocessing", "processing"),
            "framework",
            "framework_version",
            ("preprocessing", "processing", "instance_type"),
        ),
    )
    region = _at(document, "region", kind=str) or ""
    region = region if re.fullmatch(_REGION, region) else _ANY_REGION
    for path, name_key, version_key, instance_path in named:
        part = _at(document, *map(str, path), kind=dict) or {}
        name, version = part.get(name_key), part.get(version_key, "")
        if not isinstance(name, str) or not isinstance(version, str) or not name:
            continue
        instance_type = _at(document, *map(str, instance_path), kind=str) or ""
        try:
            image_uri(name, region, version=version, instance_type=instance_type)
        except InputError as error:
            about_version = f"version of {name}" in error.problems[0] or "version of" in error.problems[0]
            key = version_key if about_version and version_key in part else name_key
            for problem in error.problems:
                yield (*path, key), problem


def _training(document: Document) -> Iterator[tuple[KeyPath, str]]:
    channels = _at(document, "data", "channels", kind=dict)
    named = _at(document, "training", "channels", kind=list) or []
    for index, name in enumerate(named):
        if channels is not None and isinstance(name, str) and name not in channels:
            yield ("training", "channels", index), f"is {name!r}, must be one of {', '.join(channels)}"
    held_out = _at(document, "evaluation", "data", kind=str)
    if channels and not named and set(channels) == {held_out}:
        yield ("training",), f"has no channel left to train on: {held_out} is the evaluation's; name its channels"
    resources = _at(document, "training", "resources", kind=dict) or {}
    wait, runtime = resources.get("max_wait_seconds", 0), resources.get("max_runtime_seconds", 3600)
    if wait and isinstance(wait, int) and isinstance(runtime, int):
        path = ("training", "resources", "max_wait_seconds")
        if resources.get("use_spot") is False:
            yield path, "must be left out without use_spot"
        elif wait < runtime:
            yield path, f"is {wait}, must be at least max_runtime_seconds, which is {runtime}"


def _tuning(document: Document) -> Iterator[tuple[KeyPath, str]]:
    tuning = _at(document, "training", "tuning", kind=dict)
    if tuning is None:
        return
    path = ("training", "tuning")
    fixed = _at(document, "training", "hyperparameters", kind=dict) or {}
    ranges = tuning.get("ranges")
    for name, given in (ranges if isinstance(ranges, dict) else {}).items():
        if name in fixed:
            yield ("training", "hyperparameters", name), "is tuned too, must be left out here or in tuning.ranges"
        for kind in ("continuous", "integer"):
            bounds = given.get(kind) if isinstance(given, dict) else None
            if isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(each, int | float) for each in bounds):
                if bounds[0] >= bounds[1]:
                    yield (*path, "ranges", name, kind), f"is {bounds}, must be [lowest, highest], lowest first"
                if tuning.get("strategy") == "Grid":
                    yield (*path, "ranges", name, kind), "must be categorical with the strategy Grid"
    jobs, parallel = tuning.get("max_jobs", 10), tuning.get("max_parallel_jobs", 1)
    if isinstance(jobs, int) and isinstance(parallel, int) and parallel > jobs:
        yield (*path, "max_parallel_jobs"), f"is {parallel}, must be at most max_jobs, which is {jobs}"


def _evaluation(document: Document) -> Iterator[tuple[KeyPath, str]]:
    evaluation = _at(document, "evaluation", kind=dict)
    if evaluation is None:
        return
    data, channels = evaluation.get("data"), _at(document, "data", "channels", kind=dict)
    if isinstance(data, str) and channels is not None and not data.startswith("s3://") and data not in channels:
        yield ("evaluation", "data"), f"is {data!r}, must be one of the channels {', '.join(channels)}, or an S3 URI"
    problem_type = evaluation.get("problem_type")
    options = {"threshold": "binary_classification", "positive_label": "binary_classification"}
    for name, wanted in {**options, "class_names": "multiclass_classification"}.items():
        if name in evaluation and problem_type in METRICS and problem_type != wanted:
            yield ("evaluation", name), f"must be left out with the problem_type {problem_type}"


def _gates(document: Document) -> Iterator[tuple[KeyPath, str]]:
    gates = _at(document, "gates", kind=list) or []
    evaluation = _at(document, "evaluation", kind=dict)
    if gates and evaluation is None:
        yield ("gates",), "need an evaluation, whose metrics they look at"
        return
    known = METRICS.get(str((evaluation or {}).get("problem_type")))
    for index, gate in enumerate(gates):
        metric = gate.get("metric") if isinstance(gate, dict) else None
        # What no problem type has the schema has told already.
        if known and any(metric in every for every in METRICS.values()) and metric not in known:
            kind = (evaluation or {}).get("problem_type")
            yield ("gates", index, "metric"), f"is {metric}, must be one of {', '.join(known)} for {kind}"

"""Tags that say which run, task and request a resource belongs to.

Whatever a killed step leaves behind is found by them: by ``delete_resources``, by ``kfp-sagemaker stop RUN_ID``, and by
the retried step that adopts its own job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.run_context import RunContext

PREFIX = "kfp-sagemaker:"
RUN_ID = f"{PREFIX}run-id"
PIPELINE = f"{PREFIX}pipeline"
TASK = f"{PREFIX}task"
REQUEST = f"{PREFIX}request"

# The SageMaker API reference, Tag: at most 50 tags, keys of 128 and values of 256 of these characters.
_FORBIDDEN = re.compile(r"[^\w\s.:/=+\-@]")
_MAX_TAGS = 50
_MAX_KEY = 128
_MAX_VALUE = 256


def run_tags(
    run: RunContext, tags: Mapping[str, object] | None = None, *, request_hash: str = ""
) -> list[dict[str, str]]:
    """The tags of a resource: the user's, and the run's own.

    Args:
        run: The run the resource belongs to.
        tags: The user's tags, key to value.
        request_hash: Fingerprint of the request, of ``names.request_hash``; lets a retried step recognise its job.

    Returns:
        ``[{"Key": ..., "Value": ...}]``, the user's first.

    Raises:
        InputError: If a user tag has a reserved key or does not fit AWS's limits.
    """
    own = {RUN_ID: run.run_id, PIPELINE: run.pipeline_name, TASK: run.task_name, REQUEST: request_hash}
    given = {str(key): str(value) for key, value in (tags or {}).items()}
    problems = [problem for key, value in given.items() for problem in _problems(key, value)]
    if len(given) > _MAX_TAGS - len(own):
        problems.append(f"tags holds {len(given)} entries, must be at most {_MAX_TAGS - len(own)}")
    if problems:
        raise InputError(problems, "tags")
    merged = given | {key: _FORBIDDEN.sub("-", value)[:_MAX_VALUE] for key, value in own.items() if value}
    return [{"Key": key, "Value": value} for key, value in merged.items()]


def as_mapping(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """AWS's list of tags as a plain mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def _problems(key: str, value: str) -> Iterable[str]:
    if key.startswith((PREFIX, "aws:")):
        yield f"tags has the key {key!r}, must not start with {PREFIX} or aws:"
    if not 1 <= len(key) <= _MAX_KEY or _FORBIDDEN.search(key):
        yield f"tags has the key {key!r}, must be 1 to {_MAX_KEY} letters, digits, spaces and . : / = + - @ _"
    if len(value) > _MAX_VALUE or _FORBIDDEN.search(value):
        yield f"tags has {key!r} = {value!r}, must be at most {_MAX_VALUE} letters, digits, spaces and . : / = + - @ _"

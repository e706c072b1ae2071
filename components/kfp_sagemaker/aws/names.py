"""Names of AWS resources: the same run, task and request always give the same name.

That is what lets a retried pod find the job its predecessor started: it asks for the same name, AWS answers that it
exists, and the request's hash in the tags says that it is the very same request.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from kfp_sagemaker.aws.run_context import RunContext

_HASH_CHARACTERS = 12
# Room for the "-2" ... "-999" of a further attempt, so that an attempt's name never cuts the hash.
_ATTEMPT_CHARACTERS = 4


def request_hash(request: Mapping[str, Any]) -> str:
    """Fingerprint of a request, independent of the order of its keys.

    Args:
        request: The request without its name and tags.

    Returns:
        Sixteen hexadecimal digits.
    """
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def resource_name(prefix: str, request: Mapping[str, Any], run: RunContext, max_length: int = 63) -> str:
    """Deterministic name of the resource that this task of this run makes from this request.

    Outside a run there is nothing to come back to, so each call gives a new name: a notebook that trains twice gets two
    jobs, not the result of the first one again.

    Args:
        prefix: Opens the name, such as ``train``; characters SageMaker does not take become hyphens.
        request: The request without its name and tags.
        run: The run and task the resource belongs to.
        max_length: The longest name the resource may have.

    Returns:
        ``<prefix>-<12 hexadecimal digits>``, short enough for an attempt's suffix.
    """
    origin = f"{run.run_id}\n{run.task_name}" if run.run_id else uuid.uuid4().hex
    digest = hashlib.sha256(f"{origin}\n{request_hash(request)}".encode()).hexdigest()[:_HASH_CHARACTERS]
    room = max_length - _HASH_CHARACTERS - _ATTEMPT_CHARACTERS - 1
    start = re.sub(r"[^a-zA-Z0-9]+", "-", prefix).strip("-")[: max(room, 0)].rstrip("-")
    return f"{start}-{digest}" if start else digest


def attempt_name(name: str, attempt: int, max_length: int = 63) -> str:
    """Name of a further attempt: the first keeps the name, the second ends in ``-2``.

    Args:
        name: The first attempt's name.
        attempt: Counts from 1.
        max_length: The longest name the resource may have.

    Returns:
        The name, shortened where the suffix needs the room.
    """
    if attempt == 1:
        return name
    suffix = f"-{attempt}"
    return name[: max_length - len(suffix)].rstrip("-") + suffix

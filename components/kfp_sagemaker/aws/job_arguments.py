"""Checks of the arguments that the job components have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.run_context import RunContext
from kfp_sagemaker.aws.tags import run_tags
from kfp_sagemaker.aws.validation import Problems

_T = TypeVar("_T")
# The S3 user guide, "Categorizing your storage using tags".
_MAX_OBJECT_TAGS = 10


def check_job_arguments(
    problems: Problems,
    *,
    job_name: str,
    job_name_prefix: str,
    timeout_seconds: float,
    tags: Mapping[str, Any],
    max_name_length: int = 63,
) -> None:
    """Check the arguments every job component has."""
    problems.name("job_name", job_name, max_name_length)
    problems.name("job_name_prefix", job_name_prefix)
    if job_name and job_name_prefix:
        problems.add("job_name_prefix", job_name_prefix, "left out; job_name is the whole name")
    problems.between("timeout_seconds", timeout_seconds, minimum=0)
    gather_tags(problems, tags)


def check_vpc(problems: Problems, subnets: Sequence[str], security_group_ids: Sequence[str]) -> None:
    """Subnets and security groups come together or not at all."""
    if bool(subnets) != bool(security_group_ids):
        missing = "security_group_ids" if subnets else "subnets"
        problems.add(missing, [], "given together with " + ("subnets" if subnets else "security_group_ids"))


def gather(problems: Problems, compute: Callable[[], _T], argument: str = "") -> _T | None:
    """Call something that refuses its input by itself, and record what it says with the other problems.

    Args:
        problems: The other problems.
        compute: What to call.
        argument: Opens each of its problems, where they do not name the argument themselves.
    """
    try:
        return compute()
    except InputError as error:
        problems.found += [f"{argument}: {problem}" if argument else problem for problem in error.problems]
        return None


def together(subject: str, *computations: Callable[[], Any]) -> list[Any]:
    """Call several that refuse their input by themselves, so that the problems of all are told at once.

    Args:
        subject: What is being built, such as ``deploy_endpoint``; opens the message.
        *computations: What to call.

    Returns:
        What each returned.

    Raises:
        InputError: With the problems of all of them.
    """
    problems = Problems(subject)
    results = [gather(problems, compute) for compute in computations]
    problems.raise_if_any()
    return results


def gather_tags(problems: Problems, tags: Mapping[str, Any] | None) -> None:
    """Check the user's tags of a resource."""
    gather(problems, lambda: run_tags(RunContext("", "", ""), tags))


def check_object_tags(problems: Problems, tags: Mapping[str, Any]) -> None:
    """Check tags of S3 objects, of which S3 takes ten."""
    if not isinstance(tags, Mapping):
        problems.add("tags", tags, "an object of names and values")
    elif len(tags) > _MAX_OBJECT_TAGS:
        problems.add("tags", f"{len(tags)} tags", f"at most {_MAX_OBJECT_TAGS} tags")
    else:
        gather_tags(problems, tags)

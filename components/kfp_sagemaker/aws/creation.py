"""Creating a resource once: a retried step finds what its earlier attempt created, and never starts a second one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import names, run_context
from kfp_sagemaker.aws.call_errors import aws_errors, error_code, error_message
from kfp_sagemaker.aws.errors import NameTakenError
from kfp_sagemaker.aws.handle import ResourceHandle
from kfp_sagemaker.aws.kinds import look_up
from kfp_sagemaker.aws.run_creation import MAX_ATTEMPTS, start_or_adopt
from kfp_sagemaker.aws.tags import REQUEST, RUN_ID, as_mapping, run_tags


def create_or_adopt(
    handle: ResourceHandle,
    request: Mapping[str, Any],
    name: str,
    name_prefix: str,
    tags: Mapping[str, object] | None,
    sink: Callable[[str], None],
) -> None:
    """Create the resource, or take over the one this step's earlier attempt created.

    What exists under the name is the step's own when its tags name the same run and the same request. Running or
    finished it is adopted; failed or stopped it is spent, and a further attempt gets the next name (``-2``, ``-3``).

    Args:
        handle: Gets name, ARN and whether it was adopted.
        request: The create request without name and tags.
        name: The resource's name; empty derives one from run, task and request.
        name_prefix: Opens a derived name.
        tags: The user's tags.
        sink: Takes lines for the step's log.

    Raises:
        NameTakenError: If the name belongs to something else.
        AwsCallError: If AWS refused a call.
    """
    if handle.kind.run_of is not None:
        start_or_adopt(handle, handle.kind.run_of, request, name, name_prefix, sink)
        return
    run = run_context.current()
    fingerprint = names.request_hash(request)
    longest = handle.kind.max_name_length
    first_name = name or names.resource_name(name_prefix, request, run, longest)
    full_request = {**request, "Tags": run_tags(run, tags, request_hash=fingerprint)}
    for attempt in range(1, MAX_ATTEMPTS + 1):
        handle.name = names.attempt_name(first_name, attempt, longest)
        if _create(handle, full_request):
            sink(f"{handle}: created")
            return
        if _adopt(handle, run.run_id, fingerprint, sink):
            return
    raise NameTakenError(f"{handle}: all {MAX_ATTEMPTS} attempts of this step have failed; see the last one's log")


def _create(handle: ResourceHandle, request: Mapping[str, Any]) -> bool:
    """Create it under the present name; false when the name is taken."""
    with aws_errors(f"creating {handle}"):
        try:
            handle.create(request)
        except ClientError as error:
            if _says_exists(error):
                return False
            raise
    return True


def _adopt(handle: ResourceHandle, run_id: str, fingerprint: str, sink: Callable[[str], None]) -> bool:
    """Take over what has the name, if it is this step's; false when that one is spent."""
    kind = handle.kind
    with aws_errors(f"looking at the existing {handle}"):
        description = handle.describe()
        arn = str(look_up(description, kind.arn_path))
        found = as_mapping(handle.client.list_tags(ResourceArn=arn)["Tags"])
    status = handle.status(description)
    if REQUEST not in found:
        raise _name_taken(handle, "by somebody else")
    if found[REQUEST] != fingerprint:
        raise _name_taken(handle, "from another request")
    if found.get(RUN_ID, "") != run_id:
        raise _name_taken(handle, f"by run {found.get(RUN_ID) or 'unknown'}")
    if status in kind.failed | kind.stopped | kind.stopping:
        if not kind.numbers_attempts:
            raise NameTakenError(f"{handle} already exists, made by this step, and is {status}: delete it first")
        sink(f"{handle}: {status}, from an earlier attempt of this step; starting another")
        return False
    handle.arn, handle.adopted = arn, True
    sink(f"{handle}: adopted, an earlier attempt of this step created it; status {status}")
    return True


def _name_taken(handle: ResourceHandle, how: str) -> NameTakenError:
    return NameTakenError(
        f"{handle} already exists and was made {how}: choose another name, or leave it empty for one of the run's own"
    )


def _says_exists(error: ClientError) -> bool:
    """Whether a create was refused because the name exists: SageMaker has a code for it, or only a sentence."""
    return error_code(error) == "ResourceInUse" or (
        error_code(error) == "ValidationException" and "already exist" in error_message(error).lower()
    )

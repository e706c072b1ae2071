"""Starting a run once, of a Glue job or a state machine: what has no tags by which a retried step would know its own.

- A state machine's execution takes the name the step derives from run, task and request. Under that name there is one
  execution; it is the step's own when its input is the same.
- Glue names a run itself, and starts another with every call. The step gives it the derived name as an argument
  (``--kfp-sagemaker-run``), and looks for that in the list of the job's runs before it starts one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import names, run_context
from kfp_sagemaker.aws.call_errors import aws_errors, is_missing
from kfp_sagemaker.aws.errors import NameTakenError
from kfp_sagemaker.aws.handle import ResourceHandle
from kfp_sagemaker.aws.kinds import RunAddress

MAX_ATTEMPTS = 20


def start_or_adopt(
    handle: ResourceHandle,
    run_of: RunAddress,
    request: Mapping[str, Any],
    name: str,
    name_prefix: str,
    sink: Callable[[str], None],
) -> None:
    """Start a run, or take over the one this step's earlier attempt started.

    Running or finished it is adopted; failed or stopped it is spent, and a further attempt gets the next name.

    Args:
        handle: Gets parent, name, ARN and whether it was adopted.
        run_of: How such runs are addressed.
        request: The start request without the run's name.
        name: The run's name; empty derives one from run, task and request.
        name_prefix: Opens a derived name.
        sink: Takes lines for the step's log.

    Raises:
        NameTakenError: If the name belongs to something else.
        AwsCallError: If AWS refused a call.
    """
    kind = handle.kind
    handle.parent = str(request[run_of.parent_parameter])
    first_name = name or names.resource_name(name_prefix, request, run_context.current(), kind.max_name_length)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        own_name = names.attempt_name(first_name, attempt, kind.max_name_length)
        if run_of.marker_argument:
            handle.name, handle.marker = "", own_name
        else:
            handle.name = own_name
        status = _status_of_earlier(handle, request)
        if not status:
            with aws_errors(f"starting {handle}"):
                handle.create(_marked(request, run_of, own_name))
            sink(f"{handle}: started")
            return
        if status not in kind.failed | kind.stopped | kind.stopping:
            handle.adopted = True
            sink(f"{handle}: adopted, an earlier attempt of this step started it; status {status}")
            return
        sink(f"{handle}: {status}, from an earlier attempt of this step; starting another")
    raise NameTakenError(f"{handle}: all {MAX_ATTEMPTS} attempts of this step have failed; see the last one's log")


def _status_of_earlier(handle: ResourceHandle, request: Mapping[str, Any]) -> str:
    """The status of the run under this name; empty when there is none."""
    with aws_errors(f"looking for an earlier {handle}"):
        if handle.marker:
            return handle.find_marked()
        try:
            description = handle.describe()
        except ClientError as error:
            if is_missing(error):
                return ""
            raise
    if description.get("input") != request.get("input"):
        raise NameTakenError(
            f"{handle} already exists and was started with another input: choose another name, or leave it empty for "
            "one of the run's own"
        )
    handle.arn = str(description[handle.kind.arn_path])
    return handle.status(description)


def _marked(request: Mapping[str, Any], run_of: RunAddress, marker: str) -> dict[str, Any]:
    if not run_of.marker_argument:
        return dict(request)
    return {**request, "Arguments": {**request.get("Arguments", {}), run_of.marker_argument: marker}}

"""What the operations of all resources share: ARNs, look-ups, and the filters, order and pages of every ``List*``."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.operations import Context

DEFAULT_PAGE_SIZE = 10
# An item's place in a list: what it is sorted by, then its name.
Position = tuple[tuple[int, float, str], str]


def arn(ctx: Context, resource_type: str, name: str) -> str:
    """Return a SageMaker ARN, such as ``arn:aws:sagemaker:us-east-1:000000000000:training-job/housing``.

    Args:
        ctx: The call's context.
        resource_type: The type as ARNs spell it: ``training-job``, ``endpoint-config``, ``model``.
        name: The resource's name; ARNs carry it in lower case.
    """
    return f"arn:{ctx.partition}:sagemaker:{ctx.region}:{ctx.account_id}:{resource_type}/{name.lower()}"


def require(ctx: Context, kind: str, name: str, message: str) -> dict[str, Any]:
    """Return a copy of a stored document.

    Args:
        ctx: The call's context.
        kind: The store's kind.
        name: The document's name.
        message: What the ValidationException says when there is none.

    Raises:
        ValidationException: There is no such document.
    """
    document = ctx.app.store.get(kind, ctx.region, name)
    if document is None:
        raise ValidationException(message)
    return document


def find_by_arn(ctx: Context, resource_arn: str) -> tuple[str, dict[str, Any]] | None:
    """Return the kind and a copy of the document of an ARN of this account and region, or None.

    Args:
        ctx: The call's context.
        resource_arn: The ARN; names in it are in lower case, documents keep theirs.
    """
    parts = resource_arn.split(":", 5)
    if len(parts) < 6 or parts[2:5] != ["sagemaker", ctx.region, ctx.account_id]:
        return None
    kind = parts[5].partition("/")[0]
    for document in ctx.app.store.list(kind, ctx.region):
        if arn(ctx, kind, document[name_key(kind)]) == resource_arn:
            return kind, document
    return None


def name_key(kind: str) -> str:
    """Return the member that holds the name of a kind's resources: ``TrainingJobName`` for ``training-job``."""
    if kind.endswith("-job-definition"):
        return "JobDefinitionName"
    return "".join(word.capitalize() for word in kind.split("-")) + "Name"


def check_tags(tags: list[dict[str, str]]) -> None:
    """Check the tags of a new resource, or ones to add.

    Raises:
        ValidationException: A key is given twice, or is AWS's own.
    """
    keys = [tag["Key"].lower() for tag in tags]
    if len(set(keys)) < len(keys):
        raise ValidationException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if reserved := [tag["Key"] for tag in tags if tag["Key"].lower().startswith("aws:")]:
        raise ValidationException(f"Tag keys starting with 'aws:' are reserved for system use: {', '.join(reserved)}.")


def matching(items: Iterable[dict[str, Any]], **members: Any) -> list[dict[str, Any]]:
    """Return the documents whose members have these values; None asks nothing of a member."""
    wanted = {member: value for member, value in members.items() if value is not None}
    return [item for item in items if all(item.get(member) == value for member, value in wanted.items())]


def page(
    items: Iterable[dict[str, Any]],
    params: dict[str, Any],
    *,
    name_key: str,
    status_key: str = "",
    summary: Callable[[dict[str, Any]], dict[str, Any]],
    result_key: str,
    default_sort: str = "CreationTime",
    default_order: str = "Descending",
) -> dict[str, Any]:
    """Answer a ``List*`` operation: filter, sort, cut a page.

    Handles ``NameContains``, ``CreationTimeAfter/Before``, ``LastModifiedTimeAfter/Before``, ``StatusEquals``,
    ``SortBy`` (``Name``, ``CreationTime``, ``Status``, ``LastModifiedTime``), ``SortOrder``, ``MaxResults`` and
    ``NextToken``.

    Args:
        items: The documents, each with ``CreationTime``.
        params: The operation's parameters.
        name_key: The key of an item's name, such as ``TrainingJobName``.
        status_key: The key of its status, for ``StatusEquals`` and sorting by it.
        summary: Makes the listed entry of an item.
        result_key: The answer's list, such as ``TrainingJobSummaries``.
        default_sort: ``SortBy`` when not given.
        default_order: ``SortOrder`` when not given.

    Returns:
        The answer, with ``NextToken`` when there is more.

    Raises:
        ValidationException: ``NextToken`` is not one this list gave.
    """
    sort_by = params.get("SortBy") or default_sort
    sort_key = {"Name": name_key, "Status": status_key}.get(sort_by, sort_by)
    return cut_page(
        [item for item in items if _is_selected(item, params, name_key, status_key)],
        params,
        position=lambda item: (sortable(item.get(sort_key)), item[name_key]),
        is_descending=params.get("SortOrder", default_order) == "Descending",
        entry=summary,
        result_key=result_key,
    )


def cut_page(
    items: list[dict[str, Any]],
    params: dict[str, Any],
    *,
    position: Callable[[dict[str, Any]], Position],
    is_descending: bool,
    entry: Callable[[dict[str, Any]], dict[str, Any]],
    result_key: str,
    default_size: int = DEFAULT_PAGE_SIZE,
) -> dict[str, Any]:
    """Sort items and answer the page ``NextToken`` and ``MaxResults`` ask for.

    A token holds the position of the last item answered, so items created or deleted meanwhile shift nothing.

    Args:
        items: What to page through.
        params: The operation's parameters.
        position: An item's place in the order; the name in it makes it unique.
        is_descending: Whether the greatest comes first.
        entry: Makes the answered entry of an item.
        result_key: The answer's list.
        default_size: The page's size without ``MaxResults``.

    Raises:
        ValidationException: ``NextToken`` is not one this operation gave.
    """
    items = sorted(items, key=position, reverse=is_descending)
    if token := params.get("NextToken"):
        last = _read_token(token)
        items = [item for item in items if (position(item) < last if is_descending else position(item) > last)]
    size = params.get("MaxResults", default_size)
    answer: dict[str, Any] = {result_key: [entry(item) for item in items[:size]]}
    if len(items) > size:
        answer["NextToken"] = base64.urlsafe_b64encode(json.dumps(position(items[size - 1])).encode()).decode()
    return answer


def sortable(value: Any) -> tuple[int, float, str]:
    """Return a key that orders values of any kind: missing ones first, then numbers and times, then text."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, datetime):
        return 1, value.timestamp(), ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return 2, 0.0, str(value)


def _is_selected(item: dict[str, Any], params: dict[str, Any], name_key: str, status_key: str) -> bool:
    # AWS matches names without regard to case.
    if params.get("NameContains", "").lower() not in item[name_key].lower():
        return False
    if status_key and (status := params.get("StatusEquals")) and item.get(status_key) != status:
        return False
    for attribute in ("CreationTime", "LastModifiedTime"):
        moment = item.get(attribute)
        after, before = params.get(f"{attribute}After"), params.get(f"{attribute}Before")
        if after is not None and (moment is None or moment <= after):
            return False
        if before is not None and (moment is None or moment >= before):
            return False
    return True


def _read_token(token: str) -> Position:
    try:
        (rank, number, text), name = json.loads(base64.urlsafe_b64decode(token))
        return (int(rank), float(number), str(text)), str(name)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValidationException("Invalid NextToken: it was not answered by this operation.") from error

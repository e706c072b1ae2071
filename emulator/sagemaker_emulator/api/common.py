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
    ``NextToken``. A token holds the position of the last item answered, so items created meanwhile shift nothing.

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
    selected = [item for item in items if _selected(item, params, name_key, status_key)]
    sort_key = {"Name": name_key, "Status": status_key}.get(params.get("SortBy") or default_sort) or (
        params.get("SortBy") or default_sort
    )
    descending = params.get("SortOrder", default_order) == "Descending"

    def position(item: dict[str, Any]) -> tuple[str, str]:
        return _sortable(item.get(sort_key)), item[name_key]

    selected.sort(key=position, reverse=descending)
    if token := params.get("NextToken"):
        last = _read_token(token)
        selected = [item for item in selected if (position(item) < last if descending else position(item) > last)]
    size = params.get("MaxResults", DEFAULT_PAGE_SIZE)
    answer: dict[str, Any] = {result_key: [summary(item) for item in selected[:size]]}
    if len(selected) > size:
        answer["NextToken"] = _make_token(position(selected[size - 1]))
    return answer


def _selected(item: dict[str, Any], params: dict[str, Any], name_key: str, status_key: str) -> bool:
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


def _sortable(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.timestamp():020.6f}"
    return "" if value is None else str(value)


def _make_token(position: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: str) -> tuple[str, str]:
    try:
        sort_value, name = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValidationException("Invalid NextToken: it was not answered by this operation.") from error
    return sort_value, name

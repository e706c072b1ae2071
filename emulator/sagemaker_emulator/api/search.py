"""Search: resources by any of their members, tags, hyperparameters or final metrics.

As on AWS, processing and transform jobs are found by their trial components.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Search.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.api.trial_components import trial_components
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.hosting.deployment_record import describe_endpoint
from sagemaker_emulator.jobs import tuning_record
from sagemaker_emulator.operations import Context, operation

Document = dict[str, Any]


@dataclass(frozen=True)
class _Searchable:
    """A resource Search knows: where its documents are, how a record of the answer holds one, what names it."""

    documents: Callable[[Context], list[Document]]
    record: Callable[[Document], Document]
    name: str
    default_sort: str = "LastModifiedTime"


_SEARCHABLE = {
    "TrainingJob": _Searchable(
        lambda ctx: ctx.app.store.list("training-job", ctx.region),
        lambda document: {"TrainingJob": document},
        "TrainingJobName",
    ),
    "HyperParameterTuningJob": _Searchable(
        lambda ctx: [
            {**job, **tuning_record.progress(ctx.app, ctx.region, job)}
            for job in ctx.app.store.list(tuning_record.KIND, ctx.region)
        ],
        lambda document: {"HyperParameterTuningJob": document},
        "HyperParameterTuningJobName",
    ),
    "ExperimentTrialComponent": _Searchable(
        trial_components, lambda document: {"TrialComponent": document}, "TrialComponentName"
    ),
    "Endpoint": _Searchable(
        lambda ctx: [describe_endpoint(document) for document in ctx.app.store.list("endpoint", ctx.region)],
        lambda document: {"Endpoint": document},
        "EndpointName",
    ),
    "Model": _Searchable(
        lambda ctx: ctx.app.store.list("model", ctx.region),
        lambda document: {"Model": {"Model": document}},
        "ModelName",
        default_sort="CreationTime",
    ),
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


@operation("Search")
async def search(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the resources an expression selects."""
    resource = params["Resource"]
    searchable = _SEARCHABLE.get(resource)
    if searchable is None:
        raise ValidationException(
            f"sagemaker-emulator does not search resources of type {resource}; it searches {', '.join(_SEARCHABLE)}."
        )
    if "VisibilityConditions" in params or params.get("CrossAccountFilterOption", "SameAccount") != "SameAccount":
        raise ValidationException(
            "sagemaker-emulator does not implement VisibilityConditions and CrossAccountFilterOption of Search."
        )
    expression = params.get("SearchExpression", {})
    _check(expression)
    sort_by = params.get("SortBy", searchable.default_sort)
    return common.cut_page(
        [document for document in searchable.documents(ctx) if _matches(document, expression)],
        params,
        position=lambda item: (common.sortable(next(_values(item, sort_by), None)), item[searchable.name]),
        is_descending=params.get("SortOrder", "Descending") == "Descending",
        entry=searchable.record,
        result_key="Results",
    )


def _check(expression: Document) -> None:
    for item in [*expression.get("Filters", []), *_nested_filters(expression)]:
        needs_value = item.get("Operator", "Equals") not in ("Exists", "NotExists")
        if needs_value and "Value" not in item:
            raise ValidationException(f"Filter on {item['Name']} with {item.get('Operator', 'Equals')} needs a Value.")
        if not needs_value and "Value" in item:
            raise ValidationException(f"Filter on {item['Name']} with {item['Operator']} takes no Value.")
    for sub_expression in expression.get("SubExpressions", []):
        _check(sub_expression)


def _nested_filters(expression: Document) -> Iterator[Document]:
    for nested in expression.get("NestedFilters", []):
        yield from nested["Filters"]


def _matches(document: Document, expression: Document) -> bool:
    decisions = [
        *(_filter_matches(document, item) for item in expression.get("Filters", [])),
        *(_nested_matches(document, item) for item in expression.get("NestedFilters", [])),
        *(_matches(document, item) for item in expression.get("SubExpressions", [])),
    ]
    if not decisions:
        return True
    return any(decisions) if expression.get("Operator") == "Or" else all(decisions)


def _nested_matches(document: Document, nested: Document) -> bool:
    """Whether one and the same item of a list satisfies all of the nested filters."""
    path: str = nested["NestedPropertyName"]
    filters = [{**item, "Name": item["Name"].removeprefix(f"{path}.")} for item in nested["Filters"]]
    return any(
        all(_filter_matches(item, one) for one in filters) for item in _values(document, path) if isinstance(item, dict)
    )


def _filter_matches(document: Document, item: Document) -> bool:
    found = list(_values(document, item["Name"]))
    wanted = item.get("Value", "")
    match item.get("Operator", "Equals"):
        case "Exists":
            return bool(found)
        case "NotExists":
            return not found
        case "NotEquals":
            return not any(_equals(value, wanted) for value in found)
        case "In":
            return any(_equals(value, one.strip()) for value in found for one in wanted.split(","))
        case "Contains":
            return any(wanted.lower() in str(value).lower() for value in found)
        case "Equals":
            return any(_equals(value, wanted) for value in found)
        case operator:
            return any(_compares(value, wanted, operator) for value in found)


def _equals(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    typed = _like(value, wanted)
    return typed is not None and bool(typed == value)


def _compares(value: Any, wanted: str, operator: str) -> bool:
    if isinstance(value, str):
        # Hyperparameters are text; numbers among them compare as numbers.
        numbers = _number(value), _number(wanted)
        if None not in numbers:
            return _COMPARISONS[operator](*numbers)
    typed = _like(value, wanted)
    return typed is not None and _COMPARISONS[operator](value, typed)


def _like(value: Any, text: str) -> Any:
    """Return a filter's text as the type of the value it is compared with; None when it cannot be."""
    if isinstance(value, datetime):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _number(text) if isinstance(value, int | float) else text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _values(value: Any, path: str) -> Iterator[Any]:
    """Yield what a property path names: through structures and lists; tags and metrics by their key."""
    if not path:
        if isinstance(value, list):
            yield from value
        else:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif isinstance(value, dict):
        if path.startswith("Tags."):
            key = path.removeprefix("Tags.")
            yield from (tag["Value"] for tag in value.get("Tags", []) if tag["Key"] == key)
        elif path.startswith("Metrics."):
            yield from _metric(value, path.removeprefix("Metrics."))
        elif path in value:
            # A map's key may hold dots itself.
            yield from _values(value[path], "")
        else:
            head, _, rest = path.partition(".")
            if head in value:
                yield from _values(value[head], rest)


def _metric(document: Document, path: str) -> Iterator[Any]:
    # "Metrics.validation:accuracy" or "Metrics.validation:accuracy.value".
    name = path.removesuffix(".value").removesuffix(".Value")
    for metric in document.get("FinalMetricDataList", []):
        if metric["MetricName"] == name:
            yield metric["Value"]

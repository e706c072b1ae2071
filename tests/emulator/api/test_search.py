from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.api.search import search
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.operations import Context
from sagemaker_emulator.store import Store


def job(name, day, **members):
    moment = datetime(2026, 1, day, tzinfo=UTC)
    return {"TrainingJobName": name, "CreationTime": moment, "LastModifiedTime": moment, **members}


JOBS = [
    job(
        "small",
        1,
        TrainingJobStatus="Completed",
        HyperParameters={"epochs": "5", "mini.batch": "10"},
        Tags=[{"Key": "city", "Value": "Houston"}],
        FinalMetricDataList=[{"MetricName": "test:mse", "Value": 4.0}],
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/one"}}}],
    ),
    job(
        "large",
        2,
        TrainingJobStatus="Failed",
        HyperParameters={"epochs": "15"},
        EnableManagedSpotTraining=True,
        InputDataConfig=[
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/two"}}},
            {"ChannelName": "validation", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/one"}}},
        ],
    ),
    job("third", 3, TrainingJobStatus="Completed", FinalMetricDataList=[{"MetricName": "test:mse", "Value": 2.0}]),
]


@pytest.fixture
def ctx(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    for document in JOBS:
        store.insert("training-job", "us-east-1", document["TrainingJobName"], document)
    return Context(SimpleNamespace(store=store), "000000000000", "us-east-1", "aws", "", "")


async def found(ctx, *filters, operator="And", **expression):
    params = {"Resource": "TrainingJob", "SearchExpression": {"Filters": list(filters), "Operator": operator}}
    params["SearchExpression"].update(expression)
    answer = await search(ctx, params)
    return [result["TrainingJob"]["TrainingJobName"] for result in answer["Results"]]


def where(name, operator, value=None):
    return {"Name": name, "Operator": operator, **({} if value is None else {"Value": value})}


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (where("TrainingJobStatus", "Equals", "Completed"), ["third", "small"]),
        (where("TrainingJobStatus", "NotEquals", "Completed"), ["large"]),
        (where("TrainingJobStatus", "In", "Failed, Stopped"), ["large"]),
        (where("TrainingJobName", "Contains", "AR"), ["large"]),
        (where("HyperParameters.epochs", "GreaterThan", "9"), ["large"]),
        (where("HyperParameters.mini.batch", "LessThanOrEqualTo", "10"), ["small"]),
        (where("HyperParameters.epochs", "NotExists"), ["third"]),
        (where("Tags.city", "Equals", "Houston"), ["small"]),
        (where("Tags.city", "Exists"), ["small"]),
        (where("Metrics.test:mse", "LessThan", "3"), ["third"]),
        (where("Metrics.test:mse.value", "GreaterThanOrEqualTo", "4"), ["small"]),
        (where("EnableManagedSpotTraining", "Equals", "true"), ["large"]),
        (where("CreationTime", "GreaterThan", "2026-01-01T12:00:00Z"), ["third", "large"]),
        (where("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "/two"), ["large"]),
        (where("CreationTime", "GreaterThan", "not a time"), []),
    ],
)
async def test_each_operator(ctx, condition, names):
    assert await found(ctx, condition) == names


async def test_conditions_combine(ctx):
    completed, city = where("TrainingJobStatus", "Equals", "Failed"), where("Tags.city", "Exists")
    assert await found(ctx, completed, city) == []
    assert await found(ctx, completed, city, operator="Or") == ["large", "small"]
    nested = {"Filters": [where("TrainingJobName", "Equals", "third")]}
    assert await found(ctx, city, operator="Or", SubExpressions=[nested]) == ["third", "small"]


async def test_nested_filters_hold_for_one_item_together(ctx):
    path = "InputDataConfig"
    nested = {
        "NestedPropertyName": path,
        "Filters": [
            where(f"{path}.ChannelName", "Equals", "train"),
            where(f"{path}.DataSource.S3DataSource.S3Uri", "Equals", "s3://b/one"),
        ],
    }
    assert await found(ctx, NestedFilters=[nested]) == ["small"]


async def test_sorted_by_a_metric_and_paged(ctx):
    query = {"Resource": "TrainingJob", "SortBy": "Metrics.test:mse", "SortOrder": "Ascending", "MaxResults": 2}
    first = await search(ctx, query)
    second = await search(ctx, {**query, "NextToken": first["NextToken"]})
    names = [item["TrainingJob"]["TrainingJobName"] for item in first["Results"] + second["Results"]]
    assert names == ["large", "third", "small"]
    assert "NextToken" not in second


@pytest.mark.parametrize("condition", [where("A", "Equals"), where("A", "Exists", "x")])
async def test_a_filter_without_its_value_is_refused(ctx, condition):
    with pytest.raises(ValidationException, match="Filter on A"):
        await found(ctx, condition)


def test_over_http(emulator, unique_name):
    sagemaker = emulator.client("sagemaker")
    sagemaker.create_model(
        ModelName=unique_name, PrimaryContainer={"Image": "i"}, Tags=[{"Key": "test", "Value": unique_name}]
    )
    condition = where("Tags.test", "Equals", unique_name)
    results = sagemaker.search(Resource="Model", SearchExpression={"Filters": [condition]})["Results"]
    assert [result["Model"]["Model"]["ModelName"] for result in results] == [unique_name]
    with pytest.raises(ClientError, match="does not search resources of type Project"):
        sagemaker.search(Resource="Project")
    with pytest.raises(ClientError, match="does not implement VisibilityConditions and CrossAccountFilterOption"):
        sagemaker.search(Resource="Model", CrossAccountFilterOption="CrossAccount")

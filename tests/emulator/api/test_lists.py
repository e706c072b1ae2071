"""Filters, order and pages of lists, on models; every ``List*`` shares them."""

import time

import pytest
from botocore.exceptions import ClientError

IMAGE = "i"


@pytest.fixture
def sagemaker(emulator):
    return emulator.client("sagemaker")


@pytest.fixture
def names(sagemaker, unique_name):
    made = [f"{unique_name}-{letter}" for letter in "cabed"]
    for name in made:
        sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE})
    return made


def listed(answer):
    return [model["ModelName"] for model in answer["Models"]]


def test_pages_are_complete_and_in_order(sagemaker, unique_name, names):
    for sort_order, expected in (("Ascending", sorted(names)), ("Descending", sorted(names, reverse=True))):
        pages = sagemaker.get_paginator("list_models").paginate(
            NameContains=unique_name, SortBy="Name", SortOrder=sort_order, PaginationConfig={"PageSize": 2}
        )
        answered = [listed(one) for one in pages]
        assert answered == [expected[:2], expected[2:4], expected[4:]]


def test_newest_first_unless_asked_otherwise(sagemaker, unique_name, names):
    models = sagemaker.list_models(NameContains=unique_name)["Models"]
    times = [model["CreationTime"] for model in models]
    assert times == sorted(times, reverse=True)
    assert set(listed({"Models": models})) == set(names)


def test_what_is_created_or_deleted_meanwhile_shifts_nothing(sagemaker, unique_name, names):
    query = {"NameContains": unique_name, "SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    first = sagemaker.list_models(**query)
    sagemaker.create_model(ModelName=f"{unique_name}-0", PrimaryContainer={"Image": IMAGE})
    sagemaker.delete_model(ModelName=listed(first)[1])
    second = sagemaker.list_models(**query, NextToken=first["NextToken"])
    assert listed(first) + listed(second) == sorted(names)[:4]


def test_times_filter(sagemaker, unique_name, names):
    times = sorted(model["CreationTime"] for model in sagemaker.list_models(NameContains=unique_name)["Models"])
    after = sagemaker.list_models(NameContains=unique_name, CreationTimeAfter=times[-1].timestamp() + 1)
    assert listed(after) == []
    within = sagemaker.list_models(
        NameContains=unique_name,
        CreationTimeAfter=times[0].timestamp() - 1,
        CreationTimeBefore=time.time() + 1,
    )
    assert set(listed(within)) == set(names)


def test_a_made_up_token_is_refused(sagemaker):
    with pytest.raises(ClientError, match="Invalid NextToken"):
        sagemaker.list_models(NextToken="AAAA")

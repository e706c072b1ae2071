"""Reading CloudWatch as AWS answers it: pages, order, age."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator

MINUTE, HOUR, DAY = 60, 3600, 86_400


class Metrics:
    """A namespace of the test's own."""

    def __init__(self, emulator: Emulator, namespace: str) -> None:
        self.client = emulator.client("cloudwatch")
        self.namespace = namespace
        self.now = time.time()

    def put(self, points: dict[float, float], name: str = "loss", **dimensions: str) -> None:
        """Points by their age in seconds."""
        data = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                "Timestamp": self.now - age,
                "Value": value,
            }
            for age, value in points.items()
        ]
        self.client.put_metric_data(Namespace=self.namespace, MetricData=data)

    def query(self, period: int, *, id: str = "m", name: str = "loss", stat: str = "Average") -> dict[str, Any]:
        metric = {"Namespace": self.namespace, "MetricName": name, "Dimensions": [{"Name": "Job", "Value": "a"}]}
        return {"Id": id, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}

    def pages(self, *queries: dict[str, Any], age: float = 400 * DAY, **options: Any) -> list[dict[str, Any]]:
        request = {"MetricDataQueries": list(queries), "StartTime": self.now - age, "EndTime": self.now + 1}
        return list(self.client.get_paginator("get_metric_data").paginate(**request, **options))

    def values(self, period: int, **options: Any) -> list[float]:
        found: list[float] = []
        for page in self.pages(self.query(period, **options), ScanBy="TimestampAscending"):
            found += page["MetricDataResults"][0]["Values"]
        return found


@pytest.fixture
def metrics(emulator: Emulator, unique_name: str) -> Metrics:
    return Metrics(emulator, unique_name)


def test_points_come_newest_first_unless_asked_otherwise(metrics: Metrics) -> None:
    metrics.put({5.0 * age: float(age) for age in range(4)}, Job="a")
    assert metrics.pages(metrics.query(1))[0]["MetricDataResults"][0]["Values"] == [0, 1, 2, 3]
    assert metrics.values(1) == [3, 2, 1, 0]


def test_pages_hold_so_many_points_over_all_metrics(metrics: Metrics) -> None:
    for name in ("loss", "accuracy"):
        metrics.put({5.0 * age: float(age) for age in range(5)}, name, Job="a")
    queries = [metrics.query(1, id="l"), metrics.query(1, id="a", name="accuracy"), metrics.query(1, id="n", name="no")]
    pages = metrics.pages(*queries, MaxDatapoints=3)
    parts = [[(each["Id"], each["Values"], each["StatusCode"]) for each in page["MetricDataResults"]] for page in pages]
    assert parts == [
        [("l", [0, 1, 2], "PartialData")],
        [("l", [3, 4], "Complete"), ("a", [0], "PartialData")],
        [("a", [1, 2, 3], "PartialData")],
        [("a", [4], "Complete"), ("n", [], "Complete")],
    ]
    with pytest.raises(ClientError, match="InvalidNextToken"):
        metrics.client.get_metric_data(
            MetricDataQueries=queries, StartTime=metrics.now - 60, EndTime=metrics.now, NextToken="made up"
        )


def test_a_period_has_the_points_that_are_kept_for_it(metrics: Metrics) -> None:
    metrics.put({MINUTE: 1.0, 4 * HOUR: 2.0, 13 * DAY: 3.0, 20 * DAY: 4.0, 100 * DAY: 5.0, 500 * DAY: 6.0}, Job="a")
    assert metrics.values(1) == [1]
    assert metrics.values(60) == [3, 2, 1]
    assert metrics.values(300) == [4, 3, 2, 1]
    assert metrics.values(3600) == [5, 4, 3, 2, 1]


def test_a_period_is_aggregated(metrics: Metrics) -> None:
    first = metrics.now // 60 * 60
    metrics.put({metrics.now - first + 0.25 * step: float(step) for step in range(1, 5)}, Job="a")
    whole = {stat: metrics.values(60, stat=stat) for stat in ("Average", "Sum", "Minimum", "Maximum", "SampleCount")}
    assert whole == {"Average": [2.5], "Sum": [10], "Minimum": [1], "Maximum": [4], "SampleCount": [4]}


def test_a_metric_is_its_dimensions(metrics: Metrics) -> None:
    metrics.put({1.0: 1.0}, Job="a")
    metrics.put({1.0: 2.0}, Job="a", Host="algo-1")
    metrics.put({1.0: 3.0})
    assert metrics.values(60) == [1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"Id": "e", "Expression": "SUM(METRICS())"}, "no metric expressions"),
        ({"period": 61}, "Period 61 must be"),
        ({"period": 60, "stat": "tm90"}, "no statistic 'tm90'"),
    ],
)
def test_what_is_not_simulated_is_refused(metrics: Metrics, query: dict[str, Any], message: str) -> None:
    metrics.put({1.0: 1.0}, Job="a")
    with pytest.raises(ClientError, match=message):
        metrics.pages(query if "Id" in query else metrics.query(**query))


def test_metrics_of_the_last_two_weeks_are_listed_in_pages(metrics: Metrics) -> None:
    metrics.put({20 * DAY: 1.0}, "old", Job="a")
    metrics.put({5 * HOUR: 1.0}, "yesterday", Job="a")
    for number in range(0, 520, 260):
        data = [
            {"MetricName": f"m{number + index}", "Dimensions": [{"Name": "Job", "Value": "b"}], "Value": 1.0}
            for index in range(260)
        ]
        metrics.client.put_metric_data(Namespace=metrics.namespace, MetricData=data)

    def names(**request: Any) -> list[list[str]]:
        pages = metrics.client.get_paginator("list_metrics").paginate(Namespace=metrics.namespace, **request)
        return [[each["MetricName"] for each in page["Metrics"]] for page in pages]

    assert [len(page) for page in names()] == [500, 21]
    assert names(Dimensions=[{"Name": "Job", "Value": "a"}]) == [["yesterday"]]
    assert names(Dimensions=[{"Name": "Job", "Value": "a"}], RecentlyActive="PT3H") == [[]]
    assert names(MetricName="m7", Dimensions=[{"Name": "Job"}]) == [["m7"]]
    assert names(Dimensions=[{"Name": "Host"}]) == [[]]

"""Time cut by what CloudWatch keeps, and series read over the cuts."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime

import pytest

from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.metrics.training_jobs import TrainingJob
from kfp_sagemaker.metrics.training_metrics import NAMESPACE, pieces, read_series, rows
from tests.suite.conftest import Account

NOW = 1_700_000_000.0
HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("oldest", "newest", "periods"),
    [
        (100, 50, [1]),
        (5 * HOUR, HOUR, [60, 1]),
        (2 * DAY, DAY, [60]),
        (20 * DAY, 10 * DAY, [300, 60]),
        (500 * DAY, 0, [3600, 300, 60, 1]),
        (500 * DAY, 460 * DAY, []),
    ],
)
def test_each_time_is_read_at_the_finest_period_that_is_kept(oldest: float, newest: float, periods: list[int]) -> None:
    found = pieces(NOW - oldest, NOW - newest, NOW)
    assert [piece.period_seconds for piece in found] == periods
    for piece, following in itertools.pairwise(found):
        assert piece.end == following.start
        assert piece.end % piece.period_seconds == 0
    if found:
        assert found[-1].end >= NOW - newest
        assert found[0].start <= max(NOW - oldest, NOW - 455 * DAY + 2 * HOUR)
        assert all(piece.start % piece.period_seconds == 0 for piece in found)


def test_a_series_is_read_over_all_its_periods(account: Account) -> None:
    now = time.time() // 60 * 60
    name = "précision, 精度"
    dimensions = [{"Name": "TrainingJobName", "Value": account.name}]
    ages = [3 * DAY, 3 * DAY - 10, 3 * DAY - 60, 30.0, 29.0, 0.0]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": now - age, "Value": float(index)}
        for index, age in enumerate(ages)
    ]
    host = [{"Name": "Host", "Value": f"{account.name}/algo-2"}]
    data.append({"MetricName": "CPUUtilization", "Dimensions": host, "Timestamp": now, "Value": 50.0})
    account.emulator.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)
    start = datetime.fromtimestamp(now - 4 * DAY, UTC)
    job = TrainingJob(account.name, "InProgress", start, None, 2, {"never": "never=(.*)"}, {})
    session = open_session("us-east-1")

    series = read_series(session, job, include_instance_metrics=True)
    assert [each.metric_name for each in series] == ["CPUUtilization (algo-2)", name]
    found = [(moment.timestamp(), value) for moment, metric, value in rows(series) if metric == name]
    # Two points of one minute have become its average, those of today are as they were.
    assert found == [(now - 3 * DAY, 0.5), (now - 3 * DAY + 60, 2.0), (now - 30, 3.0), (now - 29, 4.0), (now, 5.0)]
    assert [each.metric_name for each in read_series(session, job, metric_names=[name])] == [name]
    assert read_series(session, job, metric_names=["never"]) == []

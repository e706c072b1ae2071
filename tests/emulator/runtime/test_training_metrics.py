"""Metrics read from a training log."""

from datetime import UTC, datetime

import pytest

from sagemaker_emulator.runtime import metric_definitions
from sagemaker_emulator.runtime.training_metrics import NAMESPACE, TrainingMetrics

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


class Recorder:
    """Keeps what would go to CloudWatch."""

    def __init__(self) -> None:
        self.requests: list[dict] = []

    def put_metric_data(self, **request) -> None:
        self.requests.append(request)


def test_values_are_kept_by_job_and_host_and_sent_once():
    metrics = TrainingMetrics("job", [("loss", "loss=([0-9.e-]+)"), ("broken", "loss=(x?)")])
    for line in ("epoch 1 loss=0.5", "no metric here", "epoch 2 loss=0.25", "loss=..."):
        metrics.read_line(line, "algo-1", MOMENT)
    recorder = Recorder()
    metrics.publish(recorder)
    metrics.publish(recorder)
    [request] = recorder.requests
    assert request["Namespace"] == NAMESPACE
    assert [(datum["Dimensions"][0]["Name"], datum["Dimensions"][0]["Value"]) for datum in request["MetricData"]] == [
        ("TrainingJobName", "job"),
        ("Host", "job/algo-1"),
    ]
    assert [datum["Values"] for datum in request["MetricData"]] == [[0.5, 0.25]] * 2
    assert metrics.final_metric_data() == [{"MetricName": "loss", "Value": 0.25, "Timestamp": MOMENT}]


def test_many_values_are_cut_to_what_cloudwatch_accepts():
    metrics = TrainingMetrics("job", [("loss", "(.+)")])
    for number in range(1000):
        metrics.read_line(str(number), "algo-1", MOMENT)
    recorder = Recorder()
    metrics.publish(recorder)
    data = [datum for request in recorder.requests for datum in request["MetricData"]]
    assert max(len(datum["Values"]) for datum in data) <= 150
    assert sum(len(datum["Values"]) for datum in data) == 2 * 1000


@pytest.mark.parametrize(
    ("definitions", "line", "name", "value"),
    [
        (
            metric_definitions.LINEAR_LEARNER,
            "#quality_metric: host=algo-1, epoch=3, train absolute_loss_objective <loss>=0.125",
            "train:objective_loss",
            0.125,
        ),
        (
            metric_definitions.LINEAR_LEARNER,
            "#quality_metric: host=algo-1, validation mse <loss>=2.5",
            "validation:mse",
            2.5,
        ),
        (metric_definitions.LINEAR_LEARNER, "#progress_metric: host=algo-1, completed 40 %", "train:progress", 40),
        (metric_definitions.KMEANS, "#quality_metric: host=algo-1, test msd <loss>=8.1", "test:msd", 8.1),
        (metric_definitions.XGBOOST, "[19]#011train-rmse:2.5#011validation-rmse:3.5e-1", "validation:rmse", 0.35),
        (metric_definitions.XGBOOST, "[19]#011train-rmse:2.5#011validation-rmse:3.5e-1", "train:rmse", 2.5),
    ],
)
def test_the_builtin_definitions_read_the_builtin_logs(definitions, line, name, value):
    metrics = TrainingMetrics("job", definitions)
    metrics.read_line(line, "algo-1", MOMENT)
    assert {each["MetricName"]: each["Value"] for each in metrics.final_metric_data()}[name] == value

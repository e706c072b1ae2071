"""The CloudWatch metrics of an analysis, as the pages "Interpreting results" and "CloudWatch metrics for
bring-your-own containers" of the developer guide describe them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp_sagemaker.aws.session import Session, aws_errors
from kfp_sagemaker.monitoring.analyzer.baseline import Baseline
from kfp_sagemaker.monitoring.analyzer.checks import Drift
from kfp_sagemaker.monitoring.analyzer.options import Options
from kfp_sagemaker.monitoring.analyzer.profile import Profile

NAMESPACE = "/aws/sagemaker/Endpoints/data-metric"
_METRICS_OF_A_CALL = 1000
_LONGEST_NAME = 255


def feature_metrics(profile: Profile, drifts: dict[str, Drift], baseline: Baseline | None) -> list[dict[str, Any]]:
    """Name and value of every metric, without time and dimensions."""
    if baseline is not None and not baseline.config.emit_metrics:
        return []
    metrics: list[dict[str, Any]] = []
    for name, column in profile.columns.items():
        if baseline is not None and name in baseline.features and not baseline.features[name].config.emit_metrics:
            continue
        numbers = column.all_numbers()
        if column.inferred_type in ("Integral", "Fractional"):
            metrics.append(
                _metric("feature_data", name, numbers.minimum, numbers.maximum, numbers.total, numbers.count)
            )
        rows = column.present + column.missing
        if rows:
            ends = float(column.missing == 0), float(column.present > 0)
            metrics.append(_metric("feature_non_null", name, *ends, column.present, rows))
        if name in drifts:
            metrics.append({"MetricName": _metric_name("feature_baseline_drift", name), "Value": drifts[name].value})
    return metrics


def write_file(metrics: list[dict[str, Any]], options: Options) -> None:
    """Append the metrics to the file SageMaker publishes, one JSON object a line."""
    dimensions = [
        {"Name": "Endpoint", "Value": options.endpoint_name or "unknown"},
        {"Name": "MonitoringSchedule", "Value": options.monitoring_schedule_name or "unknown"},
    ]
    time = _time(options).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = Path(options.cloudwatch_metrics_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as target:
        for metric in metrics:
            target.write(json.dumps(metric | {"Timestamp": time, "Dimensions": dimensions}) + "\n")


def publish(metrics: list[dict[str, Any]], options: Options, session: Session) -> None:
    """Publish the metrics with PutMetricData, under the names of the prebuilt container."""
    given = {"EndpointName": options.endpoint_name, "ScheduleName": options.monitoring_schedule_name}
    dimensions = [{"Name": name, "Value": value} for name, value in given.items() if value]
    time = _time(options)
    data = [metric | {"Timestamp": time, "Dimensions": dimensions} for metric in metrics]
    client = session.client("cloudwatch")
    for at in range(0, len(data), _METRICS_OF_A_CALL):
        with aws_errors("publishing the metrics of the analysis"):
            client.put_metric_data(Namespace=NAMESPACE, MetricData=data[at : at + _METRICS_OF_A_CALL])


def _metric(kind: str, feature: str, minimum: float, maximum: float, total: float, count: int) -> dict[str, Any]:
    values = {"Minimum": minimum, "Maximum": maximum, "Sum": float(total), "SampleCount": float(count)}
    return {"MetricName": _metric_name(kind, feature), "StatisticValues": values}


def _metric_name(kind: str, feature: str) -> str:
    """CloudWatch takes printable ASCII only."""
    name = f"{kind}_{feature}".encode("ascii", errors="backslashreplace").decode()
    return "".join(each if each.isprintable() else "_" for each in name)[:_LONGEST_NAME]


def _time(options: Options) -> datetime:
    return options.end_time or datetime.now(UTC)

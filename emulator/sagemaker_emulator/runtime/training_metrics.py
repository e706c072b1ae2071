"""Metrics in a training log: MetricDefinitions applied to its lines, sent to CloudWatch, the last values kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

NAMESPACE = "/aws/sagemaker/TrainingJobs"

# Amazon CloudWatch API Reference, PutMetricData.
_LARGEST_REQUEST = 1000
_VALUES_A_DATUM = 150


class TrainingMetrics:
    """Collects the metrics of one job.

    Args:
        job_name: The training job, the dimension of its metrics.
        definitions: Pairs of metric name and the regular expression whose first group is the value.
        on_value: Called with the name and value of each metric as it is found.
    """

    def __init__(
        self,
        job_name: str,
        definitions: Iterable[tuple[str, str]],
        on_value: Callable[[str, float], None] | None = None,
    ) -> None:
        self._job_name = job_name
        self._patterns = [(name, re.compile(pattern)) for name, pattern in definitions]
        self._on_value = on_value
        self._pending: list[tuple[str, str, datetime, float]] = []
        self._final: dict[str, tuple[float, datetime]] = {}

    def read_line(self, line: str, host: str, moment: datetime) -> None:
        """Look for metrics in a line of a host's log."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match is None or not match.groups():
                continue
            try:
                value = float(match[1])
            except (TypeError, ValueError):
                continue
            if math.isfinite(value):
                self._final[name] = (value, moment)
                self._pending.append((name, host, moment, value))
                if self._on_value:
                    self._on_value(name, value)

    def final_metric_data(self) -> list[dict[str, Any]]:
        """Return the last value of each metric, as ``FinalMetricDataList`` has it."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": moment} for name, (value, moment) in self._final.items()
        ]

    def publish(self, cloudwatch: Any) -> None:
        """Send what was found since the last call to CloudWatch; blocks.

        Every value counts for the job (dimension ``TrainingJobName``) and for its host (dimension ``Host``).
        """
        pending, self._pending = self._pending, []
        series: dict[tuple[str, str, str, datetime], list[float]] = {}
        for name, host, moment, value in pending:
            second = moment.replace(microsecond=0)
            for dimension, owner in (("TrainingJobName", self._job_name), ("Host", f"{self._job_name}/{host}")):
                series.setdefault((name, dimension, owner, second), []).append(value)
        data = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": dimension, "Value": owner}],
                "Timestamp": moment,
                "Values": values[start : start + _VALUES_A_DATUM],
                "Counts": [1.0] * len(values[start : start + _VALUES_A_DATUM]),
            }
            for (name, dimension, owner, moment), values in series.items()
            for start in range(0, len(values), _VALUES_A_DATUM)
        ]
        for start in range(0, len(data), _LARGEST_REQUEST):
            cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[start : start + _LARGEST_REQUEST])

"""The CloudWatch metrics of a monitoring job: its container writes them to a folder, SageMaker publishes them.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-cloudwatch.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

NAMESPACE = "/aws/sagemaker/Endpoint/data-metrics"
MANAGED_NAMESPACE = "/aws/sagemaker/Endpoints/data-metric"
"""Of the managed container, with other dimensions; the developer guide's two pages spell them as they are here."""
_MANAGED_DIMENSIONS = {"Endpoint": "EndpointName", "MonitoringSchedule": "ScheduleName"}
_FOLDER = "output/metrics/cloudwatch"
_MANAGED_REPOSITORY = "sagemaker-model-monitor-analyzer"
# Amazon CloudWatch API Reference, PutMetricData.
_LARGEST_REQUEST = 1000

logger = logging.getLogger(__name__)


def publish(cloudwatch: Any, base_dir: Path, image_uri: str) -> None:
    """Send what a container wrote to CloudWatch; blocks. What it cannot take costs a line in the emulator's log.

    Args:
        cloudwatch: The client of the job's role.
        base_dir: The folder that is the container's ``/opt/ml``.
        image_uri: The container's image.
    """
    is_managed = f"/{_MANAGED_REPOSITORY}" in image_uri
    data = list(_metric_data(base_dir / _FOLDER))
    for dimension in (one for datum in data for one in datum.get("Dimensions", ())) if is_managed else ():
        dimension["Name"] = _MANAGED_DIMENSIONS.get(dimension.get("Name"), dimension.get("Name"))
    for start in range(0, len(data), _LARGEST_REQUEST):
        try:
            cloudwatch.put_metric_data(
                Namespace=MANAGED_NAMESPACE if is_managed else NAMESPACE,
                MetricData=data[start : start + _LARGEST_REQUEST],
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("Metrics of a monitoring job of %s cannot be published: %s", image_uri, error)


def _metric_data(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                datum = json.loads(line)
                yield {**datum, "Timestamp": datetime.fromisoformat(datum["Timestamp"])}
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("Line %d of %s is no metric of a monitoring job: %r", number, path.name, error)

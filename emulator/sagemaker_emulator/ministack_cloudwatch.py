"""Reading CloudWatch's metrics as AWS answers it: in pages, newest first unless asked otherwise, and by age.

ministack answers everything at once, ignores ``ScanBy``, forgets after two weeks, and looks through every point of
every metric at each call to do so. Its functions are replaced for the JSON protocol, which botocore speaks; writing
stays ministack's.

API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from sagemaker_emulator.errors import ApiError

# Amazon CloudWatch User Guide, "Metrics retention": points are to be had for so many seconds with a multiple of the
# period. API reference: pages and their bounds.
_RETENTION = ((3600, 455 * 86_400), (300, 63 * 86_400), (60, 15 * 86_400), (1, 3 * 3600))
_LONGEST_SECONDS = _RETENTION[0][1]
_EVICTION_SECONDS = 3600.0
_MAX_QUERIES = 500
_MAX_DATAPOINTS = 100_800
_METRICS_A_PAGE = 500
_LISTED_SECONDS = 14 * 86_400
_RECENTLY_ACTIVE_SECONDS = 3 * 3600
_STATISTICS = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")

Answer = tuple[int, dict[str, str], bytes]
Point = dict[str, Any]


class MinistackCloudWatch:
    """Puts itself in the place of what ministack reads metrics with.

    Args:
        cloudwatch: ``ministack.services.cloudwatch``.
        clock: Seconds since the epoch.
    """

    def __init__(self, cloudwatch: ModuleType, clock: Callable[[], float] = time.time) -> None:
        self._cloudwatch: Any = cloudwatch
        self._clock = clock
        self._evicted: dict[tuple[str, str], float] = {}
        cloudwatch._evict_old_metrics = self._evict  # type: ignore[attr-defined]
        for name, answer in (("_get_metric_data", self._get_metric_data), ("_list_metrics", self._list_metrics)):
            setattr(cloudwatch, name, self._for_json(answer, getattr(cloudwatch, name)))

    def _for_json(self, answer: Callable[[dict[str, Any]], dict[str, Any]], other: Any) -> Any:
        def handle(params: Any, body: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
            if not is_json:
                result: Answer = other(params, body, is_cbor, is_json)
                return result
            try:
                document = answer(body)
            except ApiError as refusal:
                error: Answer = self._cloudwatch._error(refusal.code, refusal.message, 400, use_json=True)
                return error
            return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(document).encode()

        return handle

    def _evict(self) -> None:
        """Forget what AWS would have forgotten; ministack calls this at each request."""
        now = self._clock()
        whose = (self._cloudwatch.get_account_id(), self._cloudwatch.get_region())
        if now - self._evicted.get(whose, 0.0) < _EVICTION_SECONDS:
            return
        self._evicted[whose] = now
        metrics = self._cloudwatch._metrics
        for key, points in list(metrics.items()):
            kept = [point for point in points if now - point["Timestamp"] <= _LONGEST_SECONDS]
            if not kept:
                del metrics[key]
            elif len(kept) < len(points):
                metrics[key] = kept

    def _list_metrics(self, request: dict[str, Any]) -> dict[str, Any]:
        start = _from_token(request.get("NextToken"), [0])[0]
        is_recent = request.get("RecentlyActive") == "PT3H"
        oldest = self._clock() - (_RECENTLY_ACTIVE_SECONDS if is_recent else _LISTED_SECONDS)
        found = []
        for (namespace, name, _), points in self._cloudwatch._metrics.items():
            if namespace != request.get("Namespace", namespace) or name != request.get("MetricName", name):
                continue
            dimensions = points[0]["Dimensions"] if points else {}
            wanted = request.get("Dimensions") or ()
            if not all(each["Name"] in dimensions for each in wanted):
                continue
            if any(dimensions[each["Name"]] != each.get("Value", dimensions[each["Name"]]) for each in wanted):
                continue
            if any(point["Timestamp"] >= oldest for point in reversed(points)):
                shown = [{"Name": key, "Value": value} for key, value in dimensions.items()]
                found.append({"Namespace": namespace, "MetricName": name, "Dimensions": shown})
        answer: dict[str, Any] = {"Metrics": found[start : start + _METRICS_A_PAGE]}
        if start + _METRICS_A_PAGE < len(found):
            answer["NextToken"] = _to_token([start + _METRICS_A_PAGE])
        return answer

    def _get_metric_data(self, request: dict[str, Any]) -> dict[str, Any]:
        queries = request.get("MetricDataQueries") or []
        if not 1 <= len(queries) <= _MAX_QUERIES:
            raise ApiError("ValidationError", f"MetricDataQueries must have 1 to {_MAX_QUERIES} members")
        start, end = (self._cloudwatch._parse_ts(request.get(name)) for name in ("StartTime", "EndTime"))
        if start is None or end is None or start >= end:
            raise ApiError("ValidationError", "The parameter EndTime must be greater than the parameter StartTime.")
        is_ascending = request.get("ScanBy", "TimestampDescending") == "TimestampAscending"
        space = int(request.get("MaxDatapoints") or _MAX_DATAPOINTS)
        # A token says where the last page ended: in which query, after how many of its periods.
        first, skipped = _from_token(request.get("NextToken"), [0, 0])
        results: list[dict[str, Any]] = []
        for index in range(first, len(queries)):
            query = queries[index]
            if not query.get("ReturnData", True):
                continue
            if space <= 0:
                return {"MetricDataResults": results, "NextToken": _to_token([index, 0])}
            values, rest = self._values(query, start, end, is_ascending, skipped if index == first else 0, space)
            space -= len(values)
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or query["MetricStat"]["Metric"].get("MetricName", query["Id"]),
                    "Timestamps": [moment for moment, _ in values],
                    "Values": [value for _, value in values],
                    "StatusCode": "PartialData" if rest else "Complete",
                }
            )
            if rest:
                return {"MetricDataResults": results, "NextToken": _to_token([index, rest])}
        return {"MetricDataResults": results}

    def _values(
        self, query: dict[str, Any], start: float, end: float, is_ascending: bool, skipped: int, space: int
    ) -> tuple[list[tuple[int, float]], int]:
        """Return a page of one query's periods and values, and how many periods are done when there are more."""
        if "MetricStat" not in query:
            raise ApiError(
                "ValidationError", f"sagemaker-emulator has no metric expressions: query {query.get('Id')} needs one"
            )
        wanted = query["MetricStat"]
        period, statistic = int(wanted.get("Period", 0)), wanted.get("Stat", "")
        if period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60):
            raise ApiError("ValidationError", f"Period {period} must be 1, 5, 10, 20, 30 or a multiple of 60")
        if statistic not in _STATISTICS and not self._cloudwatch._is_percentile_stat(statistic):
            raise ApiError("ValidationError", f"sagemaker-emulator has no statistic {statistic!r}")
        buckets: dict[int, list[Point]] = {}
        for point in self._points(wanted["Metric"], period, start, end):
            buckets.setdefault(int(point["Timestamp"] // period) * period, []).append(point)
        order = sorted(buckets, reverse=not is_ascending)
        shown = order[skipped : skipped + space]
        values = []
        for moment in shown:
            value = self._statistic(buckets[moment], statistic)
            if value is not None and math.isfinite(value):
                values.append((moment, value))
        done = skipped + len(shown)
        return values, done if done < len(order) else 0

    def _statistic(self, points: list[Point], statistic: str) -> float | None:
        stats = self._cloudwatch._calc_stats(points)
        value: float | None = self._cloudwatch._stat_value(stats, statistic, points) if stats else None
        return value

    def _points(self, metric: dict[str, Any], period: int, start: float, end: float) -> Iterator[Point]:
        """The points of a metric within a time, as far as they are still to be had with the period."""
        kept_seconds = next(seconds for multiple, seconds in _RETENTION if period % multiple == 0)
        oldest = max(start, self._clock() - kept_seconds)
        dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or ()}
        key = (metric.get("Namespace", ""), metric.get("MetricName", ""), self._cloudwatch._dims_key(dimensions))
        return (point for point in self._cloudwatch._metrics.get(key) or () if oldest <= point["Timestamp"] < end)


def _to_token(position: list[int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _from_token(token: str | None, beginning: list[int]) -> list[int]:
    if not token:
        return beginning
    try:
        position = json.loads(base64.urlsafe_b64decode(token))
        if len(position) == len(beginning) and all(isinstance(each, int) for each in position):
            return [int(each) for each in position]
    except (ValueError, TypeError):
        pass
    raise ApiError("InvalidNextToken", "The next token specified is invalid.")

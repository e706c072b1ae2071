"""Metrics: what is asked of CloudWatch, how long it is waited for, and the page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from kfp_sagemaker.aws.errors import InputError, ResourceMissingError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints import cloudwatch_metrics, invocation_plan, invoke, metric_query, metrics_report
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


class CloudWatch:
    """Figures by (metric, variant, statistic): a list of (seconds after noon, value); pages of two results each."""

    def __init__(self, figures: dict[tuple[str, str, str], list[tuple[float, float]]]) -> None:
        self.figures = figures
        self.requests: list[dict[str, Any]] = []
        self.known_variants: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        return type("Paginator", (), {"paginate": staticmethod(getattr(self, operation))})()

    def list_metrics(self, **_: Any) -> Iterator[dict[str, Any]]:
        for variant in self.known_variants:
            names = {"EndpointName": "e", "VariantName": variant}
            yield {"Metrics": [{"Dimensions": [{"Name": k, "Value": v} for k, v in names.items()]}]}

    def get_metric_data(self, **request: Any) -> Iterator[dict[str, Any]]:
        model = botocore.session.get_session().get_service_model("cloudwatch")
        report = ParamValidator().validate(request, model.operation_model("GetMetricData").input_shape)
        assert not report.has_errors(), report.generate_report()
        self.requests.append(request)
        results = [self.result(query) for query in request["MetricDataQueries"]]
        for i in range(0, len(results), 2):
            yield {"MetricDataResults": results[i : i + 2]}

    def result(self, query: dict[str, Any]) -> dict[str, Any]:
        metric = query["MetricStat"]["Metric"]
        variant = {item["Name"]: item["Value"] for item in metric["Dimensions"]}["VariantName"]
        points = self.figures.get((metric["MetricName"], variant, query["MetricStat"]["Stat"]), [])
        return {
            "Id": query["Id"],
            "Timestamps": [datetime.fromtimestamp(NOON + offset, UTC) for offset, _ in points],
            "Values": [value for _, value in points],
        }


def figures(metric: str, variant: str, *points: tuple[float, float, float, float, float]) -> dict[Any, Any]:
    names = ("SampleCount", "Sum", "Minimum", "Maximum")
    return {(metric, variant, name): [(p[0], p[i + 1]) for p in points] for i, name in enumerate(names)}


def read(
    cloudwatch: Any,
    *,
    variants: tuple[str, ...] = ("v",),
    clock: ManualClock | None = None,
    lines: Any = None,
    **query: Any,
) -> cloudwatch_metrics.Result:
    described: Any = {"ProductionVariants": [{"VariantName": name} for name in variants]}
    if not variants:
        described = refusal("ValidationException", "Could not find endpoint")
    sagemaker = ScriptedClient({"describe_endpoint": described})
    session: Any = ScriptedSession(sagemaker=sagemaker, cloudwatch=cloudwatch)
    clock = clock or ManualClock()
    return cloudwatch_metrics.read(
        session,
        metric_query.build_query(endpoint_name="e", **query),
        timing=clock.timing(),
        wall_clock=lambda: NOON + 130 + clock.seconds,
        sink=(lambda line: None) if lines is None else lines.append,
    )


def test_figures_over_periods_and_variants() -> None:
    cloudwatch = CloudWatch(
        figures("ModelLatency", "a", (0, 2, 300, 100, 200), (60, 1, 50, 50, 50))
        | figures("ModelLatency", "b", (0, 2, 100, 40, 60))
        | figures("Invocations", "a", (0, 5, 5, 1, 1))
    )
    result = read(cloudwatch, variants=("a", "b"), window_seconds=130)
    assert result.values()["ModelLatency"] == {
        "sum": 450,
        "average": 90,
        "minimum": 40,
        "maximum": 200,
        "last": 50,
        "sample_count": 5,
        "unit": "Microseconds",
    }
    assert result.series() == {"Invocations": [[NOON, 5]], "ModelLatency": [[NOON, 100], [NOON + 60, 50]]}
    assert "LoadedModelCount" in result.without_data


def test_the_window_is_aligned_to_the_periods() -> None:
    cloudwatch = CloudWatch({})
    read(cloudwatch, window_seconds=100)
    (request,) = cloudwatch.requests
    assert request["StartTime"] == datetime.fromtimestamp(NOON, UTC)
    assert request["EndTime"] == datetime.fromtimestamp(NOON + 180, UTC)


def test_it_waits_for_the_expected_invocations() -> None:
    cloudwatch = CloudWatch({})
    clock = ManualClock()
    arrivals = iter([3.0, 7.0, 10.0])

    def arrive(**request: Any) -> Iterator[dict[str, Any]]:
        count = next(arrivals)
        cloudwatch.figures = figures("Invocations", "v", (0, count, count, 1, 1))
        return CloudWatch.get_metric_data(cloudwatch, **request)

    cloudwatch.get_metric_data = arrive  # type: ignore[method-assign]
    lines: list[str] = []
    result = read(cloudwatch, clock=clock, lines=lines, expected_invocations=10)
    assert result.values()["Invocations"]["sum"] == 10
    assert clock.naps == [1.0, 1.5]
    assert lines[0] == "CloudWatch shows 3 of 10 invocations; waiting"


def test_it_reports_what_is_there_when_the_wait_is_over() -> None:
    clock = ManualClock()
    lines: list[str] = []
    result = read(CloudWatch({}), clock=clock, lines=lines, expected_invocations=10, max_wait_seconds=20)
    assert clock.seconds == pytest.approx(20)
    assert lines[-1].startswith("WARNING: CloudWatch shows 0 of 10 invocations of e after 20 s")
    assert result.values() == {}


def test_a_deleted_endpoints_variants_are_those_cloudwatch_knows() -> None:
    cloudwatch = CloudWatch(figures("Invocations", "gone", (0, 1, 1, 1, 1)))
    cloudwatch.known_variants = ["gone"]
    assert read(cloudwatch, variants=()).variant_names == ("gone",)
    with pytest.raises(ResourceMissingError, match="endpoint e does not exist in us-east-1"):
        read(CloudWatch({}), variants=())


def test_many_queries_go_in_several_requests() -> None:
    cloudwatch = CloudWatch({})
    read(cloudwatch, variants=tuple(f"v{index}" for index in range(10)))
    assert [len(request["MetricDataQueries"]) for request in cloudwatch.requests] == [500, 220]
    ids = [query["Id"] for request in cloudwatch.requests for query in request["MetricDataQueries"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint_name": ""}, "endpoint_name is '', must be given"),
        ({"window_seconds": -1}, "window_seconds is -1"),
        ({"period_seconds": 45}, "1, 5, 10, 30 or a multiple of 60"),
        ({"period_seconds": 1}, "period_seconds is 1, must be at least 60 for a window of 900 seconds"),
        ({"metric_names": ["Latency"]}, r"metric_names\[0\] is 'Latency'"),
        ({"start_time": "noon"}, "a time in ISO 8601"),
        ({"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"}, "before end_time"),
        ({"expected_invocations": -1}, "expected_invocations is -1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric_query.build_query(**{"endpoint_name": "e", **arguments})


# The page


def test_the_page_has_a_table_and_a_chart(tmp_path: Path) -> None:
    cloudwatch = CloudWatch(
        figures("ModelLatency", "a", (0, 2, 3000, 1000, 2000), (60, 2, 5000, 1000, 4000))
        | figures("ModelLatency", "b", (0, 1, 500, 500, 500))
        | figures("ModelCacheHit", "a", (0, 4, 3, 0, 1))
        | figures("LoadedModelCount", "a", (0, 1, 12, 12, 12))
    )
    logged: dict[str, float] = {}
    path = tmp_path / "report.html"
    result = read(cloudwatch, variants=("a", "b"), window_seconds=130)
    metrics_report.write(result, path, log_metric=logged.__setitem__)
    page = path.read_text(encoding="utf-8")
    assert logged == {"LoadedModelCount": 12, "ModelCacheHit": 0.75, "ModelLatency": 1700}
    assert "<td>ModelLatency</td><td>all</td><td>ms</td>" in page
    assert "<td>ModelLatency</td><td>b</td><td>ms</td>" in page
    assert "ModelCacheHit (%)" in page[page.index("<svg") :]
    assert "Without data in this window" in page


@pytest.mark.parametrize("first", [50, 30, 10, -20, -300])
def test_the_charts_axis_has_a_scale_for_any_time(tmp_path: Path, first: float) -> None:
    cloudwatch = CloudWatch(figures("ModelLatency", "v", (first, 2, 3000, 1000, 2000), (60, 2, 5000, 1000, 4000)))
    result = read(cloudwatch, window_seconds=600)
    metrics_report.write(result, tmp_path / "report.html", log_metric=lambda name, value: None)  # no warning
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_empty_page_says_so(tmp_path: Path) -> None:
    metrics_report.write(read(CloudWatch({})), tmp_path / "r.html", log_metric=lambda name, value: None)
    assert "CloudWatch has no figures" in (tmp_path / "r.html").read_text(encoding="utf-8")


# On the emulator


def test_the_multi_model_metrics_of_a_real_endpoint(host: Any, tmp_path: Path) -> None:
    host.deploy(host.model(mode="MultiModel", model_data_url=f"s3://{host.bucket}/mme/"))
    targets = [f"{letter}.tar.gz" for letter in "abc"]
    for target in targets:
        host.put_archive(f"mme/{target}")
    plan = invocation_plan.build(endpoint_name=host.name, rows=["1", "2"], target_models=targets, max_concurrency=1)
    invoke.run(host.session, plan)
    query = metric_query.build_query(endpoint_name=host.name, expected_invocations=6, max_wait_seconds=60)
    result = cloudwatch_metrics.read(host.session, query)
    values = result.values()
    assert values["Invocations"]["sum"] == 6
    assert values["ModelCacheHit"]["sum"] == 3, "the second row of each model hits"
    assert values["ModelLoadingTime"]["sample_count"] == 3
    assert values["ModelLatency"]["average"] > 0
    metrics_report.write(result, tmp_path / "report.html", log_metric=lambda name, value: None)
    assert "ModelCacheHit" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_endpoint_that_does_not_exist(session: Session, unique_name: str) -> None:
    with pytest.raises(ResourceMissingError, match="does not exist"):
        cloudwatch_metrics.read(session, metric_query.build_query(endpoint_name=f"x{unique_name}"[:60]))

"""Learning curves as charts: a page for Kubeflow, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp_sagemaker.html_report import HtmlReport, new_figure, save_figure
from kfp_sagemaker.metrics.curve import Chart, Curve, charts, starts, time_unit
from kfp_sagemaker.metrics.training_metrics import RETENTION_TEXT

_COLUMNS = 2
_MOST_LABELS = 8
_MARKED_POINTS = 30
# A page of hundreds of charts shows nothing; the file has them all.
_MOST_CHARTS = 40


def build_page(title: str, subtitle: str, curves: Sequence[Curve], why_none: Sequence[str] = ()) -> HtmlReport:
    """The page: a table of the metrics, and their curves.

    Args:
        title: Its heading.
        subtitle: What, when.
        curves: What to show; none is fine.
        why_none: Why jobs have no metrics, a paragraph each.
    """
    report = HtmlReport(title, subtitle)
    if curves:
        drawn = charts(curves)
        for_each_job = len({curve.job_name for curve in curves}) > 1
        columns = [
            "Metric",
            *(["Training job"] if for_each_job else []),
            "Points",
            "First",
            "Last",
            "Least",
            "Greatest",
        ]
        report.add_table("Metrics", columns, [_row(curve, for_each_job) for curve in curves])
        caption = f"Time counts from the first point. {RETENTION_TEXT}"
        if len(drawn) > _MOST_CHARTS:
            caption = f"The first {_MOST_CHARTS} of {len(drawn)} charts; the file has all. {caption}"
        report.add_figure("Learning curves", draw(curves, standalone=False), caption)
    if why_none:
        report.add_text("No metrics", why_none)
    return report


def save_picture(curves: Sequence[Curve], path: Path) -> None:
    """Write the curves as a picture, PNG or SVG by the file's ending."""
    save_figure(draw(curves, standalone=True), path)


def draw(curves: Sequence[Curve], *, standalone: bool) -> Any:
    """The curves as a matplotlib figure.

    Args:
        curves: At least one.
        standalone: For a picture by itself; otherwise for a page of :mod:`kfp_sagemaker.html_report`.
    """
    shown = charts(curves)[:_MOST_CHARTS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = new_figure(rows, columns, height=2.8, squeeze=False, standalone=standalone)
    flat = list(axes.flat)
    zero = starts(curves)
    longest = max(curve.timestamps[-1] - zero[curve.job_name] for curve in curves)
    unit, unit_seconds = time_unit(longest)
    for axis, chart in zip(flat, shown, strict=False):
        _draw_chart(axis, chart, zero, unit_seconds)
        axis.set_xlabel(unit)
    for axis in flat[len(shown) :]:
        axis.set_axis_off()
    return figure


def _draw_chart(axis: Any, chart: Chart, zero: Mapping[str, float], unit_seconds: float) -> None:
    for label, curve in chart.lines:
        points = curve.elapsed(zero[curve.job_name])
        marker = "o" if len(points) <= _MARKED_POINTS else ""
        times = [seconds / unit_seconds for seconds, _ in points]
        axis.plot(times, [value for _, value in points], marker=marker, label=label)
    axis.set_title(chart.title)
    if 1 < len(chart.lines) <= _MOST_LABELS or (len(chart.lines) == 1 and chart.lines[0][0] != chart.title):
        axis.legend()


def _row(curve: Curve, with_job: bool) -> list[Any]:
    values = curve.values
    job = [curve.job_name] if with_job else []
    return [curve.metric_name, *job, len(values), values[0], values[-1], min(values), max(values)]

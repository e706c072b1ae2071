"""An endpoint's metrics as a page: one table, one chart a metric."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp_sagemaker.endpoints.cloudwatch_metrics import Result, Series
from kfp_sagemaker.html_report import HtmlReport, new_figure

_COLUMNS = 2
# Each sample is 0 or 1: shown as a percentage, and without a band, which would always reach from 0 to 100.
_HIT_OR_MISS = "ModelCacheHit"
# For people, microseconds are milliseconds, and a share of hits is a percentage.
_SHOWN_UNITS = {"Microseconds": ("ms", 0.001), "Percent": ("%", 1.0), "Count": ("", 1.0), "None": ("", 1.0)}


def write(result: Result, path: str | Path, *, log_metric: Callable[[str, float], None]) -> None:
    """Write the page and log one figure a metric: the sum of a count, the average of the rest."""
    for series in result.overall:
        summary = series.summary()
        log_metric(series.kind.name, round(summary["sum" if series.kind.is_count else "average"], 6))
    build(result).write(path)


def build(result: Result) -> HtmlReport:
    """The page."""
    variants = ", ".join(result.variant_names)
    report = HtmlReport(
        f"Endpoint {result.endpoint_name}",
        f"{_clock(result.start)} to {_clock(result.end)} UTC · a point every {result.period_seconds} s · "
        f"variant{'s' if len(result.variant_names) != 1 else ''} {variants}",
    )
    if not result.overall:
        return report.add_text("No data", "CloudWatch has no figures of this endpoint in this window.")
    report.add_table("Metrics", *_table(result))
    if charted := _charted(result):
        report.add_figure(
            "Over time",
            _figure(result, charted),
            "The line is the sum of each period for counts and the average for the rest; the band reaches from the "
            "smallest to the largest value of the period.",
        )
    if result.without_data:
        report.add_text("Without data in this window", ", ".join(result.without_data))
    return report


def _table(result: Result) -> tuple[list[str], list[list[Any]]]:
    several = len(result.variant_names) > 1
    columns = ["Metric", "Unit", "Samples", "Sum", "Average", "Minimum", "Maximum", "Last"]
    rows = []
    for overall in result.overall:
        shown = [overall]
        if several:
            shown += [series for series in result.by_variant if series.kind == overall.kind]
        for series in shown:
            unit, factor = _unit(series)
            summary = series.summary()
            # Each invocation is one sample of 1: only the sum of a count says something, and of the rest all but it.
            is_count = series.kind.is_count
            figures = [None if is_count else summary[key] * factor for key in ("average", "minimum", "maximum", "last")]
            total = summary["sum"] if is_count else None
            name = [series.kind.name, *([series.variant_name or "all"] if several else [])]
            rows.append([*name, unit, summary["sample_count"], total, *figures])
    if several:
        columns.insert(1, "Variant")
    return columns, rows


def _charted(result: Result) -> list[Series]:
    """The metrics worth a chart: not those that are zero throughout, as errors mostly are."""
    return [series for series in result.overall if series.summary()["maximum"] or series.summary()["minimum"]]


def _figure(result: Result, charted: list[Series]) -> Any:
    from matplotlib import dates
    from matplotlib.ticker import MaxNLocator

    untyped_dates: Any = dates
    columns = min(_COLUMNS, len(charted))
    rows = -(-len(charted) // columns)
    figure, axes = new_figure(rows, columns, height=2.5, squeeze=False)
    flat = list(axes.flat)
    # A young endpoint has nothing to show at the start of the window; all charts share one span.
    times = [point.timestamp for series in result.overall for point in series.points]
    first = max(result.start, min(times, default=result.start) - 0.03 * (result.end - result.start))
    span = result.end - first
    time_format = "%H:%M:%S" if span <= 900 else "%H:%M" if span <= 86_400 else "%m-%d %H:%M"
    for axis, overall in zip(flat, charted, strict=False):
        unit, factor = _unit(overall)
        for series in (item for item in result.by_variant if item.kind == overall.kind):
            _draw(axis, series, factor)
        axis.set_title(f"{overall.kind.name} ({unit})" if unit else overall.kind.name)
        axis.set_ylim(bottom=0)
        axis.set_xlim(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(result.end, UTC))
        locator = untyped_dates.AutoDateLocator(minticks=2, maxticks=5)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(untyped_dates.DateFormatter(time_format, tz=UTC))
        axis.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=overall.kind.unit == "Count"))
        if len(result.variant_names) > 1:
            axis.legend()
    for axis in flat[len(charted) :]:
        axis.set_axis_off()
    return figure


def _draw(axis: Any, series: Series, factor: float) -> None:
    moments = [datetime.fromtimestamp(point.timestamp, UTC) for point in series.points]
    (line,) = axis.plot(
        moments, [series.value(point) * factor for point in series.points], marker="o", label=series.variant_name
    )
    if not series.kind.is_count and series.kind.name != _HIT_OR_MISS:
        axis.fill_between(
            moments,
            [point.minimum * factor for point in series.points],
            [point.maximum * factor for point in series.points],
            color=line.get_color(),
            alpha=0.15,
            linewidth=0,
        )


def _unit(series: Series) -> tuple[str, float]:
    if series.kind.name == _HIT_OR_MISS:
        return "%", 100.0
    return _SHOWN_UNITS[series.kind.unit]


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")

"""``kfp-sagemaker metrics``: exported training metrics, fetched and drawn, without rights on CloudWatch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from kfp_sagemaker.metrics.curve import Chart, Curve

CONSOLE = Console(highlight=False)
_PICTURES = (".png", ".svg", ".pdf")
_PLOT_LINES = 15
_MOST_COLUMNS = 110
# How lines are told apart, without colours and with; more lines than these repeat them.
_LINES = (("*", "blue"), ("o", "red"), ("+", "green"), ("x", "magenta"), ("#", "cyan"), ("%", "yellow"))


def _source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--url", default="", help="The presigned URL, in quotes. Needs no AWS identity."),
            click.option("--bucket", default="", help="Read the URL from this bucket, with your AWS credentials."),
            click.option("--url-key", default="pre_url.txt", show_default=True, help="With --bucket: where it is."),
            click.option("--region", default="", help="With --bucket: its region. By default AWS_REGION."),
        )
    ):
        function = option(function)
    return function


@click.group("metrics")
def metrics_group() -> None:
    """Training metrics that the component export_training_metrics exported: fetch them, show them.

    \b
    kfp-sagemaker metrics fetch --url "https://..." -o metrics.csv
    kfp-sagemaker metrics show metrics.csv
    """


@metrics_group.command("fetch")
@_source_options
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write. By default to the terminal."
)
def fetch_command(url: str, bucket: str, url_key: str, region: str, output: Path | None) -> None:
    """Download exported metrics as CSV: timestamp, metric_name, value."""
    from kfp_sagemaker.metrics.curve import read_csv
    from kfp_sagemaker.metrics.fetching import fetch_text

    _check_source(url, bucket)
    text = fetch_text(url, bucket=bucket, url_key=url_key, region=region)
    columns = read_csv(text)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8", newline="")
    metrics = len(set(columns["metric_name"]))
    CONSOLE.print(f"{output}: {len(columns['value']):,} points of {metrics} metrics", soft_wrap=True)


@metrics_group.command("show")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_source_options
@click.option("-m", "--metric", "metric_names", multiple=True, help="Only this metric. Repeat for more.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a picture as well: .png, .svg or .pdf.",
)
def show_command(
    file: Path | None,
    url: str,
    bucket: str,
    url_key: str,
    region: str,
    metric_names: tuple[str, ...],
    output: Path | None,
) -> None:
    """Draw learning curves in the terminal: of FILE, or of what a URL gives."""
    from kfp_sagemaker.metrics.curve import curves_of, read_csv
    from kfp_sagemaker.metrics.download import decode
    from kfp_sagemaker.metrics.fetching import fetch_text

    if output is not None and output.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--output {output}: must end in {', '.join(_PICTURES)}.")
    if file is not None:
        if url or bucket:
            raise click.UsageError("Give one of FILE, --url and --bucket.")
        text = decode(file.read_bytes(), name=str(file))
    else:
        _check_source(url, bucket)
        text = fetch_text(url, bucket=bucket, url_key=url_key, region=region)
    curves = curves_of(read_csv(text))
    names = sorted({curve.metric_name for curve in curves})
    if unknown := sorted(set(metric_names) - set(names)):
        raise click.UsageError(f"--metric {unknown[0]}: there are {', '.join(names) or 'none'}.")
    curves = [curve for curve in curves if not metric_names or curve.metric_name in metric_names]
    if not curves:
        CONSOLE.print("No points: the job emitted no metrics. The log of the export says which definitions it had.")
        return
    _draw(curves)
    if output is not None:
        from kfp_sagemaker.metrics.learning_curves import save_picture

        save_picture(curves, output)
        CONSOLE.print(f"Picture: {output}", soft_wrap=True)


def _check_source(url: str, bucket: str) -> None:
    if bool(url) == bool(bucket):
        raise click.UsageError("Give one of --url and --bucket.")


def _draw(curves: Sequence[Curve]) -> None:
    from kfp_sagemaker.metrics.curve import charts, starts, time_unit

    is_colored = CONSOLE.is_terminal and not CONSOLE.no_color
    zero = starts(curves)
    unit, unit_seconds = time_unit(max(curve.timestamps[-1] - zero[curve.job_name] for curve in curves))
    for chart in charts(curves):
        click.echo(_plot(chart, zero, unit, unit_seconds, is_colored))
        for number, (label, curve) in enumerate(chart.lines[: len(_LINES)]):
            letter, color = _LINES[number]
            points = f"{len(curve.values):,} point{'s' if len(curve.values) != 1 else ''}"
            sample = click.style("■", fg=color) if is_colored else letter
            click.echo(f"  {sample} {label}: {curve.values[0]:.6g} to {curve.values[-1]:.6g}, {points}")
        if len(chart.lines) > len(_LINES):
            click.echo(f"  and {len(chart.lines) - len(_LINES)} more")
        click.echo()


def _plot(chart: Chart, zero: dict[str, float], unit: str, unit_seconds: float, is_colored: bool) -> str:
    """One chart as text; where no colours tell its lines apart, letters do."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("simple")
    figure.plot_size(min(CONSOLE.width, _MOST_COLUMNS), _PLOT_LINES)
    for number, (_, curve) in enumerate(chart.lines):
        points = curve.elapsed(zero[curve.job_name])
        letter, color = _LINES[number % len(_LINES)]
        marker = plotext.marker("hd", color) if is_colored else letter
        times = [seconds / unit_seconds for seconds, _ in points]
        signal = figure.signal(times, [value for _, value in points], marker=marker)
        signal.lines()
        figure.draw(signal)
    figure.title(chart.title)
    figure.label(unit, "x")
    text = str(figure.build())
    return text if is_colored else str(plotext.uncolorize(text))

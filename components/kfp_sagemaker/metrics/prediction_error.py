"""Predictions against the truth: the mean absolute percentage error of each model, in a table and a chart.

Reads the JSON lines that ``invoke_endpoint`` writes. The report is written before a threshold fails the step, because
that is when somebody wants to look at it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import InputError, ThresholdError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.html_report import MUTED, HtmlReport, new_figure

COLUMNS = ["model", "rows", "mean error", "examples: predicted (true)"]


_SCORE_KEYS = ("score", "predicted_value", "predictions", "prediction")


@dataclass
class ModelErrors:
    """The labelled predictions of one model, and how many rows have none."""

    predicted: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    missing_count: int = 0

    def percent(self) -> float:
        """Mean absolute percentage error, in percent; rows whose true value is 0 have none and do not count."""
        errors = [
            abs(guess - truth) / abs(truth) for guess, truth in zip(self.predicted, self.true, strict=True) if truth
        ]
        return 100 * sum(errors) / len(errors)


class Comparison(NamedTuple):
    """What the component returns."""

    table: dict[str, Any]
    error_percent: dict[str, float]
    worst_error_percent: float


def compare(
    session: Session,
    predictions_s3_uris: Sequence[str],
    *,
    max_error_percent: float,
    examples_per_model: int,
    title: str,
    report_path: str,
    log_metric: Callable[[str, float], None],
) -> Comparison:
    """Read the predictions, write the report, log the metrics.

    Args:
        session: AWS session.
        predictions_s3_uris: JSON lines written by ``invoke_endpoint``.
        max_error_percent: Greatest error allowed; 0 allows any.
        examples_per_model: Rows of each model in the table.
        title: Heading of the report.
        report_path: File to write the report to.
        log_metric: Takes a metric's name and value.

    Returns:
        Table, errors by model and the greatest of them.

    Raises:
        InputError: An argument is wrong, or a model has no labelled prediction.
        ThresholdError: A model's error exceeds ``max_error_percent``.
    """
    problems = Problems("compare_predictions")
    if not predictions_s3_uris:
        problems.add("predictions_s3_uris", predictions_s3_uris, "one or more S3 URIs")
    for uri in predictions_s3_uris:
        problems.s3_uri("predictions_s3_uris", uri)
    problems.between("max_error_percent", max_error_percent, 0, float("inf"))
    problems.between("examples_per_model", examples_per_model, 0, 1000)
    problems.raise_if_any()

    models = group_by_model(line for uri in predictions_s3_uris for line in s3.open_lines(session, uri))
    errors = {name: model.percent() for name, model in models.items()}
    rows = [
        [name, len(model.true), f"{errors[name]:.2f} %", _examples(model, examples_per_model)]
        for name, model in models.items()
    ]
    table = {"columns": COLUMNS, "rows": rows}
    worst = max(errors.values())
    for name, percent in errors.items():
        log_metric(f"error_percent/{name}", round(percent, 4))
        print(f"{name}: mean absolute percentage error {percent:.2f} %")
    log_metric("worst_error_percent", round(worst, 4))

    page = HtmlReport(title)
    page.add_table("Mean absolute percentage error", COLUMNS, rows)
    page.add_figure("Predicted against true values", _figure(models), "On the diagonal, a prediction is exact.")
    page.write(report_path)
    if max_error_percent and worst > max_error_percent:
        above = ", ".join(f"{name} {percent:.2f} %" for name, percent in errors.items() if percent > max_error_percent)
        raise ThresholdError(
            f"mean absolute percentage error above max_error_percent = {max_error_percent:g} %: {above}. "
            "Train longer, give more data, or raise the limit."
        )
    return Comparison(table, errors, worst)


def group_by_model(lines: Iterable[str]) -> dict[str, ModelErrors]:
    """Sort labelled predictions by their model.

    Args:
        lines: JSON lines with ``label``, ``prediction``, ``target_model`` and, for a failed row, ``error``.

    Returns:
        The predictions of each model, by its name without the archive's suffix.

    Raises:
        InputError: A line has no label, or a model no prediction with a true value other than 0.
    """
    models: dict[str, ModelErrors] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = json.loads(line)
        model = models.setdefault(_short_name(record.get("target_model") or ""), ModelErrors())
        if "label" not in record:
            raise InputError(
                [f"line {number} has no label: invoke the endpoint with label_first"], "compare_predictions"
            )
        if record.get("error"):
            model.missing_count += 1
            continue
        model.predicted.append(as_number(record["prediction"]))
        model.true.append(float(record["label"]))
    empty = [name for name, model in models.items() if not any(model.true)]
    if empty or not models:
        raise InputError([f"no labelled prediction of {', '.join(empty) or 'any model'}"], "compare_predictions")
    return models


def as_number(prediction: Any) -> float:
    """The number in an answer: itself, CSV text, or the score in the JSON of SageMaker's built-in algorithms."""
    value: Any = prediction
    while isinstance(value, (Mapping, list)):
        if isinstance(value, Mapping):
            value = next((value[key] for key in _SCORE_KEYS if key in value), None)
        else:
            value = value[0] if len(value) == 1 else None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError([f"the prediction {prediction!r} is not a number"], "compare_predictions") from None


def _short_name(target_model: str) -> str:
    """``Chicago_IL/Chicago_IL.tar.gz`` is Chicago_IL to a reader."""
    return target_model.rpartition("/")[2].removesuffix(".tar.gz") or "model"


def _examples(model: ModelErrors, count: int) -> str:
    pairs = list(zip(model.predicted, model.true, strict=True))[:count]
    return ", ".join(f"{guess:,.0f} ({truth:,.0f})" for guess, truth in pairs)


def _figure(models: Mapping[str, ModelErrors]) -> Any:
    figure, axes = new_figure(height=4.2)
    for name, model in models.items():
        axes.scatter(model.true, model.predicted, s=14, alpha=0.6, linewidths=0, label=name)
    values = [value for model in models.values() for value in (*model.true, *model.predicted)]
    ends = [min(values), max(values)]
    axes.plot(ends, ends, color=MUTED, linewidth=1, zorder=0)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False)
    return figure

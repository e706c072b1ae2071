"""The page about a tuning job's trials: a table, the objective over time, and parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kfp_sagemaker.html_report import MUTED, SERIES_COLORS, HtmlReport, new_figure

Trial = Mapping[str, Any]
# More lines than these cross each other to a grey field.
_MOST_LINES = 200


def objective_of(trial: Trial) -> float | None:
    """A trial's final objective; None when it has none."""
    final = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
    return float(final["Value"]) if final else None


def trials_table(trials: Sequence[Trial]) -> dict[str, Any]:
    """The trials as columns and rows.

    Args:
        trials: Summaries of the training jobs, in the order they were started.

    Returns:
        ``columns`` and ``rows``: training job, status, objective, seconds, and each tuned hyperparameter.
    """
    tuned = tuned_names(trials)
    objective = next(
        (
            each["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"]
            for each in trials
            if objective_of(each) is not None
        ),
        "objective",
    )
    has_definitions = any(trial.get("TrainingJobDefinitionName") for trial in trials)
    columns = ["training job", *(["definition"] if has_definitions else []), "status", objective, "seconds", *tuned]
    rows: list[list[Any]] = []
    for trial in trials:
        definition = [trial.get("TrainingJobDefinitionName", "")] if has_definitions else []
        values = [_number(trial["TunedHyperParameters"].get(name)) for name in tuned]
        status = trial["TrainingJobStatus"]
        rows.append(
            [trial["TrainingJobName"], *definition, status, _rounded(objective_of(trial)), _seconds(trial), *values]
        )
    return {"columns": columns, "rows": rows}


def tuned_names(trials: Sequence[Trial]) -> list[str]:
    """Every hyperparameter that some trial tuned."""
    return sorted({name for trial in trials for name in trial["TunedHyperParameters"]})


def write_report(path: str, description: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    """Write the page.

    Args:
        path: File to write.
        description: The tuning job's description.
        trials: Summaries of its training jobs, in the order they were started.
    """
    config = description["HyperParameterTuningJobConfig"]
    name, status = description["HyperParameterTuningJobName"], description["HyperParameterTuningJobStatus"]
    page = HtmlReport(f"Tuning job {name}", f"{config['Strategy']}, {len(trials)} training jobs, {status}")
    if best := description.get("BestTrainingJob"):
        page.add_table("Best training job", ["", "value"], _best_rows(best))
    table = trials_table(trials)
    page.add_table("Training jobs", table["columns"], table["rows"])
    finished = [trial for trial in trials if objective_of(trial) is not None]
    if finished:
        first = finished[0]["FinalHyperParameterTuningJobObjectiveMetric"]
        is_minimized = first.get("Type", "Minimize") == "Minimize"
        page.add_figure(
            "Objective over time",
            _over_time(finished, is_minimized),
            "A point a training job, when it ended; the line is the best one until then.",
        )
        if names := tuned_names(finished):
            page.add_figure(
                "Hyperparameters of the training jobs",
                _parallel_coordinates(finished, names, is_minimized),
                "A line a training job, from its hyperparameters to its objective; the best one is drawn thick.",
            )
    page.write(path)


def _best_rows(best: Trial) -> list[list[Any]]:
    final = best["FinalHyperParameterTuningJobObjectiveMetric"]
    rows: list[list[Any]] = [
        ["training job", best["TrainingJobName"]],
        [f"{final['MetricName']} ({final.get('Type', 'objective').lower()}d)", f"{final['Value']:.6g}"],
    ]
    return rows + [[name, value] for name, value in sorted(best["TunedHyperParameters"].items())]


def _over_time(finished: Sequence[Trial], is_minimized: bool) -> Any:
    ended = sorted(finished, key=_end)
    start = min(trial["CreationTime"] for trial in finished)
    seconds = [(_end(trial) - start).total_seconds() for trial in ended]
    values = [objective_of(trial) or 0.0 for trial in ended]
    choose = min if is_minimized else max
    best = [choose(values[: count + 1]) for count in range(len(values))]
    figure, axes = new_figure()
    axes.plot(seconds, best, drawstyle="steps-post", label="best so far")
    axes.plot(seconds, values, "o", label="training job")
    axes.set_xlabel("seconds since the first training job was created")
    axes.set_ylabel(ended[0]["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"])
    axes.legend()
    return figure


def _parallel_coordinates(finished: Sequence[Trial], names: Sequence[str], is_minimized: bool) -> Any:
    """An axis a hyperparameter and one for the objective, each from its least to its greatest value."""
    shown = finished[-_MOST_LINES:]
    objective = shown[0]["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"]
    columns: list[list[Any]] = [[_number(trial["TunedHyperParameters"].get(name)) for trial in shown] for name in names]
    columns.append([objective_of(trial) for trial in shown])
    heights = [_heights(column) for column in columns]
    choose = min if is_minimized else max
    best = choose(range(len(shown)), key=lambda index: columns[-1][index])
    figure, axes = new_figure(height=3.8)
    positions = range(len(columns))
    for index in range(len(shown)):
        goodness = 1 - heights[-1][index] if is_minimized else heights[-1][index]
        line = [column[index] for column in heights]
        if index != best:
            axes.plot(positions, line, color=SERIES_COLORS[0], alpha=0.2 + 0.5 * goodness, linewidth=1.2)
    axes.plot(positions, [column[best] for column in heights], color=SERIES_COLORS[1], linewidth=3.5)
    for position, column in enumerate(columns):
        axes.axvline(position, color=MUTED, linewidth=0.8)
        for value, height in _ticks(column):
            axes.annotate(
                value,
                (position, height),
                xytext=(6, 0),
                textcoords="offset points",
                fontsize=9,
                va="center",
                color=MUTED,
            )
    axes.set_xticks(list(positions), [*names, objective])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(columns) - 1 + 0.35)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _heights(column: Sequence[Any]) -> list[float]:
    """Where each value lies on its axis, 0 to 1; text by its place among the values there are."""
    if not all(isinstance(value, int | float) for value in column):
        words = sorted({str(value) for value in column})
        return [words.index(str(value)) / max(len(words) - 1, 1) for value in column]
    low, high = min(column), max(column)
    return [(value - low) / (high - low) if high > low else 0.5 for value in column]


def _ticks(column: Sequence[Any]) -> list[tuple[str, float]]:
    marks = dict(zip(column, _heights(column), strict=True))
    if all(isinstance(value, int | float) for value in column):
        marks = {value: marks[value] for value in {min(column), max(column)}}
        return [(f"{value:g}", height) for value, height in marks.items()]
    return [(str(value), height) for value, height in marks.items()]


def _number(text: str | None) -> Any:
    """A hyperparameter's value as a number where it is one."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _seconds(trial: Trial) -> float | None:
    if "TrainingStartTime" not in trial or "TrainingEndTime" not in trial:
        return None
    return round(float((trial["TrainingEndTime"] - trial["TrainingStartTime"]).total_seconds()), 1)


def _end(trial: Trial) -> Any:
    return trial.get("TrainingEndTime") or trial["CreationTime"]

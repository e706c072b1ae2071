"""The report of a run: what ran and how long, what came out, and the pages its steps made."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from kfp_sagemaker.aws.values import normalise
from kfp_sagemaker.cli.progress import duration
from kfp_sagemaker.cli.run_state import RunState, Step
from kfp_sagemaker.html_report import MUTED, SERIES_COLORS, HtmlReport, new_figure

_FAILED_COLOR = "#b93a3a"


def write(state: RunState, run_id: str, where: str, path: Path) -> Path:
    """Write the report.

    Args:
        state: The run, at its end.
        run_id: Its id.
        where: What it ran on, in a word or two.
        path: The file.

    Returns:
        The file.
    """
    outcome = "succeeded" if state.succeeded else "was cancelled" if state.is_cancelled else "failed"
    begun = datetime.fromtimestamp(state.started).astimezone()
    page = HtmlReport(
        f"{state.pipeline.name} {outcome} in {duration(state.elapsed_seconds())}",
        f"Run {run_id}, {begun:%Y-%m-%d %H:%M:%S %Z}, on {where}",
    )
    for step in state.failed_steps():
        page.add_text(f"Failed: {step.title}", step.error_text().splitlines())
    if state.error and not state.failed_steps():
        page.add_text("Error", state.error)
    for step, columns, rows in state.tables():
        if not html_artifacts(step):  # a step's own page says it better
            page.add_table(step.title, columns, rows)
    for step in state.steps.values():
        for content in html_artifacts(step):
            page.add_report(content, step.title)
    if state.steps:
        page.add_figure("Steps and their times", gantt(state), "One bar a step, from its start to its end.")
    page.add_table("Parameters", ["parameter", "value"], sorted(_parameters(state).items()))
    return page.write(path)


def html_artifacts(step: Step) -> list[str]:
    """The HTML pages a step made."""
    pages = []
    for artifact in step.artifacts.values():
        path = Path(artifact["uri"])
        if path.is_file() and path.read_bytes()[:64].lstrip().lower().startswith(b"<!doctype html"):
            pages.append(path.read_text(encoding="utf-8"))
    return pages


def gantt(state: RunState) -> Any:
    """A bar a step over the run's time, loops grouped by their item."""
    steps = sorted(state.steps.values(), key=lambda step: step.started)
    figure, axes = new_figure(height=0.9 + 0.235 * len(steps))
    colors: dict[tuple[str, ...], str] = {}
    end = max(step.finished or step.started for step in steps) - state.started
    for row, step in enumerate(steps):
        color = colors.setdefault(step.labels, SERIES_COLORS[len(colors) % len(SERIES_COLORS)])
        start = step.started - state.started
        length = step.elapsed_seconds(step.started)
        axes.barh(
            row,
            max(length, end / 400),
            left=start,
            height=0.62,
            color=_FAILED_COLOR if step.status != "succeeded" else color,
        )
        axes.text(start + length + end / 150, row, f"{length:.1f}", va="center", fontsize=8.5, color=MUTED)
    axes.set_yticks(range(len(steps)), [step.title for step in steps], fontsize=9)
    axes.set_ylim(len(steps) - 0.4, -0.6)
    axes.set_xlim(0, end * 1.05)
    axes.set_xlabel("seconds since the start")
    axes.grid(axis="y", visible=False)
    return figure


def _parameters(state: RunState) -> dict[str, str]:
    values = {name: parameter.default for name, parameter in state.pipeline.parameters.items()} | dict(state.arguments)
    return {name: value if isinstance(value, str) else json.dumps(normalise(value)) for name, value in values.items()}

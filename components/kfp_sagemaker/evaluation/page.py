"""An evaluation as a page: its metrics, and the charts of its problem type."""

from __future__ import annotations

from typing import Any

from kfp_sagemaker.evaluation.metrics import Evaluation
from kfp_sagemaker.html_report import MUTED, SERIES_COLORS, HtmlReport, new_figure

# More cells than this cannot be read, and more points only make the page large.
_MAX_WRITTEN_CLASSES = 20
_MAX_POINTS = 2000


def build(evaluation: Evaluation, title: str, subtitle: str = "") -> HtmlReport:
    """Make the page.

    Args:
        evaluation: What was found.
        title: Its heading.
        subtitle: A line under it.
    """
    page = HtmlReport(title, subtitle)
    page.add_table("Metrics", ["metric", "value"], sorted(evaluation.metrics.items()))
    if evaluation.notes:
        page.add_text("Left out", evaluation.notes)
    if evaluation.confusion:
        caption = "Rows: the truth. Columns: what the model says."
        page.add_figure("Confusion matrix", _confusion(evaluation), caption)
    if evaluation.roc:
        caption = "The further up and left, the better; along the diagonal the model guesses."
        page.add_figure("ROC and precision-recall", _curves(evaluation), caption)
        page.add_figure("Scores", _score_histogram(evaluation), "How well the scores tell the two classes apart.")
    if evaluation.values:
        caption = "Left: on the diagonal, a prediction is exact. Right: predicted less true value."
        page.add_figure("Predictions", _regression(evaluation), caption)
    return page


def _confusion(evaluation: Evaluation) -> Any:
    count = len(evaluation.classes)
    figure, axes = new_figure(width=6.0, height=min(2.6 + 0.3 * count, 8.0))
    shares = [[cell / max(sum(row), 1) for cell in row] for row in evaluation.confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set_xticks(range(count), evaluation.classes, rotation=0 if count <= 10 else 90)
    axes.set_yticks(range(count), evaluation.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= _MAX_WRITTEN_CLASSES:
        for i, row in enumerate(evaluation.confusion):
            for j, cell in enumerate(row):
                ink = "white" if shares[i][j] > 0.5 else "#10202e"
                axes.text(j, i, f"{cell:,}", ha="center", va="center", color=ink)
    return figure


def _curves(evaluation: Evaluation) -> Any:
    figure, (left, right) = new_figure(1, 2, height=3.8)
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    left.plot([point[0] for point in evaluation.roc], [point[1] for point in evaluation.roc])
    left.set_title(f"ROC, area {evaluation.metrics['auc']:.4f}")
    left.set_xlabel("false positive rate")
    left.set_ylabel("true positive rate")
    right.plot([point[1] for point in evaluation.precision_recall], [point[0] for point in evaluation.precision_recall])
    right.set_title(f"Precision and recall, average precision {evaluation.metrics['average_precision']:.4f}")
    right.set_xlabel("recall")
    right.set_ylabel("precision")
    right.set_ylim(0, 1.03)
    return figure


def _score_histogram(evaluation: Evaluation) -> Any:
    figure, axes = new_figure(height=2.8)
    for index, name in enumerate(evaluation.classes):
        found = [score for label, score in evaluation.scores if label == index]
        axes.hist(found, bins=40, alpha=0.65, label=name, color=SERIES_COLORS[index])
    axes.set_xlabel("score")
    axes.set_ylabel("rows")
    axes.legend()
    return figure


def _regression(evaluation: Evaluation) -> Any:
    figure, (left, right) = new_figure(1, 2, height=3.8)
    step = max(len(evaluation.values) // _MAX_POINTS, 1)
    shown = evaluation.values[::step]
    left.scatter([true for true, _ in shown], [predicted for _, predicted in shown], s=14, alpha=0.6, linewidths=0)
    both = [value for pair in shown for value in pair]
    left.plot([min(both), max(both)], [min(both), max(both)], color=MUTED, linewidth=1, zorder=0)
    left.set_xlabel("true")
    left.set_ylabel("predicted")
    right.hist([predicted - true for true, predicted in evaluation.values], bins=40)
    right.set_xlabel("error")
    right.set_ylabel("rows")
    return figure

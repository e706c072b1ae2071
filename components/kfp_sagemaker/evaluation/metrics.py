"""The metrics themselves, by scikit-learn.

https://scikit-learn.org/stable/modules/model_evaluation.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn import metrics

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.evaluation import scores
from kfp_sagemaker.evaluation.options import BINARY, DEFAULT_THRESHOLD, REGRESSION, Options
from kfp_sagemaker.evaluation.predictions import Row, as_number, clean

# scikit-learn has no annotations, and what checkers infer from its defaults is wrong.
sk: Any = metrics
# A curve for people: more points show nothing more, and a step's artifact metadata is small.
_MAX_CURVE_POINTS = 200
_SHOWN_LABELS = 10


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        problem_type: Of the options.
        metrics: By name; those the data cannot give are left out.
        classes: Classification: the classes, in the order of the confusion matrix.
        confusion: Rows of the truth, columns of the prediction.
        roc: Binary with scores: false positive rate, true positive rate and threshold of each point.
        precision_recall: Binary with scores: precision and recall of each point.
        values: Regression: true and predicted value of each row.
        scores: Binary with scores: label (1 is positive) and score of each row.
        notes: What was left out, and why.
    """

    problem_type: str
    metrics: dict[str, float]
    classes: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    roc: Sequence[tuple[float, float, float]] = ()
    precision_recall: Sequence[tuple[float, float]] = ()
    values: Sequence[tuple[float, float]] = ()
    scores: Sequence[tuple[int, float]] = ()
    notes: list[str] = field(default_factory=list)


def evaluate(rows: Iterable[Row], options: Options) -> Evaluation:
    """Compute the metrics of the problem type.

    Args:
        rows: Truth and prediction of each row.
        options: Checked options.

    Raises:
        DataError: There is no row, or one does not fit the problem type.
    """
    held = list(rows)
    if not held:
        raise DataError("there is no row to evaluate")
    if options.problem_type == REGRESSION:
        return _regression(held)
    return (_binary if options.problem_type == BINARY else _multiclass)(held, options)


def _regression(rows: Sequence[Row]) -> Evaluation:
    true, predicted = [], []
    for number, row in enumerate(rows, start=1):
        value = as_number(row.truth)
        if value is None:
            raise DataError(f"row {number}: the label {row.truth!r} is not a number, which regression needs")
        true.append(value)
        predicted.append(scores.single(scores.read(row.prediction, number), row.prediction, number))
    mse = sk.mean_squared_error(true, predicted)
    found = {
        "row_count": len(rows),
        "mae": sk.mean_absolute_error(true, predicted),
        "median_absolute_error": sk.median_absolute_error(true, predicted),
        "mse": mse,
        "rmse": mse**0.5,
    }
    notes = []
    if all(true):
        found["mape_percent"] = 100 * sk.mean_absolute_percentage_error(true, predicted)
    else:
        notes.append("mape_percent is left out: a true value is 0")
    if len(set(true)) > 1:
        found["r2"] = sk.r2_score(true, predicted)
    else:
        notes.append("r2 is left out: all true values are the same")
    return Evaluation(REGRESSION, _floats(found), values=[*zip(true, predicted, strict=True)], notes=notes)


def _binary(rows: Sequence[Row], options: Options) -> Evaluation:
    labels = sorted({row.truth for row in rows}, key=_natural)
    positive = clean(options.positive_label)
    if len(labels) > 2 or positive not in labels:
        shown = ", ".join(labels[:_SHOWN_LABELS])
        if len(labels) > 2:
            raise DataError(f"problem_type is {BINARY}, but the truth has {len(labels)} labels: {shown}")
        raise DataError(f"positive_label is {positive!r}, which no row of the truth has; its labels are {shown}")
    answers = [scores.read(row.prediction, number) for number, row in enumerate(rows, start=1)]
    given = [
        None if answer.scores is None else scores.positive_score(answer.scores, row.prediction, number)
        for number, (answer, row) in enumerate(zip(answers, rows, strict=True), start=1)
    ]
    known = [score for score in given if score is not None]
    has_scores = len(known) == len(rows)
    if has_scores and all(answer.label is None for answer in answers):
        spelled = {clean(score) for score in known}
        if spelled <= {*labels, "0", "1"} and all(len(answer.scores or ()) == 1 for answer in answers):
            # Hard decisions, not scores: 0 and 1, or the labels themselves.
            answers = [scores.Answer(clean(score), None) for score in known]
            has_scores = False
    threshold = options.threshold or DEFAULT_THRESHOLD
    predicted = []
    for number, (answer, score) in enumerate(zip(answers, given, strict=True), start=1):
        if answer.label is not None and (not options.threshold or score is None or not has_scores):
            predicted.append(int(answer.label == positive))
        elif score is not None:
            predicted.append(int(score >= threshold))
        else:
            raise DataError(f"row {number}: the prediction {rows[number - 1].prediction!r} has neither class nor score")
    truth = [int(row.truth == positive) for row in rows]
    other = next((label for label in labels if label != positive), f"not {positive}")
    found: dict[str, Any] = {
        "row_count": len(rows),
        "accuracy": sk.accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, zero_division=0),
        "recall": sk.recall_score(truth, predicted, zero_division=0),
        "f1": sk.f1_score(truth, predicted, zero_division=0),
    }
    notes = []
    if len(labels) == 1:
        notes.append("auc, average_precision, balanced_accuracy and log_loss are left out: the truth has one class")
    else:
        found["balanced_accuracy"] = (found["recall"] + sk.recall_score(truth, predicted, pos_label=0)) / 2
    roc: list[tuple[float, float, float]] = []
    curve: list[tuple[float, float]] = []
    if not has_scores:
        notes.append("auc, average_precision and log_loss are left out: the predictions have no scores")
    elif len(labels) == 2:
        found |= {"auc": sk.roc_auc_score(truth, known), "average_precision": sk.average_precision_score(truth, known)}
        if min(known) >= 0 and max(known) <= 1:
            found["log_loss"] = sk.log_loss(truth, known, labels=[0, 1])
        else:
            notes.append("log_loss is left out: the scores are no probabilities")
        false_rates, true_rates, thresholds = sk.roc_curve(truth, known)
        thresholds[0] = max(known)  # scikit-learn says infinity, which JSON cannot
        roc = _thinned(false_rates, true_rates, thresholds)
        precisions, recalls, _ = sk.precision_recall_curve(truth, known)
        curve = _thinned(precisions, recalls)
    return Evaluation(
        BINARY,
        _floats(found),
        classes=[other, positive],
        confusion=sk.confusion_matrix(truth, predicted, labels=[0, 1]).tolist(),
        roc=roc,
        precision_recall=curve,
        scores=[*zip(truth, known, strict=True)] if has_scores else [],
        notes=notes,
    )


def _multiclass(rows: Sequence[Row], options: Options) -> Evaluation:
    names = [clean(name) for name in options.class_names]
    answers = [scores.read(row.prediction, number) for number, row in enumerate(rows, start=1)]

    def named(label: str) -> str:
        """An index stands for its name, where there are names and it is none itself."""
        if names and label not in names and label.isdigit() and int(label) < len(names):
            return names[int(label)]
        return label

    truth = [named(row.truth) for row in rows]
    predicted, probabilities = [], []
    for number, (answer, row) in enumerate(zip(answers, rows, strict=True), start=1):
        several = answer.scores if answer.scores and len(answer.scores) > 1 else None
        if several and names and len(several) != len(names):
            raise DataError(f"row {number}: the prediction has {len(several)} scores for {len(names)} class_names")
        if several:
            probabilities.append(several)
        if answer.label is not None:
            predicted.append(named(answer.label))
        elif several:
            predicted.append(named(str(int(np.argmax(several)))))
        elif answer.scores:
            predicted.append(named(clean(answer.scores[0])))
        else:
            raise DataError(f"row {number}: the prediction {row.prediction!r} names no class")
    classes = names or sorted({*truth, *predicted}, key=_natural)
    unknown = sorted({*truth, *predicted} - set(classes))
    if unknown:
        raise DataError(f"class_names is {', '.join(names)}, but there are also {', '.join(unknown[:_SHOWN_LABELS])}")
    present = sorted(set(truth), key=_natural)
    average = {"labels": classes, "average": "macro", "zero_division": 0}
    recalls = sk.recall_score(truth, predicted, labels=present, average=None, zero_division=0)
    found: dict[str, Any] = {
        "row_count": len(rows),
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": float(np.mean(recalls)),
        "precision_macro": sk.precision_score(truth, predicted, **average),
        "recall_macro": sk.recall_score(truth, predicted, **average),
        "f1_macro": sk.f1_score(truth, predicted, **average),
    }
    notes = []
    ranked = _probabilities_by_class(probabilities, len(rows), names, classes)
    if ranked is None:
        notes.append("auc and log_loss are left out: the predictions have no probability for each class")
    else:
        order, table = ranked
        found["log_loss"] = sk.log_loss([order.index(label) for label in truth], table, labels=range(len(order)))
        if set(truth) == set(order):
            found["auc"] = sk.roc_auc_score([order.index(label) for label in truth], table, multi_class="ovr")
        else:
            notes.append("auc is left out: the truth lacks a class")
    matrix = sk.confusion_matrix(truth, predicted, labels=classes).tolist()
    return Evaluation(options.problem_type, _floats(found), classes=classes, confusion=matrix, notes=notes)


def _probabilities_by_class(
    probabilities: Sequence[Sequence[float]], row_count: int, names: Sequence[str], classes: Sequence[str]
) -> tuple[list[str], Any] | None:
    """The class of each column and the table of probabilities; None when there is not one for each class and row."""
    if len(probabilities) != row_count or len({len(row) for row in probabilities}) != 1:
        return None
    order = list(names) or [str(index) for index in range(len(probabilities[0]))]
    table = np.asarray(probabilities, dtype=np.float64)
    if not set(classes) <= set(order) or table.min() < 0 or not np.allclose(table.sum(axis=1), 1, atol=1e-3):
        return None
    return order, table / table.sum(axis=1, keepdims=True)


def _thinned(*columns: Any) -> list[Any]:
    """Points of a curve, evenly thinned to what people can see, the first and the last among them."""
    count = len(columns[0])
    picked = np.unique(np.linspace(0, count - 1, min(count, _MAX_CURVE_POINTS)).round().astype(int))
    return [*zip(*([float(column[index]) for index in picked] for column in columns), strict=True)]


def _floats(found: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def _natural(label: str) -> tuple[int, float, str]:
    number = as_number(label)
    return (0, number, "") if number is not None else (1, 0.0, label)

"""The quality measures the linear learner reports, and the threshold of a binary classifier.

https://docs.aws.amazon.com/sagemaker/latest/dg/linear-learner-tuning.html lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.linear_learner.losses import softmax

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """A cut on scores and how good it is by the selection criterion; higher is better."""

    value: float
    quality: float


def best_threshold(scores: Array, labels: Array, hyperparameters: Mapping[str, Any]) -> Threshold:
    """The cut with the best value of ``binary_classifier_model_selection_criteria``.

    Args:
        scores: Raw scores, before the logistic function.
        labels: 0 or 1.
        hyperparameters: The parsed hyperparameters.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], labels[order]
    hits = np.concatenate([[0.0], np.cumsum(positive)])
    called = np.arange(len(ranked) + 1)
    # a cut between two equal scores is impossible: keep the ends of runs
    possible = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])
    total = max(float(positive.sum()), 1e-12)
    precision = np.where(called > 0, hits / np.maximum(called, 1), 1.0)
    recall = hits / total
    quality = _criterion(precision, recall, hits, called, len(ranked), float(positive.sum()), hyperparameters)
    quality = np.where(possible, quality, -np.inf)
    # among equally good cuts take the middle one: it lies furthest from the examples on either side
    ties = np.flatnonzero(quality >= quality.max() - 1e-12)
    cut = int(ties[len(ties) // 2])
    if cut == 0:
        value = float(ranked[0]) + 1.0
    elif cut == len(ranked):
        value = float(ranked[-1]) - 1.0
    else:
        value = float((ranked[cut - 1] + ranked[cut]) / 2)
    return Threshold(value, float(quality.max()))


def _criterion(
    precision: Array,
    recall: Array,
    hits: Array,
    called: NDArray[np.int64],
    count: int,
    positives: float,
    hyperparameters: Mapping[str, Any],
) -> Array:
    criterion = hyperparameters["binary_classifier_model_selection_criteria"]
    if criterion == "f_beta":
        return np.asarray(f_beta(precision, recall, hyperparameters["f_beta"]))
    if criterion == "precision_at_target_recall":
        return np.where(recall >= hyperparameters["target_recall"], precision, recall - 1.0)
    if criterion == "recall_at_target_precision":
        return np.where(precision >= hyperparameters["target_precision"], recall, precision - 1.0)
    negatives_left_out = (count - positives) - (called - hits)
    return np.asarray((hits + negatives_left_out) / count)


def f_beta(precision: Any, recall: Any, beta: float) -> Any:
    """The weighted harmonic mean of precision and recall; 0 when both are."""
    weighted = beta**2 * precision + recall
    return np.where(weighted > 0, (1 + beta**2) * precision * recall / np.maximum(weighted, 1e-12), 0.0)


def regression_scores(predictions: Array, labels: Array) -> dict[str, float]:
    """Mean squared and mean absolute error, in the label's own unit."""
    residual = predictions - labels
    return {"mse": float(np.mean(residual**2)), "absolute_loss": float(np.mean(np.abs(residual)))}


def binary_scores(raw: Array, labels: Array, threshold: float, beta: float) -> dict[str, float]:
    """Accuracy, F, precision and recall at the threshold, and the area under the ROC curve."""
    called, positive = raw >= threshold, labels > 0
    hits = float(np.sum(called & positive))
    precision = hits / max(float(called.sum()), 1e-12)
    recall = hits / max(float(positive.sum()), 1e-12)
    return {
        "binary_classification_accuracy": float(np.mean(called == positive)),
        f"binary_f_{beta:.3f}": float(f_beta(precision, recall, beta)),
        "precision": precision,
        "recall": recall,
        "roc_auc_score": roc_auc(raw, labels),
    }


def roc_auc(scores: Array, labels: Array) -> float:
    """The area under the ROC curve by ranks, ties counted half; 0.5 when one class is missing."""
    positive = labels > 0
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        return 0.5
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def multiclass_scores(raw: Array, labels: Array, top_k: int, beta: float) -> dict[str, float]:
    """Accuracy, top-k accuracy, DCG, and the macro averages of recall, precision and F."""
    classes = raw.shape[1]
    truth = labels.astype(np.int64)
    predicted = raw.argmax(axis=1)
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (truth, predicted), 1.0)
    correct = np.diag(confusion)
    present = confusion.sum(axis=1) > 0
    recall = correct / np.maximum(confusion.sum(axis=1), 1e-12)
    precision = correct / np.maximum(confusion.sum(axis=0), 1e-12)
    own = raw[np.arange(len(truth)), truth][:, None]
    rank = (raw > own).sum(axis=1)
    probabilities = softmax(raw)[np.arange(len(truth)), truth]
    return {
        "multiclass_accuracy": float(np.mean(predicted == truth)),
        f"multiclass_top_k_accuracy_{top_k}": float(np.mean(rank < top_k)),
        "dcg": float(np.mean(1.0 / np.log2(rank + 2.0))),
        "macro_recall": float(recall[present].mean()),
        "macro_precision": float(precision[present].mean()),
        f"macro_f_{beta:.3f}": float(np.mean(f_beta(precision, recall, beta)[present])),
        "multiclass_balanced_accuracy": float(recall[present].mean()),
        "multiclass_log_loss": float(np.mean(-np.log(np.maximum(probabilities, 1e-15)))),
    }

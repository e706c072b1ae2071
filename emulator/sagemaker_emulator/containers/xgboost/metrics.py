"""The evaluation metrics SageMaker's container adds to XGBoost's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def custom_metric(names: Sequence[str]) -> Callable[[Any, Any], list[tuple[str, float]]]:
    """The function ``xgboost.train`` calls with predictions and data."""

    def evaluate(predictions: Array, data: Any) -> list[tuple[str, float]]:
        labels = np.asarray(data.get_label(), dtype=np.float64)
        return [(name, compute(name, np.asarray(predictions, dtype=np.float64), labels)) for name in names]

    return evaluate


def compute(name: str, predictions: Array, labels: Array) -> float:
    """One metric.

    Args:
        name: As ``eval_metric`` spells it.
        predictions: Probabilities, class numbers or values; one column a class for several classes.
        labels: Class numbers or values.
    """
    if name == "mse":
        return float(np.mean((predictions - labels) ** 2))
    if name == "r2":
        spread = float(np.sum((labels - labels.mean()) ** 2))
        return 1.0 - float(np.sum((predictions - labels) ** 2)) / spread if spread else 0.0
    called = predictions.argmax(axis=1) if predictions.ndim == 2 else _called(predictions, labels)
    if name == "accuracy":
        return float(np.mean(called == labels))
    classes = np.union1d(labels, called)
    hits = np.array([np.sum((called == c) & (labels == c)) for c in classes], dtype=np.float64)
    truly = np.array([np.sum(labels == c) for c in classes], dtype=np.float64)
    said = np.array([np.sum(called == c) for c in classes], dtype=np.float64)
    recall = hits / np.maximum(truly, 1)
    precision = hits / np.maximum(said, 1)
    f1 = 2 * hits / np.maximum(truly + said, 1)
    if name == "balanced_accuracy":
        return float(recall[truly > 0].mean())
    if name in ("f1_macro", "f1"):
        return float(f1.mean())
    value = {"precision": precision, "recall": recall, "f1_binary": f1}[name]
    if set(classes.tolist()) <= {0.0, 1.0}:
        return float(value[classes == 1].sum())
    return float(value.mean())


def _called(predictions: Array, labels: Array) -> Array:
    """Classes of a single column: probabilities are cut at a half, class numbers stay."""
    if labels.max(initial=0) <= 1 and predictions.max(initial=0) <= 1:
        return (predictions > 0.5).astype(np.float64)
    return np.rint(predictions)

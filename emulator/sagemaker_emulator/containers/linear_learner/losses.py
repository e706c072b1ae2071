"""The losses of the linear learner, for many models at once.

Scores have one column a model (times one a class for softmax); each loss gives a value per example and model, and the
gradient with respect to the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# As the real algorithm names them in its log; MetricDefinitions match "<name>_objective <loss>".
OBJECTIVE_NAMES = {
    "squared_loss": "mse",
    "absolute_loss": "absolute_loss",
    "eps_insensitive_squared_loss": "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss": "eps_insensitive_absolute_loss",
    "quantile_loss": "quantile_loss",
    "huber_loss": "huber_loss",
    "logistic": "binary_classification_cross_entropy",
    "hinge_loss": "hinge_loss",
    "softmax_loss": "multiclass_cross_entropy",
}


@dataclass(frozen=True)
class Loss:
    """One loss with its parameters.

    Attributes:
        name: As the hyperparameter ``loss`` spells it.
        classes: Score columns a model: the number of classes for softmax, else one.
        parameters: The hyperparameters; the loss takes the ones it knows.
    """

    name: str
    classes: int
    parameters: Mapping[str, Any]

    def values(self, scores: Array, labels: Array) -> Array:
        """The loss of each example (row) under each model (column)."""
        return self._evaluate(scores, labels, want_gradient=False)[0]

    def gradient(self, scores: Array, labels: Array) -> tuple[Array, Array]:
        """The losses, and their gradient with respect to the scores."""
        return self._evaluate(scores, labels, want_gradient=True)

    def _evaluate(self, scores: Array, labels: Array, *, want_gradient: bool) -> tuple[Array, Array]:
        if self.name == "softmax_loss":
            return self._softmax(scores, labels, want_gradient)
        target = labels[:, None]
        if self.name == "logistic":
            return np.logaddexp(0.0, scores) - target * scores, sigmoid(scores) - target if want_gradient else scores
        if self.name == "hinge_loss":
            sign = 2.0 * target - 1.0
            slack = self.parameters["margin"] - sign * scores
            return np.maximum(slack, 0.0), np.where(slack > 0, -sign, 0.0)
        return self._regression(scores - target)

    def _regression(self, residual: Array) -> tuple[Array, Array]:
        size = np.abs(residual)
        if self.name == "squared_loss":
            return residual**2, 2.0 * residual
        if self.name == "absolute_loss":
            return size, np.sign(residual)
        if self.name == "quantile_loss":
            quantile = self.parameters["quantile"]
            return np.where(residual < 0, -quantile * residual, (1 - quantile) * residual), np.where(
                residual < 0, -quantile, 1 - quantile
            )
        if self.name == "huber_loss":
            delta = self.parameters["huber_delta"]
            inside = size <= delta
            return np.where(inside, 0.5 * residual**2, delta * (size - 0.5 * delta)), np.where(
                inside, residual, delta * np.sign(residual)
            )
        excess = np.maximum(size - self.parameters["loss_insensitivity"], 0.0)
        if self.name == "eps_insensitive_squared_loss":
            return excess**2, 2.0 * excess * np.sign(residual)
        return excess, np.where(excess > 0, np.sign(residual), 0.0)

    def _softmax(self, scores: Array, labels: Array, want_gradient: bool) -> tuple[Array, Array]:
        cube = scores.reshape(len(scores), -1, self.classes)
        shifted = cube - cube.max(axis=2, keepdims=True)
        exponentials = np.exp(shifted)
        totals = exponentials.sum(axis=2, keepdims=True)
        chosen = labels.astype(np.int64)
        rows = np.arange(len(scores))
        values = np.log(totals[:, :, 0]) - shifted[rows, :, chosen]
        if not want_gradient:
            return values, values
        gradient = exponentials / totals
        gradient[rows, :, chosen] -= 1.0
        return values, gradient.reshape(scores.shape)


def sigmoid(scores: Array) -> Array:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scores)))


def softmax(scores: Array) -> Array:
    """Probabilities of the classes, one row an example."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

"""Normalisation of features and label, and its undoing in the trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.hyperparameters import AUTO
from sagemaker_emulator.containers.linear_learner.hyperparameters import REGRESSOR

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """``(x - mean) / deviation`` of features and label; 0 and 1 where nothing is to be done."""

    feature_mean: Array
    feature_deviation: Array
    label_mean: float
    label_deviation: float

    @classmethod
    def learn(cls, features: Array, labels: Array, hyperparameters: Mapping[str, Any]) -> Scaling:
        """Learn it from the first ``num_point_for_scaler`` examples, as normalize_* and unbias_* ask."""
        sample = features[: hyperparameters["num_point_for_scaler"]]
        target = labels[: hyperparameters["num_point_for_scaler"]]
        width = features.shape[1]
        normalize_data = hyperparameters["normalize_data"] in (True, AUTO)
        unbias_data = _resolve(hyperparameters["unbias_data"], normalize_data)
        regression = hyperparameters["predictor_type"] == REGRESSOR
        normalize_label = regression and _resolve(hyperparameters["normalize_label"], True)
        unbias_label = regression and _resolve(hyperparameters["unbias_label"], normalize_label)
        return cls(
            feature_mean=sample.mean(axis=0) if unbias_data else np.zeros(width),
            feature_deviation=_deviation(sample) if normalize_data else np.ones(width),
            label_mean=float(target.mean()) if unbias_label else 0.0,
            label_deviation=float(_deviation(target[:, None])[0]) if normalize_label else 1.0,
        )

    def features(self, features: Array) -> Array:
        """Normalised features."""
        return (features - self.feature_mean) / self.feature_deviation

    def labels(self, labels: Array) -> Array:
        """Normalised labels."""
        return (labels - self.label_mean) / self.label_deviation

    def unscale(self, labels: Array) -> Array:
        """Labels or scores in the label's own unit again."""
        return labels * self.label_deviation + self.label_mean

    def undo(self, weights: Array, bias: Array) -> tuple[Array, Array]:
        """The weights and bias that give from raw features what the given ones give from normalised features."""
        raw = weights * self.label_deviation / self.feature_deviation[:, None]
        return raw, bias * self.label_deviation + self.label_mean - self.feature_mean @ raw


def _resolve(value: Any, default: bool) -> bool:
    return default if value == AUTO else bool(value)


def _deviation(columns: Array) -> Array:
    deviation = columns.std(axis=0)
    return np.where(deviation > 1e-12, deviation, 1.0)  # a constant column stays what it is

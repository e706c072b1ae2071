"""The trained linear model: its file and its answers.

The file is named as the real algorithm's, but holds NumPy arrays: the two are not interchangeable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers import formats
from sagemaker_emulator.containers.linear_learner.hyperparameters import BINARY, MULTICLASS
from sagemaker_emulator.containers.linear_learner.losses import sigmoid, softmax
from sagemaker_emulator.containers.model import Answer, PayloadError, find_model_file, read_payload

Array = NDArray[np.float64]
MODEL_FILE = "model_algo-1"


@dataclass(frozen=True)
class LinearModel:
    """Weights for raw features.

    Attributes:
        predictor_type: regressor, binary_classifier or multiclass_classifier.
        loss: What it was trained for; it decides whether scores are probabilities.
        weights: One row a feature, one column a class (one column for the other types).
        bias: One number a column.
        threshold: The raw score from which a binary classifier says 1.
    """

    predictor_type: str
    loss: str
    weights: Array
    bias: Array
    threshold: float = 0.0

    def raw_scores(self, features: Array) -> Array:
        """The linear part, one column a class.

        Raises:
            PayloadError: The number of features is not the model's.
        """
        if features.ndim != 2 or features.shape[1] != len(self.weights):
            given = features.shape[1] if features.ndim == 2 else 0
            raise PayloadError(
                f"The feature dimension of the input: {given} does not match the feature dimension of the model: "
                f"{len(self.weights)}. Please fix the input and try again."
            )
        return np.asarray(features @ self.weights + self.bias)

    def predict(self, features: Array) -> list[dict[str, Any]]:
        """What the endpoint answers for each row."""
        raw = self.raw_scores(features)
        if self.predictor_type == MULTICLASS:
            return [
                {"score": row, "predicted_label": label}
                for row, label in zip(softmax(raw).tolist(), raw.argmax(axis=1).tolist(), strict=True)
            ]
        column = raw[:, 0]
        if self.predictor_type == BINARY:
            scores = sigmoid(column) if self.loss == "logistic" else column
            labels = (column >= self.threshold).astype(int).tolist()
            return [
                {"score": score, "predicted_label": label} for score, label in zip(scores.tolist(), labels, strict=True)
            ]
        return [{"score": score} for score in column.tolist()]

    def invoke(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Answer one request."""
        features = read_payload(body, content_type)
        return Answer(*formats.write_answers(self.predict(features), accept))

    def save(self, folder: Path) -> None:
        """Write the model file into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {"predictor_type": self.predictor_type, "loss": self.loss, "threshold": self.threshold}
        with (folder / MODEL_FILE).open("wb") as file:
            np.savez(file, weights=self.weights, bias=self.bias, about=np.array(json.dumps(about)))

    @classmethod
    def load(cls, folder: Path) -> LinearModel:
        """Read the model file of a folder.

        Raises:
            ValueError: There is none, or it was not written by this program.
        """
        path = find_model_file(folder, MODEL_FILE)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**json.loads(str(arrays["about"])), weights=arrays["weights"], bias=arrays["bias"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path.name} is not a model of the emulator's linear learner (model files of the real algorithm "
                f"cannot be served here): {error}"
            ) from error

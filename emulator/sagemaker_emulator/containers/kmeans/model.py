"""The trained clusters: their file and their answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers import formats
from sagemaker_emulator.containers.model import Answer, PayloadError, find_model_file, read_payload

Array = NDArray[np.float64]
MODEL_FILE = "model_algo-1"
_DISTANCES_AT_ONCE = 4_000_000


def nearest(points: Array, centers: Array) -> tuple[NDArray[np.int64], Array]:
    """The index of the nearest center of each point, and the squared distance to it."""
    closest = np.empty(len(points), dtype=np.int64)
    squared = np.empty(len(points))
    norms = np.einsum("ij,ij->i", centers, centers)
    for part in _parts(len(points), len(centers)):
        chunk = points[part]
        # |x - c|² without the term of x, which is the same for every center
        partial = norms - 2.0 * (chunk @ centers.T)
        closest[part] = partial.argmin(axis=1)
        # the difference itself, not the formula above: it cancels when a point lies near its center
        difference = chunk - centers[closest[part]]
        squared[part] = np.einsum("ij,ij->i", difference, difference)
    return closest, squared


def _parts(points: int, centers: int) -> Iterator[slice]:
    size = max(1, _DISTANCES_AT_ONCE // max(centers, 1))
    for start in range(0, points, size):
        yield slice(start, start + size)


@dataclass(frozen=True)
class KMeansModel:
    """The cluster centers, one row each."""

    centers: Array

    def predict(self, features: Array) -> list[dict[str, Any]]:
        """What the endpoint answers for each row.

        Raises:
            PayloadError: The number of features is not the model's.
        """
        width = features.shape[1] if features.ndim == 2 else 0
        if width != self.centers.shape[1]:
            raise PayloadError(
                f"The feature dimension of the input: {width} does not match the feature dimension of the model: "
                f"{self.centers.shape[1]}. Please fix the input and try again."
            )
        closest, squared = nearest(features, self.centers)
        return [
            {"closest_cluster": float(cluster), "distance_to_cluster": distance}
            for cluster, distance in zip(closest.tolist(), np.sqrt(squared).tolist(), strict=True)
        ]

    def invoke(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Answer one request."""
        return Answer(*formats.write_answers(self.predict(read_payload(body, content_type)), accept))

    def save(self, folder: Path) -> None:
        """Write the model file into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / MODEL_FILE).open("wb") as file:
            np.savez(file, centers=self.centers)

    @classmethod
    def load(cls, folder: Path) -> KMeansModel:
        """Read the model file of a folder.

        Raises:
            ValueError: There is none, or it was not written by this program.
        """
        path = find_model_file(folder, MODEL_FILE)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(arrays["centers"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path.name} is not a model of the emulator's k-means (model files of the real algorithm cannot be "
                f"served here): {error}"
            ) from error

"""The two stages of SageMaker's k-means.

First a stream of mini-batches moves more centers than asked for; then these centers, weighted by how many points they
stand for, are clustered to the number asked for, several times from different starts, and the best is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.hyperparameters import AUTO
from sagemaker_emulator.containers.kmeans.model import nearest

log = logging.getLogger("algorithm")
Array = NDArray[np.float64]

_AUTO_EXTRA_CENTERS = 10
_AUTO_TRIALS = 10


@dataclass(frozen=True)
class WeightedCenters:
    """Centers and how many points each stands for."""

    centers: Array
    weights: Array


class MiniBatchStage:
    """The first stage: centers that follow the stream of points.

    Args:
        hyperparameters: The parsed hyperparameters.
        random: Chooses the first centers.
    """

    def __init__(self, hyperparameters: Mapping[str, Any], random: np.random.Generator) -> None:
        self._hyperparameters = hyperparameters
        self._random = random

    def start(self, points: Array) -> WeightedCenters:
        """Choose the first centers among the points."""
        count = min(self._hyperparameters["k"] * self._extra(len(points)), len(points))
        if self._hyperparameters["init_method"] == "kmeans++":
            sample = points[self._random.permutation(len(points))[: max(count * 10, 10_000)]]
            centers = plus_plus(sample, np.ones(len(sample)), count, self._random)
        else:
            centers = points[self._random.choice(len(points), count, replace=False)]
        return WeightedCenters(centers.copy(), np.zeros(count))

    def epoch(self, points: Array, state: WeightedCenters) -> WeightedCenters:
        """Let the centers follow all points once, in random order."""
        centers, weights = state.centers.copy(), state.weights.copy()
        half_life = self._hyperparameters["half_life_time_size"]
        for batch in self._batches(points):
            if half_life:
                weights *= 0.5 ** (len(batch) / half_life)
            closest, _ = nearest(batch, centers)
            counts = np.bincount(closest, minlength=len(centers)).astype(np.float64)
            sums = sum_by(closest, batch, np.ones(len(batch)), len(centers))
            hit = counts > 0
            total = weights[hit] + counts[hit]
            centers[hit] = (centers[hit] * weights[hit][:, None] + sums[hit]) / total[:, None]
            weights[hit] = total
        return WeightedCenters(centers, weights)

    def _batches(self, points: Array) -> Iterator[Array]:
        order = self._random.permutation(len(points))
        size = self._hyperparameters["mini_batch_size"]
        for start in range(0, len(order), size):
            yield points[order[start : start + size]]

    def _extra(self, points: int) -> int:
        factor = self._hyperparameters["extra_center_factor"]
        if factor != AUTO:
            return int(factor)
        # enough points for each center to be worth having
        return int(max(1, min(_AUTO_EXTRA_CENTERS, points // (5 * self._hyperparameters["k"]))))


def reduce_centers(state: WeightedCenters, hyperparameters: Mapping[str, Any], random: np.random.Generator) -> Array:
    """The second stage: cluster the weighted centers to ``k`` by Lloyd's iteration, and keep the best of the trials."""
    used = state.weights > 0
    points, weights = state.centers[used], state.weights[used]
    k = min(hyperparameters["k"], len(points))
    if len(points) == k:
        return points
    trials = hyperparameters["local_lloyd_num_trials"]
    best: Array = points[:k]
    best_distance = np.inf
    for trial in range(_AUTO_TRIALS if trials == AUTO else trials):
        if hyperparameters["local_lloyd_init_method"] == "kmeans++":
            centers = plus_plus(points, weights, k, random)
        else:
            centers = points[random.choice(len(points), k, replace=False)]
        centers, distance = lloyd(
            points, weights, centers, hyperparameters["local_lloyd_max_iter"], hyperparameters["local_lloyd_tol"]
        )
        log.info("local kmeans attempt #%d. Current mean square distance %f", trial, distance)
        if distance < best_distance:
            best, best_distance = centers, distance
    log.info("finished shrinking process. Mean Square Distance = %f", best_distance)
    return best


def lloyd(points: Array, weights: Array, centers: Array, iterations: int, tolerance: float) -> tuple[Array, float]:
    """Lloyd's iteration on weighted points until the improvement is below the tolerance.

    Returns:
        The centers, and the weighted mean squared distance of the points to them.
    """
    centers = centers.copy()
    before = np.inf
    for _ in range(iterations):
        closest, squared = nearest(points, centers)
        distance = float(squared @ weights / weights.sum())
        mass = np.bincount(closest, weights, minlength=len(centers))
        sums = sum_by(closest, points, weights, len(centers))
        hit = mass > 0
        centers[hit] = sums[hit] / mass[hit][:, None]
        # a center nobody is near moves to the point that fits worst
        for empty, worst in zip(np.flatnonzero(~hit), np.argsort(-squared * weights), strict=False):
            centers[empty] = points[worst]
        if before - distance <= tolerance * distance and hit.all():
            break
        before = distance
    _, squared = nearest(points, centers)
    return centers, float(squared @ weights / weights.sum())


def plus_plus(points: Array, weights: Array, count: int, random: np.random.Generator) -> Array:
    """k-means++: each next center is drawn with a probability proportional to its squared distance to those chosen."""
    chosen = [int(random.choice(len(points), p=weights / weights.sum()))]
    squared = np.full(len(points), np.inf)
    while len(chosen) < count:
        difference = points - points[chosen[-1]]
        squared = np.minimum(squared, np.einsum("ij,ij->i", difference, difference))
        chance = squared * weights
        total = chance.sum()
        if total > 0:
            chosen.append(int(random.choice(len(points), p=chance / total)))
        else:  # fewer different points than centers
            chosen.append(int(random.integers(len(points))))
    return points[chosen]


def sum_by(groups: NDArray[np.int64], points: Array, weights: Array, count: int) -> Array:
    """The weighted sum of the points of each group."""
    sums = np.zeros((count, points.shape[1]))
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    sums[present] = np.add.reduceat(points[order] * weights[order][:, None], starts, axis=0)
    return sums

"""Optimizers that update many models at once, each with its own learning rate and regularisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.hyperparameters import AUTO

Array = NDArray[np.float64]

# The decay of the learning rate over a whole training when the scheduler's hyperparameters are auto.
_AUTO_FINAL_SHARE = 0.01
_LEARNING_RATES = (0.1, 0.3, 0.03, 0.01, 1.0, 0.003, 0.001, 0.0003)
_REGULARISATIONS = ((0.0, 0.0), (1e-4, 0.0), (0.0, 1e-5), (1e-2, 1e-4))  # (wd, l1)
_AUTO_MODELS = 32


@dataclass(frozen=True)
class Candidate:
    """The hyperparameters one of the parallel models is trained with."""

    learning_rate: float
    wd: float
    l1: float


def candidates(hyperparameters: Mapping[str, Any]) -> list[Candidate]:
    """The models to train in parallel: every value the job fixed, a grid over those left ``auto``.

    More models than the grid has points repeat it; they differ in their initial weights.
    """
    rates = _fixed_or(hyperparameters["learning_rate"], _LEARNING_RATES)
    pairs = [
        (wd, l1)
        for wd, l1 in (
            (_one(hyperparameters["wd"], wd), _one(hyperparameters["l1"], l1)) for wd, l1 in _REGULARISATIONS
        )
    ]
    grid = [Candidate(rate, wd, l1) for wd, l1 in dict.fromkeys(pairs) for rate in rates]
    count = hyperparameters["num_models"]
    count = _AUTO_MODELS if count == AUTO else count
    return [grid[index % len(grid)] for index in range(count)]


def _fixed_or(value: Any, choices: Sequence[float]) -> Sequence[float]:
    return choices if value == AUTO else (float(value),)


def _one(value: Any, choice: float) -> float:
    return choice if value == AUTO else float(value)


@dataclass(frozen=True)
class Schedule:
    """The factor on every learning rate at a step: ``factor ** (step // every)``, not below the minimum rate."""

    every: int
    factor: float
    minimum: float

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any], total_steps: int) -> Schedule:
        """What the job set, or a decay to a hundredth over the planned steps."""
        if not hyperparameters["use_lr_scheduler"]:
            return cls(1, 1.0, 0.0)
        every, factor = hyperparameters["lr_scheduler_step"], hyperparameters["lr_scheduler_factor"]
        every = max(1, total_steps // 100) if every == AUTO else every
        if factor == AUTO:
            factor = _AUTO_FINAL_SHARE ** (every / max(total_steps, 1))
        minimum = hyperparameters["lr_scheduler_minimum_lr"]
        return cls(every, float(factor), 1e-5 if minimum == AUTO else float(minimum))

    def rates(self, initial: Array, step: int) -> Array:
        """The learning rates at a step."""
        return np.maximum(initial * self.factor ** (step // self.every), np.minimum(self.minimum, initial))


class Optimizer:
    """Adam, RMSProp or SGD with momentum over matrices with one column a model.

    Args:
        name: ``adam``, ``sgd`` or ``rmsprop``; ``auto`` is adam.
        shape: Of the weights; the last row is the bias.
        hyperparameters: The parsed hyperparameters.
    """

    def __init__(self, name: str, shape: tuple[int, int], hyperparameters: Mapping[str, Any]) -> None:
        self._name = "adam" if name == AUTO else name
        self._first = np.zeros(shape)
        self._second = np.zeros(shape)
        self._beta_1 = _one(hyperparameters["beta_1"], 0.9)
        self._beta_2 = _one(hyperparameters["beta_2"], 0.999 if self._name == "adam" else 0.9)
        self._momentum = _one(hyperparameters["momentum"], 0.0)
        self._step = 0

    def update(self, weights: Array, gradient: Array, rates: Array) -> None:
        """Change the weights in place.

        Args:
            weights: One column a model.
            gradient: Of the same shape.
            rates: The learning rate of each element, or of each column.
        """
        self._step += 1
        if self._name == "sgd":
            self._first *= self._momentum
            self._first += gradient
            weights -= rates * self._first
            return
        self._second *= self._beta_2
        self._second += (1 - self._beta_2) * gradient**2
        if self._name == "rmsprop":
            weights -= rates * gradient / (np.sqrt(self._second) + 1e-8)
            return
        self._first *= self._beta_1
        self._first += (1 - self._beta_1) * gradient
        first = self._first / (1 - self._beta_1**self._step)
        second = self._second / (1 - self._beta_2**self._step)
        weights -= rates * first / (np.sqrt(second) + 1e-8)

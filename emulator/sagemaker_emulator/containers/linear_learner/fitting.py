"""The training loop: every model of the search advances in the same matrix products."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.hyperparameters import AUTO
from sagemaker_emulator.containers.linear_learner.losses import Loss
from sagemaker_emulator.containers.linear_learner.optimizers import Candidate, Optimizer, Schedule

log = logging.getLogger("algorithm")
Array = NDArray[np.float64]

_VALUES_AT_ONCE = 4_000_000  # scores held at a time when a whole data set is evaluated


@dataclass(frozen=True)
class Examples:
    """Normalised features, labels and the weight of each example in the loss."""

    features: Array
    labels: Array
    weights: Array


@dataclass(frozen=True)
class Fitted:
    """The weights of every model at its best epoch: the last row is the bias, one column a model (and class)."""

    weights: Array
    candidates: list[Candidate]
    losses: Array


class Fitter:
    """Trains all candidates on the same mini-batches.

    Args:
        loss: The loss to minimise.
        candidates: The models to train.
        hyperparameters: The parsed hyperparameters.
        host: Named in the metrics the log carries.
        objective: The objective's name in the metrics.
        unscale: Turns normalised scores and labels into the label's unit, for the validation loss the log carries.
        seed: Of the initial weights and the order of the examples.
    """

    def __init__(
        self,
        loss: Loss,
        candidates: list[Candidate],
        hyperparameters: Mapping[str, Any],
        *,
        host: str,
        objective: str,
        unscale: Callable[[Array], Array],
        seed: int = 0,
    ) -> None:
        self._loss = loss
        self._candidates = candidates
        self._hyperparameters = hyperparameters
        self._host = host
        self._objective = objective
        self._unscale = unscale
        self._random = np.random.default_rng(seed)
        self._per_column = np.repeat(np.arange(len(candidates)), loss.classes)

    def fit(self, train: Examples, validation: Examples | None) -> Fitted:
        """Train for the asked number of epochs, or until no model improves any more.

        Args:
            train: What to learn from.
            validation: What decides which epoch of which model is best; without it, the training examples do.
        """
        epochs, batch = self._hyperparameters["epochs"], self._hyperparameters["mini_batch_size"]
        batch = min(batch, len(train.labels))
        steps = -(-len(train.labels) // batch)
        weights = self._initial(train.features.shape[1])
        optimizer = Optimizer(self._hyperparameters["optimizer"], weights.shape, self._hyperparameters)
        schedule = Schedule.of(self._hyperparameters, epochs * steps)
        rates = self._by_column("learning_rate")
        row_rates = np.ones((len(weights), 1))
        bias_lr_mult = self._hyperparameters["bias_lr_mult"]
        row_rates[-1] = 0.0 if not self._hyperparameters["use_bias"] else 1.0 if bias_lr_mult == AUTO else bias_lr_mult
        best, best_losses = weights.copy(), np.full(len(self._candidates), np.inf)
        history: list[float] = []
        step = 0
        for epoch in range(epochs):
            started = time.perf_counter()
            seen = np.zeros(len(self._candidates))
            for chosen in np.array_split(self._random.permutation(len(train.labels)), steps):
                losses, gradient = self._gradient(weights, train, chosen)
                seen += losses
                optimizer.update(weights, gradient, row_rates * schedule.rates(rates, step))
                step += 1
            current = self.mean_losses(weights, train if validation is None else validation)
            current = np.where(np.isfinite(current), current, np.inf)
            improved = current < best_losses
            best_losses = np.where(improved, current, best_losses)
            best[:, improved[self._per_column]] = weights[:, improved[self._per_column]]
            self._report(epoch, weights, seen / train.weights.sum(), current, validation)
            log.info(
                "#throughput_metric: host=%s, train throughput=%s records/second",
                self._host,
                len(train.labels) / max(time.perf_counter() - started, 1e-9),
            )
            history.append(float(best_losses.min()))
            if self._is_stalled(history):
                log.info("Early stop condition met. Stopping training.")
                break
        return Fitted(best, self._candidates, best_losses)

    def mean_losses(self, weights: Array, examples: Examples) -> Array:
        """The weighted mean loss of every model on a data set."""
        total = np.zeros(len(self._candidates))
        at_once = max(1, _VALUES_AT_ONCE // weights.shape[1])
        for start in range(0, len(examples.labels), at_once):
            part = slice(start, start + at_once)
            scores = examples.features[part] @ weights[:-1] + weights[-1]
            total += examples.weights[part] @ self._loss.values(scores, examples.labels[part])
        return np.asarray(total / examples.weights.sum())

    def _initial(self, width: int) -> Array:
        shape = (width + 1, len(self._per_column))
        if self._hyperparameters["init_method"] == "normal":
            weights = self._random.normal(0.0, self._hyperparameters["init_sigma"], shape)
        else:
            scale = self._hyperparameters["init_scale"]
            weights = self._random.uniform(-scale, scale, shape)
        weights[-1] = self._hyperparameters["init_bias"] if self._hyperparameters["use_bias"] else 0.0
        return weights

    def _gradient(self, weights: Array, train: Examples, chosen: NDArray[np.int64]) -> tuple[Array, Array]:
        features, share = train.features[chosen], train.weights[chosen]
        losses, by_score = self._loss.gradient(features @ weights[:-1] + weights[-1], train.labels[chosen])
        by_score = by_score * (share / len(chosen))[:, None]
        gradient = np.empty_like(weights)
        gradient[:-1] = features.T @ by_score
        gradient[-1] = by_score.sum(axis=0)
        decay = self._by_column("wd")
        gradient[:-1] += decay * weights[:-1]
        # the subgradient: an adaptive optimizer scales a proximal step unlike the gradient it has to balance
        gradient[:-1] += self._by_column("l1") * np.sign(weights[:-1])
        bias_wd_mult = self._hyperparameters["bias_wd_mult"]
        if bias_wd_mult != AUTO:
            gradient[-1] += bias_wd_mult * decay * weights[-1]
        return share @ losses, gradient

    def _by_column(self, name: str) -> Array:
        """A hyperparameter of every candidate, once a column of the weights."""
        return np.array([getattr(candidate, name) for candidate in self._candidates])[self._per_column]

    def _is_stalled(self, history: list[float]) -> bool:
        patience = self._hyperparameters["early_stopping_patience"]
        if len(history) <= patience:
            return False
        before, now = history[-patience - 1], history[-1]
        return bool(before - now <= self._hyperparameters["early_stopping_tolerance"] * abs(before))

    def _report(self, epoch: int, weights: Array, train: Array, current: Array, validation: Examples | None) -> None:
        """Log the losses of the leading model in the lines the algorithm's MetricDefinitions read.

        The training loss is of normalised labels, the validation loss in the label's unit, as in the real log.
        """
        epochs, leader = self._hyperparameters["epochs"], int(np.argmin(current))
        where = f"#quality_metric: host={self._host}, epoch={epoch},"
        log.info("%s train %s_objective <loss>=%s", where, self._objective, float(train[leader]))
        if validation is not None:
            columns = self._per_column == leader
            scores = validation.features @ weights[:-1, columns] + weights[-1, columns]
            losses = self._loss.values(self._unscale(scores), self._unscale(validation.labels))
            log.info("%s validation %s_objective <loss>=%s", where, self._objective, float(losses.mean()))
        log.info("#progress_metric: host=%s, completed %s %% of epochs", self._host, 100 * (epoch + 1) / epochs)

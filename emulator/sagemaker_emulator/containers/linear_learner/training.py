"""The linear learner's training: channels in, the best of many models out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.channels import ChannelRules, read_channel
from sagemaker_emulator.containers.contract import CustomerError, TrainingConfig
from sagemaker_emulator.containers.formats import Table
from sagemaker_emulator.containers.hyperparameters import AUTO
from sagemaker_emulator.containers.linear_learner import scores
from sagemaker_emulator.containers.linear_learner.fitting import Examples, Fitted, Fitter
from sagemaker_emulator.containers.linear_learner.hyperparameters import BINARY, MULTICLASS, REGRESSOR, parse
from sagemaker_emulator.containers.linear_learner.losses import OBJECTIVE_NAMES, Loss
from sagemaker_emulator.containers.linear_learner.model import LinearModel
from sagemaker_emulator.containers.linear_learner.optimizers import Candidate, candidates
from sagemaker_emulator.containers.linear_learner.scaling import Scaling

log = logging.getLogger("algorithm")
Array = NDArray[np.float64]

RULES = ChannelRules(names=("train", "validation", "test"))


@dataclass(frozen=True)
class _Trained:
    """The chosen model with what is needed to report on it."""

    model: LinearModel
    loss: Loss
    candidate: Candidate


def train(config: TrainingConfig) -> None:
    """Train on the channels of a job and write the model folder.

    Raises:
        CustomerError: A hyperparameter, a channel or the data is wrong.
    """
    hyperparameters = parse(config.hyperparameters)
    log.info("Final configuration: %s", hyperparameters)
    RULES.validate(config.channels)
    tables = {name: _read(config, name, hyperparameters) for name in RULES.names}
    table = tables["train"]
    assert table is not None  # noqa: S101 - RULES requires the channel and read_channel refuses an empty one
    validation = tables["validation"]
    trained = _fit(table, validation, hyperparameters, config.current_host)
    chosen = {**asdict(trained.candidate), "optimizer": _optimizer_name(hyperparameters)}
    log.info("Best model found for hyperparameters: %s", json.dumps(chosen))
    for name in ("train", "validation", "test"):
        reported = tables[name]
        if reported is not None and (name != "train" or validation is None):
            _report(config.current_host, name, reported, trained, hyperparameters)
    trained.model.save(config.folders.model)
    log.info("Saved the model to %s", config.folders.model)


def _optimizer_name(hyperparameters: Mapping[str, Any]) -> str:
    name = str(hyperparameters["optimizer"])
    return "adam" if name == AUTO else name


def _read(config: TrainingConfig, name: str, hyperparameters: Mapping[str, Any]) -> Table | None:
    table = read_channel(config, name, RULES)
    if table is None:
        return None
    width = table.features.shape[1]
    if hyperparameters["feature_dim"] not in (AUTO, width):
        raise CustomerError(
            f"Unable to read data channel '{name}'. The feature dimension of the data: {width} does not match the "
            f"'feature_dim' hyperparameter: {hyperparameters['feature_dim']}. "
            "Please check feature_dim and the label_size of the content type."
        )
    if table.labels is None:
        raise CustomerError(f"Unable to read data channel '{name}'. The records have no label.")
    predictor_type = hyperparameters["predictor_type"]
    if predictor_type != REGRESSOR:
        classes = 2 if predictor_type == BINARY else hyperparameters["num_classes"]
        wrong = np.setdiff1d(table.labels, np.arange(classes))
        if len(wrong):
            raise CustomerError(
                f"Unable to read data channel '{name}'. Labels of a {predictor_type} are the integers from 0 to "
                f"{classes - 1}; found {wrong[0]:g}."
            )
    return Table(table.dense_features, table.labels)


def _fit(table: Table, validation: Table | None, hyperparameters: Mapping[str, Any], host: str) -> _Trained:
    assert table.labels is not None  # noqa: S101 - _read refuses tables without labels
    classes = hyperparameters["num_classes"] if hyperparameters["predictor_type"] == MULTICLASS else 1
    loss = Loss(hyperparameters["loss"], classes, hyperparameters)
    scaling = Scaling.learn(table.features, table.labels, hyperparameters)
    weigh = _weighing(table.labels, hyperparameters)

    def examples(source: Table) -> Examples:
        assert source.labels is not None  # noqa: S101
        return Examples(scaling.features(source.features), scaling.labels(source.labels), weigh(source.labels))

    fitter = Fitter(
        loss,
        candidates(hyperparameters),
        hyperparameters,
        host=host,
        objective=OBJECTIVE_NAMES[loss.name],
        unscale=scaling.unscale,
    )
    held_out = examples(table if validation is None else validation)
    with np.errstate(over="ignore", invalid="ignore"):  # candidates that diverge are left out of the choice
        fitted = fitter.fit(examples(table), None if validation is None else held_out)
    if not np.isfinite(fitted.losses).any():
        raise CustomerError(
            "The training diverged: the loss of every model is infinite or NaN. Lower the 'learning_rate' "
            "hyperparameter or set it to 'auto'."
        )
    chosen, threshold = _choose(fitted, held_out, hyperparameters)
    columns = slice(chosen * classes, (chosen + 1) * classes)
    weights, bias = scaling.undo(fitted.weights[:-1, columns], fitted.weights[-1, columns])
    model = LinearModel(hyperparameters["predictor_type"], loss.name, weights, bias, threshold)
    return _Trained(model, loss, fitted.candidates[chosen])


def _weighing(train_labels: Array, hyperparameters: Mapping[str, Any]) -> Any:
    """How much each example counts, by its label; learnt from the training labels."""
    predictor_type = hyperparameters["predictor_type"]
    if predictor_type == MULTICLASS and hyperparameters["balance_multiclass_weights"]:
        counts = np.bincount(train_labels.astype(np.int64), minlength=hyperparameters["num_classes"])
        by_class = len(train_labels) / (np.maximum(counts, 1) * np.count_nonzero(counts))
        return lambda labels: by_class[labels.astype(np.int64)]
    if predictor_type == BINARY:
        positive = hyperparameters["positive_example_weight_mult"]
        if positive == "balanced":
            positive = float(np.sum(train_labels == 0) / max(np.sum(train_labels == 1), 1))
        return lambda labels: np.where(labels > 0, positive, 1.0)
    return lambda labels: np.ones(len(labels))


def _choose(fitted: Fitted, held_out: Examples, hyperparameters: Mapping[str, Any]) -> tuple[int, float]:
    """The best model's index, and its threshold when it is a binary classifier."""
    by_loss = int(np.argmin(fitted.losses))
    if hyperparameters["predictor_type"] != BINARY:
        return by_loss, 0.0
    part = slice(0, hyperparameters["num_calibration_samples"])
    raw = held_out.features[part] @ fitted.weights[:-1] + fitted.weights[-1]
    labels = held_out.labels[part]
    if hyperparameters["binary_classifier_model_selection_criteria"] == "loss_function":
        return by_loss, scores.best_threshold(raw[:, by_loss], labels, hyperparameters).value
    usable = np.flatnonzero(np.isfinite(fitted.losses))
    thresholds = {int(index): scores.best_threshold(raw[:, index], labels, hyperparameters) for index in usable}
    best = max(thresholds, key=lambda index: (thresholds[index].quality, -fitted.losses[index]))
    return best, thresholds[best].value


def _report(host: str, name: str, table: Table, trained: _Trained, hyperparameters: Mapping[str, Any]) -> None:
    """Log the final scores of a channel in the lines the algorithm's MetricDefinitions read."""
    assert table.labels is not None  # noqa: S101
    model, objective = trained.model, OBJECTIVE_NAMES[trained.loss.name]
    raw = model.raw_scores(table.features)
    values = {f"{objective}_objective": float(np.mean(trained.loss.values(raw, table.labels)))}
    beta = hyperparameters["f_beta"]
    if model.predictor_type == REGRESSOR:
        values |= scores.regression_scores(raw[:, 0], table.labels)
    elif model.predictor_type == BINARY:
        values |= scores.binary_scores(raw[:, 0], table.labels, model.threshold, beta)
    else:
        values |= scores.multiclass_scores(raw, table.labels, hyperparameters["accuracy_top_k"], beta)
    for metric, value in values.items():
        log.info("#%s_score (%s) : ('%s', %s)", name, host, metric, value)
    for metric, value in values.items():
        kind = "loss" if metric.endswith(("_objective", "_loss", "mse")) else "score"
        log.info("#quality_metric: host=%s, %s %s <%s>=%s", host, name, metric, kind, value)

"""The XGBoost algorithm's training."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

import xgboost as xgb
from xgboost.callback import EarlyStopping, TrainingCallback

from sagemaker_emulator.containers.contract import CustomerError, TrainingConfig
from sagemaker_emulator.containers.xgboost.data import read_matrix, training_type
from sagemaker_emulator.containers.xgboost.hyperparameters import CUSTOM_METRICS, WITHOUT_EFFECT, parse
from sagemaker_emulator.containers.xgboost.metrics import custom_metric
from sagemaker_emulator.containers.xgboost.model import MODEL_FILE

log = logging.getLogger("algorithm")

_NOT_PARAMETERS = (
    "num_round",
    "csv_weights",
    "early_stopping_rounds",
    "eval_metric",
    "save_model_on_termination",
    "_tuning_objective_metric",
    *WITHOUT_EFFECT,
)
_CHANNELS = ("train", "validation", "code")


def train(config: TrainingConfig) -> None:
    """Train on the channels of a job and write ``model/xgboost-model``.

    Raises:
        CustomerError: A hyperparameter, a channel or the data is wrong.
    """
    hyperparameters = parse(config.hyperparameters)
    if "train" not in config.channels:
        raise CustomerError("Missing required channel: train")
    for name in config.channels:
        if name not in _CHANNELS:
            raise CustomerError(f"Extraneous channel found: {name}")
    weighted = bool(hyperparameters.get("csv_weights"))
    data = {}
    for name in ("train", "validation"):
        if name in config.channels:
            media_type = training_type(config.channels[name].get("ContentType"))
            data[name] = read_matrix(config.folders.data / name, name, media_type, weighted)
    log.info("Single node training.")
    for name, matrix in data.items():
        log.info("%s matrix has %d rows and %d columns", name.capitalize(), matrix.num_row(), matrix.num_col())
    callbacks: list[TrainingCallback] = [_Printer()]
    rounds = hyperparameters.get("early_stopping_rounds")
    if rounds and "validation" in data:
        callbacks.append(EarlyStopping(rounds=rounds, data_name="validation", save_best=True))
    if hyperparameters.get("save_model_on_termination") == "true":
        callbacks.append(_StopOnTerm())
    metrics = _metrics(hyperparameters)
    own = [metric for metric in metrics if metric in CUSTOM_METRICS]
    try:
        booster = xgb.train(
            _parameters(hyperparameters, metrics),
            data["train"],
            num_boost_round=hyperparameters["num_round"],
            evals=[(matrix, name) for name, matrix in data.items()],
            custom_metric=custom_metric(own) if own else None,
            callbacks=callbacks,
            verbose_eval=False,
        )
    except (xgb.core.XGBoostError, ValueError) as error:
        # what the library refuses is the data or the combination of hyperparameters
        reason = str(error).partition("\nStack trace")[0]
        raise CustomerError(f"XGB train call failed with exception:\n {reason}") from error
    config.folders.model.mkdir(parents=True, exist_ok=True)
    path = config.folders.model / MODEL_FILE
    path.write_bytes(bytes(booster.save_raw("ubj")))
    log.info("Stored trained model at %s", path)


def _metrics(hyperparameters: Mapping[str, Any]) -> list[str]:
    metrics = list(hyperparameters.get("eval_metric", []))
    tuned = str(hyperparameters.get("_tuning_objective_metric", "")).partition(":")[2]
    return [*metrics, tuned] if tuned and tuned not in metrics else metrics


def _parameters(hyperparameters: Mapping[str, Any], metrics: list[str]) -> dict[str, Any]:
    parameters = {name: value for name, value in hyperparameters.items() if name not in _NOT_PARAMETERS}
    if parameters.get("objective") == "reg:linear":
        parameters["objective"] = "reg:squarederror"
    if "updater" in parameters:
        parameters["updater"] = ",".join(parameters["updater"])
    native = [metric for metric in metrics if metric not in CUSTOM_METRICS]
    if native:
        parameters["eval_metric"] = native
    elif metrics:
        parameters["disable_default_eval_metric"] = True
    return parameters


class _Printer(TrainingCallback):  # type: ignore[misc]
    """Prints each round's metrics as CloudWatch shows the container's: tabs as ``#011``."""

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        values = [
            f"{data}-{metric}:{history[-1]:.5f}"
            for data, by_metric in evals_log.items()
            for metric, history in by_metric.items()
        ]
        sys.stdout.write("#011".join([f"[{epoch}]", *values]) + "\n")
        sys.stdout.flush()
        return False


class _StopOnTerm(TrainingCallback):  # type: ignore[misc]
    """Ends training after the current round when the job is stopped, so that the model so far is saved."""

    def __init__(self) -> None:
        super().__init__()
        self._is_stopped = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _signal: int, _frame: object) -> None:
        self._is_stopped = True

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return self._is_stopped

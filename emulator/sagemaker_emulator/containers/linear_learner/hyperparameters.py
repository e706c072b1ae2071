"""The hyperparameters of the linear learner.

https://docs.aws.amazon.com/sagemaker/latest/dg/ll_hyperparameters.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_emulator.containers.contract import CustomerError
from sagemaker_emulator.containers.hyperparameters import (
    AUTO,
    Hyperparameter,
    parse_hyperparameters,
    refuse_missing,
)

REGRESSOR, BINARY, MULTICLASS = "regressor", "binary_classifier", "multiclass_classifier"

LOSSES_OF = {
    REGRESSOR: (
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
    BINARY: ("logistic", "hinge_loss"),
    MULTICLASS: ("softmax_loss",),
}


def _number(default: Any, **limits: Any) -> Hyperparameter:
    return Hyperparameter("number", default, auto=default == AUTO, **limits)


def _integer(default: Any, **limits: Any) -> Hyperparameter:
    return Hyperparameter("integer", default, auto=default == AUTO, **limits)


SCHEMA: Mapping[str, Hyperparameter] = {
    "predictor_type": Hyperparameter("string", required=True, allowed=(BINARY, MULTICLASS, REGRESSOR)),
    "num_classes": _integer(1, minimum=1, maximum=1_000_000),
    "feature_dim": _integer(AUTO, minimum=1),
    "mini_batch_size": _integer(1000, minimum=1),
    "epochs": _integer(15, minimum=1),
    "num_models": _integer(AUTO, minimum=1),
    "loss": Hyperparameter("string", AUTO, allowed=(AUTO, *(loss for losses in LOSSES_OF.values() for loss in losses))),
    "optimizer": Hyperparameter("string", AUTO, allowed=(AUTO, "adam", "sgd", "rmsprop")),
    "learning_rate": _number(AUTO, minimum=0, minimum_excluded=True),
    "l1": _number(AUTO, minimum=0),
    "wd": _number(AUTO, minimum=0),
    "momentum": _number(AUTO, minimum=0, maximum=1),
    "beta_1": _number(AUTO, minimum=0, maximum=1),
    "beta_2": _number(AUTO, minimum=0, maximum=1),
    "use_bias": Hyperparameter("boolean", True),
    "bias_lr_mult": _number(AUTO, minimum=0, minimum_excluded=True),
    "bias_wd_mult": _number(AUTO, minimum=0),
    "use_lr_scheduler": Hyperparameter("boolean", True),
    "lr_scheduler_step": _integer(AUTO, minimum=1),
    "lr_scheduler_factor": _number(AUTO, minimum=0, maximum=1),
    "lr_scheduler_minimum_lr": _number(AUTO, minimum=0),
    "init_method": Hyperparameter("string", "uniform", allowed=("uniform", "normal")),
    "init_scale": _number(0.07, minimum=0),
    "init_sigma": _number(0.01, minimum=0),
    "init_bias": _number(0.0),
    "normalize_data": Hyperparameter("boolean", True, auto=True),
    "normalize_label": Hyperparameter("boolean", AUTO, auto=True),
    "unbias_data": Hyperparameter("boolean", AUTO, auto=True),
    "unbias_label": Hyperparameter("boolean", AUTO, auto=True),
    "num_point_for_scaler": _integer(10_000, minimum=1),
    "num_calibration_samples": _integer(10_000_000, minimum=1),
    "early_stopping_patience": _integer(3, minimum=1),
    "early_stopping_tolerance": _number(0.001, minimum=0),
    "margin": _number(1.0, minimum=0, minimum_excluded=True),
    "quantile": _number(0.5, minimum=0, maximum=1, minimum_excluded=True),
    "loss_insensitivity": _number(0.01, minimum=0, minimum_excluded=True),
    "huber_delta": _number(1.0, minimum=0, minimum_excluded=True),
    "f_beta": _number(1.0, minimum=0, minimum_excluded=True),
    "target_precision": _number(0.8, minimum=0, maximum=1),
    "target_recall": _number(0.8, minimum=0, maximum=1),
    "accuracy_top_k": _integer(3, minimum=1),
    "balance_multiclass_weights": Hyperparameter("boolean", False),
    "positive_example_weight_mult": Hyperparameter("string", "1.0"),
    "binary_classifier_model_selection_criteria": Hyperparameter(
        "string",
        "accuracy",
        allowed=("accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"),
    ),
}


def parse(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a job's hyperparameters and check those that depend on each other.

    Raises:
        CustomerError: In the real algorithm's wording.
    """
    values = parse_hyperparameters(SCHEMA, given)
    predictor_type = values["predictor_type"]
    if predictor_type == MULTICLASS:
        refuse_missing([] if "num_classes" in given else ["num_classes"])
        if values["num_classes"] < 3:
            raise CustomerError(
                f"The value '{values['num_classes']}' is not valid for the 'num_classes' hyperparameter: a "
                "multiclass_classifier needs at least 3 classes; use predictor_type 'binary_classifier' for 2",
                caused_by="ValidationError",
            )
    if values["loss"] == AUTO:
        values["loss"] = LOSSES_OF[predictor_type][0]
    elif values["loss"] not in LOSSES_OF[predictor_type]:
        accepted = ", ".join(f"'{loss}'" for loss in (AUTO, *LOSSES_OF[predictor_type]))
        raise CustomerError(
            f"The value '{values['loss']}' is not valid for the 'loss' hyperparameter, which for predictor_type "
            f"'{predictor_type}' accepts one of the following: {accepted}",
            caused_by="ValidationError",
        )
    values["positive_example_weight_mult"] = _positive_weight(values["positive_example_weight_mult"])
    return values


def _positive_weight(text: str) -> float | str:
    if text in ("balanced", AUTO):
        return "balanced"
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if weight <= 0:
        raise CustomerError(
            f"The value '{text}' is not valid for the 'positive_example_weight_mult' hyperparameter which expects one "
            "of the following: a string which matches the pattern '^(balanced|auto)$'; or a number greater than 0",
            caused_by="ValidationError",
        )
    return weight

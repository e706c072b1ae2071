"""Hyperparameters are parsed from strings and refused in the built-in algorithms' words."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_emulator.containers.contract import CustomerError
from sagemaker_emulator.containers.hyperparameters import parse_hyperparameters
from sagemaker_emulator.containers.kmeans import training as kmeans
from sagemaker_emulator.containers.linear_learner import hyperparameters as linear_learner
from sagemaker_emulator.containers.xgboost import hyperparameters as xgboost


def test_defaults_and_types_of_the_linear_learner() -> None:
    values = linear_learner.parse(
        {"predictor_type": "regressor", "feature_dim": "10", "l1": "0.5", "use_bias": "False", "_kvstore": "local"}
    )
    assert values["feature_dim"] == 10
    assert values["l1"] == 0.5
    assert values["use_bias"] is False
    assert values["loss"] == "squared_loss"
    assert (values["epochs"], values["mini_batch_size"], values["num_models"]) == (15, 1000, "auto")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "No value(s) were specified for 'predictor_type' which are required hyperparameter(s)"),
        (
            {"predictor_type": "x"},
            "The value 'x' is not valid for the 'predictor_type' hyperparameter which accepts one",
        ),
        ({"epochs": "ten"}, "The value 'ten' is not valid for the 'epochs' hyperparameter which expects one of"),
        ({"epochs": "10.0"}, "The value '10.0' is not valid for the 'epochs' hyperparameter"),
        ({"epochs": "0"}, "an integer of at least 1"),
        ({"learning_rate": "nan"}, "'learning_rate'"),
        ({"learning_rate": "0"}, "a string which matches the pattern '^auto$'; or a number greater than 0"),
        ({"normalize_data": "maybe"}, "'normalize_data'"),
        ({"nonsense": "1"}, "Additional hyperparameters are not allowed ('nonsense' was unexpected)"),
        ({"a": "1", "b": "1"}, "('a', 'b' were unexpected)"),
        ({"loss": "logistic"}, "for predictor_type 'regressor' accepts one of the following: 'auto', 'squared_loss'"),
        ({"predictor_type": "multiclass_classifier"}, "No value(s) were specified for 'num_classes'"),
        ({"predictor_type": "multiclass_classifier", "num_classes": "2"}, "at least 3 classes"),
        ({"positive_example_weight_mult": "-1"}, "'positive_example_weight_mult'"),
    ],
)
def test_the_linear_learner_refuses(given: dict[str, str], message: str) -> None:
    given = {"predictor_type": "regressor", **given} if given else {}
    with pytest.raises(CustomerError) as error:
        linear_learner.parse(given)
    assert message in str(error.value)


def test_k_means_needs_its_hyperparameters() -> None:
    with pytest.raises(CustomerError, match="'k', 'feature_dim' which are required"):
        parse_hyperparameters(kmeans.SCHEMA, {})
    assert parse_hyperparameters(kmeans.SCHEMA, {"k": "3", "feature_dim": 2, "eval_metrics": '["ssd"]'})[
        "eval_metrics"
    ] == ["ssd"]


def test_xgboost_types() -> None:
    values = xgboost.parse(
        {"num_round": "5", "eta": "0.3", "eval_metric": "rmse,mae", "monotone_constraints": "(1, -1)"}
    )
    assert values["num_round"] == 5
    assert values["eta"] == 0.3
    assert values["eval_metric"] == ["rmse", "mae"]
    assert values["monotone_constraints"] == (1, -1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_round": None}, "Missing required hyperparameter: num_round"),
        ({"eta": "2"}, "Hyperparameter eta: 2.0 is not in [0, 1]"),
        ({"subsample": "0"}, "Hyperparameter subsample: 0.0 is not in (0, 1]"),
        ({"max_depth": "deep"}, "Hyperparameter max_depth: could not parse value (caused by ValueError)"),
        ({"max_depth": "3.0"}, "Hyperparameter max_depth: could not parse value"),
        ({"nonsense": "1"}, "Extraneous hyperparameter found: nonsense"),
        ({"booster": "forest"}, "Hyperparameter booster: forest is not in ['gbtree', 'gblinear', 'dart']"),
        ({"objective": "multi:softmax"}, "Require input for parameter 'num_class' for multi-classification"),
        ({"num_class": "3"}, "Do not need to setup parameter 'num_class'"),
        ({"eval_metric": "nonsense"}, "Hyperparameter eval_metric: value ['nonsense'] not in range"),
        ({"eval_metric": "rmse@3"}, "Metric 'rmse@3' is not supported"),
        ({"eval_metric": "error@x"}, "expects float input"),
        ({"eval_metric": "auc", "objective": "reg:squarederror"}, "can only be applied for classification"),
        ({"_kfold": "5"}, "not implemented"),
        ({"tree_method": "gpu_hist"}, "needs a GPU"),
    ],
)
def test_xgboost_refuses(given: dict[str, Any], message: str) -> None:
    complete = {name: value for name, value in {"num_round": "5", **given}.items() if value is not None}
    with pytest.raises(CustomerError) as error:
        xgboost.parse(complete)
    assert message in str(error.value)

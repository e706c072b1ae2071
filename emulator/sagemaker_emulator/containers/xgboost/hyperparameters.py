"""The hyperparameters of the XGBoost algorithm, refused in the container's own words.

https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost_hyperparameters.html
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_emulator.containers.contract import CustomerError

CUSTOM_METRICS = ("accuracy", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "mse", "precision", "r2", "recall")
_NATIVE_METRICS = [
    "aft-nloglik",
    "auc",
    "aucpr",
    "cox-nloglik",
    "error",
    "gamma-deviance",
    "gamma-nloglik",
    "interval-regression-accuracy",
    "logloss",
    "mae",
    "map",
    "mape",
    "merror",
    "mlogloss",
    "mphe",
    "ndcg",
    "poisson-nloglik",
    "rmse",
    "rmsle",
    "tweedie-nloglik",
]
_THRESHOLD_METRICS = ("error", "ndcg", "map", "tweedie-nloglik")
_MULTICLASS = ("multi:softmax", "multi:softprob")
_OBJECTIVES = [
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "reg:linear",
    "reg:squarederror",
    "reg:logistic",
    "reg:gamma",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:tweedie",
    "reg:absoluteerror",
    "survival:aft",
    "survival:cox",
]


@dataclass(frozen=True)
class Interval:
    """A range of numbers, written as the container writes it: ``[0, 1]``, ``(0, +inf)``."""

    minimum: float | None = None
    maximum: float | None = None
    minimum_excluded: bool = False
    maximum_excluded: bool = False

    def __contains__(self, value: float) -> bool:
        if self.minimum is not None and (value < self.minimum or (self.minimum_excluded and value == self.minimum)):
            return False
        if self.maximum is None:
            return True
        return value <= self.maximum and not (self.maximum_excluded and value == self.maximum)

    def __str__(self) -> str:
        low = "(-inf" if self.minimum is None else f"{'(' if self.minimum_excluded else '['}{self.minimum:g}"
        high = "+inf)" if self.maximum is None else f"{self.maximum:g}{')' if self.maximum_excluded else ']'}"
        return f"{low}, {high}"


def _from(minimum: float, maximum: float | None = None) -> Interval:
    return Interval(minimum, maximum)


_SHARE = Interval(0, 1, minimum_excluded=True)
_INTEGERS = {
    "num_round": _from(1),
    "csv_weights": _from(0, 1),
    "early_stopping_rounds": _from(1),
    "verbosity": _from(0, 3),
    "nthread": _from(1),
    "max_depth": _from(0),
    "refresh_leaf": _from(0, 1),
    "max_leaves": _from(0),
    "max_bin": _from(0),
    "one_drop": _from(0, 1),
    "num_class": _from(2),
    "seed": Interval(-(2**31), 2**31 - 1, minimum_excluded=True, maximum_excluded=True),
    "num_parallel_tree": _from(1),
    "max_cat_to_onehot": _from(1),
}
_NUMBERS = {
    "eta": _from(0, 1),
    "gamma": _from(0),
    "min_child_weight": _from(0),
    "max_delta_step": _from(0),
    "subsample": _SHARE,
    "colsample_bytree": _SHARE,
    "colsample_bylevel": _SHARE,
    "colsample_bynode": _SHARE,
    "lambda": _from(0),
    "alpha": _from(0),
    "sketch_eps": Interval(0, 1, minimum_excluded=True, maximum_excluded=True),
    "scale_pos_weight": Interval(0, None, minimum_excluded=True),
    "rate_drop": _from(0, 1),
    "skip_drop": _from(0, 1),
    "lambda_bias": _from(0, 1),
    "tweedie_variance_power": Interval(1, 2, minimum_excluded=True, maximum_excluded=True),
    "base_score": _from(0),
    "huber_slope": _from(0),
    "aft_loss_distribution_scale": Interval(0, None, minimum_excluded=True),
}
_CATEGORIES = {
    "booster": ("gbtree", "gblinear", "dart"),
    "tree_method": ("auto", "exact", "approx", "hist", "gpu_hist"),
    "dsplit": ("row", "col"),
    "process_type": ("default", "update"),
    "grow_policy": ("depthwise", "lossguide"),
    "predictor": ("auto", "cpu_predictor", "gpu_predictor"),
    "sample_type": ("uniform", "weighted"),
    "normalize_type": ("tree", "forest"),
    "objective": tuple(_OBJECTIVES),
    "save_model_on_termination": ("true", "false"),
    "aft_loss_distribution": ("normal", "logistic", "extreme"),
    "deterministic_histogram": ("true", "false"),
    "use_dask_gpu_training": ("true", "false"),
    "sampling_method": ("uniform", "gradient_based"),
}
_LISTS: dict[str, Callable[[str], Any]] = {
    "updater": lambda text: [item.strip() for item in text.split(",")],
    "eval_metric": lambda text: _metrics(text),
    "monotone_constraints": ast.literal_eval,
    "interaction_constraints": ast.literal_eval,
}
# Of versions before 1.3 or of GPUs: accepted by the container, without a meaning in the library used here.
WITHOUT_EFFECT = (
    "predictor",
    "dsplit",
    "sketch_eps",
    "lambda_bias",
    "deterministic_histogram",
    "use_dask_gpu_training",
)
_CROSS_VALIDATION = ("_kfold", "_num_cv_round")


def parse(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a job's hyperparameters.

    Raises:
        CustomerError: In the container's wording.
    """
    if "num_round" not in given:
        raise CustomerError("Missing required hyperparameter: num_round")
    parsed: dict[str, Any] = {}
    for name, value in given.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if name in _CROSS_VALIDATION:
            raise CustomerError(f"Hyperparameter {name}: k-fold cross validation is not implemented by the emulator")
        if name == "_tuning_objective_metric":
            parsed[name] = text
        elif name in _INTEGERS:
            parsed[name] = _number(name, text, int, _INTEGERS[name])
        elif name in _NUMBERS:
            parsed[name] = _number(name, text, float, _NUMBERS[name])
        elif name in _CATEGORIES:
            if text not in _CATEGORIES[name]:
                raise CustomerError(f"Hyperparameter {name}: {text} is not in {list(_CATEGORIES[name])}")
            parsed[name] = text
        elif name in _LISTS:
            parsed[name] = _list(name, text)
        else:
            raise CustomerError(f"Extraneous hyperparameter found: {name}")
    _check_dependencies(parsed)
    return parsed


def _number(name: str, text: str, convert: Callable[[str], float], allowed: Interval) -> float:
    try:
        value = convert(text)
    except ValueError:
        raise CustomerError(f"Hyperparameter {name}: could not parse value", caused_by="ValueError") from None
    if value not in allowed:
        raise CustomerError(f"Hyperparameter {name}: {value} is not in {allowed}")
    return value


def _list(name: str, text: str) -> Any:
    try:
        return _LISTS[name](text)
    except (ValueError, SyntaxError):
        raise CustomerError(f"Hyperparameter {name}: could not parse value", caused_by="ValueError") from None


def _metrics(text: str) -> list[str]:
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = text
    metrics = [str(item).strip() for item in (decoded if isinstance(decoded, list) else str(decoded).split(","))]
    for metric in metrics:
        name, at, threshold = metric.partition("@")
        if at and name not in _THRESHOLD_METRICS:
            raise CustomerError(
                f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized threshold should be one "
                "of these options: 'error', 'ndcg', 'map'."
            )
        if at and not threshold.rstrip("-").replace(".", "", 1).isdigit():
            raise CustomerError(f"Threshold value 't' in '{name}@t' expects float input.")
        if not at and metric not in _NATIVE_METRICS and metric not in CUSTOM_METRICS:
            supported = sorted([*_NATIVE_METRICS, *CUSTOM_METRICS])
            raise CustomerError(f"Hyperparameter eval_metric: value {metrics} not in range {supported}")
    return metrics


def _check_dependencies(parsed: Mapping[str, Any]) -> None:
    objective = parsed.get("objective")
    if objective in _MULTICLASS and "num_class" not in parsed:
        raise CustomerError("Require input for parameter 'num_class' for multi-classification")
    if objective not in _MULTICLASS and "num_class" in parsed:
        raise CustomerError(
            "Do not need to setup parameter 'num_class' for learning task other than multi-classification."
        )
    if "auc" in parsed.get("eval_metric", []) and not str(objective).startswith(("binary:", "rank:", "multi:")):
        raise CustomerError("Metric 'auc' can only be applied for classification and ranking problems.")
    if parsed.get("tree_method") == "gpu_hist":
        raise CustomerError("Hyperparameter tree_method: gpu_hist needs a GPU; the emulator has none. Use hist")

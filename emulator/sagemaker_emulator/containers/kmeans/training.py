"""The training of k-means: channels in, cluster centers out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.channels import ChannelRules, read_channel
from sagemaker_emulator.containers.contract import CustomerError, TrainingConfig
from sagemaker_emulator.containers.hyperparameters import AUTO, Hyperparameter, parse_hyperparameters
from sagemaker_emulator.containers.kmeans.clustering import MiniBatchStage, WeightedCenters, reduce_centers
from sagemaker_emulator.containers.kmeans.model import KMeansModel, nearest

log = logging.getLogger("algorithm")
Array = NDArray[np.float64]

RULES = ChannelRules(names=("train", "test"))
_INIT = ("random", "kmeans++")

# https://docs.aws.amazon.com/sagemaker/latest/dg/k-means-api-config.html
SCHEMA: Mapping[str, Hyperparameter] = {
    "k": Hyperparameter("integer", required=True, minimum=1),
    "feature_dim": Hyperparameter("integer", required=True, minimum=1),
    "mini_batch_size": Hyperparameter("integer", 5000, minimum=1),
    "epochs": Hyperparameter("integer", 1, minimum=1),
    "init_method": Hyperparameter("string", "random", allowed=_INIT),
    "extra_center_factor": Hyperparameter("integer", AUTO, minimum=1, auto=True),
    "half_life_time_size": Hyperparameter("integer", 0, minimum=0),
    "local_lloyd_init_method": Hyperparameter("string", "kmeans++", allowed=_INIT),
    "local_lloyd_max_iter": Hyperparameter("integer", 300, minimum=1),
    "local_lloyd_num_trials": Hyperparameter("integer", AUTO, minimum=1, auto=True),
    "local_lloyd_tol": Hyperparameter("number", 0.0001, minimum=0, maximum=1),
    "eval_metrics": Hyperparameter("list", ["msd"]),
    "force_dense": Hyperparameter("boolean", True),
}


def train(config: TrainingConfig) -> None:
    """Train on the channels of a job and write the model folder.

    Raises:
        CustomerError: A hyperparameter, a channel or the data is wrong.
    """
    hyperparameters = parse_hyperparameters(SCHEMA, config.hyperparameters)
    unknown = sorted(set(hyperparameters["eval_metrics"]) - {"msd", "ssd"})
    if unknown:
        raise CustomerError(
            f"The value '{unknown[0]}' is not valid for the 'eval_metrics' hyperparameter which accepts a list of the "
            "following: 'msd', 'ssd'",
            caused_by="ValidationError",
        )
    log.info("Final configuration: %s", hyperparameters)
    RULES.validate(config.channels)
    points, test = _read(config, "train", hyperparameters), _read(config, "test", hyperparameters)
    assert points is not None  # noqa: S101 - RULES requires the channel and read_channel refuses an empty one
    if len(points) < hyperparameters["k"]:
        raise CustomerError(
            f"The train channel has {len(points)} records, which is fewer than the 'k' hyperparameter: "
            f"{hyperparameters['k']}"
        )
    random = np.random.default_rng(0)
    state = _stream(points, hyperparameters, random, config.current_host)
    model = KMeansModel(reduce_centers(state, hyperparameters, random))
    for name, rows in (("train", points), ("test", test)):
        if rows is not None:
            _report(config.current_host, name, rows, model, hyperparameters)
    model.save(config.folders.model)


def _read(config: TrainingConfig, name: str, hyperparameters: Mapping[str, Any]) -> Array | None:
    table = read_channel(config, name, RULES)
    if table is None:
        return None
    points = table.dense_features
    if points.shape[1] != hyperparameters["feature_dim"]:
        raise CustomerError(
            f"Unable to read data channel '{name}'. The feature dimension of the data: {points.shape[1]} does not "
            f"match the 'feature_dim' hyperparameter: {hyperparameters['feature_dim']}. "
            "Please check feature_dim; CSV without a label needs the content type 'text/csv;label_size=0'."
        )
    return points


def _stream(
    points: Array, hyperparameters: Mapping[str, Any], random: np.random.Generator, host: str
) -> WeightedCenters:
    stage = MiniBatchStage(hyperparameters, random)
    state = stage.start(points)
    epochs = hyperparameters["epochs"]
    for epoch in range(epochs):
        started = time.perf_counter()
        state = stage.epoch(points, state)
        log.info("#progress_metric: host=%s, completed %s %% of epochs", host, 100 * (epoch + 1) / epochs)
        rate = len(points) / max(time.perf_counter() - started, 1e-9)
        log.info("#throughput_metric: host=%s, train throughput=%s records/second", host, rate)
    return state


def _report(host: str, name: str, points: Array, model: KMeansModel, hyperparameters: Mapping[str, Any]) -> None:
    """Log the quality in the lines the algorithm's MetricDefinitions read."""
    _, squared = nearest(points, model.centers)
    values = {"msd": float(squared.mean()), "ssd": float(squared.sum())}
    for metric in hyperparameters["eval_metrics"]:
        log.info("#%s_score (%s) : ('%s', %s)", name, host, metric, values[metric])
        log.info("#quality_metric: host=%s, %s %s <loss>=%s", host, name, metric, values[metric])

"""The linear learner: its mathematics in process, its programs as processes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sagemaker_emulator.containers import recordio
from sagemaker_emulator.containers.contract import CustomerError, Folders, TrainingConfig
from sagemaker_emulator.containers.linear_learner import scores
from sagemaker_emulator.containers.linear_learner.hyperparameters import LOSSES_OF, parse
from sagemaker_emulator.containers.linear_learner.losses import OBJECTIVE_NAMES, Loss, softmax
from sagemaker_emulator.containers.linear_learner.model import LinearModel
from sagemaker_emulator.containers.linear_learner.optimizers import Schedule, candidates
from sagemaker_emulator.containers.linear_learner.training import train

Array = NDArray[np.float64]
PARAMETERS = {"margin": 1.0, "quantile": 0.3, "huber_delta": 0.7, "loss_insensitivity": 0.2}


def houses(count: int, seed: int) -> tuple[Array, Array]:
    """Houses with one-hot porch and deck, and prices that are linear in their features."""
    random = np.random.default_rng(seed)
    year = random.normal(1990, 15, count).round()
    square_feet = np.maximum(random.normal(2500, 700, count), 600).round()
    bedrooms, bathrooms = random.integers(2, 7, count), random.integers(2, 8, count) / 2
    lot, garage = random.uniform(0.2, 2.0, count).round(2), random.integers(0, 4, count)
    porch, deck = random.integers(0, 2, count), random.integers(0, 2, count)
    price = 150 * square_feet + 10_000 * (bedrooms + deck + porch) + 15_000 * (bathrooms + lot + garage)
    price = price - 5000 * (2019 - year)
    one_hot = [1 - porch, porch, 1 - deck, deck]
    return np.column_stack([year, square_feet, bedrooms, bathrooms, lot, garage, *one_hot]), price.astype(float)


HOUSING = {
    "predictor_type": "regressor",
    "feature_dim": "10",
    "mini_batch_size": "100",
    "epochs": "10",
    "num_models": "32",
    "loss": "absolute_loss",
}


def job(base: Path, hyperparameters: dict[str, str], **channels: tuple[str, bytes]) -> TrainingConfig:
    for name, (_, content) in channels.items():
        folder = base / "input" / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "part-0").write_bytes(content)
    described = {name: {"ContentType": content_type} for name, (content_type, _) in channels.items()}
    return TrainingConfig(Folders(base), hyperparameters, described)


def labelled_csv(to_csv: Callable[..., str], labels: Array, features: Array) -> tuple[str, bytes]:
    return "text/csv;label_size=1", to_csv(labels, features).encode()


# -- mathematics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(OBJECTIVE_NAMES))
def test_gradients_are_the_slopes_of_the_losses(name: str) -> None:
    random = np.random.default_rng(3)
    classes = 4 if name == "softmax_loss" else 1
    loss = Loss(name, classes, PARAMETERS)
    scores_ = random.normal(size=(6, 3 * classes))
    labels = random.integers(0, 4, 6) if classes > 1 else random.integers(0, 2, 6)
    labels = labels.astype(float) + (0.1 if name in LOSSES_OF["regressor"] else 0.0)
    _, gradient = loss.gradient(scores_, labels)
    step = 1e-6
    for column in range(scores_.shape[1]):
        moved = np.zeros_like(scores_)
        moved[:, column] = step
        slope = (loss.values(scores_ + moved, labels) - loss.values(scores_ - moved, labels)).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(gradient[:, column], slope, atol=1e-5)


def test_threshold_is_the_best_cut_of_all_possible() -> None:
    random = np.random.default_rng(5)
    for criterion in ("accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision"):
        hyperparameters = {
            "binary_classifier_model_selection_criteria": criterion,
            "f_beta": 0.5,
            "target_recall": 0.8,
            "target_precision": 0.7,
        }
        labels = random.integers(0, 2, 40).astype(float)
        raw = labels + random.normal(0, 1, 40).round(1)
        found = scores.best_threshold(raw, labels, hyperparameters)
        cuts = np.concatenate([np.unique(raw), [raw.max() + 1]])
        measured = [scores.binary_scores(raw, labels, cut, 0.5) for cut in [found.value, *cuts]]
        quality = {
            "accuracy": lambda m: m["binary_classification_accuracy"],
            "f_beta": lambda m: m["binary_f_0.500"],
            "precision_at_target_recall": lambda m: m["precision"] if m["recall"] >= 0.8 else 0.0,
            "recall_at_target_precision": lambda m: m["recall"] if m["precision"] >= 0.7 else 0.0,
        }[criterion]
        assert quality(measured[0]) == pytest.approx(max(map(quality, measured))), criterion


def test_roc_auc_counts_ordered_pairs() -> None:
    raw, labels = np.array([0.1, 0.4, 0.4, 0.8]), np.array([0.0, 1.0, 0.0, 1.0])
    assert scores.roc_auc(raw, labels) == pytest.approx(3.5 / 4)


def test_the_search_keeps_what_the_job_fixed() -> None:
    hyperparameters = parse({"predictor_type": "regressor", "learning_rate": "0.05", "num_models": "7"})
    found = candidates(hyperparameters)
    assert len(found) == 7
    assert {candidate.learning_rate for candidate in found} == {0.05}
    assert len({(candidate.wd, candidate.l1) for candidate in found}) > 1
    free = candidates(parse({"predictor_type": "regressor"}))
    assert len(set(free)) == len(free) == 32


def test_the_schedule_follows_the_hyperparameters() -> None:
    given = {"lr_scheduler_step": "10", "lr_scheduler_factor": "0.5", "lr_scheduler_minimum_lr": "0.2"}
    schedule = Schedule.of(parse({"predictor_type": "regressor", **given}), 1000)
    rates = [float(schedule.rates(np.array([1.0]), step)[0]) for step in (0, 9, 10, 20, 50)]
    assert rates == [1.0, 1.0, 0.5, 0.25, 0.2]


@pytest.mark.parametrize("loss", LOSSES_OF["regressor"])
def test_every_regression_loss_learns(
    loss: str, tmp_path: Path, to_csv: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    features, prices = houses(700, seed=1)
    data = labelled_csv(to_csv, prices, features)
    train(job(tmp_path, {**HOUSING, "loss": loss}, train=data))
    model = LinearModel.load(tmp_path / "model")
    unseen, truth = houses(100, seed=2)
    assert np.median(np.abs(model.raw_scores(unseen)[:, 0] / truth - 1)) < 0.03


def test_training_is_deterministic(tmp_path: Path, to_csv: Callable[..., str]) -> None:
    data = labelled_csv(to_csv, *reversed(houses(200, seed=1)))
    weights = []
    for name in ("a", "b"):
        train(job(tmp_path / name, HOUSING, train=data))
        weights.append(LinearModel.load(tmp_path / name / "model").weights)
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize("loss", LOSSES_OF["binary_classifier"])
def test_a_binary_classifier_learns(loss: str, tmp_path: Path, to_csv: Callable[..., str]) -> None:
    random = np.random.default_rng(4)
    features = random.normal(size=(600, 3))
    labels = (features @ [2.0, -1.0, 0.5] + random.normal(0, 0.3, 600) > 1).astype(float)
    data = labelled_csv(to_csv, labels, features)
    given = {"predictor_type": "binary_classifier", "loss": loss, "mini_batch_size": "50", "num_models": "8"}
    train(job(tmp_path, given, train=data, validation=data))
    model = LinearModel.load(tmp_path / "model")
    answers = model.predict(features)
    assert np.mean([answer["predicted_label"] for answer in answers] == labels) > 0.93
    if loss == "logistic":
        assert all(0 <= answer["score"] <= 1 for answer in answers)


def test_weighting_positives_finds_more_of_them(tmp_path: Path, to_csv: Callable[..., str]) -> None:
    random = np.random.default_rng(4)
    features = random.normal(size=(2000, 1))
    labels = (features[:, 0] + random.normal(0, 1, 2000) > 1.8).astype(float)
    data = labelled_csv(to_csv, labels, features)
    found = {}
    for weight in ("1.0", "balanced"):
        given = {"predictor_type": "binary_classifier", "positive_example_weight_mult": weight, "num_models": "4"}
        train(job(tmp_path / weight, {**given, "mini_batch_size": "100"}, train=data))
        found[weight] = LinearModel.load(tmp_path / weight / "model").raw_scores(features).mean()
    assert found["balanced"] > found["1.0"] + 1.0


def test_a_multiclass_classifier_learns(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    labels = random.integers(0, 3, 600)
    features = np.eye(3)[labels] * 3 + random.normal(size=(600, 3))
    data = ("application/x-recordio-protobuf", recordio.write_records(features, labels))
    given = {"predictor_type": "multiclass_classifier", "num_classes": "3", "mini_batch_size": "60"}
    train(job(tmp_path, given, train=data))
    model = LinearModel.load(tmp_path / "model")
    answers = model.predict(features)
    assert np.mean([answer["predicted_label"] for answer in answers] == labels) > 0.9
    np.testing.assert_allclose([sum(answer["score"]) for answer in answers], 1.0)
    np.testing.assert_allclose([answer["score"] for answer in answers], softmax(model.raw_scores(features)))


def test_l1_shrinks_useless_features(tmp_path: Path, to_csv: Callable[..., str]) -> None:
    random = np.random.default_rng(7)
    features = random.normal(size=(600, 20))
    labels = 3 * features[:, 0] - 2 * features[:, 1] + random.normal(0, 2, 600)
    data = labelled_csv(to_csv, labels[:100], features[:100])
    held_out = labelled_csv(to_csv, labels[100:], features[100:])
    given = {"predictor_type": "regressor", "wd": "0", "learning_rate": "0.05", "epochs": "30"}
    useless = {}
    for l1 in ("0", "0.2"):
        train(job(tmp_path / l1, {**given, "l1": l1, "mini_batch_size": "50"}, train=data, validation=held_out))
        weights = LinearModel.load(tmp_path / l1 / "model").weights[:, 0]
        assert weights[0] > 2
        assert weights[1] < -1
        useless[l1] = np.abs(weights[2:]).mean()
    assert useless["0.2"] < useless["0"] / 3


@pytest.mark.parametrize(
    ("changes", "channels", "message"),
    [
        ({"feature_dim": "11"}, {}, "The feature dimension of the data: 10 does not match"),
        ({"predictor_type": "binary_classifier", "loss": "auto"}, {}, "Labels of a binary_classifier"),
        ({}, {"train": ("text/csv", b"")}, "holds no data"),
        ({}, {"train": ("text/csv", b"1,2,x\n")}, "Please verify the data matches the requested content-type"),
        ({}, {"train": ("text/csv", b"1,2,nan\n")}, "Found missing (NaN) values"),
        ({}, {"train": ("text/csv", b"1,2,inf\n")}, "Found infinite floating point values"),
        ({}, {"train": ("image/png", b"1")}, "content-type 'image/png' is not supported"),
        ({}, {"train": ("", b"1,2,3\n")}, "Requested content-type is 'application/x-recordio-protobuf'"),
        ({}, {"other": ("text/csv", b"1,2\n")}, "Additional properties are not allowed ('other' was unexpected)"),
        ({"learning_rate": "1e300", "optimizer": "sgd", "loss": "squared_loss"}, {}, "diverged"),
    ],
)
def test_wrong_input_is_the_customers_error(
    changes: dict[str, str],
    channels: dict[str, tuple[str, bytes]],
    message: str,
    tmp_path: Path,
    to_csv: Callable[..., str],
) -> None:
    features, prices = houses(50, seed=1)
    data = {"train": labelled_csv(to_csv, prices, features), **channels}
    with pytest.raises(CustomerError) as error:
        train(job(tmp_path, {**HOUSING, **changes}, **data))
    assert message in str(error.value)


# -- programs --------------------------------------------------------------------------------------------------------


def test_the_housing_job_trains_serves_and_predicts_well(container: Any, to_csv: Callable[..., str]) -> None:
    features, prices = houses(1000, seed=11)
    container.configure(HOUSING, {"train": "text/csv;label_size=1", "validation": "text/csv;label_size=1"})
    container.add_data("train", to_csv(prices[:630], features[:630]))
    container.add_data("validation", to_csv(prices[630:900], features[630:900]))
    job = container.train("linear_learner")
    assert job.returncode == 0, job.stdout
    assert not container.failure
    assert re.search(r"#quality_metric: host=\S+, epoch=9, validation \S+_objective <loss>=(\S+)", job.stdout), (
        job.stdout
    )
    final = re.search(r"#quality_metric: host=\S+, validation \S+_objective <loss>=(\S+)", job.stdout)
    mean_error = re.search(r"#quality_metric: host=\S+, validation absolute_loss <loss>=(\S+)", job.stdout)
    assert final is not None
    assert mean_error is not None
    assert float(final[1]) == float(mean_error[1]) < 0.01 * prices.mean()
    assert "#progress_metric: host=algo-1, completed 100.0 % of epochs" in job.stdout

    server = container.serve("linear_learner")
    rows = to_csv(features[900:])
    predicted = [answer["score"] for answer in server.invoke(rows).json["predictions"]]
    assert np.mean(np.abs(np.array(predicted) / prices[900:] - 1)) < 0.01
    as_csv = server.invoke(rows, accept="text/csv")
    assert as_csv.content_type == "text/csv"
    np.testing.assert_allclose([float(line) for line in as_csv.body.splitlines()], predicted)
    document = json.dumps({"instances": [{"features": features[900].tolist()}]})
    assert server.invoke(document, "application/json").json["predictions"][0]["score"] == pytest.approx(predicted[0])

    wrong = server.invoke("1,2,3\n")
    assert wrong.status == 400
    assert b"The feature dimension of the input: 3 does not match the feature dimension of the model: 10" in wrong.body
    assert server.invoke("1,x\n").status == 400
    assert server.invoke("<x/>", "text/xml").status == 415
    assert server.invoke(rows, accept="text/xml").status == 406
    assert server.request("GET", "/execution-parameters").json["BatchStrategy"] == "MULTI_RECORD"
    assert server.request("GET", "/models").status == 404
    assert server.stop() == 0


def test_a_wrong_job_leaves_a_failure_file_and_exit_code_2(container: Any) -> None:
    container.configure({**HOUSING, "epochs": "ten"}, {"train": "text/csv"})
    container.add_data("train", "1,2\n")
    job = container.train("linear_learner")
    assert job.returncode == 2
    assert container.failure.startswith("The value 'ten' is not valid for the 'epochs' hyperparameter")
    assert "Customer Error: The value 'ten'" in job.stdout
    assert not (container.base / "model").exists()


def test_sharded_data_on_several_hosts_is_refused(container: Any) -> None:
    about = {"ContentType": "text/csv", "S3DistributionType": "ShardedByS3Key"}
    container.configure(HOUSING, {"train": about}, hosts=["algo-1", "algo-2"])
    container.add_data("train", "1,2\n")
    assert container.train("linear_learner").returncode == 2
    assert "do not train on sharded data" in container.failure


def test_a_model_that_is_not_one_ends_the_container(container: Any) -> None:
    (container.base / "model").mkdir()
    (container.base / "model" / "model_algo-1").write_bytes(b"something else")
    server = container.start("linear_learner")
    assert server.process.wait(60) == 1
    assert "is not a model of the emulator's linear learner" in server.log.read_text()

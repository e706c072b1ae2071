"""XGBoost: the built-in algorithm and script mode, as processes."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

from sagemaker_emulator.containers import recordio
from sagemaker_emulator.containers.contract import CustomerError, Folders, TrainingConfig
from sagemaker_emulator.containers.xgboost.data import read_matrix
from sagemaker_emulator.containers.xgboost.metrics import compute
from sagemaker_emulator.containers.xgboost.model import BoosterModel
from sagemaker_emulator.containers.xgboost.training import train

Array = NDArray[np.float64]


def table(count: int, seed: int = 0) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    features = random.uniform(-2, 2, (count, 3))
    return features, np.sin(features[:, 0]) + features[:, 1] ** 2


def job(base: Path, hyperparameters: dict[str, str], **channels: tuple[str, bytes]) -> TrainingConfig:
    for name, (_, content) in channels.items():
        folder = base / "input" / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").write_bytes(content)
    described = {name: {"ContentType": content_type} for name, (content_type, _) in channels.items()}
    return TrainingConfig(Folders(base), {"num_round": "20", "nthread": "1", **hyperparameters}, described)


def libsvm(features: Array, labels: Array) -> bytes:
    rows = (" ".join(f"{index}:{value:.9g}" for index, value in enumerate(row)) for row in features)
    return "".join(f"{label:.9g} {row}\n" for label, row in zip(labels, rows, strict=True)).encode()


def test_trains_logs_and_serves(container: Any, to_csv: Callable[..., str]) -> None:
    features, labels = table(500)
    given = {"num_round": "30", "objective": "reg:squarederror", "eval_metric": "rmse,mae", "nthread": "1"}
    container.configure({**given, "eta": "0.3"}, {"train": "text/csv", "validation": "text/csv"})
    container.add_data("train", to_csv(labels[:400], features[:400]))
    container.add_data("validation", to_csv(labels[400:], features[400:]))
    job = container.train("xgboost")
    assert job.returncode == 0, job.stdout
    lines = re.findall(
        r"^\[(\d+)\]#011train-rmse:([\d.]+)#011train-mae:[\d.]+#011validation-rmse:([\d.]+)#011validation-mae:[\d.]+$",
        job.stdout,
        re.MULTILINE,
    )
    assert [int(line[0]) for line in lines] == list(range(30))
    assert float(lines[-1][2]) < 0.3 * float(lines[0][2])

    server = container.serve("xgboost")
    reply = server.invoke(to_csv(features[400:]))
    assert reply.content_type == "text/csv"
    predicted = np.array([float(value) for value in reply.body.split(b",")])
    assert np.sqrt(np.mean((predicted - labels[400:]) ** 2)) == pytest.approx(float(lines[-1][2]), abs=1e-4)
    as_json = server.invoke(to_csv(features[400:]), accept="application/json").json
    np.testing.assert_allclose([row["score"] for row in as_json["predictions"]], predicted)
    same = [
        server.invoke(recordio.write_records(features[400:]), "application/x-recordio-protobuf"),
        server.invoke(libsvm(features[400:], labels[400:]), "text/libsvm"),
    ]
    for other in same:
        np.testing.assert_allclose([float(value) for value in other.body.split(b",")], predicted, rtol=1e-4)
    wrong = server.invoke("1,2\n")
    assert wrong.status == 400
    assert b"Feature size of csv inference data 2 is not consistent with feature size of trained model 3" in wrong.body
    assert server.invoke("x", "text/html").status == 415
    assert server.invoke("1,2,3\n", accept="text/html").status == 406
    assert server.stop() == 0


def test_batch_transform_gets_a_line_a_row(container: Any) -> None:
    features, labels = table(50)
    (container.base / "model").mkdir()
    booster = xgb.train({"nthread": 1}, xgb.DMatrix(features, labels), 2)
    (container.base / "model" / "xgboost-model").write_bytes(pickle.dumps(booster))  # as containers before 1.3 wrote
    server = container.serve("xgboost", {"SAGEMAKER_BATCH": "true"})
    assert len(server.invoke("1,2,3\n4,5,6\n").body.splitlines()) == 2


@pytest.mark.parametrize("kind", ["text/csv", "csv", "text/libsvm", "application/x-recordio-protobuf"])
def test_every_format_trains_the_same_model(kind: str, tmp_path: Path, to_csv: Callable[..., str]) -> None:
    features, labels = table(300)
    features, labels = features.astype(np.float32).astype(float), labels.astype(np.float32).astype(float)
    content = {
        "text/csv": lambda: to_csv(labels, features).encode(),
        "csv": lambda: to_csv(labels, features).encode(),
        "text/libsvm": lambda: libsvm(features, labels),
        "application/x-recordio-protobuf": lambda: recordio.write_records(features, labels),
    }[kind]()
    train(job(tmp_path, {}, train=(kind, content)))
    expected = xgb.train({"nthread": 1}, xgb.DMatrix(features, labels), 20).predict(xgb.DMatrix(features))
    found = BoosterModel.load(tmp_path / "model").predict(features)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_weights_and_missing_values(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,0.5,2,\n0,2,,3\n")
    matrix = read_matrix(tmp_path, "train", "text/csv", csv_weights=True)
    assert matrix.get_weight().tolist() == [0.5, 2.0]
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert matrix.num_nonmissing() == 2
    (tmp_path / "data.csv").write_text("1:0.5 0:2\n0 1:3\n")
    assert read_matrix(tmp_path, "train", "text/libsvm", csv_weights=False).get_weight().tolist() == [0.5, 1.0]


def test_early_stopping_keeps_the_best_round(
    tmp_path: Path, to_csv: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(200, 3)), random.normal(size=200)  # nothing to learn
    data = ("text/csv", to_csv(labels[:100], features[:100]).encode())
    held_out = ("text/csv", to_csv(labels[100:], features[100:]).encode())
    given = {"num_round": "200", "early_stopping_rounds": "3"}
    train(job(tmp_path, given, train=data, validation=held_out))
    rounds = [float(value) for value in re.findall(r"validation-rmse:([\d.]+)", capsys.readouterr().out)]
    assert len(rounds) < 200
    booster = xgb.Booster()
    booster.load_model(bytearray((tmp_path / "model" / "xgboost-model").read_bytes()))
    assert booster.num_boosted_rounds() == int(np.argmin(rounds)) + 1


def test_classes_and_sagemakers_own_metrics(
    tmp_path: Path, to_csv: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    features = np.eye(3)[labels] + random.normal(0, 0.2, (300, 3))
    given = {"objective": "multi:softprob", "num_class": "3", "eval_metric": "accuracy,mlogloss,f1_macro"}
    train(job(tmp_path, given, train=("text/csv", to_csv(labels, features).encode())))
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(re.findall(r"train-accuracy:([\d.]+)", last)[0]) > 0.95
    assert float(re.findall(r"train-f1_macro:([\d.]+)", last)[0]) > 0.95
    assert "train-mlogloss:" in last
    rows = BoosterModel.load(tmp_path / "model").predict(features)
    assert rows.shape == (300, 3)
    assert np.mean(rows.argmax(axis=1) == labels) > 0.95


def test_metrics_by_hand() -> None:
    labels, predictions = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert compute("accuracy", predictions, labels) == 0.5
    assert compute("precision", predictions, labels) == pytest.approx(2 / 3)
    assert compute("recall", predictions, labels) == pytest.approx(2 / 3)
    assert compute("balanced_accuracy", predictions, labels) == pytest.approx(1 / 3)
    assert compute("f1_binary", predictions, labels) == pytest.approx(2 / 3)
    assert compute("mse", predictions, labels) == pytest.approx((0.01 + 0.64 + 0.09 + 0.81) / 4)
    assert compute("r2", labels, labels) == 1.0


@pytest.mark.parametrize(
    ("changes", "channels", "message"),
    [
        ({}, {"train": ("image/png", b"1")}, "image/png is not an accepted ContentType: csv, libsvm"),
        ({}, {"train": ("text/csv;label_size=0", b"1,2\n")}, "label_size must be equal to 1"),
        ({}, {"train": ("text/csv", b"price,size\n1,2\n")}, "could not convert string to float: 'price'"),
        ({}, {"train": ("text/csv", b"")}, "No data in training channel path"),
        ({}, {"other": ("text/csv", b"1,2\n")}, "Extraneous channel found: other"),
        ({"objective": "binary:logistic"}, {"train": ("text/csv", b"5,1\n7,2\n")}, "XGB train call failed"),
    ],
)
def test_wrong_input_is_the_customers_error(
    changes: dict[str, str], channels: dict[str, tuple[str, bytes]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CustomerError) as error:
        train(job(tmp_path, changes, **{"train": ("text/csv", b"1,2\n3,4\n"), **channels}))
    assert message in str(error.value)


def test_script_mode(container: Any, to_csv: Callable[..., str]) -> None:
    features, labels = table(100)
    (container.base / "code").mkdir()
    (container.base / "code" / "script.py").write_text(
        """
import argparse, os
import xgboost as xgb
from sagemaker_xgboost_container.data_utils import get_dmatrix

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_round", type=int)
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
    arguments = parser.parse_args()
    booster = xgb.train({"nthread": 1}, get_dmatrix(arguments.train, "text/csv"), arguments.num_round)
    booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"))

def model_fn(model_dir):
    booster = xgb.Booster()
    booster.load_model(os.path.join(model_dir, "model.json"))
    return booster
"""
    )
    container.configure({"sagemaker_program": "script.py", "num_round": "7"}, {"train": "text/csv"})
    container.add_data("train", to_csv(labels, features))
    job = container.train("xgboost")
    assert job.returncode == 0, job.stdout
    assert len(json.loads((container.base / "model" / "model.json").read_text())["learner"]) > 0
    code = str(container.base / "code")
    server = container.serve("xgboost", {"SAGEMAKER_PROGRAM": "script.py", "SAGEMAKER_SUBMIT_DIRECTORY": code})
    booster = xgb.Booster()
    booster.load_model(container.base / "model" / "model.json")
    expected = booster.predict(xgb.DMatrix(features[:2]))
    reply = server.invoke(to_csv(features[:2]), accept="application/json")
    np.testing.assert_allclose(reply.json, expected, rtol=1e-5)


def test_a_stopped_job_saves_the_model_so_far(container: Any, to_csv: Callable[..., str]) -> None:
    features, labels = table(100)
    given = {"num_round": "100000000", "save_model_on_termination": "true", "nthread": "1"}
    container.configure(given, {"train": "text/csv"})
    container.add_data("train", to_csv(labels, features))
    with subprocess.Popen(
        container._command("xgboost", "train"), env=container._environment(None), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith(b"[3]#011train-rmse:") for line in process.stdout)
        process.terminate()
        process.stdout.read()
        assert process.wait(60) == 0
    assert BoosterModel.load(container.base / "model").predict(features).shape == (100,)

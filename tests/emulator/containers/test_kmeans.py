"""k-means: its two stages in process, its programs as processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from sagemaker_emulator.containers import recordio
from sagemaker_emulator.containers.contract import CustomerError, Folders, TrainingConfig
from sagemaker_emulator.containers.kmeans.clustering import lloyd, sum_by
from sagemaker_emulator.containers.kmeans.model import KMeansModel, nearest
from sagemaker_emulator.containers.kmeans.training import train

Array = NDArray[np.float64]
TRUE_CENTERS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def blobs(count: int, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    return TRUE_CENTERS[random.integers(0, 4, count)] + random.normal(0, 0.5, (count, 2))


def job(base: Path, hyperparameters: dict[str, str], points: Array) -> TrainingConfig:
    folder = base / "input" / "data" / "train"
    folder.mkdir(parents=True)
    (folder / "points").write_bytes(recordio.write_records(points))
    channels = {"train": {"ContentType": "application/x-recordio-protobuf"}}
    return TrainingConfig(Folders(base), {"feature_dim": "2", **hyperparameters}, channels)


@settings(deadline=None)
@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-100, 100)),
    arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-100, 100)),
)
def test_nearest_finds_the_smallest_distance(points: Array, centers: Array) -> None:
    distances = ((points[:, None, :] - centers[None]) ** 2).sum(axis=2)
    _, squared = nearest(points, centers)
    np.testing.assert_allclose(squared, distances.min(axis=1), atol=1e-6)


def test_sums_by_group() -> None:
    points, groups = np.array([[1.0], [2.0], [3.0]]), np.array([2, 0, 2])
    assert sum_by(groups, points, np.array([1.0, 1.0, 2.0]), 3).tolist() == [[2.0], [0.0], [7.0]]


def test_lloyd_moves_a_center_nobody_is_near() -> None:
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    centers, distance = lloyd(points, np.ones(4), np.array([[0.5], [1000.0]]), 100, 0.0)
    assert sorted(centers[:, 0].tolist()) == [0.5, 10.5]
    assert distance == pytest.approx(0.25)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init_method": "kmeans++", "extra_center_factor": "3"},
        {"epochs": "3", "half_life_time_size": "500", "mini_batch_size": "100"},
        {"local_lloyd_init_method": "random", "local_lloyd_num_trials": "25"},
    ],
)
def test_finds_the_true_clusters(options: dict[str, str], tmp_path: Path) -> None:
    train(job(tmp_path, {"k": "4", "mini_batch_size": "250", **options}, blobs(2000)))
    centers = KMeansModel.load(tmp_path / "model").centers
    _, squared = nearest(TRUE_CENTERS, centers)
    assert np.sqrt(squared).max() < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": "0"}, "The value '0' is not valid for the 'k' hyperparameter"),
        ({"k": "51"}, "50 records, which is fewer than the 'k' hyperparameter: 51"),
        ({"feature_dim": "3"}, "The feature dimension of the data: 2 does not match"),
        ({"eval_metrics": '["mad"]'}, "The value 'mad' is not valid for the 'eval_metrics'"),
        ({"eval_metrics": "msd"}, "'eval_metrics'"),
    ],
)
def test_wrong_input_is_the_customers_error(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(CustomerError) as error:
        train(job(tmp_path, {"k": "4", **changes}, blobs(50)))
    assert message in str(error.value)


def test_trains_and_serves(container: Any, to_csv: Callable[..., str]) -> None:
    given = {"k": "4", "feature_dim": "2", "eval_metrics": '["msd", "ssd"]'}
    container.configure(given, {"train": "text/csv;label_size=0", "test": "text/csv;label_size=0"})
    points = blobs(1000)
    container.add_data("train", to_csv(points))
    container.add_data("test", to_csv(blobs(100, seed=1)))
    job = container.train("kmeans")
    assert job.returncode == 0, job.stdout
    logged = {
        (data, name): float(value)
        for data, name, value in re.findall(r"#quality_metric: host=\S+, (\S+) (\S+) <loss>=(\S+)", job.stdout)
    }
    _, squared = nearest(points, KMeansModel.load(container.base / "model").centers)
    assert logged["train", "msd"] == pytest.approx(squared.mean())
    assert logged["train", "ssd"] == pytest.approx(squared.sum())
    assert logged["test", "msd"] < 1.0

    server = container.serve("kmeans")
    answers = server.invoke(to_csv(TRUE_CENTERS)).json["predictions"]
    assert len({answer["closest_cluster"] for answer in answers}) == 4
    assert all(answer["distance_to_cluster"] < 0.2 for answer in answers)
    line = server.invoke("0,0\n", accept="text/csv").body.decode()
    assert [float(value) for value in line.split(",")] == pytest.approx(list(answers[0].values()))
    assert server.invoke("1,2,3\n").status == 400

"""The components together with the algorithms people name: built-in ones and script mode."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.errors import InputError, JobFailedError
from kfp_sagemaker.data.component import split_dataset, upload_source
from kfp_sagemaker.training.component import train
from tests.suite.conftest import Account

SCRIPT = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
parser.add_argument("--criterion")
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
given = parser.parse_args()
rows = sum(len(path.read_text().splitlines()) for path in pathlib.Path(given.train).iterdir())
pathlib.Path(given.model_dir, "model.json").write_text(json.dumps([given.depth, given.criterion, rows]))
"""


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Any]:
    return {
        "model": dsl.Model(uri=str(tmp_path / "model")),
        "metrics": dsl.Metrics(uri=str(tmp_path / "metrics")),
        "learning_curves": dsl.HTML(uri=str(tmp_path / "learning-curves")),
    }


def linear_rows(count: int) -> str:
    chance = random.Random(7)  # noqa: S311 - data, not secrets
    rows = ((chance.uniform(-5, 5), chance.uniform(-5, 5)) for _ in range(count))
    return "".join(f"{3 * a - 2 * b + 10},{a},{b}\n" for a, b in rows)


def test_a_script_trains_in_the_scikit_learn_container(account: Account, artifacts: dict[str, Any]) -> None:
    source = upload_source.python_func(files={"code/train.py": SCRIPT}, s3_uri=account.uri("code"))
    outputs = train.python_func(
        role_arn=account.role_arn,
        output_s3_uri=account.uri("models"),
        channels=[{"name": "train", "s3_uri": account.put("in/rows.csv", "1\n2\n3\n"), "content_type": "text/csv"}],
        algorithm="sklearn",
        source_s3_uri=source.source_s3_uri,
        entry_point="code/train.py",
        hyperparameters={"depth": 3.0, "criterion": "gini"},
        timeout_seconds=120,
        **artifacts,
    )
    with tarfile.open(fileobj=io.BytesIO(account.get(outputs.model_data_url))) as archive:
        content = archive.extractfile("model.json")
        assert content
        assert content.read() == b'[3, "gini", 3]'


def test_linear_learner_trains_on_what_split_dataset_made(account: Account, artifacts: dict[str, Any]) -> None:
    parts = split_dataset.python_func(
        input_s3_uri=account.put("in/rows.csv", linear_rows(1000)), output_s3_uri=account.uri("split")
    )
    csv_channel = {"content_type": "text/csv;label_size=1"}
    outputs = train.python_func(
        role_arn=account.role_arn,
        output_s3_uri=account.uri("models"),
        channels=[
            {"name": "train", "s3_uri": parts.train_s3_uri, **csv_channel},
            {"name": "validation", "s3_uri": parts.validation_s3_uri, **csv_channel},
        ],
        algorithm="linear-learner",
        hyperparameters={"feature_dim": 2.0, "mini_batch_size": 100.0, "predictor_type": "regressor", "epochs": 5.0},
        timeout_seconds=120,
        **artifacts,
    )
    assert outputs.model_data_url.startswith(account.uri("models/linear-learner-"))
    assert "linear-learner" in outputs.training_image
    validation = {name: value for name, value in artifacts["metrics"].metadata.items() if "validation" in name}
    assert validation, artifacts["metrics"].metadata


@pytest.mark.parametrize(
    "hyperparameters",
    [{"predictor_type": "regresser"}, {"predictor_type": "regressor", "epochs": "many"}],
)
def test_hyperparameters_of_the_wrong_type_are_named(
    account: Account, artifacts: dict[str, Any], hyperparameters: dict[str, Any]
) -> None:
    wrong = list(hyperparameters.values())[-1]
    with pytest.raises((InputError, JobFailedError), match=wrong):
        train.python_func(
            role_arn=account.role_arn,
            output_s3_uri=account.uri("models"),
            channels=[{"name": "train", "s3_uri": account.put("in/rows.csv", "1,2\n"), "content_type": "text/csv"}],
            algorithm="linear-learner",
            hyperparameters=hyperparameters,
            timeout_seconds=120,
            **artifacts,
        )

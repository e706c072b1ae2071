"""A trained booster and its answers."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from sagemaker_emulator.containers import formats
from sagemaker_emulator.containers.formats import ContentType, UnsupportedAcceptError, UnsupportedFormatError
from sagemaker_emulator.containers.model import Answer, PayloadError, find_model_file
from sagemaker_emulator.containers.xgboost.data import read_request

MODEL_FILE = "xgboost-model"


class BoosterModel:
    """A booster that answers requests.

    Args:
        booster: The trained booster.
    """

    def __init__(self, booster: xgb.Booster) -> None:
        self._booster = booster
        self._booster.set_param({"nthread": 1})
        self._is_linear = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"] == "gblinear"

    @classmethod
    def load(cls, folder: Path) -> BoosterModel:
        """Read the model file of a folder: XGBoost's own formats, or a pickled booster as older containers wrote.

        Raises:
            ValueError: There is none, or it is neither.
        """
        path = find_model_file(folder, MODEL_FILE)
        content = path.read_bytes()
        try:
            booster = xgb.Booster()
            booster.load_model(bytearray(content))
        except (xgb.core.XGBoostError, ValueError) as error:
            booster = _unpickle(content, path.name, str(error).partition("\nStack trace")[0])
        return cls(booster)

    def predict(self, features: Any, media_type: str = formats.CSV) -> Any:
        """Predict rows.

        Raises:
            PayloadError: The number of features is not the model's.
        """
        expected, given = self._booster.num_features(), features.shape[1]
        if media_type in formats.LIBSVM:
            if given > expected + 1:  # libsvm counts from zero or from one
                raise PayloadError(
                    f"Feature size of libsvm inference data {given} is larger than feature size of trained model "
                    f"{expected}."
                )
            features = features.copy()
            features.resize((features.shape[0], max(given, expected)))
            features = features[:, :expected]
        elif given != expected:
            kind = "csv" if media_type == formats.CSV else "recordio-protobuf"
            raise PayloadError(
                f"Feature size of {kind} inference data {given} is not consistent with feature size of trained model "
                f"{expected}."
            )
        if self._is_linear:  # has no in-place prediction
            return self._booster.predict(xgb.DMatrix(features), validate_features=False)
        return self._booster.inplace_predict(features, validate_features=False)

    def invoke(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Answer one request."""
        if not body:
            return Answer(b"", formats.CSV, 204)
        try:
            features, media_type = read_request(body, content_type)
        except UnsupportedFormatError:
            raise
        except ValueError as error:
            raise PayloadError(str(error)) from error
        return write(np.asarray(self.predict(features, media_type)), accept)


def _unpickle(content: bytes, name: str, reason: str) -> xgb.Booster:
    try:
        booster = pickle.loads(content)  # noqa: S301 - the model is the user's own, as its code is
    except Exception as error:
        raise ValueError(f"{name} is not an XGBoost model: {reason}; nor a pickled booster: {error}") from error
    if not isinstance(booster, xgb.Booster):
        raise ValueError(f"{name} holds a pickled {type(booster).__name__}, not a Booster")  # noqa: TRY004
    return booster


def write(predictions: Any, accept: str) -> Answer:
    """Encode predictions: CSV in one line as the container does, one a line for batch transform; or JSON.

    Raises:
        UnsupportedAcceptError: Another content type was asked for.
    """
    media_type = ContentType.parse(accept.split(",")[0] if accept else formats.CSV).media_type
    values = predictions.tolist()
    if media_type in (formats.CSV, formats.ANY):
        if os.environ.get("SAGEMAKER_BATCH"):
            return Answer("".join(f"{value}\n" for value in values).encode(), formats.CSV)
        return Answer(",".join(map(str, values)).encode(), formats.CSV)
    if media_type in (formats.JSON, formats.JSON_LINES):
        return Answer(*formats.write_answers([{"score": value} for value in values], media_type))
    raise UnsupportedAcceptError(
        f"Accept type {media_type} is not supported. Please use text/csv, application/json or application/jsonlines"
    )

"""Serves XGBoost models: by the built-in algorithm, or with the user's functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import xgboost as xgb

from sagemaker_emulator.containers import formats, serving
from sagemaker_emulator.containers.model import Model
from sagemaker_emulator.containers.toolkit.user_model import Defaults, UserModelLoader, no_model_fn
from sagemaker_emulator.containers.xgboost.data import read_request
from sagemaker_emulator.containers.xgboost.model import BoosterModel


def serve() -> None:
    """Serve until the process is stopped; a model that brings ``code/`` is served by it."""
    multi_model = os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    defaults = Defaults(model_fn=no_model_fn, input_fn=_input_fn, predict_fn=_predict_fn)
    loader = UserModelLoader(defaults, multi_model=multi_model)

    def load(folder: Path) -> Model:
        return loader.load(folder) if loader.finds_code(folder) else BoosterModel.load(folder)

    serving.serve(load, default_accept=formats.CSV)


def _input_fn(content: Any, content_type: str) -> xgb.DMatrix:
    body = content.encode() if isinstance(content, str) else content
    return xgb.DMatrix(read_request(body, content_type)[0])


def _predict_fn(data: xgb.DMatrix, model: xgb.Booster) -> Any:
    return model.predict(data, validate_features=False)

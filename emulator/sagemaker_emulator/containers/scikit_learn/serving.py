"""Serves scikit-learn models with the user's functions and the container's defaults."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sagemaker_emulator.containers import serving
from sagemaker_emulator.containers.imports import hidden
from sagemaker_emulator.containers.model import Answer
from sagemaker_emulator.containers.toolkit.user_model import (
    Defaults,
    UserModel,
    UserModelLoader,
    default_input_fn,
    default_predict_fn,
    no_model_fn,
)

DEFAULTS = Defaults(model_fn=no_model_fn, input_fn=default_input_fn, predict_fn=default_predict_fn)


def serve() -> None:
    """Serve until the process is stopped."""
    multi_model = os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    loader = UserModelLoader(DEFAULTS, multi_model=multi_model)
    single: list[UserModel] = []

    def load(folder: Path) -> UserModel:
        import_scikit_learn()
        model = loader.load(folder)
        if not multi_model:
            single.append(model)
        return model

    def execution_parameters() -> Answer | None:
        return single[0].execution_parameters() if single else None

    serving.serve(load, execution_parameters=execution_parameters, prepare=import_scikit_learn)


def import_scikit_learn() -> None:
    """Import what every scikit-learn model needs, before a user's code does."""
    if "sklearn.base" in sys.modules:
        return
    with hidden("pandas"):
        import joblib  # noqa: F401
        import sklearn.base  # noqa: F401

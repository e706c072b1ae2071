"""Serves scikit-learn models with the user's functions and the container's defaults."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sagemaker_emulator.containers import serving
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
    with _hidden("pandas"):
        import joblib  # noqa: F401
        import sklearn.base  # noqa: F401


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let a package seem not installed.

    scikit-learn imports pandas when it can, only to look at its version: 60 MB and a quarter of a second for every
    container. Models that use pandas import it themselves.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]

"""Reading training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagemaker_emulator.containers.xgboost.data import read_matrix, training_type


def get_content_type(content_type: str) -> str:
    """The media type of a channel's content type."""
    return training_type(content_type)


def get_dmatrix(data_path: str, content_type: str, csv_weights: int = 0, is_pipe: bool = False) -> Any:
    """Read a channel's folder, or a file, into an ``xgboost.DMatrix``."""
    if is_pipe:
        raise NotImplementedError("the emulator does not implement pipe mode")
    path = Path(data_path)
    return read_matrix(path, path.name, training_type(content_type), bool(csv_weights))

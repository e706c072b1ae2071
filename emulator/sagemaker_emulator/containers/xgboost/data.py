"""Training data and requests of the XGBoost container as matrices."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from sagemaker_emulator.containers import formats, recordio
from sagemaker_emulator.containers.channels import channel_files
from sagemaker_emulator.containers.contract import CustomerError
from sagemaker_emulator.containers.formats import ContentType, Table, UnsupportedFormatError

PARQUET = "application/x-parquet"
TRAINING_TYPES = (
    "csv",
    "libsvm",
    "parquet",
    "recordio-protobuf",
    formats.CSV,
    *formats.LIBSVM,
    PARQUET,
    formats.RECORDIO,
)
_SHORT_NAMES = {
    "csv": formats.CSV,
    "libsvm": formats.LIBSVM[0],
    "parquet": PARQUET,
    "recordio-protobuf": formats.RECORDIO,
}


def training_type(content_type: str | None) -> str:
    """The media type of a channel; libsvm when it names none.

    Raises:
        CustomerError: The container does not read it.
    """
    kind = ContentType.parse(content_type or formats.LIBSVM[0])
    media_type = _SHORT_NAMES.get(kind.media_type, kind.media_type)
    if media_type not in TRAINING_TYPES:
        raise CustomerError(f"{content_type} is not an accepted ContentType: {', '.join(TRAINING_TYPES)}.")
    if kind.parameters.get("label_size", "1") != "1":
        raise CustomerError(
            f"{content_type} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
        )
    return media_type


def read_matrix(folder: Path, name: str, media_type: str, csv_weights: bool) -> xgb.DMatrix:
    """Read a channel.

    Args:
        folder: The channel's folder.
        name: The channel, for messages.
        media_type: As :func:`training_type` gives it.
        csv_weights: Whether the second CSV column is the weight of the row.

    Raises:
        CustomerError: There is no data, or it is not of the type.
    """
    parts: list[Table] = []
    for path in channel_files(folder):
        try:
            parts.append(_read_file(path, media_type, csv_weights))
        except (ValueError, OSError) as error:
            raise CustomerError(
                f"Failed to load {media_type} data with exception:\nchannel '{name}', file '{path.name}': {error}"
            ) from error
    parts = [part for part in parts if len(part)]
    if not parts:
        raise CustomerError(f"No data in {'training' if name == 'train' else name} channel path {folder}")
    if any(part.labels is None for part in parts):
        raise CustomerError(f"The records of channel '{name}' have no label")
    labels = np.concatenate([part.labels for part in parts if part.labels is not None])
    weights = np.concatenate([np.ones(len(part)) if part.weights is None else part.weights for part in parts])
    is_weighted = any(part.weights is not None for part in parts)
    return xgb.DMatrix(_join(name, parts), labels, weight=weights if is_weighted else None)


def _read_file(path: Path, media_type: str, csv_weights: bool) -> Table:
    if media_type == PARQUET:
        try:
            parquet = importlib.import_module("pyarrow.parquet")  # large, and optional
        except ImportError:
            raise ValueError("reading parquet needs the package pyarrow, which is not installed") from None
        rows = parquet.read_table(path).to_pandas().to_numpy(dtype=np.float64)
        return Table(rows[:, 1:], rows[:, 0])
    content = path.read_bytes()
    if media_type == formats.CSV:
        rows = formats.read_csv_matrix(content, empty_is_nan=True)
        if not len(rows):
            return Table(rows)
        return Table(rows[:, 2:], rows[:, 0], rows[:, 1]) if csv_weights else Table(rows[:, 1:], rows[:, 0])
    if media_type in formats.LIBSVM:
        return formats.read_libsvm(content)
    return Table(*recordio.read_records(content))


def _join(name: str, parts: list[Table]) -> Any:
    if len(parts) == 1:
        return parts[0].features
    widths = sorted({part.features.shape[1] for part in parts})
    if all(isinstance(part.features, np.ndarray) for part in parts):
        if len(widths) > 1:
            raise CustomerError(f"Files of channel '{name}' have different feature counts: {widths}")
        return np.concatenate([part.features for part in parts])
    from scipy.sparse import csr_matrix, vstack

    for part in parts:
        part.features.resize((len(part), widths[-1]))
    return csr_matrix(vstack([part.features for part in parts]))


def read_request(body: bytes, content_type: str) -> tuple[Any, str]:
    """The rows of a request, and their media type.

    Raises:
        UnsupportedFormatError: The container does not read the content type.
        ValueError: The body is not what the content type says.
    """
    media_type = ContentType.parse(content_type or formats.CSV).media_type
    if media_type == formats.CSV:
        return formats.read_csv_matrix(body, empty_is_nan=b",," in body or body.endswith((b",", b",\n"))), media_type
    if media_type in formats.LIBSVM:
        return formats.read_libsvm(body, has_labels=False).features, media_type
    if media_type == formats.RECORDIO:
        return recordio.read_records(body)[0], media_type
    raise UnsupportedFormatError(
        f"Content-type {media_type} not supported. "
        f"Supported content-type is {formats.CSV}, {formats.LIBSVM[0]}, {formats.RECORDIO}"
    )

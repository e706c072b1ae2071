"""The toolkits' default conversions between request bodies and arrays, with their behaviour.

One CSV row is a one-dimensional array, as in the real containers: scikit-learn then asks for a reshape, there as here.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.formats import CSV, JSON, NPY, UnsupportedFormatError

UTF8_TYPES = (JSON, CSV)


def media_type(content_type: str) -> str:
    """The content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def decode(content: Any, content_type: str) -> NDArray[Any]:
    """Decode a body of CSV, JSON or NPY.

    Raises:
        UnsupportedFormatError: Another content type.
    """
    kind = media_type(content_type)
    if kind == CSV:
        return csv_to_numpy(content)
    if kind == JSON:
        return json_to_numpy(content)
    if kind == NPY:
        return npy_to_numpy(content)
    raise UnsupportedFormatError(_unsupported(content_type))


def encode(array_like: Any, content_type: str) -> str | bytes:
    """Encode an array, or what can be made one, as CSV, JSON or NPY.

    Raises:
        UnsupportedFormatError: Another content type.
    """
    kind = media_type(content_type)
    if kind == CSV:
        return array_to_csv(array_like)
    if kind == JSON:
        return array_to_json(array_like)
    if kind == NPY:
        return array_to_npy(array_like)
    raise UnsupportedFormatError(_unsupported(content_type))


def _unsupported(content_type: str) -> str:
    return (
        f"Content type {content_type} is not supported by this framework.\n\n"
        "Please implement input_fn to to deserialize the request data or an output_fn to\n"
        "serialize the response. For more information, see the SageMaker Python SDK README."
    )


def csv_to_numpy(text: str | bytes, dtype: Any = None) -> NDArray[Any]:
    """Parse CSV: two-dimensional, or one-dimensional when it is a single row or a single column."""
    content = text.decode("utf-8") if isinstance(text, bytes) else text
    rows = [line.split(",") for line in content.strip("\r\n").split("\n")]
    try:
        array = np.array([[float(value.strip() or "nan") for value in row] for row in rows], dtype=dtype or np.float64)
    except ValueError:  # text, comments, rows of different lengths
        return np.genfromtxt(io.StringIO(content), dtype=dtype, delimiter=",")
    return array.reshape(-1) if 1 in array.shape else array


def json_to_numpy(text: str | bytes, dtype: Any = None) -> NDArray[Any]:
    """Parse a JSON list, of lists."""
    return np.array(json.loads(text), dtype=dtype)


def npy_to_numpy(content: bytes) -> NDArray[Any]:
    """Parse the NPY format; pickled objects are refused, as they would run code of the caller."""
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def array_to_csv(array_like: Any) -> str:
    """One line a row; a one-dimensional array is a column."""
    array = np.asarray(array_like)
    if array.ndim == 0:
        array = array.reshape(1)
    if array.ndim == 1:
        return "".join(f"{value}\n" for value in array.tolist())
    return "".join(",".join(map(str, row)) + "\n" for row in array.tolist())


def array_to_json(array_like: Any) -> str:
    """A JSON list, of lists."""

    def default(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} cannot be encoded as JSON")

    return json.dumps(array_like, default=default)


def array_to_npy(array_like: Any) -> bytes:
    """The NPY format."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array_like), allow_pickle=False)
    return buffer.getvalue()

"""Reading requests."""

from __future__ import annotations

from typing import Any

import xgboost as xgb

from sagemaker_emulator.containers.formats import CSV, LIBSVM, RECORDIO
from sagemaker_emulator.containers.xgboost.data import read_request


def decode(obj: Any, content_type: str) -> Any:
    """Decode a request's body into an ``xgboost.DMatrix``."""
    return xgb.DMatrix(read_request(obj.encode() if isinstance(obj, str) else obj, content_type)[0])


def csv_to_dmatrix(string_like: str | bytes, dtype: Any = None) -> Any:
    """Decode CSV."""
    return decode(string_like, CSV)


def libsvm_to_dmatrix(string_like: str | bytes) -> Any:
    """Decode libsvm."""
    return decode(string_like, LIBSVM[0])


def recordio_protobuf_to_dmatrix(string_like: bytes) -> Any:
    """Decode recordio-protobuf."""
    return decode(string_like, RECORDIO)

"""Writes SageMaker's recordio-protobuf, the format its built-in algorithms read fastest.

A frame is the magic number, the record's length, the record and padding to four bytes. A record is an
``aialgs.data.Record``: maps of name to tensor, here ``values`` of 32-bit floats.

https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0xCED7230A
# Keys of protobuf fields: number << 3 | 2 (length-delimited). Record: features 1, label 2; a map's entry: key 1,
# value 2; Value: float32_tensor 2; Float32Tensor: values 1 (packed).
_FEATURES, _LABEL, _KEY, _VALUE, _FLOAT32_TENSOR, _VALUES = b"\x0a", b"\x12", b"\x0a", b"\x12", b"\x12", b"\x0a"


def encode(features: NDArray[Any], labels: NDArray[Any]) -> bytes:
    """The rows as one file.

    Args:
        features: One row a record.
        labels: One number a record.
    """
    rows, numbers = np.asarray(features, dtype="<f4"), np.asarray(labels, dtype="<f4")
    return b"".join(
        _frame(_entry(_FEATURES, row.tobytes()) + _entry(_LABEL, number.tobytes()))
        for row, number in zip(rows, numbers, strict=True)
    )


def _frame(record: bytes) -> bytes:
    return struct.pack("<II", _MAGIC, len(record)) + record + b"\0" * (-len(record) % 4)


def _entry(field: bytes, packed: bytes) -> bytes:
    """A map's entry ``values`` with a tensor of packed floats."""
    tensor = _delimited(_FLOAT32_TENSOR, _delimited(_VALUES, packed))
    return _delimited(field, _delimited(_KEY, b"values") + _delimited(_VALUE, tensor))


def _delimited(key: bytes, content: bytes) -> bytes:
    return key + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)

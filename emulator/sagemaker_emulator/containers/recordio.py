"""SageMaker's recordio-protobuf: RecordIO frames, each holding one ``aialgs.data.Record``.

A frame is the magic number, a length, the record and padding to four bytes. The record's schema is documented at
https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html. The codec is written here because the schema is four
messages and training data is large: files whose records share one layout (every dense data set written by the SageMaker
SDK) are read as one array, without looking at each record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_LENGTH_BITS = 29
_VALUES_KEY = "values"

# field numbers of aialgs.data.Value, and how their packed values are stored
_FLOAT32_TENSOR, _FLOAT64_TENSOR, _INT32_TENSOR = 2, 3, 7
_STORED_AS: dict[int, np.dtype[Any] | None] = {
    _FLOAT32_TENSOR: np.dtype("<f4"),
    _FLOAT64_TENSOR: np.dtype("<f8"),
    _INT32_TENSOR: None,
}


@dataclass
class Tensor:
    """One Float32Tensor, Float64Tensor or Int32Tensor of a record."""

    values: NDArray[Any]
    keys: NDArray[np.int64] | None = None
    shape: tuple[int, ...] = ()
    span: tuple[int, int] | None = None  # where the packed values lie in the record


@dataclass
class Record:
    """One record: its tensors by name."""

    features: dict[str, Tensor] = field(default_factory=dict)
    label: dict[str, Tensor] = field(default_factory=dict)


# -- reading ---------------------------------------------------------------------------------------------------------


def read_records(content: bytes) -> tuple[NDArray[np.float64] | csr_matrix, NDArray[np.float64] | None]:
    """Read features and labels of a recordio-protobuf file.

    Args:
        content: The file.

    Returns:
        The features, one row a record (a sparse matrix when the records are sparse), and the labels or ``None``.

    Raises:
        ValueError: The content is not recordio-protobuf, or its records do not fit each other.
    """
    if not content:
        return np.empty((0, 0)), None
    uniform = _read_uniform(content)
    if uniform is not None:
        return uniform
    return _stack([parse_record(record) for record in iterate_frames(content)])


def iterate_frames(content: bytes) -> Iterator[bytes]:
    """Yield the payload of each RecordIO frame.

    Raises:
        ValueError: A frame does not start with the magic number or is cut off.
    """
    position = 0
    parts: list[bytes] = []
    while position < len(content):
        if len(content) - position < 8:
            raise ValueError(f"recordio frame at byte {position} is cut off")
        magic, header = struct.unpack_from("<II", content, position)
        if magic != MAGIC:
            raise ValueError(f"not recordio: no magic number at byte {position}")
        continuation, length = header >> _LENGTH_BITS, header & ((1 << _LENGTH_BITS) - 1)
        end = position + 8 + length
        if end > len(content):
            raise ValueError(f"recordio frame at byte {position} is cut off")
        payload = content[position + 8 : end]
        position = end + (-length % 4)
        if continuation == 0:
            yield payload
            continue
        parts.append(payload)  # a record that holds the magic number is split at it
        if continuation == 3:
            yield _MAGIC_BYTES.join(parts)
            parts = []
    if parts:
        raise ValueError("the last record has no end")


def parse_record(record: bytes) -> Record:
    """Parse one ``aialgs.data.Record``.

    Raises:
        ValueError: It is not one.
    """
    parsed = Record()
    for number, start, end in _fields(record, 0, len(record)):
        if number in (1, 2):
            name, tensor = _map_entry(record, start, end)
            (parsed.features if number == 1 else parsed.label)[name] = tensor
    return parsed


def _read_uniform(content: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64] | None] | None:
    """Read records that differ in nothing but their packed float values; None when they are not like that."""
    first = next(iterate_frames(content))
    frame = 8 + len(first) + (-len(first) % 4)
    record = parse_record(first)
    features, labels = record.features.get(_VALUES_KEY), record.label.get(_VALUES_KEY)
    tensors = [tensor for tensor in (features, labels) if tensor is not None]
    if features is None or any(tensor.span is None or tensor.keys is not None for tensor in tensors):
        return None
    if len(content) % frame:
        return None
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, frame)
    fixed = np.ones(frame, dtype=bool)
    for tensor in tensors:
        start, end = tensor.span or (0, 0)
        fixed[8 + start : 8 + end] = False
    if not np.array_equal(table[:, fixed], np.broadcast_to(table[0, fixed], (len(table), int(fixed.sum())))):
        return None

    def column(tensor: Tensor) -> NDArray[np.float64]:
        start, end = tensor.span or (0, 0)
        raw = np.ascontiguousarray(table[:, 8 + start : 8 + end])
        return raw.view(tensor.values.dtype).astype(np.float64)

    return column(features), None if labels is None else column(labels)[:, 0]


def _stack(records: list[Record]) -> tuple[NDArray[np.float64] | csr_matrix, NDArray[np.float64] | None]:
    tensors = [record.features.get(_VALUES_KEY) for record in records]
    if any(tensor is None for tensor in tensors):
        raise ValueError("a record has no features named 'values'")
    present = [tensor for tensor in tensors if tensor is not None]
    labels = [record.label[_VALUES_KEY].values[0] for record in records if _VALUES_KEY in record.label]
    if labels and len(labels) != len(records):
        raise ValueError(f"{len(records) - len(labels)} of {len(records)} records have no label")
    if any(tensor.keys is not None for tensor in present):
        features: Any = _stack_sparse(present)
    else:
        lengths = {len(tensor.values) for tensor in present}
        if len(lengths) > 1:
            raise ValueError(f"records have different numbers of features: {sorted(lengths)}")
        features = np.array([tensor.values for tensor in present], dtype=np.float64)
    return features, np.array(labels, dtype=np.float64) if labels else None


def _stack_sparse(tensors: list[Tensor]) -> csr_matrix:
    from scipy.sparse import csr_matrix

    keys = [np.arange(len(t.values)) if t.keys is None else t.keys for t in tensors]
    width = max((max(t.shape, default=0) for t in tensors), default=0)
    width = max([width, *(int(key.max()) + 1 for key in keys if len(key))])
    starts = np.concatenate([[0], np.cumsum([len(key) for key in keys])])
    values = np.concatenate([t.values for t in tensors]).astype(np.float64)
    return csr_matrix((values, np.concatenate(keys), starts), shape=(len(tensors), width))


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("malformed protobuf: bad varint")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field number, start, end) of each field; scalars as the span of their bytes."""
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        start = position
        if wire_type == 0:
            _, stop = _varint(data, position)
        elif wire_type == 1:
            stop = position + 8
        elif wire_type == 2:
            length, start = _varint(data, position)
            stop = start + length
        elif wire_type == 5:
            stop = position + 4
        else:
            raise ValueError(f"malformed protobuf: wire type {wire_type}")
        if number == 0 or stop > end:
            raise ValueError("malformed protobuf: field out of bounds")
        yield number, start, stop
        position = stop


def _map_entry(data: bytes, start: int, end: int) -> tuple[str, Tensor]:
    name, tensor = "", Tensor(np.empty(0))
    for number, inner, stop in _fields(data, start, end):
        if number == 1:
            name = data[inner:stop].decode("utf-8")
        elif number == 2:
            for kind, tensor_start, tensor_end in _fields(data, inner, stop):
                if kind in _STORED_AS:
                    tensor = _tensor(data, kind, tensor_start, tensor_end)
                else:
                    raise ValueError(f"records with field {kind} of aialgs.data.Value (bytes) hold no numbers")
    return name, tensor


def _tensor(data: bytes, kind: int, start: int, end: int) -> Tensor:
    dtype = _STORED_AS[kind]
    values: list[NDArray[Any]] = []
    keys: list[int] = []
    shape: list[int] = []
    spans: list[tuple[int, int]] = []
    for number, inner, stop in _fields(data, start, end):
        if number == 1 and dtype is not None:
            if (stop - inner) % dtype.itemsize:
                raise ValueError("malformed protobuf: packed values are cut off")
            values.append(np.frombuffer(data, dtype, (stop - inner) // dtype.itemsize, inner))
            spans.append((inner, stop))
        elif number == 1:
            unsigned = np.array(_varints(data, inner, stop), dtype=np.uint64)
            values.append(unsigned.astype(np.int64).astype(np.int32))  # a negative int32 is a ten-byte varint
        elif number == 2:
            keys += _varints(data, inner, stop)
        elif number == 3:
            shape += _varints(data, inner, stop)
    joined = np.concatenate(values) if values else np.empty(0, dtype=dtype or np.int32)
    return Tensor(
        values=joined,
        keys=np.array(keys, dtype=np.int64) if keys else None,
        shape=tuple(shape),
        span=spans[0] if len(spans) == 1 else None,
    )


def _varints(data: bytes, position: int, end: int) -> list[int]:
    values = []
    while position < end:
        value, position = _varint(data, position)
        values.append(value)
    return values


# -- writing ---------------------------------------------------------------------------------------------------------


def write_records(features: NDArray[Any], labels: NDArray[Any] | None = None) -> bytes:
    """Write a dense matrix, and labels when given, as recordio-protobuf with Float32 tensors.

    Args:
        features: One row a record.
        labels: One number a record.
    """
    rows = np.ascontiguousarray(features, dtype="<f4")
    if len(rows) == 0:
        return b""
    marker = np.zeros(rows.shape[1], dtype="<f4")
    record = _entry(1, _VALUES_KEY, marker)
    if labels is not None:
        record += _entry(2, _VALUES_KEY, np.zeros(1, dtype="<f4"))
    template = _frame(record)
    table = np.tile(np.frombuffer(template, dtype=np.uint8), (len(rows), 1))
    parsed = parse_record(record)
    start, end = parsed.features[_VALUES_KEY].span or (0, 0)
    table[:, 8 + start : 8 + end] = rows.view(np.uint8).reshape(len(rows), -1)
    if labels is not None:
        start, end = parsed.label[_VALUES_KEY].span or (0, 0)
        table[:, 8 + start : 8 + end] = np.ascontiguousarray(labels, dtype="<f4").reshape(-1, 1).view(np.uint8)
    return table.tobytes()


def write_labels(answers: Iterable[Mapping[str, Any]]) -> bytes:
    """Write the answers of a model: one record each with its values as labels and no features.

    Args:
        answers: Name to number or list of numbers, such as ``{"score": 0.4, "predicted_label": 0}``.
    """
    return b"".join(
        _frame(b"".join(_entry(2, name, np.atleast_1d(np.asarray(value, dtype="<f4"))) for name, value in one.items()))
        for one in answers
    )


def _entry(number: int, name: str, values: NDArray[Any]) -> bytes:
    """One entry of the maps ``features`` (1) and ``label`` (2): a name and a Float32Tensor."""
    tensor = _delimited(_FLOAT32_TENSOR, _delimited(1, values.tobytes()))
    return _delimited(number, _delimited(1, name.encode()) + _delimited(2, tensor))


def _delimited(number: int, payload: bytes) -> bytes:
    return _encode_varint(number << 3 | 2) + _encode_varint(len(payload)) + payload


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _frame(record: bytes) -> bytes:
    if len(record) >> _LENGTH_BITS:
        raise ValueError(f"a record of {len(record)} bytes does not fit a recordio frame")
    return struct.pack("<II", MAGIC, len(record)) + record + bytes(-len(record) % 4)

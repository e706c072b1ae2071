"""The recordio-protobuf codec, against protobuf's own and itself."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sagemaker_emulator.containers import recordio

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=finite
)


def _record_class() -> Any:
    """``aialgs.data.Record`` as protobuf builds it from the documented schema."""
    file = descriptor_pb2.FileDescriptorProto(name="aialgs.proto", package="aialgs.data", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    tensors = {"Float32Tensor": kinds.TYPE_FLOAT, "Float64Tensor": kinds.TYPE_DOUBLE, "Int32Tensor": kinds.TYPE_INT32}
    for name, kind in tensors.items():
        message = file.message_type.add(name=name)
        for number, (field, of) in enumerate(
            [("values", kind), ("keys", kinds.TYPE_UINT64), ("shape", kinds.TYPE_UINT64)], 1
        ):
            added = message.field.add(name=field, number=number, type=of, label=kinds.LABEL_REPEATED)
            added.options.packed = True
    value = file.message_type.add(name="Value")
    for name, number in (("Float32Tensor", 2), ("Float64Tensor", 3), ("Int32Tensor", 7)):
        value.field.add(
            name=name.replace("Tensor", "_tensor").lower(),
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".aialgs.data.{name}",
            label=kinds.LABEL_OPTIONAL,
        )
    record = file.message_type.add(name="Record")
    for name, number in (("features", 1), ("label", 2)):
        entry = record.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
        entry.field.add(
            name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=".aialgs.data.Value", label=kinds.LABEL_OPTIONAL
        )
        record.field.add(
            name=name,
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".aialgs.data.Record.{name.capitalize()}Entry",
            label=kinds.LABEL_REPEATED,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("aialgs.data.Record"))


RECORD = _record_class()


def frame(record: Any) -> bytes:
    payload = record.SerializeToString()
    return struct.pack("<II", recordio.MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


@given(matrices, st.booleans())
def test_what_is_written_is_read(features: np.ndarray, labelled: bool) -> None:
    labels = features[:, -1] if labelled else None
    read, read_labels = recordio.read_records(recordio.write_records(features, labels))
    np.testing.assert_array_equal(read, features)
    if labels is None:
        assert read_labels is None
    else:
        np.testing.assert_array_equal(read_labels, labels)


@given(matrices)
def test_protobuf_reads_what_is_written(features: np.ndarray) -> None:
    payloads = list(recordio.iterate_frames(recordio.write_records(features, features[:, 0])))
    for payload, row in zip(payloads, features, strict=True):
        record = RECORD.FromString(payload)
        assert list(record.features["values"].float32_tensor.values) == row.tolist()
        assert list(record.label["values"].float32_tensor.values) == [row[0]]


@given(st.sampled_from(["float32_tensor", "float64_tensor", "int32_tensor"]), st.data())
def test_reads_what_protobuf_writes(kind: str, data: st.DataObject) -> None:
    values = st.integers(-(2**31), 2**31 - 1) if kind == "int32_tensor" else finite
    width = data.draw(st.integers(1, 6))
    rows = data.draw(st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=6))
    content = b""
    for row in rows:
        record = RECORD()
        getattr(record.features["values"], kind).values.extend(row)
        getattr(record.label["values"], kind).values.append(row[0])
        content += frame(record)
    features, labels = recordio.read_records(content)
    np.testing.assert_array_equal(features, np.array(rows, dtype=np.float64))
    np.testing.assert_array_equal(labels, np.array(rows, dtype=np.float64)[:, 0])


def test_sparse_records_become_a_sparse_matrix() -> None:
    content = b""
    for keys, values in (([0, 3], [1.0, 2.0]), ([4], [5.0]), ([], [])):
        record = RECORD()
        record.features["values"].float32_tensor.values.extend(values)
        record.features["values"].float32_tensor.keys.extend(keys)
        record.features["values"].float32_tensor.shape.append(6)
        content += frame(record)
    features, labels = recordio.read_records(content)
    assert labels is None
    np.testing.assert_array_equal(features.toarray(), [[1, 0, 0, 2, 0, 0], [0, 0, 0, 0, 5, 0], [0] * 6])


def test_a_record_split_at_the_magic_number_is_joined() -> None:
    record = RECORD()
    record.features["values"].float64_tensor.values.extend(
        np.frombuffer(struct.pack("<II", recordio.MAGIC, 7), dtype="<f8").tolist()
    )
    payload = record.SerializeToString()
    first, second = payload.split(struct.pack("<I", recordio.MAGIC))
    content = b""
    for flag, part in ((1, first), (3, second)):
        content += struct.pack("<II", recordio.MAGIC, flag << 29 | len(part)) + part + bytes(-len(part) % 4)
    assert list(recordio.iterate_frames(content)) == [payload]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1,2,3\n4,5,6\n", "no magic number"),
        (struct.pack("<II", recordio.MAGIC, 99) + b"short", "cut off"),
        (struct.pack("<I", recordio.MAGIC), "cut off"),
        (struct.pack("<II", recordio.MAGIC, 4) + b"\xff\xff\xff\xff", "malformed protobuf"),
        (struct.pack("<II", recordio.MAGIC, 0), "no features"),
    ],
)
def test_what_is_not_recordio_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recordio.read_records(content)


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        recordio.read_records(struct.pack("<II", recordio.MAGIC, len(content)) + content + bytes(-len(content) % 4))


def test_answers_are_records_with_labels() -> None:
    content = recordio.write_labels([{"score": [0.25, 0.75], "predicted_label": 1}])
    record = RECORD.FromString(next(recordio.iterate_frames(content)))
    assert list(record.label["score"].float32_tensor.values) == [0.25, 0.75]
    assert list(record.label["predicted_label"].float32_tensor.values) == [1.0]
    assert not record.features

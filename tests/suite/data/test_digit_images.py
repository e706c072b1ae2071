"""Digits in each of the forms they come in, and in those SageMaker reads."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import DataError, InputError, ResourceMissingError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.data import digit_images, recordio_protobuf
from sagemaker_emulator.containers import recordio
from tests.suite.conftest import Account

RANDOM = np.random.default_rng(0)


def idx(numbers: Any) -> bytes:
    numbers = np.asarray(numbers, dtype=np.uint8)
    head = bytes([0, 0, 8, numbers.ndim]) + struct.pack(f">{numbers.ndim}I", *numbers.shape)
    return bytes(head + numbers.tobytes())


def parts(*counts: int) -> list[tuple[Any, Any]]:
    return [
        (RANDOM.random((count, 784), dtype=np.float32), RANDOM.integers(0, 10, count, dtype=np.int64))
        for count in counts
    ]


def test_the_digits_that_come_along_need_no_download(account: Account) -> None:
    images = digit_images.load(open_session("us-east-1"), "")
    assert images.feature_dim == 64
    counts = [len(part.digits) for part in (images.train, images.valid, images.test)]
    assert counts == [1259, 179, 359]
    for part in (images.train, images.valid, images.test):
        assert set(part.digits.tolist()) == set(range(10))
        assert (part.pixels.min(), part.pixels.max()) == (0.0, 1.0)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_pickle_of_mnist_is_read(protocol: int) -> None:
    given = parts(30, 10, 12)
    images = digit_images.read_pickle(gzip.compress(pickle.dumps(given, protocol=protocol)))
    for part, (pixels, digits) in zip((images.train, images.valid, images.test), given, strict=True):
        np.testing.assert_array_equal(part.pixels, pixels)
        np.testing.assert_array_equal(part.digits, digits)


def test_a_pickle_with_a_program_inside_is_not_run(tmp_path: Path) -> None:
    class Program:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    with pytest.raises(DataError, match=r"wants posix\.system"):
        digit_images.read_pickle(pickle.dumps([Program()]))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"no pickle", pickle.dumps([1, 2, 3]), pickle.dumps(parts(3, 3)), b"\x1f\x8bbroken"]
)
def test_what_is_no_mnist_is_refused(content: bytes) -> None:
    with pytest.raises(DataError):
        digit_images.read_pickle(content)


def test_the_original_idx_files_are_read_from_a_folder(account: Account) -> None:
    pixels, digits = RANDOM.integers(0, 256, (12, 28, 28)), RANDOM.integers(0, 10, 12)
    for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
        account.put(f"mnist/{name}", gzip.compress(idx(pixels)))
    for name in ("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        account.put(f"mnist/{name}", gzip.compress(idx(digits)))
    images = digit_images.load(open_session("us-east-1"), account.uri("mnist/"))
    assert images.feature_dim == 784
    assert [len(part.digits) for part in (images.train, images.valid, images.test)] == [10, 2, 12]
    np.testing.assert_allclose(images.test.pixels, pixels.reshape(12, 784) / 255, atol=1e-6)
    np.testing.assert_array_equal(images.valid.digits, digits[-2:])


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x02abcd", idx([1, 2, 3])[:-1], b"\0\0\x0d\x01\0\0\0\1a"])
def test_broken_idx_files_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="idx file"):
        digit_images.read_idx(content)


def test_images_and_digits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="one row of pixels and one digit"):
        digit_images.Images(np.zeros((3, 4), dtype=np.float32), np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("data/mnist.pkl.gz", InputError, "must be an s3:// or https:// URL"),
        ("http://127.0.0.1:9/mnist.pkl.gz", DataError, "Put the data into S3"),
        ("s3://{bucket}/nothing", ResourceMissingError, "nothing"),
    ],
)
def test_a_url_that_leads_nowhere_says_so(account: Account, url: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        digit_images.load(open_session("us-east-1"), url.format(bucket=account.bucket))


def test_what_is_written_is_what_sagemaker_reads(account: Account) -> None:
    session = open_session("us-east-1")
    images = digit_images.load(session, "")
    uris = digit_images.write(session, images, account.uri("data"))
    for name, part in (("train", images.train), ("test", images.test)):
        features, labels = recordio.read_records(s3.read_bytes(session, uris[name]))
        np.testing.assert_array_equal(features, part.pixels)
        assert labels is not None
        np.testing.assert_array_equal(labels, part.digits)
    rows = s3.read_text(session, uris["valid"]).splitlines()
    np.testing.assert_allclose([[float(value) for value in row.split(",")] for row in rows], images.valid.pixels)
    assert [int(line) for line in s3.read_text(session, uris["valid_digits"]).split()] == images.valid.digits.tolist()


@pytest.mark.parametrize("width", [1, 31, 32, 784, 5000])
def test_records_of_any_width(width: int) -> None:
    rows, labels = RANDOM.random((3, width), dtype=np.float32), np.array([0, 5, 9])
    features, read = recordio.read_records(recordio_protobuf.encode(rows, labels))
    np.testing.assert_array_equal(features, rows)
    assert read is not None
    np.testing.assert_array_equal(read, labels)

"""Images of handwritten digits: MNIST as pickle or in its original idx files, or the small set that comes along.

``digits.csv.gz`` beside this module is the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and
C. Kaynak, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, licensed CC BY 4.0, in the file
scikit-learn distributes: 1,797 images of 8 by 8 pixels, 0 to 16, the digit last.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import DataError, InputError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.data import recordio_protobuf

_BUNDLED_GREATEST = 16
_GREATEST = 255
_TEST_SHARE, _VALID_SHARE = 5, 10
_DOWNLOAD_SECONDS = 60
_IDX_NAMES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
# What unpickling arrays of numbers needs, of NumPy 1 and 2; anything else in a pickle may be somebody's program.
_PICKLED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True)
class Images:
    """Images, each a row of pixels from 0 to 1, and the digits they show."""

    pixels: NDArray[np.float32]
    digits: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check that they fit together.

        Raises:
            DataError: They do not.
        """
        if self.pixels.ndim != 2 or self.pixels.shape[:1] != self.digits.shape or not len(self.digits):
            raise DataError(
                f"images of shape {self.pixels.shape} and digits of shape {self.digits.shape} are no data set: there "
                "must be one row of pixels and one digit for each image"
            )

    def part(self, start: int | None, end: int | None) -> Images:
        """The images of a range."""
        return Images(self.pixels[start:end], self.digits[start:end])


@dataclass(frozen=True)
class DigitImages:
    """A data set in its three parts."""

    train: Images
    valid: Images
    test: Images

    @property
    def feature_dim(self) -> int:
        """Pixels of an image."""
        return int(self.train.pixels.shape[1])


def load(session: Session, data_url: str) -> DigitImages:
    """Read a data set.

    Args:
        session: The step's session, for S3.
        data_url: The pickle, or the folder of the four idx files (ends in a slash), as S3 or HTTPS URL; empty for the
            set that comes along.

    Raises:
        InputError: The URL is neither.
        DataError: It cannot be read, or what is there is no MNIST.
        AwsCallError: S3 refused it.
    """
    if not data_url:
        return _bundled()
    if not data_url.startswith(("s3://", "https://", "http://")):
        raise InputError([f"data_url is {data_url!r}, must be an s3:// or https:// URL, or empty"], "prepare_digits")
    if data_url.endswith("/"):
        train, test = (
            Images(*(read_idx(_fetch(session, data_url + name)) for name in names)) for names in _IDX_NAMES.values()
        )
        held_out = len(train.digits) // 6
        return DigitImages(train.part(None, -held_out), train.part(-held_out, None), test)
    return read_pickle(_fetch(session, data_url))


def read_pickle(content: bytes) -> DigitImages:
    """Read ``mnist.pkl.gz``: training, validation and test set, each images and digits.

    Raises:
        DataError: It is something else, or holds more than arrays.
    """
    try:
        parts = _ArraysOnly(io.BytesIO(_unzipped(content)), encoding="latin1").load()
        train, valid, test = (
            Images(np.asarray(pixels, dtype=np.float32), np.asarray(digits, dtype=np.int64)) for pixels, digits in parts
        )
    except DataError:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise DataError(f"this is no pickle of MNIST's three parts ({type(error).__name__}: {error})") from error
    return DigitImages(train, valid, test)


def read_idx(content: bytes) -> NDArray[Any]:
    """Read an idx file: images as rows of pixels from 0 to 1, or digits.

    Raises:
        DataError: It is something else.
    """
    content = _unzipped(content)
    if len(content) < 4 or content[:3] != b"\0\0\x08" or content[3] not in (1, 3):
        raise DataError(f"this is no idx file of MNIST: it begins with {content[:4]!r}")
    dimensions = struct.unpack_from(f">{content[3]}I", content, 4)
    numbers = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * len(dimensions))
    if numbers.size != np.prod(dimensions):
        raise DataError(f"this idx file is cut: it says {dimensions} and holds {numbers.size} values")
    if len(dimensions) == 1:
        return numbers.astype(np.int64)
    pixels: NDArray[Any] = (numbers.reshape(dimensions[0], -1) / _GREATEST).astype(np.float32)
    return pixels


def write(session: Session, images: DigitImages, base_uri: str) -> dict[str, str]:
    """Write the parts to S3: recordio-protobuf to train and test with, CSV without digit to be clustered.

    Args:
        session: The step's session.
        images: The data set.
        base_uri: S3 URI prefix.

    Returns:
        S3 URIs by part: ``train``, ``test``, ``valid`` and ``valid_digits``.
    """
    uris = {
        "train": s3.join_uri(base_uri, "train_data"),
        "test": s3.join_uri(base_uri, "test_data"),
        "valid": s3.join_uri(base_uri, "valid_data.csv"),
        "valid_digits": s3.join_uri(base_uri, "valid_digits.csv"),
    }
    for name, part in (("train", images.train), ("test", images.test)):
        s3.write_bytes(session, uris[name], recordio_protobuf.encode(part.pixels, part.digits))
    rows = (",".join(f"{pixel:.6g}" for pixel in row) for row in images.valid.pixels.tolist())
    s3.write_text(session, uris["valid"], "\n".join(rows) + "\n", content_type="text/csv")
    digits = "\n".join(map(str, images.valid.digits.tolist())) + "\n"
    s3.write_text(session, uris["valid_digits"], digits, content_type="text/csv")
    return uris


def _bundled() -> DigitImages:
    content = resources.files("kfp_sagemaker.data").joinpath("digits.csv.gz").read_bytes()
    table = np.loadtxt(io.StringIO(gzip.decompress(content).decode()), delimiter=",", dtype=np.float32)
    # Its writers come one after the other: shuffled, every part has some of each.
    table = table[np.random.default_rng(0).permutation(len(table))]
    images = Images(table[:, :-1] / np.float32(_BUNDLED_GREATEST), table[:, -1].astype(np.int64))
    test, valid = len(table) // _TEST_SHARE, len(table) // _VALID_SHARE
    return DigitImages(
        train=images.part(test + valid, None), valid=images.part(test, test + valid), test=images.part(None, test)
    )


def _fetch(session: Session, url: str) -> bytes:
    if url.startswith("s3://"):
        return s3.read_bytes(session, url)
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_SECONDS) as answer:  # noqa: S310 - http or https, see load
            return bytes(answer.read())
    except (urllib.error.URLError, TimeoutError) as error:
        raise DataError(f"{url} cannot be read: {error}. Put the data into S3 and give its s3:// URI") from error


def _unzipped(content: bytes) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise DataError(f"the file is broken: {error}") from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and refuses everything else, because unpickling an object runs what it says."""

    def find_class(self, module: str, name: str) -> Any:
        """Find what a pickle names."""
        if (module, name) not in _PICKLED:
            raise DataError(f"the pickle wants {module}.{name}, which is no array of numbers; it was not loaded")
        return super().find_class(module, name)

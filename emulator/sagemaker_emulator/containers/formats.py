"""The data formats the built-in algorithms read and answer with.

https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html (training) and
https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html (inference).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers import recordio

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
RECORDIO = "application/x-recordio-protobuf"
LIBSVM = ("text/libsvm", "text/x-libsvm")
NPY = "application/x-npy"
ANY = "*/*"


class UnsupportedFormatError(ValueError):
    """A content type that cannot be read or written."""


class UnsupportedAcceptError(UnsupportedFormatError):
    """A content type that was asked for in the answer and cannot be written."""


@dataclass(frozen=True)
class ContentType:
    """A content type and its parameters: ``text/csv; label_size=1``."""

    media_type: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> ContentType:
        """Split a header's value; media type and parameter names in lower case."""
        media_type, *rest = header.split(";")
        parameters = {}
        for part in rest:
            name, _, value = part.partition("=")
            parameters[name.strip().lower()] = value.strip().strip('"')
        return cls(media_type.strip().lower(), parameters)

    @property
    def label_size(self) -> int | None:
        """The number of label columns; None when not said."""
        text = self.parameters.get("label_size")
        if text is None:
            return None
        if text not in ("0", "1"):
            raise ValueError(f"label_size={text} is not supported; it is 0 or 1")
        return int(text)


@dataclass(frozen=True)
class Table:
    """Rows of numbers with or without labels and weights. Sparse features are a scipy csr_matrix."""

    features: Any
    labels: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return int(self.features.shape[0])

    @property
    def dense_features(self) -> NDArray[np.float64]:
        """The features as an array."""
        features = self.features
        return features if isinstance(features, np.ndarray) else np.asarray(features.toarray())


# -- reading ---------------------------------------------------------------------------------------------------------


def read_csv(content: bytes, label_size: int) -> Table:
    """Read CSV without a header; the label is the first column.

    Raises:
        ValueError: A value is not a number or rows have different lengths; the message names the line.
    """
    rows = read_csv_matrix(content)
    if label_size:
        if rows.shape[1] < 2:
            raise ValueError("a row has a label and no features")
        return Table(rows[:, 1:], rows[:, 0])
    return Table(rows)


def read_csv_matrix(content: bytes, *, empty_is_nan: bool = False) -> NDArray[np.float64]:
    """Read CSV numbers as a matrix.

    Args:
        content: The text, UTF-8, without a header.
        empty_is_nan: Whether an empty field is a missing value; else it is an error.
    """
    text = content.decode("utf-8-sig").strip("\r\n")
    if not text:
        return np.empty((0, 0))
    if "\n" not in text and '"' not in text and not empty_is_nan:  # one row, the usual request
        return np.array([text.split(",")], dtype=np.float64)
    try:
        return _fast_csv(text)
    except ValueError:
        return _careful_csv(text, empty_is_nan)


def _fast_csv(text: str) -> NDArray[np.float64]:
    lines = text.count("\n") + 1
    width = text[: text.find("\n")].count(",") + 1 if lines > 1 else text.count(",") + 1
    if '"' in text or text.count(",") != lines * (width - 1):
        raise ValueError
    # ragged rows with a matching total would shift silently: every line must have the same number of commas
    if lines > 1 and any(line.count(",") != width - 1 for line in text.split("\n")):
        raise ValueError
    values = text.replace("\r", "").replace("\n", ",").split(",")
    flat = np.fromiter(map(float, values), dtype=np.float64, count=len(values))
    return flat.reshape(lines, width)


def _careful_csv(text: str, empty_is_nan: bool) -> NDArray[np.float64]:
    rows: list[list[float]] = []
    for number, fields in enumerate(csv.reader(io.StringIO(text)), 1):
        if not fields:
            continue
        try:
            row = [float("nan") if empty_is_nan and not value.strip() else float(value) for value in fields]
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if rows and len(row) != len(rows[0]):
            raise ValueError(f"line {number} has {len(row)} columns, line 1 has {len(rows[0])}")
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def read_libsvm(content: bytes, *, has_labels: bool = True) -> Table:
    """Read libsvm text, ``label[:weight] index:value ...``; the features are sparse.

    ``qid:`` fields are left out.

    Args:
        content: The text, UTF-8.
        has_labels: Whether each line begins with a label, as in training data. In requests, a first field without a
            colon is a label.

    Raises:
        ValueError: A line is malformed; the message names it.
    """
    from scipy.sparse import csr_matrix

    labels: list[float] = []
    weights: list[float] = []
    values: list[float] = []
    columns: list[int] = []
    starts = [0]
    for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            if has_labels or ":" not in fields[0]:
                label, _, weight = fields.pop(0).partition(":")
                labels.append(float(label))
                weights.append(float(weight or 1))
            for item in fields:
                column, _, value = item.partition(":")
                if column != "qid":
                    columns.append(int(column))
                    values.append(float(value))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        starts.append(len(values))
    width = max(columns, default=-1) + 1
    rows = len(starts) - 1
    matrix = csr_matrix((np.array(values), np.array(columns, dtype=np.int64), starts), shape=(rows, width))
    if len(labels) != rows:
        return Table(matrix)
    weighted = any(weight != 1 for weight in weights)
    return Table(matrix, np.array(labels), np.array(weights) if weighted else None)


def read_request(content: bytes, content_type: str) -> NDArray[np.float64]:
    """Read the rows of an inference request to a built-in algorithm.

    Args:
        content: The body.
        content_type: text/csv, application/json, application/jsonlines or application/x-recordio-protobuf.

    Raises:
        UnsupportedFormatError: Another content type.
        ValueError: The body is not what the content type says.
    """
    kind = ContentType.parse(content_type or CSV)
    if kind.media_type == CSV:
        return read_csv(content, kind.label_size or 0).dense_features
    if kind.media_type == JSON:
        return _rows_of(_instances(json.loads(content)))
    if kind.media_type == JSON_LINES:
        return _rows_of([json.loads(line) for line in content.splitlines() if line.strip()])
    if kind.media_type == RECORDIO:
        return Table(recordio.read_records(content)[0]).dense_features
    raise UnsupportedFormatError(
        f"Content-type {kind.media_type} not supported. "
        f"Supported content-types are {CSV}, {JSON}, {JSON_LINES}, {RECORDIO}"
    )


def _instances(document: Any) -> Sequence[Any]:
    if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
        raise ValueError(  # noqa: TRY004 - it is the request's value that is wrong
            'a JSON request is {"instances": [{"features": [...]}, ...]}'
        )
    return list(document["instances"])


def _rows_of(instances: Sequence[Any]) -> NDArray[np.float64]:
    rows = [_instance(instance) for instance in instances]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"instances have different numbers of features: {sorted({len(row) for row in rows})}")
    return np.array(rows, dtype=np.float64) if rows else np.empty((0, 0))


def _instance(instance: Any) -> list[float]:
    """One instance: ``{"features": [..]}`` or ``{"data": {"features": {"values": [..], "keys", "shape"}}}``."""
    features = instance
    if isinstance(instance, dict):
        features = instance.get("features", instance.get("data", {}).get("features") if "data" in instance else None)
    if isinstance(features, dict):
        values = [float(value) for value in features.get("values", [])]
        if not features.get("keys"):
            return values
        dense = [0.0] * int(features["shape"][0])
        for key, value in zip(features["keys"], values, strict=True):
            dense[int(key)] = value
        return dense
    if not isinstance(features, list):
        raise ValueError("an instance needs a list of numbers under 'features'")  # noqa: TRY004
    return [float(value) for value in features]


# -- answering -------------------------------------------------------------------------------------------------------


def write_answers(answers: Iterable[Mapping[str, Any]], accept: str) -> tuple[bytes, str]:
    """Write what a built-in algorithm answers.

    Args:
        answers: One mapping a row, such as ``{"score": 0.4, "predicted_label": 0}``.
        accept: The Accept header; JSON when empty or anything goes.

    Returns:
        The body and its content type.

    Raises:
        UnsupportedAcceptError: The accept type is not one the algorithms answer with.
    """
    media_type = JSON if not accept else ContentType.parse(accept.split(",")[0]).media_type
    if media_type in (JSON, ANY):
        return json.dumps({"predictions": list(answers)}).encode(), JSON
    if media_type == JSON_LINES:
        return "".join(json.dumps(answer) + "\n" for answer in answers).encode(), JSON_LINES
    if media_type == CSV:
        return "".join(_csv_row(answer) + "\n" for answer in answers).encode(), CSV
    if media_type == RECORDIO:
        return recordio.write_labels(answers), RECORDIO
    raise UnsupportedAcceptError(
        f"Accept type {media_type} not supported. Supported accept types are {CSV}, {JSON}, {JSON_LINES}, {RECORDIO}"
    )


def _csv_row(answer: Mapping[str, Any]) -> str:
    """The values in the order of the JSON answer, lists quoted as the CSV of the algorithms' answers quotes them."""
    cells = [json.dumps(value) for value in answer.values()]
    return ",".join(f'"{cell}"' if "," in cell else cell for cell in cells)

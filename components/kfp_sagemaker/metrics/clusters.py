"""What k-means found in images: each cluster's centre as an image, and what is in the cluster.

Reads the model of SageMaker's k-means (MXNet's list of arrays) and of the embedded AWS (NumPy's npz), and the answers
of batch transform: one JSON object a line with ``closest_cluster`` and ``distance_to_cluster``.
"""

from __future__ import annotations

import io
import json
import math
import struct
import tarfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.html_report import HtmlReport, new_figure

COLUMNS = ["cluster", "images", "digit", "share", "digits in it", "mean distance"]
_MODEL_MEMBER = "model_algo-1"
_COLUMNS_OF_IMAGES = 5
# MXNet, src/c_api/c_api.cc and src/ndarray/ndarray.cc: what opens a list of arrays, and an array of version 1 and 2.
_MXNET_LIST, _MXNET_V1, _MXNET_V2, _MXNET_V3 = 0x112, 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MXNET_FLOAT32 = 0


class Clusters(NamedTuple):
    """What the component returns."""

    table: dict[str, Any]
    purity: float


def report(
    session: Session,
    *,
    model_data_url: str,
    images_s3_uri: str,
    digits_s3_uri: str,
    clusters_s3_uri: str,
    title: str,
    report_path: str,
) -> Clusters:
    """Write the page about the clusters.

    Args:
        session: The step's session.
        model_data_url: S3 URI of the model archive.
        images_s3_uri: CSV of the images, a row of pixels each.
        digits_s3_uri: The digit of each image.
        clusters_s3_uri: What batch transform answered for each image.
        title: The page's heading.
        report_path: File to write the page to.

    Returns:
        The clusters as a table, and the share of images that show their cluster's most frequent digit.

    Raises:
        DataError: The files do not belong together, or the model is none of k-means.
        AwsCallError: S3 refused one.
    """
    centers = read_centers(s3.read_bytes(session, model_data_url))
    answers = [json.loads(line) for line in s3.open_lines(session, clusters_s3_uri) if line]
    digits = [int(line) for line in s3.open_lines(session, digits_s3_uri) if line]
    images = sum(1 for line in s3.open_lines(session, images_s3_uri) if line)
    if not len(answers) == len(digits) == images:
        raise DataError(f"{images} images, {len(digits)} digits and {len(answers)} answers do not belong together")
    clusters = [int(answer["closest_cluster"]) for answer in answers]
    distances = [float(answer["distance_to_cluster"]) for answer in answers]
    table, purity = tabulate(len(centers), clusters, digits, distances)
    print(f"{purity:.1%} of {images} images show the most frequent digit of their cluster")

    page = HtmlReport(title, f"{len(centers)} clusters, {images} images, {purity:.1%} in a cluster of their digit")
    page.add_figure(
        "Cluster centres",
        _centers_figure(centers, table["rows"]),
        "The mean of each cluster's training images, with the digits of the validation images that fell into it.",
    )
    page.add_table("Clusters", table["columns"], table["rows"])
    page.write(report_path)
    return Clusters(table, purity)


def tabulate(
    count: int, clusters: Sequence[int], digits: Sequence[int], distances: Sequence[float]
) -> tuple[dict[str, Any], float]:
    """Count the digits of each cluster.

    Args:
        count: How many clusters there are.
        clusters: The cluster of each image.
        digits: The digit of each image.
        distances: How far each image is from its cluster's centre.

    Returns:
        The table, and the share of images that show their cluster's most frequent digit.
    """
    rows: list[list[Any]] = []
    hits = 0
    for cluster in range(count):
        members = [index for index, found in enumerate(clusters) if found == cluster]
        if not members:
            rows.append([cluster, 0, None, None, "", None])
            continue
        counted = Counter(digits[index] for index in members).most_common()
        digit, most = counted[0]
        hits += most
        listed = ", ".join(f"{number} x {name}" for name, number in counted)
        mean = sum(distances[index] for index in members) / len(members)
        rows.append([cluster, len(members), digit, f"{most / len(members):.0%}", listed, round(mean, 4)])
    return {"columns": COLUMNS, "rows": rows}, hits / max(len(clusters), 1)


def read_centers(archive: bytes) -> NDArray[np.float64]:
    """The centres in a k-means model archive, one row each.

    Raises:
        DataError: It holds none.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = next(each for each in tar if each.isfile() and each.name.endswith(_MODEL_MEMBER))
            file = tar.extractfile(member)
            content = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, StopIteration) as error:
        raise DataError(f"the archive holds no {_MODEL_MEMBER}, which every model of k-means has") from error
    try:
        if content[:2] == b"PK":
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return np.asarray(arrays["centers"], dtype=np.float64)
        return _mxnet_array(content)
    except (ValueError, KeyError, struct.error, zipfile.BadZipFile) as error:
        raise DataError(f"{_MODEL_MEMBER} is neither MXNet's list of arrays nor NumPy's npz: {error}") from error


def _mxnet_array(content: bytes) -> NDArray[np.float64]:
    """The first array of a file ``mxnet.ndarray.save`` wrote."""
    magic, _, count = struct.unpack_from("<QQQ", content)
    if magic != _MXNET_LIST or not count:
        raise ValueError(f"it begins with {content[:8].hex()}")
    offset = 24
    (version,) = struct.unpack_from("<I", content, offset)
    offset += 4
    wide = version in (_MXNET_V1, _MXNET_V2, _MXNET_V3)
    if version in (_MXNET_V2, _MXNET_V3):
        (storage,) = struct.unpack_from("<i", content, offset)
        if storage != 0:
            raise ValueError("its array is sparse")
        offset += 4
    if wide:
        (dimensions,) = struct.unpack_from("<I", content, offset)
        offset += 4
    else:  # before version 1 the number of dimensions came first
        dimensions = version
    shape = struct.unpack_from(f"<{dimensions}{'q' if wide else 'I'}", content, offset)
    offset += dimensions * (8 if wide else 4) + 8  # the device's kind and number
    (kind,) = struct.unpack_from("<i", content, offset)
    if kind != _MXNET_FLOAT32 or len(shape) != 2:
        raise ValueError(f"its array has the shape {shape} and the type {kind}")
    values = np.frombuffer(content, dtype="<f4", count=math.prod(shape), offset=offset + 4)
    return values.reshape(shape).astype(np.float64)


def _centers_figure(centers: NDArray[np.float64], rows: Sequence[Sequence[Any]]) -> Any:
    side = math.isqrt(centers.shape[1])
    height, width = (side, side) if side * side == centers.shape[1] else (1, centers.shape[1])
    lines = -(-len(centers) // _COLUMNS_OF_IMAGES)
    figure, axes = new_figure(lines, _COLUMNS_OF_IMAGES, height=2.3, squeeze=False)
    for index, cell in enumerate(axes.flat):
        if index >= len(centers):
            cell.set_axis_off()
            continue
        cell.set_xticks([])
        cell.set_yticks([])
        cell.grid(visible=False)
        cell.imshow(centers[index].reshape(height, width), cmap="gray_r", interpolation="nearest")
        _, images, digit, share, listed, _ = rows[index]
        shortened = ", ".join(listed.split(", ")[:3])
        cell.set_title(f"{index}: {digit} ({share})" if images else f"{index}: empty", fontsize=11)
        cell.set_xlabel(shortened, fontsize=9)
    return figure

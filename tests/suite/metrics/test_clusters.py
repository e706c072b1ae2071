"""The page about clusters: centres from either kind of model, digits counted."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.metrics import clusters
from tests.suite.conftest import Account

CENTERS = np.arange(8, dtype=np.float32).reshape(2, 4) / 8


def archive(content: bytes, name: str = "model_algo-1") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def npz() -> bytes:
    target = io.BytesIO()
    np.savez(target, centers=CENTERS)
    return target.getvalue()


def mxnet(version: int) -> bytes:
    """A list of one array as MXNet's NDArray::Save of that version lays it out."""
    head = struct.pack("<QQQ", 0x112, 0, 1)
    if version == 0:
        shape = struct.pack("<III", 2, 2, 4)
    else:
        magic = {1: 0xF993FAC8, 2: 0xF993FAC9, 3: 0xF993FACA}[version]
        storage = b"" if version == 1 else struct.pack("<i", 0)
        shape = struct.pack("<I", magic) + storage + struct.pack("<Iqq", 2, 2, 4)
    body = struct.pack("<iii", 1, 0, 0) + CENTERS.tobytes()
    return head + shape + body + struct.pack("<QQ", 1, 7) + b"centers"


@pytest.mark.parametrize("content", [npz(), *(mxnet(version) for version in range(4))])
def test_centres_are_read_from_the_emulators_and_from_mxnets_files(content: bytes) -> None:
    np.testing.assert_array_equal(clusters.read_centers(archive(content)), CENTERS)


@pytest.mark.parametrize(
    "broken", [b"no archive", archive(b"", "other"), archive(b"text"), archive(b"PK broken"), archive(mxnet(2)[:60])]
)
def test_an_archive_without_centres_is_refused(broken: bytes) -> None:
    with pytest.raises(DataError, match="model_algo-1"):
        clusters.read_centers(broken)


def test_digits_are_counted_by_cluster() -> None:
    table, purity = clusters.tabulate(3, [0, 0, 0, 2], [7, 7, 1, 4], [1.0, 2.0, 3.0, 0.5])
    assert table["rows"] == [
        [0, 3, 7, "67%", "2 x 7, 1 x 1", 2.0],
        [1, 0, None, None, "", None],
        [2, 1, 4, "100%", "1 x 4", 0.5],
    ]
    assert purity == 0.75


def test_the_page_shows_centres_and_digits(account: Account, tmp_path: Path) -> None:
    answers = [{"closest_cluster": cluster, "distance_to_cluster": 0.5} for cluster in (0.0, 1.0, 1.0)]
    arguments = {
        "model_data_url": account.put("model.tar.gz", archive(npz())),
        "images_s3_uri": account.put("images.csv", "0,0,0,0\n1,1,1,1\n1,1,1,1\n"),
        "digits_s3_uri": account.put("digits.csv", "3\n8\n8\n"),
        "clusters_s3_uri": account.put("clusters.out", "\n".join(map(json.dumps, answers)) + "\n"),
        "title": "Clusters",
        "report_path": str(tmp_path / "report.html"),
    }
    found = clusters.report(open_session("us-east-1"), **arguments)
    assert found.purity == 1.0
    assert [row[2] for row in found.table["rows"]] == [3, 8]
    page = (tmp_path / "report.html").read_text()
    assert page.count("<image ") == 2
    assert "1: 8 (100%)" in page

    account.put("digits.csv", "3\n8\n")
    with pytest.raises(DataError, match="3 images, 2 digits and 3 answers do not belong together"):
        clusters.report(open_session("us-east-1"), **arguments)

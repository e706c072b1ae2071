"""S3 locations and archives."""

from __future__ import annotations

import io
import tarfile

import pytest

from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.s3_transfer import ArchiveError, TransferError


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/a/b.csv", ("bucket", "a/b.csv")),
        ("s3://bucket", ("bucket", "")),
        ("https://bucket.s3.amazonaws.com/a/b", ("bucket", "a/b")),
        ("https://bucket.s3-eu-west-1.amazonaws.com/a/b", ("bucket", "a/b")),
        ("https://my.bucket.s3.eu-west-1.amazonaws.com/a%20b", ("my.bucket", "a b")),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a/b", ("bucket", "a/b")),
        ("https://bucket.s3.cn-north-1.amazonaws.com.cn/a", ("bucket", "a")),
    ],
)
def test_locations_are_understood(uri, expected):
    assert s3_transfer.parse_uri(uri) == expected


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///key", "http://example.com/a", "bucket/key", "https://s3.amazonaws.com/"]
)
def test_what_is_no_location_is_refused(uri):
    with pytest.raises(TransferError, match="not an S3 location"):
        s3_transfer.parse_uri(uri)


@pytest.mark.parametrize(
    ("key", "prefix", "expected"),
    [
        ("train/a/b.csv", "train/", "a/b.csv"),
        ("train/a/b.csv", "train", "a/b.csv"),
        ("train/a/b.csv", "train/a/b", "b.csv"),
        ("train/a/b.csv", "train/a/b.csv", "b.csv"),
        ("a.csv", "", "a.csv"),
        ("training/a.csv", "train", "training/a.csv"),
    ],
)
def test_where_an_object_goes(key, prefix, expected):
    assert s3_transfer.relative_path(key, prefix) == expected


def archive_with(*members: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for member in members:
            if member.isfile():
                member.size = 4
            archive.addfile(member, io.BytesIO(b"data") if member.isfile() else None)
    return content.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.fixture
def store(emulator, unique_name):
    """Puts an object and returns (client, its URI)."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=unique_name)

    def put(content: bytes, key: str = "model.tar.gz"):
        s3.put_object(Bucket=unique_name, Key=key, Body=content)
        return s3, f"s3://{unique_name}/{key}"

    return put


def test_an_archive_is_extracted(store, tmp_path):
    s3, uri = store(archive_with(tarfile.TarInfo("deep/weights")))
    s3_transfer.download_archive(s3, uri, tmp_path / "model")
    assert (tmp_path / "model/deep/weights").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (tarfile.TarInfo("../escaped"), "refused"),
        (tarfile.TarInfo("a/../../escaped"), "refused"),
        (link("out", "/etc"), "refused"),
        (link("out", "../.."), "refused"),
    ],
)
def test_an_archive_never_leaves_its_folder(store, tmp_path, member, message):
    s3, uri = store(archive_with(tarfile.TarInfo("good"), member))
    with pytest.raises(ArchiveError, match=message):
        s3_transfer.download_archive(s3, uri, tmp_path / "inner" / "model")
    assert list(tmp_path.rglob("escaped")) == []
    assert not (tmp_path / "inner" / "model").exists()


@pytest.mark.parametrize("content", [b"", b"not an archive", archive_with(tarfile.TarInfo("a"))[:40]])
def test_what_is_no_archive_is_refused(store, tmp_path, content):
    s3, uri = store(content)
    with pytest.raises(ArchiveError, match="not a valid tar"):
        s3_transfer.download_archive(s3, uri, tmp_path / "model")


def test_a_missing_object_is_named(store, tmp_path):
    s3, uri = store(b"")
    with pytest.raises(TransferError, match="NoSuchKey"):
        s3_transfer.download_archive(s3, uri + ".missing", tmp_path / "model")


def test_a_folder_comes_back_as_it_went(store, tmp_path):
    s3, uri = store(b"")
    (tmp_path / "from/deep").mkdir(parents=True)
    (tmp_path / "from/a").write_bytes(b"1")
    (tmp_path / "from/deep/b").write_bytes(b"2")
    prefix = uri.rsplit("/", 1)[0] + "/tree"
    assert s3_transfer.upload_tree(s3, tmp_path / "from", prefix) == 2
    s3_transfer.download_prefix(s3, prefix, tmp_path / "to")
    assert (tmp_path / "to/a").read_bytes() + (tmp_path / "to/deep/b").read_bytes() == b"12"

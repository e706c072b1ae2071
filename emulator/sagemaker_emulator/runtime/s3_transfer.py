"""Between S3 and the folders of containers. Everything here blocks: call it in a thread."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError

_CONCURRENCY = 8
_MULTIPART_BYTES = 64 * 1024 * 1024
_HTTPS_URL = re.compile(
    r"https?://(?:(?P<virtual>[a-z0-9][a-z0-9.-]+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/(?P<path>.*)"
)


class TransferError(Exception):
    """A transfer did not succeed; the message names the S3 URL and says why, for a FailureReason."""


class ArchiveError(TransferError):
    """An object is not a tar archive, or holds something that may not be extracted."""


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object of a listing."""

    bucket: str
    key: str
    size: int
    etag: str = ""

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


def parse_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://BUCKET/KEY`` or of an ``https://`` URL of S3.

    Raises:
        TransferError: It is neither.
    """
    if uri.startswith("s3://"):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if bucket:
            return bucket, key
    elif match := _HTTPS_URL.fullmatch(uri):
        path = unquote(match["path"])
        if match["virtual"]:
            return match["virtual"], path
        bucket, _, key = path.partition("/")
        if bucket:
            return bucket, key
    raise TransferError(f"{uri!r} is not an S3 location; expected s3://BUCKET/KEY")


def join_uri(base: str, *parts: str) -> str:
    """Return an S3 URI with parts appended, with single slashes between them."""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts if part)])


def list_objects(s3: Any, uri: str) -> list[S3Object]:
    """Return the objects whose key starts with the URI's, without the empty ones that stand for folders.

    Raises:
        TransferError: The bucket is missing or may not be listed.
    """
    bucket, prefix = parse_uri(uri)
    objects: list[S3Object] = []
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            objects += [
                S3Object(bucket, entry["Key"], entry["Size"], entry.get("ETag", ""))
                for entry in page.get("Contents", ())
                if not (entry["Key"].endswith("/") and entry["Size"] == 0)
            ]
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"Unable to list objects under {uri} ({describe_error(error)})") from error
    return objects


def holds_objects(s3: Any, uri: str) -> bool:
    """Return whether any object's key starts with the URI's.

    Raises:
        TransferError: The bucket is missing or may not be listed.
    """
    bucket, prefix = parse_uri(uri)
    try:
        answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"Unable to list objects under {uri} ({describe_error(error)})") from error
    return bool(answer.get("KeyCount", len(answer.get("Contents", ()))))


def object_exists(s3: Any, uri: str) -> bool:
    """Return whether there is an object at exactly this URI."""
    bucket, key = parse_uri(uri)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return True


def bucket_exists(s3: Any, bucket: str) -> bool:
    """Return whether a bucket is there; one that may not be looked at counts as there."""
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404
    return True


def read_object(s3: Any, uri: str) -> bytes:
    """Return the content of an object.

    Raises:
        TransferError: It is missing or may not be read.
    """
    bucket, key = parse_uri(uri)
    try:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"Unable to download object {uri} ({describe_error(error)})") from error
    return content


def read_lines(s3: Any, uri: str, *, is_gzip: bool = False) -> Iterator[bytes]:
    """Yield the lines of an object without their line ends, reading it as it goes.

    Args:
        s3: The client.
        uri: The object.
        is_gzip: Whether it is compressed.

    Raises:
        TransferError: It is missing or may not be read.
    """
    bucket, key = parse_uri(uri)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        if is_gzip:
            for line in gzip.GzipFile(fileobj=body):
                yield line.rstrip(b"\r\n")
        else:
            yield from body.iter_lines()
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"Unable to download object {uri} ({describe_error(error)})") from error


def relative_path(key: str, prefix: str) -> str:
    """Return where an object goes below a channel's folder: its key after the last slash of the prefix.

    ``train/a/b.csv`` under the prefix ``train/`` or ``train`` is ``a/b.csv``, and under ``train/a/b`` it is ``b.csv``.
    """
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    if prefix and key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download_objects(s3: Any, objects: Iterable[tuple[S3Object, str]], folder: Path) -> None:
    """Download objects to paths relative to a folder, several at a time.

    Raises:
        TransferError: One of them cannot be read, or its key leads out of the folder.
    """
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        for _ in pool.map(lambda pair: _download(s3, pair[0], _inside(folder, pair[1], pair[0].uri)), list(objects)):
            pass


def download_prefix(s3: Any, uri: str, folder: Path) -> list[S3Object]:
    """Download everything under a prefix into a folder.

    Returns:
        What was downloaded; empty when nothing lies there.

    Raises:
        TransferError: Something cannot be listed or read.
    """
    objects = list_objects(s3, uri)
    prefix = parse_uri(uri)[1]
    download_objects(s3, ((item, relative_path(item.key, prefix)) for item in objects), folder)
    return objects


def download_archive(s3: Any, uri: str, folder: Path) -> None:
    """Download a tar archive, compressed or not, and extract it into a folder.

    Members that would land outside the folder, devices and links out of it are refused; the folder is then removed.

    Raises:
        TransferError: The object cannot be read.
        ArchiveError: It is no archive, or holds a member that may not be extracted.
    """
    bucket, key = parse_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        with tarfile.open(fileobj=body, mode="r|*") as archive:
            archive.extractall(folder, filter="data")
    except (ClientError, BotoCoreError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise TransferError(f"Unable to download object {uri} ({describe_error(error)})") from error
    except tarfile.FilterError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArchiveError(f"The archive {uri} is refused: {error}") from error
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArchiveError(f"The object {uri} is not a valid tar.gz archive ({error})") from error


def upload_file(s3: Any, path: Path, uri: str, kms_key_id: str = "") -> None:
    """Upload a file.

    Args:
        s3: The client.
        path: The file.
        uri: Where it goes.
        kms_key_id: The KMS key to encrypt it with; the bucket's default when empty.

    Raises:
        TransferError: S3 refused it.
    """
    bucket, key = parse_uri(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
    try:
        if path.stat().st_size < _MULTIPART_BYTES:
            with path.open("rb") as body:
                s3.put_object(Bucket=bucket, Key=key, Body=body, **encryption)
        else:
            # Imported when needed: it takes as long as everything else here.
            from boto3.s3.transfer import S3Transfer, TransferConfig

            config: Any = TransferConfig(multipart_threshold=_MULTIPART_BYTES)
            S3Transfer(s3, config).upload_file(str(path), bucket, key, extra_args=encryption)
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"Unable to upload {uri} ({describe_error(error)})") from error
    except OSError as error:
        raise TransferError(f"Unable to read what goes to {uri} ({error})") from error


def upload_tree(s3: Any, folder: Path, uri: str, kms_key_id: str = "") -> int:
    """Upload every file below a folder to the same path under a prefix; returns how many.

    Raises:
        TransferError: S3 refused one of them.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())

    def upload(path: Path) -> None:
        upload_file(s3, path, join_uri(uri, path.relative_to(folder).as_posix()), kms_key_id)

    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        for _ in pool.map(upload, files):
            pass
    return len(files)


def pack_archive(folder: Path, archive: Path) -> None:
    """Write a tar.gz of a folder's content, names relative to it."""
    # Level 6 is what gzip itself uses; tarfile's 9 takes several times as long for a percent.
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)


def describe_error(error: Exception) -> str:
    """Return ``Code: message`` of an error of botocore, as AWS puts it into failure reasons."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return f"{details.get('Code', 'Unknown')}: {details.get('Message', '')}"
    return str(error)


def _inside(folder: Path, relative: str, uri: str) -> Path:
    parts = PurePosixPath(relative).parts
    if not parts or ".." in parts or relative.startswith("/"):
        raise TransferError(f"The key of {uri} cannot be a path in the container: {relative!r}")
    return folder.joinpath(*parts)


def _download(s3: Any, item: S3Object, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        body = s3.get_object(Bucket=item.bucket, Key=item.key)["Body"]
        with target.open("wb") as file:
            for chunk in body.iter_chunks(1024 * 1024):
                file.write(chunk)
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"Unable to download object {item.uri} ({describe_error(error)})") from error
    except OSError as error:
        raise TransferError(f"Unable to write object {item.uri} to the container ({error})") from error

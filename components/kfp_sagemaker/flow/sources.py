"""The files of the repository that a flow needs in S3: data, scripts, sources, each named after its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.call_errors import aws_errors, is_missing
from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.data.source import pack

_DIGEST_CHARACTERS = 16
_ARCHIVE_NAME = "sourcedir.tar.gz"


@dataclass(frozen=True)
class Upload:
    """A file and where it goes.

    Attributes:
        s3_uri: The object; its name holds a digest of the content, so what is there need not be sent again.
        path: The file; ``None`` for an archive that is made of a folder.
        content: The archive.
    """

    s3_uri: str
    path: Path | None = None
    content: bytes = field(default=b"", repr=False)


class Sources:
    """Collects what has to be uploaded.

    Args:
        base_s3_uri: Prefix of all of it.
    """

    def __init__(self, base_s3_uri: str) -> None:
        self._base = base_s3_uri
        self._uploads: dict[str, Upload] = {}

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """What has been collected, each object once."""
        return tuple(self._uploads.values())

    def add(self, path: str) -> str:
        """A file or a folder's files; an S3 URI stays what it is.

        Returns:
            S3 URI of the file, or of the folder's prefix.
        """
        if path.startswith("s3://"):
            return path
        found = Path(path)
        if found.is_file():
            return self._put(f"{self._base}/{_digest([found])}/{found.name}", found)
        files = sorted(each for each in found.rglob("*") if each.is_file())
        prefix = f"{self._base}/{_digest(files)}"
        for file in files:
            self._put(f"{prefix}/{file.relative_to(found).as_posix()}", file)
        return f"{prefix}/"

    def add_archive(self, folder: str) -> str:
        """A folder of sources as the archive script mode takes.

        Returns:
            S3 URI of the archive.

        Raises:
            InputError: A file in it is not text.
        """
        if folder.startswith("s3://"):
            return folder
        root = Path(folder)
        try:
            files = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in _sources(root)}
        except UnicodeDecodeError as error:
            raise InputError([f"a file in {root} is not UTF-8 text: {error}"], "training.script.source_dir") from None
        archive = pack(files)
        digest = hashlib.sha256(archive).hexdigest()[:_DIGEST_CHARACTERS]
        uri = f"{self._base}/{digest}/{_ARCHIVE_NAME}"
        self._uploads[uri] = Upload(uri, content=archive)
        return uri

    def _put(self, uri: str, path: Path) -> str:
        self._uploads[uri] = Upload(uri, path)
        return uri


def upload(session: Session, uploads: tuple[Upload, ...]) -> int:
    """Bring to S3 what is not there yet.

    Args:
        session: The session.
        uploads: What is needed.

    Returns:
        How many objects were sent.
    """
    client = session.client("s3")
    sent = 0
    for each in uploads:
        bucket, key = s3.parse_uri(each.s3_uri)
        with aws_errors(f"uploading {each.path or each.s3_uri}"):
            if _exists(client, bucket, key):
                continue
            if each.path is not None:
                client.upload_file(str(each.path), bucket, key)
            else:
                client.put_object(Bucket=bucket, Key=key, Body=each.content, ContentType="application/gzip")
        sent += 1
    return sent


def _exists(client: object, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket=bucket, Key=key)  # type: ignore[attr-defined]  # boto3's client
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True


def _sources(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)
        if path.is_file() and not hidden:
            yield path


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
        digest.update(file.name.encode())
    return digest.hexdigest()[:_DIGEST_CHARACTERS]

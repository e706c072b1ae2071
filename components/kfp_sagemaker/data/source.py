"""The work of the `upload_source` component: source files into the archive that SageMaker's script mode unpacks."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.call_errors import aws_errors, error_code
from kfp_sagemaker.aws.job_arguments import check_object_tags
from kfp_sagemaker.aws.s3 import join_uri, parse_uri
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems

_ARCHIVE_SUFFIX = ".tar.gz"
_ARCHIVE_NAME = "sourcedir.tar.gz"
_DIGEST_CHARACTERS = 16
_DIGEST_METADATA = "sha256"


class Outputs(NamedTuple):
    """What the step returns."""

    source_s3_uri: str


def upload_source(
    *,
    files: Mapping[str, str],
    s3_uri: str,
    kms_key_id: str = "",
    region: str = "",
    assume_role_arn: str = "",
    tags: Mapping[str, Any] | None = None,
) -> Outputs:
    """Pack and upload source files.

    Args:
        files: Text by path.
        s3_uri: The archive, or a prefix for it.
        kms_key_id: Key that encrypts it; empty uses the bucket's default.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        tags: Tags of the object.

    Returns:
        Where the archive is.

    Raises:
        InputError: With everything that is wrong.
    """
    _check(files, s3_uri, tags or {})
    archive = pack(files)
    digest = hashlib.sha256(archive).hexdigest()
    if not s3_uri.endswith(_ARCHIVE_SUFFIX):
        s3_uri = join_uri(s3_uri, digest[:_DIGEST_CHARACTERS], _ARCHIVE_NAME)
    session = open_session(region, assume_role_arn)
    with aws_errors(f"uploading {s3_uri}"):
        if _present_digest(session, s3_uri) != digest:
            bucket, key = parse_uri(s3_uri)
            extra: dict[str, Any] = {"Tagging": urlencode(tags)} if tags else {}
            if kms_key_id:
                extra |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id}
            session.client("s3").put_object(
                Bucket=bucket,
                Key=key,
                Body=archive,
                ContentType="application/gzip",
                Metadata={_DIGEST_METADATA: digest},
                **extra,
            )
    print(f"{len(files)} files, {len(archive)} bytes: {s3_uri}", flush=True)
    return Outputs(s3_uri)


def pack(files: Mapping[str, str]) -> bytes:
    """Pack files into a .tar.gz that depends on them alone: no times, owners or order of insertion.

    Args:
        files: Text by path.

    Returns:
        The archive.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, text in sorted(files.items()):
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _check(files: Mapping[str, str], s3_uri: str, tags: Mapping[str, Any]) -> None:
    problems = Problems("upload_source")
    problems.required("s3_uri", s3_uri)
    problems.s3_uri("s3_uri", s3_uri)
    check_object_tags(problems, tags)
    if not isinstance(files, Mapping) or not files:
        problems.add("files", files, "an object of paths and texts with at least one file")
        files = {}
    for path, text in files.items():
        parts = PurePosixPath(path).parts
        if not path or path.startswith("/") or path.endswith("/") or ".." in parts or "\\" in path or "\0" in path:
            problems.add("files", path, "a relative path inside the archive")
        if not isinstance(text, str):
            problems.add(f"files.{path}", text, "text")
    problems.raise_if_any()


def _present_digest(session: Session, s3_uri: str) -> str:
    """The digest of the archive that is there already; empty when there is none, or none that may be looked at."""
    bucket, key = parse_uri(s3_uri)
    try:
        head = session.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in ("403", "404"):
            return ""
        raise
    return str(head["Metadata"].get(_DIGEST_METADATA, ""))

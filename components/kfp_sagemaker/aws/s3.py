"""Amazon S3 as the steps use it: URIs, listings, small objects whole and large ones line by line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from kfp_sagemaker.aws.call_errors import UNREACHABLE, aws_errors
from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.session import Session

_CHUNK_BYTES = 1 << 20
# A connection that breaks this often without a byte in between is not coming back.
_MAX_READ_ATTEMPTS = 5


@dataclass(frozen=True)
class S3Object:
    """One object of a listing.

    Attributes:
        uri: Where it is.
        key: Its key within the bucket.
        size: Bytes.
        etag: Entity tag, without the quotation marks.
    """

    uri: str
    key: str
    size: int
    etag: str


def parse_uri(uri: str) -> tuple[str, str]:
    """Split an S3 URI.

    Args:
        uri: ``s3://bucket/key``; the key may be empty.

    Returns:
        Bucket and key.

    Raises:
        InputError: If it is not an S3 URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise InputError([f"{uri!r} is not an S3 URI, must be like s3://bucket/prefix"])
    return bucket, key


def join_uri(base: str, *parts: str) -> str:
    """Append parts to an S3 URI with one slash between each two.

    Args:
        base: An S3 URI, with or without a slash at its end.
        parts: What to append; empty ones are left out. A slash at the end of the last one stays.

    Returns:
        The longer URI.
    """
    given = [part for part in parts if part.strip("/")]
    if not given:
        return base
    end = "/" if given[-1].endswith("/") else ""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in given)]) + end


def list_objects(session: Session, uri: str) -> Iterator[S3Object]:
    """List the objects whose key begins with the URI's, page by page.

    Args:
        session: The step's session.
        uri: A prefix; ``s3://bucket`` lists the bucket.

    Yields:
        The objects in S3's order.
    """
    bucket, prefix = parse_uri(uri)
    with aws_errors(f"listing {uri}"):
        for page in session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                key = item["Key"]
                yield S3Object(f"s3://{bucket}/{key}", key, item["Size"], item["ETag"].strip('"'))


def read_bytes(session: Session, uri: str) -> bytes:
    """The whole content of an object.

    Args:
        session: The step's session.
        uri: The object.

    Returns:
        Its bytes.

    Raises:
        ResourceMissingError: If it does not exist.
    """
    return b"".join(read_chunks(session, uri))


def write_bytes(session: Session, uri: str, content: bytes, *, content_type: str = "binary/octet-stream") -> None:
    """Write an object whole.

    Args:
        session: The step's session.
        uri: Where to.
        content: Its bytes.
        content_type: The media type S3 keeps with it.
    """
    bucket, key = parse_uri(uri)
    with aws_errors(f"writing {uri}"):
        session.client("s3").put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)


def read_text(session: Session, uri: str) -> str:
    """The whole content of a UTF-8 object; see :func:`read_bytes`."""
    return read_bytes(session, uri).decode("utf-8")


def write_text(session: Session, uri: str, content: str, *, content_type: str = "text/plain; charset=utf-8") -> None:
    """Write a UTF-8 object whole; see :func:`write_bytes`."""
    write_bytes(session, uri, content.encode(), content_type=content_type)


def open_lines(session: Session, uri: str) -> Iterator[str]:
    """Read a UTF-8 object line by line, holding one chunk of it in memory.

    A connection that breaks is opened again where it broke; an object replaced meanwhile is an error, not a mixture.

    Args:
        session: The step's session.
        uri: The object.

    Yields:
        The lines without their ends (``\\n`` or ``\\r\\n``).

    Raises:
        ResourceMissingError: If it does not exist.
        AwsCallError: If it changed while it was read, or the connection broke for good.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    for chunk in read_chunks(session, uri):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest.removesuffix("\r")


def read_chunks(session: Session, uri: str, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Read an object piece by piece, continued with a range request after a broken connection.

    Args:
        session: The step's session.
        uri: The object.
        begin: The first byte to read, which the object has.
        end: The byte to stop before; None reads to the object's end.

    Yields:
        Its bytes, at most a mebibyte at a time.

    Raises:
        ResourceMissingError: If it does not exist.
        AwsCallError: If it changed while it was read, or the connection broke for good.
    """
    bucket, key = parse_uri(uri)
    client = session.client("s3")
    last = "" if end is None else end - 1
    position, stop, etag, failures = begin, -1, "", 0
    while stop < 0 or position < stop:
        request = {"Bucket": bucket, "Key": key}
        if etag or begin or end is not None:
            request["Range"] = f"bytes={position}-{last}"
        if etag:
            request["IfMatch"] = etag
        with aws_errors(f"reading {uri}"):
            answer = client.get_object(**request)
            if not etag:
                etag, stop = answer["ETag"], begin + answer["ContentLength"]
            try:
                while chunk := answer["Body"].read(_CHUNK_BYTES):
                    position += len(chunk)
                    failures = 0
                    yield chunk
            except UNREACHABLE:
                failures += 1
                if failures == _MAX_READ_ATTEMPTS:
                    raise

"""Many S3 objects at once: find, copy on the server's side, compare and delete them.

One client serves all threads. An object of at most 5 GB is one CopyObject; a larger one is copied in parts, whose
boundaries are the source's own where they can be known, because the entity tag of the copy is then the source's.

API: https://docs.aws.amazon.com/AmazonS3/latest/userguide/CopyingObjectsMPUapi.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.call_errors import ACCESS_DENIED, MISSING, aws_errors, error_code
from kfp_sagemaker.aws.errors import AwsCallError
from kfp_sagemaker.aws.s3 import S3Object, parse_uri
from kfp_sagemaker.aws.session import Session

MIB = 1 << 20
# Amazon S3 user guide, "Amazon S3 multipart upload limits".
SINGLE_COPY_MAX_BYTES = 5 * 1024 * MIB
MIN_PART_BYTES = 5 * MIB
MAX_PARTS = 10_000
# Parts of this size keep a 5 GB archive to ten requests that run at the same time.
PART_BYTES = 512 * MIB
_DELETE_BATCH = 1000
# Below this many keys a HEAD each is as good as a listing.
_LIST_FROM_KEYS = 4
_KEYS_A_PAGE = 200
# A full-object checksum S3 can keep and copy, the strongest first.
_CHECKSUMS = ("ChecksumSHA256", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumCRC32C", "ChecksumCRC32")


@dataclass(frozen=True)
class Found:
    """What there is of the objects asked for.

    Attributes:
        objects: The existing ones, by URI.
        missing: URIs that do not exist, each with the reason.
    """

    objects: dict[str, S3Object]
    missing: dict[str, str]


def find(session: Session, uris: Iterable[str], pool: Executor) -> Found:
    """Look up many objects with as few requests as their places allow.

    Neighbours are found by listing what lies between the first and the last of them; what a few pages do not cover is
    asked for one by one.

    Args:
        session: The step's session.
        uris: The objects.
        pool: Runs the requests.
    """
    found = Found({}, {})
    buckets: dict[str, list[str]] = {}
    for uri in dict.fromkeys(uris):
        bucket, key = parse_uri(uri)
        buckets.setdefault(bucket, []).append(key)
    single: list[tuple[str, str]] = []
    for bucket, keys in buckets.items():
        single += [(bucket, key) for key in _find_by_listing(session, bucket, sorted(keys), found)]
    for (bucket, key), outcome in zip(single, pool.map(lambda place: _head(session, *place), single), strict=True):
        if isinstance(outcome, str):
            found.missing[f"s3://{bucket}/{key}"] = outcome
        else:
            found.objects[outcome.uri] = outcome
    return found


def copy(session: Session, source: S3Object, destination_uri: str, *, kms_key_id: str = "") -> None:
    """Copy an object of at most 5 GB on the server's side.

    Args:
        session: The step's session.
        source: The object; when it changes meanwhile, the copy is refused.
        destination_uri: Where to.
        kms_key_id: Encrypts the copy; empty keeps the bucket's default.
    """
    bucket, key = parse_uri(destination_uri)
    with aws_errors(f"copying {source.uri} to {destination_uri}"):
        session.client("s3").copy_object(
            Bucket=bucket,
            Key=key,
            CopySource=_copy_source(source),
            CopySourceIfMatch=source.etag,
            **_encryption(kms_key_id),
        )


def copy_in_parts(
    session: Session,
    source: S3Object,
    destination_uri: str,
    pool: Executor,
    *,
    kms_key_id: str = "",
    part_bytes: int = PART_BYTES,
) -> None:
    """Copy an object of any size in parts at the same time; what was begun is removed when it fails.

    Args:
        session: The step's session.
        source: The object; when it changes meanwhile, the copy is refused.
        destination_uri: Where to.
        pool: Runs the parts; must not be the pool this call runs in.
        kms_key_id: Encrypts the copy; empty keeps the bucket's default.
        part_bytes: Size of a part where the source's own parts do not say.
    """
    client = session.client("s3")
    bucket, key = parse_uri(destination_uri)
    source_bucket, source_key = parse_uri(source.uri)
    with aws_errors(f"copying {source.uri} to {destination_uri} in parts"):
        head = client.head_object(Bucket=source_bucket, Key=source_key, ChecksumMode="ENABLED")
        options = _encryption(kms_key_id) | {
            name: head[name] for name in ("ContentType", "ContentEncoding", "Metadata") if head.get(name)
        }
        if checksum := next((name for name in _CHECKSUMS if _full_object_checksum(head, name)), None):
            algorithm = checksum.removeprefix("Checksum")
            # A SHA of the whole object cannot be put together from those of its parts; a CRC can.
            if algorithm.startswith("CRC"):
                options |= {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}
        size = _part_size(client, source, part_bytes)
        upload = client.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]
        place = {"Bucket": bucket, "Key": key, "UploadId": upload}

        def copy_part(number: int) -> dict[str, Any]:
            first, last = (number - 1) * size, min(number * size, source.size) - 1
            answer = client.upload_part_copy(
                **place,
                PartNumber=number,
                CopySource=_copy_source(source),
                CopySourceIfMatch=source.etag,
                CopySourceRange=f"bytes={first}-{last}",
            )["CopyPartResult"]
            return {"PartNumber": number} | {k: v for k, v in answer.items() if k == "ETag" or k.startswith("Checksum")}

        try:
            parts = list(pool.map(copy_part, range(1, -(-source.size // size) + 1)))
            client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        except BaseException:  # also when the step is asked to end: unfinished parts are invisible and cost
            client.abort_multipart_upload(**place)
            raise


def same_content(session: Session, source: S3Object, copy_of_it: S3Object) -> str:
    """How far two objects are known to be equal.

    Equal entity tags mean equal bytes. They differ although the bytes agree when one was uploaded in parts or is
    encrypted with KMS: then the checksums S3 keeps of whole objects decide.

    Returns:
        ``ETag``, or the name of the checksum that agrees, such as ``CRC64NVME``; ``size`` when only the sizes agree and
        there is nothing else to compare; empty when the objects differ.
    """
    if source.size != copy_of_it.size:
        return ""
    if source.etag == copy_of_it.etag:
        return "ETag"
    heads = [_checksums(session, item) for item in (source, copy_of_it)]
    for name in _CHECKSUMS:
        ours, theirs = (_full_object_checksum(head, name) for head in heads)
        if ours and theirs:
            return name.removeprefix("Checksum") if ours == theirs else ""
    opaque = any("-" in item.etag for item in (source, copy_of_it)) or any(
        head.get("ServerSideEncryption", "").startswith("aws:kms") for head in heads
    )
    return "size" if opaque else ""


def delete_keys(session: Session, bucket: str, keys: Sequence[str], pool: Executor) -> dict[str, str]:
    """Delete objects, a thousand a request.

    Returns:
        The keys that could not be deleted, each with the reason.
    """
    client = session.client("s3")

    def delete(batch: Sequence[str]) -> list[dict[str, Any]]:
        with aws_errors(f"deleting objects of s3://{bucket}"):
            answer = client.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
        errors: list[dict[str, Any]] = answer.get("Errors", [])
        return errors

    batches = [keys[i : i + _DELETE_BATCH] for i in range(0, len(keys), _DELETE_BATCH)]
    errors = [error for batch in pool.map(delete, batches) for error in batch]
    return {error["Key"]: f"{error.get('Code')}: {error.get('Message')}" for error in errors}


def _find_by_listing(session: Session, bucket: str, keys: list[str], found: Found) -> list[str]:
    """Record the keys that a few pages of a listing decide, and return the others."""
    if len(keys) < _LIST_FROM_KEYS:
        return keys
    client = session.client("s3")
    wanted = set(keys)
    # A proper prefix of the first key sorts before it, so the listing begins there and not at the prefix's start.
    request = {"Bucket": bucket, "Prefix": _common_prefix(keys[0], keys[-1]), "StartAfter": keys[0][:-1]}
    covered = ""
    for _ in range(1 + len(keys) // _KEYS_A_PAGE):
        try:
            page = client.list_objects_v2(**{name: value for name, value in request.items() if value})
        except ClientError as error:
            if error_code(error) == "NoSuchBucket":
                found.missing.update({f"s3://{bucket}/{key}": "the bucket does not exist" for key in keys})
                return []
            if error_code(error) in ACCESS_DENIED:
                return keys  # reading an object needs less than listing its bucket
            with aws_errors(f"listing s3://{bucket}"):
                raise
        for item in page.get("Contents", ()):
            covered = item["Key"]
            if covered in wanted:
                uri = f"s3://{bucket}/{covered}"
                found.objects[uri] = S3Object(uri, covered, item["Size"], item["ETag"].strip('"'))
        if not page.get("IsTruncated"):
            covered = keys[-1]
        if covered >= keys[-1]:
            break
        request["ContinuationToken"] = page["NextContinuationToken"]
    for key in keys:
        uri = f"s3://{bucket}/{key}"
        if key <= covered and uri not in found.objects:
            found.missing[uri] = "no such object"
    return [key for key in keys if key > covered]


def _common_prefix(first: str, last: str) -> str:
    """What all keys of a sorted list begin with: what its first and last one share."""
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _head(session: Session, bucket: str, key: str) -> S3Object | str:
    """The object, or why there is none."""
    uri = f"s3://{bucket}/{key}"
    try:
        head = session.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in MISSING:
            return "no such object"
        if error_code(error) in ACCESS_DENIED:
            return "no such object, or no permission to read it (s3:GetObject, and s3:ListBucket to tell which)"
        with aws_errors(f"looking up {uri}"):
            raise
    return S3Object(uri, key, head["ContentLength"], head["ETag"].strip('"'))


def _checksums(session: Session, item: S3Object) -> dict[str, Any]:
    bucket, key = parse_uri(item.uri)
    with aws_errors(f"reading the checksum of {item.uri}"):
        head: dict[str, Any] = session.client("s3").head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    return head


def _full_object_checksum(head: dict[str, Any], name: str) -> str:
    """A checksum over the whole object; one over the checksums of parts ("...-3") says nothing about another object."""
    value = str(head.get(name) or "")
    return "" if head.get("ChecksumType") == "COMPOSITE" or "-" in value else value


def _part_size(client: Any, source: S3Object, part_bytes: int) -> int:
    smallest = max(part_bytes, -(-source.size // MAX_PARTS))
    _, _, parts = source.etag.partition("-")
    if not parts.isdigit():
        return smallest
    bucket, key = parse_uri(source.uri)
    size = int(client.head_object(Bucket=bucket, Key=key, PartNumber=1).get("ContentLength", 0))
    fits = MIN_PART_BYTES <= size <= SINGLE_COPY_MAX_BYTES and -(-source.size // size) == int(parts)
    return size if fits else smallest


def _copy_source(source: S3Object) -> dict[str, str]:
    bucket, key = parse_uri(source.uri)
    return {"Bucket": bucket, "Key": key}


def _encryption(kms_key_id: str) -> dict[str, Any]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}


def attempt(work: Callable[[], None]) -> AwsCallError | None:
    """Run one of many independent pieces of work; its error is returned, so that the others go on."""
    try:
        work()
    except AwsCallError as error:
        return error
    return None

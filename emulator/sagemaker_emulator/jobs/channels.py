"""Which objects of S3 an input is, and which of them each host gets."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_emulator.jobs.job_record import JobFailure
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.s3_transfer import S3Object, TransferError


@dataclass(frozen=True, slots=True)
class InputFile:
    """An object and its path below the input's folder."""

    source: S3Object
    path: str


def find_files(s3: Any, s3_data_type: str, s3_uri: str) -> list[InputFile]:
    """Return the files of an input, in the order of their keys or of the manifest.

    Args:
        s3: The client of the job's role; blocks.
        s3_data_type: ``S3Prefix`` or ``ManifestFile``.
        s3_uri: The prefix or the manifest.

    Raises:
        TransferError: Something cannot be listed or read, or nothing is there.
    """
    if s3_data_type == "ManifestFile":
        return _files_of_manifest(s3, s3_uri)
    prefix = s3_transfer.parse_uri(s3_uri)[1]
    return [
        InputFile(item, s3_transfer.relative_path(item.key, prefix)) for item in s3_transfer.list_objects(s3, s3_uri)
    ]


def files_of_host(
    files: Sequence[InputFile], host_position: int, host_count: int, distribution: str, shuffle_seed: int | None = None
) -> list[InputFile]:
    """Return the files one host gets: all of them, or with ``ShardedByS3Key`` every ``host_count``-th.

    Args:
        files: The files of the input.
        host_position: The host, counted from 0.
        host_count: How many hosts share the input.
        distribution: ``FullyReplicated`` or ``ShardedByS3Key``.
        shuffle_seed: The seed of a ShuffleConfig: the files are shuffled the same way for all hosts first.
    """
    ordered = list(files)
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(ordered)  # noqa: S311 - reproducible by design
    return ordered[host_position::host_count] if distribution == "ShardedByS3Key" else ordered


def require_files(files: Sequence[InputFile], s3_uri: str, subject: str) -> None:
    """Raise the failure of an input that holds nothing.

    Raises:
        JobFailure: There are no files.
    """
    if not files:
        raise JobFailure(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{s3_uri}" given in {subject}. Please '
            "ensure that objects exist under that prefix"
        )


def _files_of_manifest(s3: Any, s3_uri: str) -> list[InputFile]:
    # [{"prefix": "s3://bucket/some/prefix/"}, "relative/path/to/object-1", ...], S3DataSource in the API reference.
    text = s3_transfer.read_object(s3, s3_uri)
    try:
        first, *names = json.loads(text)
        prefix = first["prefix"]
        bucket, key_prefix = s3_transfer.parse_uri(prefix)
    except (ValueError, TypeError, KeyError) as error:
        raise TransferError(
            f'The manifest {s3_uri} is malformed: expected [{{"prefix": "s3://..."}}, "relative/path", ...]'
        ) from error
    return [InputFile(S3Object(bucket, key_prefix + name, 0), name) for name in names if isinstance(name, str)]

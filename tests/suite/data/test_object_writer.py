from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AwsCallError
from kfp_sagemaker.data.object_writer import MIN_PART_BYTES, ObjectWriter
from sagemaker_emulator.emulator import Emulator


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(max_workers=2) as running:
        yield running


@pytest.fixture
def s3(emulator: Emulator) -> Any:
    return emulator.client("s3")


@pytest.fixture
def bucket(s3: Any, unique_name: str) -> str:
    s3.create_bucket(Bucket=unique_name)
    return unique_name


def writer(s3: Any, bucket: str, executor: Executor) -> ObjectWriter:
    return ObjectWriter(
        s3, f"s3://{bucket}/dir/x", executor=executor, part_bytes=0, request={"ContentType": "text/csv"}
    )


@pytest.mark.parametrize("size", [0, 1, MIN_PART_BYTES - 1, MIN_PART_BYTES, 2 * MIN_PART_BYTES + 5])
def test_an_object_is_what_was_written(s3: Any, bucket: str, executor: Executor, size: int) -> None:
    data = os.urandom(size)
    target = writer(s3, bucket, executor)
    for start in range(0, size, 1 << 20):
        target.write(data[start : start + (1 << 20)])
    target.flush()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    target.complete()
    answer = s3.get_object(Bucket=bucket, Key="dir/x")
    assert answer["Body"].read() == data
    assert answer["ContentType"] == "text/csv"


def test_an_aborted_object_leaves_nothing(s3: Any, bucket: str, executor: Executor) -> None:
    target = writer(s3, bucket, executor)
    target.write(bytes(MIN_PART_BYTES))
    target.write(bytes(MIN_PART_BYTES))
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    target.abort()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_bucket_that_does_not_exist_is_one_clear_error(s3: Any, executor: Executor, unique_name: str) -> None:
    target = writer(s3, f"{unique_name}-missing", executor)
    target.write(b"x")
    with pytest.raises(AwsCallError, match=f"writing s3://{unique_name}-missing/dir/x: .*NoSuchBucket"):
        target.complete()

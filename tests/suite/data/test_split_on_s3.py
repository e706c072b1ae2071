from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker import components
from kfp_sagemaker.aws.errors import DataError, InputError, ResourceMissingError
from kfp_sagemaker.data.split import split_dataset
from sagemaker_emulator.emulator import Emulator
from tests.suite.step_process import StepProcess


@pytest.fixture(autouse=True)
def _on_the_emulator(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(emulator: Emulator) -> Any:
    return emulator.client("s3")


@pytest.fixture
def bucket(s3: Any, unique_name: str) -> str:
    s3.create_bucket(Bucket=unique_name)
    return unique_name


def content(s3: Any, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def keys(s3: Any, bucket: str, prefix: str = "") -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def test_one_object_is_split_and_neighbours_of_its_name_are_not(s3: Any, bucket: str) -> None:
    rows = [f"{number},x\n" for number in range(100)]
    s3.put_object(Bucket=bucket, Key="in/data.csv", Body="".join(rows).encode())
    s3.put_object(Bucket=bucket, Key="in/data.csv.bak", Body=b"old\n")
    outputs = split_dataset(
        input_s3_uri=f"s3://{bucket}/in/data.csv",
        output_s3_uri=f"s3://{bucket}/in/",
        train_fraction=0.7,
        validation_fraction=0.2,
        test_fraction=0.1,
        seed=4,
        tags={"owner": "me"},
    )
    assert outputs.row_counts == {"train": 70, "validation": 20, "test": 10}
    assert outputs.train_s3_uri == f"s3://{bucket}/in/train/train.csv"
    assert outputs.validation_s3_uri == f"s3://{bucket}/in/validation/validation.csv"
    assert outputs.test_s3_uri == f"s3://{bucket}/in/test/test.csv"
    parts = [content(s3, uri).decode().splitlines(keepends=True) for uri in outputs[:3]]
    assert sorted(row for part in parts for row in part) == sorted(rows)
    tags = s3.get_object_tagging(Bucket=bucket, Key="in/train/train.csv")["TagSet"]
    assert tags == [{"Key": "owner", "Value": "me"}]


def test_a_prefix_with_headers_quotes_and_gzip_becomes_compressed_parts(s3: Any, bucket: str) -> None:
    def body(start: int) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["id", "note"])
        writer.writerows([[number, f'line one\nline "two" of {number}'] for number in range(start, start + 50)])
        return text.getvalue().encode()

    s3.put_object(Bucket=bucket, Key="in/a.csv", Body=body(0))
    s3.put_object(Bucket=bucket, Key="in/b.csv.gz", Body=gzip.compress(body(50)))
    s3.put_object(Bucket=bucket, Key="in/c/", Body=b"")
    arguments: dict[str, Any] = {
        "input_s3_uri": f"s3://{bucket}/in/",
        "output_s3_uri": f"s3://{bucket}/out",
        "has_header": True,
        "compression_type": "Gzip",
    }
    outputs = split_dataset(**arguments)
    assert outputs.row_counts == {"train": 70, "validation": 30, "test": 0}
    assert outputs.test_s3_uri == ""
    assert keys(s3, bucket, "out/") == ["out/train/train.csv.gz", "out/validation/validation.csv.gz"]
    ids = []
    for uri in (outputs.train_s3_uri, outputs.validation_s3_uri):
        header, *rows = csv.reader(io.StringIO(gzip.decompress(content(s3, uri)).decode(), newline=""))
        assert header == ["id", "note"]
        assert all(row[1] == f'line one\nline "two" of {row[0]}' for row in rows)
        ids += [int(row[0]) for row in rows]
    assert sorted(ids) == list(range(100))

    first = content(s3, outputs.train_s3_uri)
    split_dataset(**arguments)
    assert content(s3, outputs.train_s3_uri) == first


@pytest.mark.parametrize(
    ("body", "arguments", "error", "message"),
    [
        (b'1,"2\n3,4\n', {}, DataError, "the quote opened in the record at line 1 is never closed"),
        (b"1,2\n", {}, DataError, "validation_fraction 0.3 of the 1 rows there are is no row"),
        (b"\n", {}, DataError, "train_fraction 0.7 and validation_fraction 0.3 of the 0 rows"),
        (b"1\n", {"input_s3_uri": "in/nothing"}, ResourceMissingError, "there is no object at or below"),
        (
            b"1\n",
            {"output_s3_uri": "in/parts", "input_s3_uri": "in/"},
            InputError,
            "must be outside of the input prefix",
        ),
    ],
)
def test_what_cannot_be_split_leaves_nothing_behind(
    s3: Any, bucket: str, body: bytes, arguments: dict[str, str], error: type[Exception], message: str
) -> None:
    s3.put_object(Bucket=bucket, Key="in/data.csv", Body=body)
    given = {"input_s3_uri": "in/data.csv", "output_s3_uri": "out", **arguments}
    with pytest.raises(error, match=message):
        split_dataset(**{name: f"s3://{bucket}/{value}" for name, value in given.items()})  # type: ignore[arg-type]
    assert keys(s3, bucket) == ["in/data.csv"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_bucket_that_does_not_exist_is_one_clear_error(unique_name: str) -> None:
    with pytest.raises(ResourceMissingError, match=f"listing s3://{unique_name}/in.csv: .*NoSuchBucket"):
        split_dataset(input_s3_uri=f"s3://{unique_name}/in.csv", output_s3_uri=f"s3://{unique_name}/out")


# Linux keeps the peak per program; getrusage's would be that of the test's process, from which this one is forked.
MEMORY_PROBE = """
import json, re, sys
from pathlib import Path
from kfp_sagemaker.data.split import split_dataset
def peak_bytes():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
small, large, out = sys.argv[1:]
split_dataset(input_s3_uri=small, output_s3_uri=out + "/small")
before = peak_bytes()
outputs = split_dataset(input_s3_uri=large, output_s3_uri=out + "/large")
print(json.dumps({"grown_bytes": peak_bytes() - before, "rows": outputs.row_counts}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_memory_does_not_grow_with_the_data(s3: Any, bucket: str, emulator: Emulator, tmp_path: Path) -> None:
    row = b"0123456789," * 9 + b"1\n"
    s3.put_object(Bucket=bucket, Key="small.csv", Body=row * 1000)
    s3.put_object(Bucket=bucket, Key="large.csv", Body=row * 1_000_000)  # 100 MB
    uris = [f"s3://{bucket}/{name}" for name in ("small.csv", "large.csv", "out")]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, *uris],
        env={**os.environ, **emulator.env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["rows"] == {"train": 700_000, "validation": 300_000, "test": 0}
    # Two parts of at most two 8 MiB pieces each, and their copies on the way out; the data itself has 100 MB.
    assert measured["grown_bytes"] < 70 << 20


def test_sigterm_discards_what_was_uploaded(s3: Any, bucket: str, emulator: Emulator, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="in.csv", Body=(b"0123456789," * 9 + b"1\n") * 1_000_000)
    step = StepProcess(components.split_dataset, tmp_path, emulator.env)
    with step.started(input_s3_uri=f"s3://{bucket}/in.csv", output_s3_uri=f"s3://{bucket}/out") as process:
        deadline = time.monotonic() + 60
        while "Uploads" not in s3.list_multipart_uploads(Bucket=bucket):
            assert process.poll() is None, "the step ended before it uploaded anything"
            assert time.monotonic() < deadline
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode != 0
    assert keys(s3, bucket) == ["in.csv"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import InputError, ResourceMissingError
from kfp_sagemaker.data.source import pack, upload_source
from sagemaker_emulator.emulator import Emulator

FILES = {"train.py": "print('hé')\n", "package/__init__.py": "", "requirements.txt": "pandas\n"}


@pytest.fixture
def s3(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return emulator.client("s3")


@pytest.fixture
def bucket(s3: Any, unique_name: str) -> str:
    s3.create_bucket(Bucket=unique_name)
    return unique_name


def unpacked(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        return {member.name: opened.extractfile(member).read().decode() for member in opened}  # type: ignore[union-attr]


def test_an_archive_holds_the_files_and_nothing_of_when_or_who() -> None:
    archive = pack(FILES)
    assert unpacked(archive) == FILES
    assert pack(dict(reversed(FILES.items()))) == archive
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        assert {(member.mtime, member.uid, member.mode) for member in opened} == {(0, 0, 0o644)}


def test_a_long_unicode_path_is_kept() -> None:
    path = "ordner-ü/" * 30 + "x.py"
    assert unpacked(pack({path: "1"})) == {path: "1"}


def test_below_a_prefix_the_contents_decide_the_place(s3: Any, bucket: str) -> None:
    first = upload_source(files=FILES, s3_uri=f"s3://{bucket}/code/").source_s3_uri
    again = upload_source(files=FILES, s3_uri=f"s3://{bucket}/code").source_s3_uri
    other = upload_source(files={**FILES, "x.py": ""}, s3_uri=f"s3://{bucket}/code").source_s3_uri
    assert first == again
    assert other != first
    assert first.startswith(f"s3://{bucket}/code/")
    assert first.endswith("/sourcedir.tar.gz")
    body = s3.get_object(Bucket=bucket, Key=first.removeprefix(f"s3://{bucket}/"))["Body"].read()
    assert unpacked(body) == FILES


def test_the_same_archive_is_not_uploaded_again(s3: Any, bucket: str) -> None:
    uri = f"s3://{bucket}/code/mine.tar.gz"
    assert upload_source(files=FILES, s3_uri=uri, tags={"owner": "me"}).source_s3_uri == uri
    s3.delete_object_tagging(Bucket=bucket, Key="code/mine.tar.gz")
    upload_source(files=FILES, s3_uri=uri, tags={"owner": "me"})
    assert s3.get_object_tagging(Bucket=bucket, Key="code/mine.tar.gz")["TagSet"] == []
    upload_source(files={"a.py": "1"}, s3_uri=uri, tags={"owner": "me"})
    assert s3.get_object_tagging(Bucket=bucket, Key="code/mine.tar.gz")["TagSet"] == [{"Key": "owner", "Value": "me"}]
    assert unpacked(s3.get_object(Bucket=bucket, Key="code/mine.tar.gz")["Body"].read()) == {"a.py": "1"}


def test_a_bucket_that_does_not_exist_is_one_clear_error(s3: Any, unique_name: str) -> None:
    with pytest.raises(ResourceMissingError, match=f"uploading s3://{unique_name}/x.tar.gz: .*NoSuchBucket"):
        upload_source(files=FILES, s3_uri=f"s3://{unique_name}/x.tar.gz")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"files": {}}, "files is {}, must be an object of paths and texts with at least one file"),
        ({"files": ["train.py"]}, "files is ['train.py'], must be an object"),
        ({"files": {"/etc/passwd": ""}}, "files is '/etc/passwd', must be a relative path inside the archive"),
        ({"files": {"a/../../b": ""}}, "files is 'a/../../b', must be a relative path"),
        ({"files": {"": "x"}}, "files is '', must be a relative path"),
        ({"files": {"dir/": "x"}}, "files is 'dir/', must be a relative path"),
        ({"files": {"a.py": 1.0}}, "files.a.py is 1.0, must be text"),
        ({"s3_uri": "code"}, "s3_uri is 'code', must be an S3 URI"),
        ({"s3_uri": ""}, "s3_uri is '', must be given"),
        ({"tags": {"aws:x": "1"}}, "tags has the key 'aws:x'"),
    ],
)
def test_one_wrong_argument_is_one_problem_before_any_call(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match="upload_source: 1 invalid argument") as caught:
        upload_source(**{"files": FILES, "s3_uri": "s3://bucket/code", **arguments})
    assert caught.value.problems[0].startswith(problem)

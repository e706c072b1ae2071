from __future__ import annotations

import io
from typing import Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import AwsCallError, InputError, ResourceMissingError
from kfp_sagemaker.aws.session import Session
from tests.suite.aws.scripted import ScriptedClient, ScriptedSession, refusal


class Bucket:
    """One object behind a connection that breaks after so many bytes, as often as wanted."""

    def __init__(self, content: bytes, breaks: int = 0, break_after: int = 0) -> None:
        self.content = content
        self.breaks = breaks
        self.break_after = break_after
        self.client = ScriptedClient({"get_object": self.get})
        self.session = cast(Session, ScriptedSession(s3=self.client))

    def get(self, Range: str = "bytes=0-", IfMatch: str = '"e"', **_: Any) -> Any:  # noqa: N803
        if IfMatch != '"e"':
            return refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        start = int(Range.removeprefix("bytes=").removesuffix("-"))
        rest = self.content[start:]
        return {"Body": self.body(rest), "ContentLength": len(rest), "ETag": '"e"'}

    def body(self, rest: bytes) -> Any:
        if self.breaks == 0:
            return io.BytesIO(rest)
        self.breaks -= 1
        good = io.BytesIO(rest[: self.break_after])

        class Broken:
            def read(self, size: int) -> bytes:
                chunk = good.read(size)
                if not chunk:
                    raise ReadTimeoutError(endpoint_url="https://s3")
                return chunk

        return Broken()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("s3://b/k/x", ("b", "k/x")), ("s3://b", ("b", "")), ("s3://b/", ("b", "")), ("s3://b//k", ("b", "/k"))],
)
def test_parse_uri(uri: str, expected: tuple[str, str]) -> None:
    assert s3.parse_uri(uri) == expected


@pytest.mark.parametrize("uri", ["", "b/k", "s3:/b", "s3://", "https://b/k", "S3://b"])
def test_what_is_no_uri(uri: str) -> None:
    with pytest.raises(InputError, match="must be like s3://bucket/prefix"):
        s3.parse_uri(uri)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("s3://b", "k"), "s3://b/k"),
        (("s3://b/", "/k/", "x"), "s3://b/k/x"),
        (("s3://b/p", "", "x/"), "s3://b/p/x/"),
        (("s3://b/p/",), "s3://b/p/"),
        (("s3://b/p", "/"), "s3://b/p"),
    ],
)
def test_join_uri(parts: tuple[str, ...], expected: str) -> None:
    assert s3.join_uri(*parts) == expected


@given(st.lists(st.from_regex(r"/?[ab é]+(/[ab é]+)*/?", fullmatch=True), max_size=4))
def test_joining_never_makes_an_empty_step(parts: list[str]) -> None:
    bucket, key = s3.parse_uri(s3.join_uri("s3://bucket/", *parts))
    assert bucket == "bucket"
    assert "//" not in f"/{key}"
    assert [step for step in key.split("/") if step] == [step for part in parts for step in part.split("/") if step]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\nb", ["a", "", "b"]),
        ("\ufeffé,ü\n".encode(), ["é,ü"]),
        ("a\u2028b\x0bc\n".encode(), ["a\u2028b\x0bc"]),
    ],
)
def test_lines(content: bytes, lines: list[str]) -> None:
    assert list(s3.open_lines(Bucket(content).session, "s3://b/k")) == lines


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7])
def test_lines_do_not_depend_on_where_chunks_end(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_CHUNK_BYTES", chunk_bytes)
    content = "äöü,1\r\n\r\nßé,2\nlast".encode()
    assert list(s3.open_lines(Bucket(content).session, "s3://b/k")) == ["äöü,1", "", "ßé,2", "last"]


def test_a_broken_connection_is_continued_where_it_broke() -> None:
    content = "\n".join(str(number) for number in range(1000)).encode()
    bucket = Bucket(content, breaks=20, break_after=100)
    assert s3.read_bytes(bucket.session, "s3://b/k") == content
    assert len(bucket.client.calls) == 21
    assert bucket.client.calls[1][1] == {"Bucket": "b", "Key": "k", "Range": "bytes=100-", "IfMatch": '"e"'}


def test_a_connection_that_gives_nothing_is_given_up() -> None:
    bucket = Bucket(b"abc", breaks=99)
    with pytest.raises(AwsCallError, match="reading s3://b/k: AWS could not be reached"):
        s3.read_bytes(bucket.session, "s3://b/k")
    assert len(bucket.client.calls) == 5


def test_an_object_replaced_meanwhile_is_an_error() -> None:
    bucket = Bucket(b"a" * 200, breaks=1, break_after=100)
    changed = refusal("PreconditionFailed", "did not hold", "GetObject", status=412)
    bucket.client.scripts["get_object"] = [bucket.get, changed]
    with pytest.raises(AwsCallError, match="PreconditionFailed"):
        s3.read_bytes(bucket.session, "s3://b/k")


def test_a_missing_object_is_named() -> None:
    client = ScriptedClient({"get_object": refusal("NoSuchKey", "The specified key does not exist.", "GetObject")})
    with pytest.raises(ResourceMissingError, match="reading s3://b/k"):
        s3.read_text(cast(Session, ScriptedSession(s3=client)), "s3://b/k")


def test_objects_are_written_read_and_listed(emulator: Any, monkeypatch: pytest.MonkeyPatch, unique_name: str) -> None:
    from kfp_sagemaker.aws.session import open_session

    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    session = open_session("us-east-1")
    session.client("s3").create_bucket(Bucket=unique_name)
    base = f"s3://{unique_name}/folder"
    for number in range(3):
        s3.write_text(session, s3.join_uri(base, f"{number}.csv"), f"a,{number}\nb,ü")
    assert s3.read_text(session, f"{base}/1.csv") == "a,1\nb,ü"
    assert list(s3.open_lines(session, f"{base}/2.csv")) == ["a,2", "b,ü"]
    found = list(s3.list_objects(session, base))
    assert [(item.uri, item.key, item.size) for item in found] == [
        (f"{base}/{number}.csv", f"folder/{number}.csv", 8) for number in range(3)
    ]
    assert all('"' not in item.etag for item in found)
    with pytest.raises(ResourceMissingError, match="NoSuchBucket"):
        list(s3.list_objects(session, f"s3://{unique_name}-missing"))

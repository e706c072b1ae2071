"""Publishing archives: pairing and checks, and the copies themselves on the emulator's S3."""

from __future__ import annotations

import io
import json
import os
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AwsCallError, InputError, ResourceMissingError
from kfp_sagemaker.aws.s3 import S3Object, list_objects
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.models import publication_plan, publish, s3_objects
from sagemaker_emulator.emulator import Emulator
from tests.suite.aws.scripted import ScriptedClient, ScriptedSession, refusal

MIB = 1 << 20


@pytest.fixture
def bucket(session: Session, unique_name: str) -> str:
    name = f"publish-{unique_name[-8:]}"
    session.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def put(session: Session, bucket: str) -> Callable[..., str]:
    def call(key: str, body: bytes = b"archive", **options: Any) -> str:
        session.client("s3").put_object(Bucket=bucket, Key=key, Body=body, **options)
        return f"s3://{bucket}/{key}"

    return call


def contents(session: Session, uri: str) -> dict[str, bytes]:
    bucket = uri.split("/")[2]
    client = session.client("s3")
    return {
        item.uri.removeprefix(uri): client.get_object(Bucket=bucket, Key=item.key)["Body"].read()
        for item in list_objects(session, uri)
    }


# The plan


def test_sources_and_names_are_paired_in_order() -> None:
    plan = publication_plan.build(
        ["s3://bucket/a.tar.gz", "s3://bucket/b.tar.gz"], ["A/A.tar.gz", "B"], "s3://bucket/mme"
    )
    assert [(item.source_uri, item.destination_uri) for item in plan.copies] == [
        ("s3://bucket/a.tar.gz", "s3://bucket/mme/A/A.tar.gz"),
        ("s3://bucket/b.tar.gz", "s3://bucket/mme/B"),
    ]


def test_one_source_serves_all_names() -> None:
    plan = publication_plan.build(["s3://bucket/a.tar.gz"], ["1", "2", "3"], "s3://bucket/mme/")
    assert {item.source_uri for item in plan.copies} == {"s3://bucket/a.tar.gz"}
    assert len(plan.copies) == 3


@pytest.mark.parametrize(
    ("urls", "names", "destination", "options", "message"),
    [
        ([], ["a"], "s3://bucket/mme/", {}, "model_data_urls is"),
        (["s3://bucket/a"], [], "s3://bucket/mme/", {}, r"target_models is \[\], must be given"),
        (["s3://bucket/a"], ["a"], "", {}, "destination_s3_uri is '', must be given"),
        (["s3://bucket/a"], ["a"], "bucket/mme", {}, "destination_s3_uri is 'bucket/mme', must be an S3 URI"),
        (["bucket/a"], ["a"], "s3://bucket/mme/", {}, r"model_data_urls\[0\] is 'bucket/a'"),
        (["s3://bucket/a/"], ["a"], "s3://bucket/mme/", {}, "an archive and not a prefix"),
        ([7.0], ["a"], "s3://bucket/mme/", {}, r"model_data_urls\[0\] is 7.0"),
        (["s3://bucket/a", "s3://bucket/b"], ["a", "b", "c"], "s3://bucket/mme/", {}, "2 archives', must be one, or 3"),
        (["s3://bucket/a"], ["a", "a"], "s3://bucket/mme/", {}, "not given twice"),
        (["s3://bucket/a"], ["../a"], "s3://bucket/mme/", {}, r"target_models\[0\] is '../a'"),
        (["s3://bucket/a"], ["/a"], "s3://bucket/mme/", {}, "a path below the destination"),
        (["s3://bucket/a"], ["a"], "s3://bucket/mme/", {"max_concurrency": -1}, "from 1 to 128"),
        (["s3://bucket/a"], ["a"], "s3://bucket/", {"clear_stale": True}, "a prefix inside the bucket"),
        (["s3://bucket/mme/x"], ["a"], "s3://bucket/mme/", {"clear_stale": True}, "clear_stale would delete it"),
    ],
)
def test_a_wrong_argument_is_named(
    urls: list[Any], names: list[str], destination: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        publication_plan.build(urls, names, destination, **options)


# Publishing


def test_archives_are_copied_verified_and_reported(session: Session, bucket: str, put: Callable[..., str]) -> None:
    sources = [put(f"jobs/{city}/output/model.tar.gz", city.encode()) for city in ("Chicago", "Dallas", "Houston")]
    lines: list[str] = []
    plan = publication_plan.build(sources, ["C/C.tar.gz", "D/D.tar.gz", "H/H.tar.gz"], f"s3://{bucket}/mme/")
    assert publish.run(session, plan, sink=lines.append) == (["C/C.tar.gz", "D/D.tar.gz", "H/H.tar.gz"], 3, 0, 0)
    assert contents(session, f"s3://{bucket}/mme/") == {
        "C/C.tar.gz": b"Chicago",
        "D/D.tar.gz": b"Dallas",
        "H/H.tar.gz": b"Houston",
    }
    assert f"Published C/C.tar.gz (7 bytes, same ETag) from {sources[0]}." in lines


def test_a_retry_copies_only_what_is_missing(session: Session, bucket: str, put: Callable[..., str]) -> None:
    sources = [put("one.tar.gz", b"1"), put("two.tar.gz", b"2")]
    plan = publication_plan.build(sources, ["1", "2"], f"s3://{bucket}/mme/")
    publish.run(session, plan)
    session.client("s3").delete_object(Bucket=bucket, Key="mme/2")
    assert publish.run(session, plan)[1:] == (1, 1, 0)


def test_replacing_an_archive_warns_of_the_cache(session: Session, bucket: str, put: Callable[..., str]) -> None:
    put("mme/one", b"old")
    plan = publication_plan.build([put("one.tar.gz", b"new")], ["one"], f"s3://{bucket}/mme/")
    lines: list[str] = []
    assert publish.run(session, plan, sink=lines.append).published_count == 1
    assert any(line.startswith("WARNING: one replaces another archive") for line in lines)
    assert contents(session, f"s3://{bucket}/mme/") == {"one": b"new"}


def test_stale_archives_go_and_neighbours_stay(session: Session, bucket: str, put: Callable[..., str]) -> None:
    put("mme/old", b"old")
    put("mme-other/kept", b"kept")
    put("mme/one", b"1")
    plan = publication_plan.build([put("one.tar.gz", b"1")], ["one"], f"s3://{bucket}/mme", clear_stale=True)
    assert publish.run(session, plan)[1:] == (0, 1, 1)
    assert contents(session, f"s3://{bucket}/mme/") == {"one": b"1"}
    assert contents(session, f"s3://{bucket}/mme-other/") == {"kept": b"kept"}


def test_all_missing_sources_are_named_before_anything_is_touched(
    session: Session, bucket: str, put: Callable[..., str]
) -> None:
    put("mme/stale")
    there = put("jobs/there")
    missing = [f"s3://{bucket}/jobs/{index}" for index in range(6)] + ["s3://no-such-bucket-at-all/a"]
    names = [str(index) for index in range(8)]
    plan = publication_plan.build([there, *missing], names, f"s3://{bucket}/mme/", clear_stale=True)
    with pytest.raises(ResourceMissingError, match="7 of 8 model archives do not exist") as caught:
        publish.run(session, plan)
    assert all(uri in str(caught.value) for uri in missing)
    assert list(contents(session, f"s3://{bucket}/mme/")) == ["stale"]


def test_a_destination_that_does_not_exist(session: Session, put: Callable[..., str]) -> None:
    plan = publication_plan.build([put("one")], ["1"], "s3://no-such-bucket-at-all/mme/")
    with pytest.raises(ResourceMissingError, match="no-such-bucket-at-all"):
        publish.run(session, plan)


def test_an_archive_over_the_limit_is_copied_in_parts(session: Session, bucket: str, put: Callable[..., str]) -> None:
    body = os.urandom(11 * MIB)
    source = put("big.tar.gz", body, ContentType="application/gzip", Metadata={"job": "train-1"})
    plan = publication_plan.build([source], ["big"], f"s3://{bucket}/mme/")
    run = lambda: publish.run(session, plan, single_copy_max_bytes=5 * MIB, part_bytes=5 * MIB)  # noqa: E731
    assert run().published_count == 1
    head = session.client("s3").head_object(Bucket=bucket, Key="mme/big")
    assert contents(session, f"s3://{bucket}/mme/") == {"big": body}
    assert head["ETag"].strip('"').endswith("-3"), "three parts"
    assert (head["ContentType"], head["Metadata"]) == ("application/gzip", {"job": "train-1"})


def test_an_archive_uploaded_in_parts_is_recognised_on_a_retry(session: Session, bucket: str) -> None:
    client = session.client("s3")
    from boto3.s3.transfer import TransferConfig

    client.upload_fileobj(
        io.BytesIO(os.urandom(11 * MIB)),
        bucket,
        "parts.tar.gz",
        Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB),
    )
    plan = publication_plan.build([f"s3://{bucket}/parts.tar.gz"], ["parts"], f"s3://{bucket}/mme/")
    assert publish.run(session, plan, single_copy_max_bytes=5 * MIB, part_bytes=5 * MIB).published_count == 1
    assert publish.run(session, plan, single_copy_max_bytes=5 * MIB, part_bytes=5 * MIB).unchanged_count == 1


def test_throttling_is_ridden_out(start_emulator: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = start_emulator()
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    session = open_session()
    client = session.client("s3")
    client.create_bucket(Bucket="throttled")
    client.put_object(Bucket="throttled", Key="one", Body=b"1")
    faults = json.dumps({"throttle_share": 0.3, "operations": ["CopyObject", "ListObjectsV2"]}).encode()
    request = urllib.request.Request(f"{emulator.endpoint_url}/_emulator/faults", faults, method="POST")  # noqa: S310
    urllib.request.urlopen(request).close()  # noqa: S310  loopback
    plan = publication_plan.build(["s3://throttled/one"], [str(index) for index in range(30)], "s3://throttled/mme/")
    assert publish.run(session, plan).published_count == 30


def test_a_failed_copy_does_not_stop_the_others() -> None:
    listing = {"Contents": [{"Key": "k", "Size": 1, "ETag": '"e"'}], "IsTruncated": False}

    def copy(**parameters: Any) -> dict[str, Any]:
        if parameters["Key"].endswith("2"):
            raise refusal("PreconditionFailed", "the source changed", "CopyObject", 412)
        return {}

    copied = [{"Key": f"mme/{name}", "Size": 1, "ETag": '"e"'} for name in ("1", "3")]

    class Pages:
        def __init__(self) -> None:
            self.answers = [[{}], [{"Contents": copied}]]

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return self.answers.pop(0)

    pages = Pages()
    client = ScriptedClient(
        {
            "head_object": {"ContentLength": 1, "ETag": '"e"'},
            "list_objects_v2": listing,
            "copy_object": copy,
            "get_paginator": None,
        }
    )
    client.get_paginator = lambda _: pages  # type: ignore[method-assign]
    plan = publication_plan.build(["s3://bucket/k"], ["1", "2", "3"], "s3://bucket/mme/")
    session: Any = ScriptedSession(s3=client)
    with pytest.raises(AwsCallError, match="1 of 3 models could not be published") as caught:
        publish.run(session, plan)
    assert "2: copying s3://bucket/k to s3://bucket/mme/2" in str(caught.value)
    assert len(client.named("copy_object")) == 3


def test_parts_of_a_failed_copy_are_taken_away() -> None:
    client = ScriptedClient(
        {
            "head_object": {"ContentLength": 10 * MIB, "ETag": '"e"'},
            "create_multipart_upload": {"UploadId": "upload"},
            "upload_part_copy": refusal("PreconditionFailed", "the source changed", "UploadPartCopy", 412),
            "abort_multipart_upload": {},
        }
    )
    session: Any = ScriptedSession(s3=client)
    source = S3Object("s3://bucket/big", "big", 10 * MIB, "e")
    with ThreadPoolExecutor(2) as pool, pytest.raises(AwsCallError, match="the source changed"):
        s3_objects.copy_in_parts(session, source, "s3://bucket/mme/big", pool, part_bytes=5 * MIB)
    assert client.named("abort_multipart_upload") == [{"Bucket": "bucket", "Key": "mme/big", "UploadId": "upload"}]


def test_parts_are_as_the_source_was_uploaded() -> None:
    client = ScriptedClient(
        {
            "head_object": lambda **request: {"ContentLength": 8 * MIB if "PartNumber" in request else 20 * MIB},
            "create_multipart_upload": {"UploadId": "upload"},
            "upload_part_copy": {"CopyPartResult": {"ETag": "part", "LastModified": "now"}},
            "complete_multipart_upload": {},
        }
    )
    session: Any = ScriptedSession(s3=client)
    source = S3Object("s3://bucket/big", "big", 20 * MIB, "e-3")
    with ThreadPoolExecutor(2) as pool:
        s3_objects.copy_in_parts(session, source, "s3://bucket/mme/big", pool)
    ranges = sorted(call["CopySourceRange"] for call in client.named("upload_part_copy"))
    assert ranges == sorted(
        [f"bytes=0-{8 * MIB - 1}", f"bytes={8 * MIB}-{16 * MIB - 1}", f"bytes={16 * MIB}-{20 * MIB - 1}"]
    )
    (complete,) = client.named("complete_multipart_upload")
    assert complete["MultipartUpload"]["Parts"] == [{"PartNumber": n, "ETag": "part"} for n in (1, 2, 3)]


# Finding and comparing


def test_neighbours_are_found_by_one_listing(session: Session, bucket: str, put: Callable[..., str]) -> None:
    uris = [put(f"jobs/{index:03}/model.tar.gz") for index in range(20)]
    calls: list[str] = []
    session.client("s3").meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    with ThreadPoolExecutor(4) as pool:
        found = s3_objects.find(session, [*uris, f"s3://{bucket}/jobs/missing"], pool)
    assert set(found.objects) == set(uris)
    assert found.missing == {f"s3://{bucket}/jobs/missing": "no such object"}
    assert calls == ["ListObjectsV2"]


def test_scattered_objects_are_asked_for_one_by_one(session: Session, bucket: str, put: Callable[..., str]) -> None:
    wanted = [put("a"), put("m1"), put("m2"), put("z")]
    for index in range(12):
        put(f"b{index:02}")
    client = session.client("s3")
    # Small pages stand in for a bucket with thousands of other keys in between.
    client.meta.events.register("before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=3))
    with ThreadPoolExecutor(4) as pool:
        found = s3_objects.find(session, wanted, pool)
    assert set(found.objects) == set(wanted)
    assert not found.missing


@pytest.mark.parametrize(
    ("source", "copy", "heads", "proof"),
    [
        (("a", 1), ("a", 1), [], "ETag"),
        (("a", 1), ("a", 2), [], ""),
        (("a", 1), ("b", 1), [{}, {}], ""),
        (("a-2", 1), ("b", 1), [{}, {}], "size"),
        (("a", 1), ("b", 1), [{"ServerSideEncryption": "aws:kms"}, {}], "size"),
        (("a-2", 1), ("b", 1), [{"ChecksumCRC64NVME": "x"}, {"ChecksumCRC64NVME": "x"}], "CRC64NVME"),
        (("a-2", 1), ("b", 1), [{"ChecksumCRC64NVME": "x"}, {"ChecksumCRC64NVME": "y"}], ""),
        (
            ("a-2", 1),
            ("b-2", 1),
            [
                {"ChecksumSHA256": "x", "ChecksumType": "COMPOSITE"},
                {"ChecksumSHA256": "y", "ChecksumType": "FULL_OBJECT"},
            ],
            "size",
        ),
    ],
)
def test_what_proves_a_copy(
    source: tuple[str, int], copy: tuple[str, int], heads: list[dict[str, str]], proof: str
) -> None:
    one, two = (S3Object(f"s3://bucket/{etag}", etag, size, etag) for etag, size in (source, copy))
    session: Any = ScriptedSession(s3=ScriptedClient({"head_object": heads}))
    assert s3_objects.same_content(session, one, two) == proof

"""Multi-model endpoints over HTTP with boto3: loading, eviction, bad archives, metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.hosting.conftest import archive


def test_target_models_are_loaded_when_first_invoked_and_added_while_it_serves(bench: Any) -> None:
    bench.put_model("models/a.tar.gz", "weights of a")
    bench.deploy(bench.multi_model_container())
    assert bench.invoke(TargetModel="a.tar.gz")["model"] == "weights of a"
    bench.put_model("models/deep/b.tar.gz", "weights of b")
    answer = bench.invoke(TargetModel="deep/b.tar.gz")
    assert (answer["model"], answer["loaded"]) == ("weights of b", 2)
    # An archive uploaded anew is not seen while the old one is loaded.
    bench.put_model("models/a.tar.gz", "new weights")
    assert bench.invoke(TargetModel="a.tar.gz")["model"] == "weights of a"


def test_what_is_wrong_with_a_target_model_is_said(bench: Any) -> None:
    outside = bench.emulator.state_dir.parent / f"{bench.name}-outside"
    bench.s3.put_object(
        Bucket=bench.bucket,
        Key="models/escape.tar.gz",
        Body=archive({"weights.txt": b"w", f"{'../' * 30}{outside.relative_to('/')}": b"escaped"}),
    )
    bench.s3.put_object(Bucket=bench.bucket, Key="models/broken.tar.gz", Body=b"this is no archive")
    bench.s3.put_object(Bucket=bench.bucket, Key="models/empty.tar.gz", Body=archive({"other.txt": b""}))
    bench.put_model("models/good.tar.gz", "fine")
    bench.deploy(bench.multi_model_container())

    with pytest.raises(ClientError) as caught:
        bench.invoke(TargetModel="missing.tar.gz")
    assert caught.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": f"Failed to download model data(bucket: {bench.bucket}, key: models/missing.tar.gz). Please ensure "
        "that there is an object located at the URL and that the role passed to CreateModel has permissions to "
        "download the model.",
    }
    for key in ("broken.tar.gz", "escape.tar.gz"):
        with pytest.raises(ClientError, match="Failed to extract model data archive") as caught:
            bench.invoke(TargetModel=key)
        assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert not outside.exists()
    with pytest.raises(ClientError, match=r"Received server error \(500\) from model .*weights.txt is missing"):
        bench.invoke(TargetModel="empty.tar.gz")
    assert bench.invoke(TargetModel="good.tar.gz")["model"] == "fine"

    with pytest.raises(ClientError, match="is missing a target model header"):
        bench.invoke()
    # A model that was not there is looked for again.
    bench.put_model("models/missing.tar.gz", "late")
    assert bench.invoke(TargetModel="missing.tar.gz")["model"] == "late"


def test_other_endpoints_take_no_target_model(bench: Any) -> None:
    name = bench.deploy(bench.container())
    with pytest.raises(ClientError, match=f"Endpoint {name} is not a multi-model endpoint and does not support"):
        bench.invoke(TargetModel="a.tar.gz")


def test_concurrent_invocations_of_a_cold_model_share_one_load(bench: Any) -> None:
    bench.put_model("models/a.tar.gz")
    bench.deploy(bench.multi_model_container())
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: bench.invoke(TargetModel="a.tar.gz"), range(10)))
    assert {answer["loaded"] for answer in answers} == {1}
    hits = bench.metric("ModelCacheHit", sample_count=10)
    assert hits["Sum"] < 10


def test_multi_model_container_in_a_pipeline(bench: Any) -> None:
    bench.put_model("models/a.tar.gz", "weights of a")
    bench.deploy(
        bench.container(env={"NAME": "first"}, ContainerHostname="first"),
        bench.multi_model_container(env={"NAME": "second"}, ContainerHostname="second"),
    )
    answer = bench.invoke("1,2", TargetModel="a.tar.gz", Accept="text/csv")
    assert (answer["name"], answer["model"], answer["accept"]) == ("second", "weights of a", "text/csv")
    first = json.loads(answer["body"])
    assert (first["name"], first["body"], first["content_type"]) == ("first", "1,2", "text/csv")
    # The second container gets what the first one says it answers.
    assert answer["content_type"] == "application/json"


def test_memory_budget_unloads_the_least_recently_used(open_bench: Callable[..., Any]) -> None:
    # A model counts its 3 MiB and 1 MiB of overhead: three fit into 13 MiB.
    bench = open_bench(multi_model_memory_mb=13)
    for name in "abcd":
        bench.put_model(f"models/{name}.tar.gz", name, size=3 * 1024 * 1024)
    bench.deploy(bench.multi_model_container())
    for name in "abcabdabd":
        answer = bench.invoke(TargetModel=f"{name}.tar.gz")
        assert answer["model"] == name
        assert answer["loaded"] <= 3
    # Loaded: a, b, c, and d in place of c; the last a, b, d were hits.
    assert bench.metric("ModelCacheHit", sample_count=9)["Sum"] == 5
    assert bench.metric("ModelUnloadingTime", sample_count=1)["Minimum"] > 0
    assert bench.metric("ModelLoadingTime", sample_count=4)["Minimum"] > 0
    assert bench.metric("ModelDownloadingTime", sample_count=4)["Minimum"] > 0
    assert bench.metric("ModelLoadingWaitTime", sample_count=4)["Minimum"] > 0
    instance = {"namespace": "/aws/sagemaker/Endpoints", "sample_count": 1}
    assert bench.metric("LoadedModelCount", **instance)["Maximum"] == 3
    assert 90 < bench.metric("MemoryUtilization", **instance)["Maximum"] <= 100
    # c comes back from disk.
    assert bench.invoke(TargetModel="c.tar.gz")["model"] == "c"
    bench.metric("ModelLoadingTime", sample_count=5)
    assert bench.metric("ModelDownloadingTime", sample_count=4)["SampleCount"] == 4
    bench.put_model("models/huge.tar.gz", size=20 * 1024 * 1024)
    with pytest.raises(ClientError, match="507"):
        bench.invoke(TargetModel="huge.tar.gz")


def test_container_out_of_memory_makes_room(bench: Any) -> None:
    for name in "abc":
        bench.put_model(f"models/{name}.tar.gz", name)
    bench.deploy(bench.multi_model_container(env={"MAX_MODELS": "2"}))
    for name in "abcab":
        answer = bench.invoke(TargetModel=f"{name}.tar.gz")
        assert (answer["model"], answer["loaded"] <= 2) == (name, True)


def test_model_cache_can_be_disabled(bench: Any) -> None:
    for name in "ab":
        bench.put_model(f"models/{name}.tar.gz", name)
    bench.deploy(bench.multi_model_container(MultiModelConfig={"ModelCacheSetting": "Disabled"}))
    assert bench.invoke(TargetModel="a.tar.gz")["model"] == "a"
    # Nothing is kept: the archive uploaded anew is what the next invocation gets.
    bench.put_model("models/a.tar.gz", "new")
    assert bench.invoke(TargetModel="a.tar.gz")["model"] == "new"
    assert bench.invoke(TargetModel="b.tar.gz")["loaded"] == 1

"""InvokeEndpoint over HTTP with boto3: pipelines, model errors, limits, metrics."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_serial_pipeline_passes_answers_on(bench: Any) -> None:
    bench.deploy(bench.container(env={"NAME": "one"}), bench.container(env={"NAME": "two"}))
    answer = bench.invoke("1,2", Accept="text/plain")
    assert (answer["name"], answer["content_type"], answer["accept"]) == ("two", "application/json", "text/plain")
    first = json.loads(answer["body"])
    assert (first["name"], first["body"], first["content_type"]) == ("one", "1,2", "text/csv")
    with pytest.raises(ClientError, match="not a multi-container endpoint with direct invocation"):
        bench.invoke(TargetContainerHostname="one")


def test_direct_pipeline_invokes_one_container(bench: Any) -> None:
    model = bench.create_model(
        bench.container(env={"NAME": "one"}, ContainerHostname="one"),
        bench.container(env={"NAME": "two"}, ContainerHostname="two"),
        InferenceExecutionConfig={"Mode": "Direct"},
    )
    bench.sagemaker.create_endpoint(
        EndpointName=bench.name, EndpointConfigName=bench.create_config(bench.variant(model))
    )
    bench.wait("InService")
    for name in ("one", "two"):
        assert bench.invoke("1,2", TargetContainerHostname=name)["name"] == name
    with pytest.raises(ClientError, match="missing a target container hostname header"):
        bench.invoke()
    with pytest.raises(ClientError, match="'three'"):
        bench.invoke(TargetContainerHostname="three")


@pytest.mark.parametrize(("status", "kind"), [(400, "client"), (503, "server")])
def test_model_error(bench: Any, status: int, kind: str) -> None:
    bench.deploy(bench.container())
    with pytest.raises(ClientError) as caught:
        bench.invoke(f"status {status} the model is upset")
    response = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"] == "the model is upset"
    group = f"/aws/sagemaker/Endpoints/{bench.name}"
    assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    assert response["Error"]["Message"].startswith(
        f'Received {kind} error ({status}) from primary with message "the model is upset". See https://us-east-1.console'
    )
    metric = "Invocation4XXErrors" if kind == "client" else "Invocation5XXErrors"
    assert bench.metric(metric, sample_count=1)["Sum"] == 1
    assert bench.metric("InvocationModelErrors", sample_count=1)["Sum"] == 1


def test_container_of_a_pipeline_is_named_in_its_error(bench: Any) -> None:
    bench.deploy(bench.container(), bench.container(env={"REFUSE": "415"}))
    with pytest.raises(ClientError, match=r"Received client error \(415\) from container-2"):
        bench.invoke()


def test_metrics_of_invocations(bench: Any) -> None:
    bench.deploy(bench.container(), InitialInstanceCount=2)
    for _ in range(7):
        bench.invoke()
    invocations = bench.metric("Invocations", sample_count=7)
    assert (invocations["Sum"], invocations["Average"]) == (7, 1)
    assert bench.metric("InvocationsPerInstance", sample_count=7)["Sum"] == 3.5
    latency = bench.metric("ModelLatency", sample_count=7)
    assert 0 < latency["Minimum"] <= latency["Average"] <= latency["Maximum"] < 60_000_000
    assert latency["Unit"] == "Microseconds"
    assert bench.metric("OverheadLatency", sample_count=7)["Minimum"] > 0
    assert bench.metric("Invocation4XXErrors", sample_count=7)["Sum"] == 0
    assert bench.metric("CPUUtilization", sample_count=1, namespace="/aws/sagemaker/Endpoints")["Minimum"] >= 0
    assert bench.metric("MemoryUtilization", sample_count=1, namespace="/aws/sagemaker/Endpoints")["Minimum"] > 0


def test_metrics_are_sent_before_the_endpoint_is_gone(bench: Any) -> None:
    bench.deploy(bench.container())
    bench.invoke()
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    assert bench.metric("Invocations", sample_count=1)["Sum"] == 1


def test_serverless_endpoint_throttles_beyond_its_concurrency(bench: Any, tmp_path: Path, eventually: Any) -> None:
    bench.deploy(bench.container(), ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 1})
    description = bench.sagemaker.describe_endpoint(EndpointName=bench.name)
    assert description["ProductionVariants"][0]["CurrentServerlessConfig"]["MaxConcurrency"] == 1
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bench.invoke, f"wait {gate}")

        def is_throttled() -> bool:
            try:
                bench.one_try.invoke_endpoint(EndpointName=bench.name, Body=b"1", ContentType="text/csv")
            except ClientError as error:
                return bool(error.response["Error"]["Code"] == "ThrottlingException")
            return False

        eventually(is_throttled)
        gate.touch()
        assert waiting.result()["body"] == f"wait {gate}"
    assert bench.invoke()["body"] == "1,2"


def test_shadow_variant_gets_a_copy(bench: Any, eventually: Any) -> None:
    shadow = bench.variant(bench.create_model(bench.container(env={"NAME": "shadow"}), suffix="-s"), "Shadow")
    production = bench.variant(bench.create_model(bench.container(env={"NAME": "main"})))
    config = bench.create_config(production, ShadowProductionVariants=[shadow])
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    assert bench.wait("InService")["ShadowProductionVariants"][0]["VariantName"] == "Shadow"
    assert {bench.invoke()["name"] for _ in range(5)} == {"main"}
    assert bench.metric("Invocations", sample_count=5, variant="Shadow")["Sum"] == 5


@pytest.mark.parametrize(
    ("members", "message"),
    [({"EnableExplanations": "`true`"}, "explanations"), ({"InferenceComponentName": "x"}, "inference components")],
)
def test_what_is_not_implemented_is_refused(bench: Any, members: dict[str, str], message: str) -> None:
    bench.deploy(bench.container())
    with pytest.raises(ClientError, match=message):
        bench.invoke(**members)


def test_payload_limit(bench: Any) -> None:
    bench.deploy(bench.container())
    assert len(bench.invoke(b"x" * 6_000_000)["body"]) == 6_000_000
    with pytest.raises(ClientError, match="6291456"):
        bench.invoke(b"x" * 6_291_457)


def test_response_stream(bench: Any) -> None:
    bench.deploy(bench.container())
    answer = bench.runtime.invoke_endpoint_with_response_stream(
        EndpointName=bench.name, Body=b"x" * 200_000, ContentType="text/csv", Accept="application/json"
    )
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "AllTraffic")
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert len(parts) > 1
    assert json.loads(b"".join(parts))["body"] == "x" * 200_000

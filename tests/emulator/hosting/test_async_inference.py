"""InvokeEndpointAsync over HTTP with boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


def deploy(bench: Any, **output: Any) -> None:
    config = {
        "OutputConfig": {
            "S3OutputPath": f"s3://{bench.bucket}/out",
            "S3FailurePath": f"s3://{bench.bucket}/failed/",
            **output,
        },
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
    }
    name = bench.create_config(bench.variant(bench.create_model(bench.container())), AsyncInferenceConfig=config)
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=name)
    assert bench.wait("InService")["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"]


def read(bench: Any, uri: str) -> bytes | None:
    try:
        answer = bench.s3.get_object(Bucket=bench.bucket, Key=uri.split("/", 3)[3])
    except bench.s3.exceptions.NoSuchKey:
        return None
    content: bytes = answer["Body"].read()
    return content


def test_input_and_output_lie_in_s3(bench: Any, eventually: Any) -> None:
    deploy(bench)
    bench.s3.put_object(Bucket=bench.bucket, Key="in/rows.csv", Body=b"1,2")
    answer = bench.runtime.invoke_endpoint_async(
        EndpointName=bench.name,
        InputLocation=f"s3://{bench.bucket}/in/rows.csv",
        ContentType="text/csv",
        InferenceId="mine",
    )
    assert answer["InferenceId"] == "mine"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    said = json.loads(eventually(lambda: read(bench, answer["OutputLocation"])))
    assert (said["body"], said["content_type"]) == ("1,2", "text/csv")
    with pytest.raises(ClientError, match="use InvokeEndpointAsync"):
        bench.invoke()


def test_failures_lie_in_s3_and_topics_are_told(bench: Any, eventually: Any) -> None:
    sns, sqs = bench.client("sns"), bench.client("sqs")
    topic = sns.create_topic(Name=bench.name)["TopicArn"]
    queue = sqs.create_queue(QueueName=bench.name)["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    deploy(bench, NotificationConfig={"SuccessTopic": topic, "ErrorTopic": topic})
    bench.s3.put_object(Bucket=bench.bucket, Key="bad", Body=b"status 400 too few columns")
    bench.s3.put_object(Bucket=bench.bucket, Key="good", Body=b"1")

    def invoke(key: str) -> dict[str, Any]:
        location = f"s3://{bench.bucket}/{key}"
        answer: dict[str, Any] = bench.runtime.invoke_endpoint_async(EndpointName=bench.name, InputLocation=location)
        return answer

    def notification() -> dict[str, Any]:
        received = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=received[0]["ReceiptHandle"])
        message: dict[str, Any] = json.loads(json.loads(received[0]["Body"])["Message"])
        return message

    bad = invoke("bad")
    assert b"too few columns" in eventually(lambda: read(bench, bad["FailureLocation"]))
    assert notification()["invocationStatus"] == "Failed"
    answer = invoke("good")
    told = notification()
    assert told["invocationStatus"] == "Completed"
    assert told["responseParameters"]["outputLocation"] == answer["OutputLocation"]
    missing = invoke("missing")
    assert b"missing" in eventually(lambda: read(bench, missing["FailureLocation"]))


def test_container_that_takes_too_long(bench: Any, tmp_path: Path, eventually: Any) -> None:
    deploy(bench)
    answer = bench.runtime.invoke_endpoint_async(
        EndpointName=bench.name, Body=f"wait {tmp_path / 'never'}".encode(), InvocationTimeoutSeconds=1
    )
    failure = eventually(lambda: read(bench, answer["FailureLocation"]))
    assert b"Your invocation timed out while waiting for a response from container primary" in failure


def test_requests_survive_a_kill(
    open_bench: Callable[..., Any], start_emulator: Callable[..., Any], tmp_path: Path, eventually: Any
) -> None:
    bench = open_bench()
    deploy(bench)
    gate = tmp_path / "gate"
    bench.s3.put_object(Bucket=bench.bucket, Key="in", Body=f"wait {gate}".encode())
    locations = [
        bench.runtime.invoke_endpoint_async(EndpointName=bench.name, InputLocation=f"s3://{bench.bucket}/in")
        for _ in range(5)
    ]
    bench.emulator.kill()
    gate.touch()
    again = type(bench)(start_emulator(state_dir=bench.emulator.state_dir), bench.name, bucket=bench.bucket)
    for answer in locations:
        assert json.loads(eventually(lambda answer=answer: read(again, answer["OutputLocation"])))


def test_real_time_endpoint_takes_no_asynchronous_requests(bench: Any) -> None:
    bench.deploy(bench.container())
    with pytest.raises(ClientError, match="use InvokeEndpoint"):
        bench.runtime.invoke_endpoint_async(EndpointName=bench.name, InputLocation=f"s3://{bench.bucket}/in")

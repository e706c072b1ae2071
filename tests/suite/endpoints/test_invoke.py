"""Invoking: order, pairing, retries, the rate, failures, and what is returned."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kfp_sagemaker.aws.engine import Timing
from kfp_sagemaker.aws.errors import AccessDeniedError, InputError, ResourceMissingError, ThresholdError
from kfp_sagemaker.aws.s3 import read_text, write_text
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints import invocation_plan, invoke
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal


class Runtime(ScriptedClient):
    """An endpoint: a function of body and target model answers."""

    def __init__(self, answer: Callable[[str, str], str]) -> None:
        super().__init__({"invoke_endpoint": self.answer_call})
        self.answer = answer
        self.meta = type("Meta", (), {"events": type("Events", (), {"unregister": lambda *_, **__: None})()})()

    def answer_call(self, **parameters: Any) -> dict[str, Any]:
        text = self.answer(parameters["Body"].decode(), parameters.get("TargetModel", ""))
        return {"Body": io.BytesIO(text.encode()), "ContentType": "text/csv"}


def run(
    answer: Callable[[str, str], str],
    *,
    timing: Timing | None = None,
    metrics: dict[str, float] | None = None,
    **plan: Any,
) -> tuple[invoke.Invoked, Runtime]:
    runtime = Runtime(answer)
    session: Any = ScriptedSession(**{"sagemaker-runtime": runtime})
    built = invocation_plan.build(endpoint_name="e", **plan)
    figures: dict[str, float] = {} if metrics is None else metrics
    outcome = invoke.run(
        session, built, timing=timing or ManualClock().timing(), log_metric=figures.__setitem__, sink=lambda line: None
    )
    return outcome, runtime


def model_error(status: int) -> ClientError:
    error = refusal("ModelError", "Received an error from the container", "InvokeEndpoint", 424)
    error.response["OriginalStatusCode"] = status  # type: ignore[typeddict-unknown-key]
    error.response["OriginalMessage"] = f"container says {status}"  # type: ignore[typeddict-unknown-key]
    return error


def failing_first(times: int, error: Exception) -> Callable[[str, str], str]:
    left = [error] * times

    def answer(body: str, target: str) -> str:
        if left:
            raise left.pop()
        return "7"

    return answer


def test_answers_come_in_the_order_of_the_rows() -> None:
    first_may_end = threading.Event()

    def answer(body: str, target: str) -> str:
        if body == "0":
            assert first_may_end.wait(30)
        if body == "5":
            first_may_end.set()
        return body

    outcome, _ = run(answer, rows=[str(index) for index in range(40)], max_concurrency=6)
    assert [record["prediction"] for record in outcome.predictions] == list(range(40))
    assert [record["index"] for record in outcome.predictions] == list(range(40))
    assert outcome.invocation_count == 40


def test_every_row_goes_to_every_target_model() -> None:
    outcome, _ = run(lambda body, target: f"{target}{body}", rows=["1", "2"], target_models=["a", "b"])
    found = [(item["target_model"], item["index"], item["prediction"]) for item in outcome.predictions]
    assert found == [("a", 0, "a1"), ("a", 1, "a2"), ("b", 0, "b1"), ("b", 1, "b2")]


def test_rows_paired_with_target_models() -> None:
    outcome, _ = run(
        lambda body, target: f"{target}{body}", rows=["1", "2"], target_models=["a", "b"], target_model_pairing="row"
    )
    assert [item["prediction"] for item in outcome.predictions] == ["a1", "b2"]


def test_rows_share_requests() -> None:
    outcome, runtime = run(
        lambda body, target: "\n".join(f"{line}0" for line in body.split("\n")),
        rows=[[1], [2], [3], [4], [5]],
        rows_per_request=2,
        max_concurrency=1,
    )
    assert [item["prediction"] for item in outcome.predictions] == [10, 20, 30, 40, 50]
    assert [call["Body"] for call in runtime.named("invoke_endpoint")] == [b"1\n2", b"3\n4", b"5"]


def test_labels_are_kept_and_not_sent() -> None:
    outcome, runtime = run(lambda body, target: "1", rows=["99,1,2"], label_first=True, include_input=True)
    assert runtime.named("invoke_endpoint")[0]["Body"] == b"1,2"
    (record,) = outcome.predictions
    assert (record["label"], record["input"], record["prediction"]) == (99, "99,1,2", 1)


def test_the_request_carries_what_was_asked() -> None:
    _, runtime = run(
        lambda body, target: "1",
        rows=["1"],
        accept="application/json",
        target_variant="v",
        target_container_hostname="c",
        inference_component_name="i",
        custom_attributes="trace=1",
    )
    assert runtime.named("invoke_endpoint") == [
        {
            "EndpointName": "e",
            "ContentType": "text/csv",
            "Accept": "application/json",
            "TargetVariant": "v",
            "TargetContainerHostname": "c",
            "InferenceComponentName": "i",
            "CustomAttributes": "trace=1",
            "Body": b"1",
        }
    ]


# Retries


@pytest.mark.parametrize(
    "error",
    [
        refusal("ThrottlingException", "Rate exceeded"),
        refusal("InternalFailure", "try again", status=500),
        refusal("ServiceUnavailable", "try again", status=503),
        refusal("ModelNotReadyException", "loading", status=429),
        model_error(503),
        model_error(507),
    ],
)
def test_what_passes_is_tried_again_with_growing_pauses(error: ClientError) -> None:
    clock = ManualClock()
    metrics: dict[str, float] = {}
    outcome, _ = run(failing_first(3, error), rows=["1"], timing=clock.timing(chance=1.0), metrics=metrics)
    assert outcome.predictions[0]["attempts"] == 4
    assert clock.naps == pytest.approx([0.2, 0.4, 0.8])
    assert metrics["retry_count"] == 3


@pytest.mark.parametrize("error", [model_error(500), model_error(400), refusal("ValidationError", "no such model")])
def test_what_does_not_pass_is_not_tried_again(error: ClientError) -> None:
    clock = ManualClock()
    with pytest.raises(ThresholdError):
        run(failing_first(1, error), rows=["1"], timing=clock.timing())
    assert not clock.naps


def test_attempts_are_limited() -> None:
    with pytest.raises(ThresholdError, match="Rate exceeded"):
        run(failing_first(9, refusal("ThrottlingException", "Rate exceeded")), rows=["1"], max_attempts=3)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (
            refusal("AccessDeniedException", "User: me is not authorized to perform: sagemaker:InvokeEndpoint"),
            AccessDeniedError,
        ),
        (refusal("ValidationError", "Endpoint e of account 000000000000 not found."), ResourceMissingError),
    ],
)
def test_what_fails_for_all_rows_ends_at_once(error: ClientError, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        run(failing_first(1000, error), rows=["1"] * 100)


# Failures


def fail_every(nth: int) -> Callable[[str, str], str]:
    def answer(body: str, target: str) -> str:
        if int(body) % nth == 0:
            raise model_error(500)
        return body

    return answer


def test_the_allowed_share_may_fail() -> None:
    metrics: dict[str, float] = {}
    outcome, _ = run(fail_every(10), rows=[str(i) for i in range(1, 101)], max_failed_percent=10, metrics=metrics)
    assert outcome.failed_count == 10
    assert metrics["failed_count"] == 10
    assert outcome.predictions[9]["error"] == "ModelError (container status 500): container says 500"
    assert "prediction" not in outcome.predictions[9]


def test_more_than_the_allowed_share_is_a_failure_that_shows_the_errors() -> None:
    with pytest.raises(ThresholdError, match=r"10 of 100 rows failed \(10 %, allowed 9 %\)") as caught:
        run(fail_every(10), rows=[str(i) for i in range(1, 101)], max_failed_percent=9)
    assert "10 times, first for row 9: ModelError (container status 500): container says 500" in str(caught.value)


def test_a_wrong_number_of_predictions_fails_the_rows() -> None:
    with pytest.raises(ThresholdError, match="1 predictions for 2 rows"):
        run(lambda body, target: "1", rows=["1", "2"], rows_per_request=2)


# Figures


def test_latency_percentiles() -> None:
    clock = ManualClock()

    def answer(body: str, target: str) -> str:
        clock.seconds += float(body) / 1000
        return body

    metrics: dict[str, float] = {}
    run(answer, rows=[str(i) for i in range(1, 101)], max_concurrency=1, timing=clock.timing(), metrics=metrics)
    assert metrics["latency_p50_ms"] == pytest.approx(50)
    assert metrics["latency_p90_ms"] == pytest.approx(90)
    assert metrics["latency_p99_ms"] == pytest.approx(99)
    assert metrics["latency_max_ms"] == pytest.approx(100)
    assert metrics["requests_per_second"] == pytest.approx(100 / 5.05, abs=0.001)


def test_the_rate_is_limited() -> None:
    clock = ManualClock()
    metrics: dict[str, float] = {}
    run(
        lambda body, target: "1",
        rows=["1"] * 21,
        max_requests_per_second=4,
        max_concurrency=1,
        timing=clock.timing(),
        metrics=metrics,
    )
    assert clock.seconds == pytest.approx(5.0)


def test_many_predictions_need_a_place() -> None:
    with pytest.raises(InputError, match="given for more than 1,000 predictions"):
        run(lambda body, target: "1", rows=["1"] * 501, target_models=["a", "b"])
    with pytest.raises(InputError, match="a step does not return"):
        run(lambda body, target: "x" * 1000, rows=["1"] * 400)


# On the emulator


def test_rows_of_an_object_and_predictions_in_another(host: Any) -> None:
    host.deploy(host.model(mode="MultiModel", model_data_url=f"s3://{host.bucket}/mme/"))
    for name in ("a.tar.gz", "b.tar.gz"):
        host.put_archive(f"mme/{name}")
    write_text(host.session, f"s3://{host.bucket}/rows.csv", "10,1\r\n20,2\n\n30,3\n")
    plan = invocation_plan.build(
        endpoint_name=host.name,
        input_s3_uri=f"s3://{host.bucket}/rows.csv",
        output_s3_uri=f"s3://{host.bucket}/out/",
        target_models=["a.tar.gz", "b.tar.gz"],
        label_first=True,
    )
    metrics: dict[str, float] = {}
    outcome = invoke.run(host.session, plan, log_metric=metrics.__setitem__)
    assert outcome[0] == f"s3://{host.bucket}/out/predictions.jsonl"
    assert outcome[2:] == (6, 0)
    records = [json.loads(line) for line in read_text(host.session, outcome.predictions_s3_uri).splitlines()]
    assert records == outcome.predictions
    assert [(item["target_model"][0], item["label"], item["prediction"]["body"]) for item in records] == [
        ("a", 10, "1"),
        ("a", 20, "2"),
        ("a", 30, "3"),
        ("b", 10, "1"),
        ("b", 20, "2"),
        ("b", 30, "3"),
    ]
    assert metrics["latency_p50_ms"] > 0

    missing = invocation_plan.build(endpoint_name=host.name, rows=["1"], target_models=["none.tar.gz"])
    with pytest.raises(ThresholdError, match=r"none\.tar\.gz"):
        invoke.run(host.session, missing)
    broken = invocation_plan.build(endpoint_name=host.name, rows=["status 500 boom"], target_models=["a.tar.gz"])
    with pytest.raises(ThresholdError, match=r"container status 500\): boom"):
        invoke.run(host.session, broken)


def test_an_endpoint_that_does_not_exist(session: Session) -> None:
    plan = invocation_plan.build(endpoint_name="no-such-endpoint", rows=["1"] * 50)
    with pytest.raises(ResourceMissingError, match="no-such-endpoint"):
        invoke.run(session, plan)


def test_an_object_without_rows(host: Any) -> None:
    write_text(host.session, f"s3://{host.bucket}/rows.csv", "\n\n")
    plan = invocation_plan.build(
        endpoint_name=host.name,
        input_s3_uri=f"s3://{host.bucket}/rows.csv",
        output_s3_uri=f"s3://{host.bucket}/out.jsonl",
    )
    with pytest.raises(InputError, match="an object with rows"):
        invoke.run(host.session, plan)


def test_botocores_own_retries_are_off(offline: Session) -> None:
    """They would multiply with ours: each attempt must be one request."""
    sent: list[str] = []
    client = offline.client("sagemaker-runtime")
    client.meta.events.register("before-send.sagemaker-runtime", lambda request, **_: sent.append(request.url))
    plan = invocation_plan.build(endpoint_name="e", rows=["1"], max_attempts=2, max_failed_percent=100)
    outcome = invoke.run(offline, plan, timing=ManualClock().timing())
    assert outcome.failed_count == 1
    assert "no answer: Could not connect" in outcome.predictions[0]["error"]
    assert len(sent) == 2


# The plan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint_name": ""}, "endpoint_name is '', must be given"),
        ({}, r"rows is \[\], must be given, or input_s3_uri"),
        (
            {"rows": ["1"], "input_s3_uri": "s3://bucket/in"},
            "input_s3_uri is 's3://bucket/in', must be left out with rows",
        ),
        ({"input_s3_uri": "s3://bucket/in"}, "output_s3_uri is '', must be given with input_s3_uri"),
        ({"input_s3_uri": "s3://bucket/in/", "output_s3_uri": "s3://bucket/out"}, "an object and not a prefix"),
        ({"rows": ["1"], "output_s3_uri": "out"}, "output_s3_uri is 'out', must be an S3 URI"),
        ({"rows": [{"a": 1}]}, r"rows\[0\] is {'a': 1}, must be a string or a list of values"),
        ({"rows": ["1"], "label_first": True}, r"rows\[0\] is '1'.*label_first"),
        ({"rows": ["1"], "target_models": [""]}, r"target_models\[0\] is '', must be given"),
        ({"rows": ["1"], "target_models": ["a", "b"], "target_model_pairing": "row"}, "2 names', must be 1, one a row"),
        ({"rows": ["1"], "target_model_pairing": "all"}, "one of every, row"),
        ({"rows": ["1"], "rows_per_request": -1}, "rows_per_request is -1"),
        ({"rows": ["1"], "rows_per_request": 2, "content_type": "image/png"}, "1, because content_type is image/png"),
        ({"rows": ["1"], "max_concurrency": 0}, "max_concurrency is 0"),
        ({"rows": ["1"], "max_failed_percent": 101}, "from 0 to 100"),
        ({"rows": ["1"], "max_requests_per_second": -1}, "at least 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        invocation_plan.build(**{"endpoint_name": "e", **arguments})

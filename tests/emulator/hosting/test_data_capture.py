"""Data capture: layout, encodings, sampling, and when files are closed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3

from tests.emulator.hosting.conftest import Workbench

KEY = re.compile(
    r"captured/(?P<endpoint>[^/]+)/(?P<variant>[^/]+)/(?P<hour>\d{4}/\d\d/\d\d/\d\d)/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl"
)
Eventually = Callable[[Callable[[], Any]], Any]


def capture_config(bench: Workbench, **members: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{bench.bucket}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
        **members,
    }


def files(bench: Workbench) -> dict[str, list[dict[str, Any]]]:
    """Return the captured events by key."""
    listed = bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix="captured/").get("Contents", [])
    found = {}
    for entry in listed:
        body = bench.s3.get_object(Bucket=bench.bucket, Key=entry["Key"])["Body"].read()
        assert body.endswith(b"\n")
        found[entry["Key"]] = [json.loads(line) for line in body.splitlines()]
    return found


def events(bench: Workbench) -> list[dict[str, Any]]:
    return [event for key, lines in sorted(files(bench).items()) for event in lines]


def deploy(bench: Workbench, *containers: dict[str, Any], **members: Any) -> None:
    model = bench.create_model(*(containers or (bench.container(),)))
    config = bench.create_config(bench.variant(model), DataCaptureConfig=capture_config(bench, **members))
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    assert bench.wait("InService")["EndpointStatus"] == "InService"


def test_an_invocation_is_captured_as_sagemaker_writes_it(bench: Workbench, eventually: Eventually) -> None:
    deploy(bench)
    capture = bench.wait("InService")["DataCaptureConfig"]
    assert capture["CaptureStatus"] == "Started"
    assert capture["CurrentSamplingPercentage"] == 100
    before = datetime.now(UTC)
    answer = bench.invoke_raw(
        "1,2\n", InferenceId="row-1", CustomAttributes="trace=7", ContentType="text/csv; header=no"
    )
    output = answer["Body"].read().decode()
    found = eventually(lambda: files(bench))
    ((key, (event,)),) = found.items()
    match = KEY.fullmatch(key)
    assert match
    assert (match["endpoint"], match["variant"]) == (bench.name, "AllTraffic")
    assert match["hour"] in {f"{before:%Y/%m/%d/%H}", f"{datetime.now(UTC):%Y/%m/%d/%H}"}
    assert event["eventVersion"] == "0"
    assert event["captureData"] == {
        "endpointInput": {
            "observedContentType": "text/csv; header=no", "mode": "INPUT", "data": "1,2\n", "encoding": "CSV",
        },
        "endpointOutput": {
            "observedContentType": "application/json", "mode": "OUTPUT", "data": output, "encoding": "JSON",
        },
    }  # fmt: skip
    metadata = event["eventMetadata"]
    assert re.fullmatch(r"[0-9a-f-]{36}", metadata.pop("eventId"))
    moment = datetime.strptime(metadata.pop("inferenceTime"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((moment - before).total_seconds()) < 60
    assert metadata == {"inferenceId": "row-1", "customAttributes": ["trace=7"]}


def test_what_is_not_declared_or_not_text_is_base64(bench: Workbench) -> None:
    deploy(bench, CaptureOptions=[{"CaptureMode": "Input"}])
    bench.invoke_raw(b"a,b", ContentType="text/plain")
    bench.invoke_raw(b"\xff\xfe", ContentType="text/csv")
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    captured = wait_for_events(bench, 2)
    assert [list(event["captureData"]) for event in captured] == [["endpointInput"]] * 2
    inputs = [event["captureData"]["endpointInput"] for event in captured]
    assert [one["encoding"] for one in inputs] == ["BASE64", "BASE64"]
    assert [base64.b64decode(one["data"]) for one in inputs] == [b"a,b", b"\xff\xfe"]


def wait_for_events(bench: Workbench, count: int) -> list[dict[str, Any]]:
    """Wait until the deleted endpoint is gone; its captured data is complete then."""
    waiter = bench.sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName=bench.name, WaiterConfig={"Delay": 0, "MaxAttempts": 10_000})
    found = events(bench)
    assert len(found) == count
    return found


def test_a_share_of_the_requests_is_captured(bench: Workbench) -> None:
    deploy(bench, InitialSamplingPercentage=30)
    for _ in range(200):
        bench.invoke("1,2")
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    bench.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=bench.name, WaiterConfig={"Delay": 0, "MaxAttempts": 10_000}
    )
    # Six standard deviations of a binomial distribution around 60.
    assert 21 <= len(events(bench)) <= 99


def test_a_multi_model_endpoint_says_which_model_answered(bench: Workbench) -> None:
    names = ["a.tar.gz", "sub/b.tar.gz"]
    for name in names:
        bench.put_model(f"models/{name}")
    deploy(bench, bench.multi_model_container())
    for name in [*names, names[0]]:
        bench.invoke("1,2", TargetModel=name)
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    targets = [event["eventMetadata"]["targetModel"] for event in wait_for_events(bench, 3)]
    assert targets == [*names, names[0]]


def test_a_pipeline_is_captured_at_its_ends(bench: Workbench) -> None:
    first = bench.container(env={"NAME": "first"}, ContainerHostname="first")
    last = bench.container(env={"NAME": "last"}, ContainerHostname="last")
    deploy(bench, first, last)
    answer = bench.invoke_raw("1,2")["Body"].read().decode()
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    (event,) = wait_for_events(bench, 1)
    assert event["captureData"]["endpointInput"]["data"] == "1,2"
    assert event["captureData"]["endpointOutput"]["data"] == answer
    assert json.loads(answer)["name"] == "last"


def test_shadow_variants_are_captured_under_their_own_names(bench: Workbench) -> None:
    model = bench.create_model(bench.container())
    config = bench.create_config(
        bench.variant(model),
        ShadowProductionVariants=[bench.variant(model, "Shadow")],
        DataCaptureConfig=capture_config(bench),
    )
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    bench.wait("InService")
    bench.invoke("1,2")
    bench.metric("Invocations", sample_count=1, variant="Shadow")
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    wait_for_events(bench, 2)
    assert {KEY.fullmatch(key)["variant"] for key in files(bench)} == {"AllTraffic", "Shadow"}  # type: ignore[index]


def test_a_failed_invocation_is_not_captured(bench: Workbench) -> None:
    deploy(bench)
    with pytest.raises(bench.runtime.exceptions.ModelError):
        bench.invoke("status 400 no")
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    wait_for_events(bench, 0)


def test_an_update_ends_the_files_and_can_switch_capture_off(bench: Workbench) -> None:
    deploy(bench)
    bench.invoke("1,2")
    off = bench.create_config(
        bench.variant(bench.name), suffix="-off", DataCaptureConfig=capture_config(bench, EnableCapture=False)
    )
    bench.sagemaker.update_endpoint(EndpointName=bench.name, EndpointConfigName=off)
    assert bench.wait("InService")["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    assert len(events(bench)) == 1
    bench.invoke("3,4")
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    wait_for_events(bench, 1)


def test_a_large_file_is_closed_before_its_time(bench: Workbench) -> None:
    deploy(bench, CaptureOptions=[{"CaptureMode": "Input"}])
    for _ in range(6):
        bench.invoke_raw("1" * 2_000_000)
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    wait_for_events(bench, 6)
    assert len(files(bench)) >= 2


def test_each_hour_has_a_folder_of_its_own(open_bench: Callable[..., Workbench]) -> None:
    bench = open_bench()
    deploy(bench)
    bench.invoke("1,2")
    clock = urllib3.request(
        "POST", f"{bench.emulator.endpoint_url}/_emulator/clock", json={"advance_seconds": 3600}, retries=False
    )
    assert clock.status == 200
    bench.invoke("3,4")
    bench.emulator.stop()
    stored = sorted(bench.emulator.state_dir.rglob("captured/**/*.jsonl"))
    assert len({path.parent for path in stored}) == 2, stored


def test_a_stop_of_the_emulator_brings_open_files_to_s3(open_bench: Callable[..., Workbench]) -> None:
    bench = open_bench()
    deploy(bench)
    bench.invoke("1,2")
    bench.emulator.stop()
    (stored,) = bench.emulator.state_dir.rglob("captured/**/*.jsonl")
    assert json.loads(stored.read_text())["captureData"]["endpointInput"]["data"] == "1,2"


def test_a_destination_that_cannot_be_written_does_not_fail_invocations(bench: Workbench) -> None:
    deploy(bench, DestinationS3Uri="s3://there-is-no-such-bucket/captured")
    assert bench.invoke("1,2")["body"] == "1,2"
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)
    wait_for_events(bench, 0)

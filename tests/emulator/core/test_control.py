"""Fault injection, latency and health."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})


@pytest.fixture
def own(start_emulator):
    return start_emulator()


def control(emulator, method, path, document=None):
    answer = urllib3.request(method, f"{emulator.endpoint_url}/_emulator/{path}", json=document, retries=False)
    return answer.status, answer.json()


def outcomes(call, count=40):
    codes = []
    for _ in range(count):
        try:
            call()
            codes.append("ok")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    return codes


def test_a_share_of_calls_is_throttled_the_same_way_each_time(own):
    sagemaker = own.client("sagemaker", config=ONCE)
    plan = {"throttle_share": 0.3, "seed": 7}
    runs = []
    for _ in range(2):
        assert control(own, "POST", "faults", plan)[0] == 200
        runs.append(outcomes(sagemaker.list_models))
    assert runs[0] == runs[1]
    assert set(runs[0]) == {"ok", "ThrottlingException"}
    assert control(own, "GET", "faults")[1]["throttled"] == runs[0].count("ThrottlingException")
    control(own, "DELETE", "faults")
    assert set(outcomes(sagemaker.list_models)) == {"ok"}


def test_a_client_that_retries_gets_through(own):
    control(own, "POST", "faults", {"throttle_share": 0.3, "seed": 1})
    sagemaker = own.client("sagemaker", config=Config(retries={"mode": "standard", "total_max_attempts": 20}))
    assert set(outcomes(sagemaker.list_models, 10)) == {"ok"}


def test_only_named_operations_and_only_so_many(own):
    control(own, "POST", "faults", {"throttle_share": 1, "operations": ["ListModels", "PutObject"], "count": 3})
    sagemaker, s3 = own.client("sagemaker", config=ONCE), own.client("s3", config=ONCE)
    assert set(outcomes(sagemaker.list_endpoint_configs, 3)) == {"ok"}
    s3.create_bucket(Bucket="bucket")
    assert outcomes(lambda: s3.put_object(Bucket="bucket", Key="k", Body=b""), 2) == ["SlowDown", "SlowDown"]
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
    assert outcomes(sagemaker.list_models, 3) == ["ThrottlingException", "ok", "ok"]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"throttle_share": 2}, "throttle_share is 2"),
        ({"throttle_share": "all"}, "throttle_share is 'all'"),
        ({"count": -1}, "count is -1"),
        ({"share": 1}, "share"),
        ([], "Bad fault plan"),
    ],
)
def test_a_bad_plan_is_refused(emulator, plan, said):
    status, answer = control(emulator, "POST", "faults", plan)
    assert status == 400
    assert said in answer["message"]


def test_health_names_the_process(emulator):
    status, answer = control(emulator, "GET", "health")
    assert status == 200
    assert answer["pid"] == emulator.pid
    assert answer["status"] == "ready"
    assert answer["operations"] > 10


def test_an_unknown_control_path_is_not_found(emulator):
    assert control(emulator, "GET", "nonsense")[0] == 404


def test_each_request_is_delayed_and_requests_wait_side_by_side(start_emulator):
    from concurrent.futures import ThreadPoolExecutor

    latency_seconds, calls = 0.2, 8
    sagemaker = start_emulator(latency_ms=200).client("sagemaker", config=Config(max_pool_connections=calls))
    began = time.monotonic()
    sagemaker.list_models()
    assert time.monotonic() - began >= latency_seconds
    began = time.monotonic()
    with ThreadPoolExecutor(calls) as pool:
        list(pool.map(lambda _: sagemaker.list_models(), range(calls)))
    assert time.monotonic() - began < calls * latency_seconds


def test_the_clock_can_be_set_ahead_and_stays_so_after_a_restart(start_emulator, tmp_path):
    first = start_emulator(state_dir=tmp_path / "state")
    before = datetime.now(UTC).replace(microsecond=0)  # the answer is in milliseconds
    status, clock = control(first, "POST", "clock", {"advance_seconds": 7200})
    assert status == 200
    assert clock["ahead_seconds"] == 7200
    assert timedelta(0) <= datetime.fromisoformat(clock["now"]) - before - timedelta(hours=2) < timedelta(minutes=5)
    control(first, "POST", "clock", {"advance_seconds": 0.5})
    first.kill()
    again = start_emulator(state_dir=tmp_path / "state")
    assert control(again, "GET", "clock")[1]["ahead_seconds"] == 7200.5


@pytest.mark.parametrize("document", [{}, {"advance_seconds": -1}, {"advance_seconds": "1"}, {"seconds": 1}, [1]])
def test_a_clock_cannot_be_set_to_anything_else(own, document):
    status, answer = control(own, "POST", "clock", document)
    assert status == 400
    assert "advance_seconds" in answer["message"]

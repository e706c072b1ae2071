"""The parts of hosting that need no emulator: traffic plans, condensed metrics, instance memory, event streams."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.hosting.event_stream import encode_payload
from sagemaker_emulator.hosting.fleet import Fleet
from sagemaker_emulator.hosting.instances import GIB, memory_bytes
from sagemaker_emulator.hosting.metrics import MAX_DISTINCT_VALUES, condense
from sagemaker_emulator.hosting.traffic import plan_traffic
from sagemaker_emulator.service_model import ServiceModel


def blue_green(kind: str, **routing: Any) -> dict[str, Any]:
    policy = {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": 7, **routing}}
    return {"BlueGreenUpdatePolicy": policy}


@pytest.mark.parametrize(
    ("deployment_config", "instance_count", "shares"),
    [
        ({}, 1, (1.0,)),
        (blue_green("ALL_AT_ONCE"), 1, (1.0,)),
        (blue_green("CANARY", CanarySize={"Type": "CAPACITY_PERCENT", "Value": 30}), 1, (0.3, 1.0)),
        (blue_green("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), 4, (0.25, 1.0)),
        (blue_green("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 30}), 1, (0.3, 0.6, 0.9, 1.0)),
        (blue_green("LINEAR", LinearStepSize={"Type": "INSTANCE_COUNT", "Value": 1}), 3, (1 / 3, 2 / 3, 1.0)),
    ],
)
def test_traffic_plan(deployment_config: dict[str, Any], instance_count: int, shares: tuple[float, ...]) -> None:
    assert plan_traffic(deployment_config, instance_count).shares == pytest.approx(shares)


@pytest.mark.parametrize(
    "routing",
    [
        blue_green("CANARY", CanarySize={"Type": "CAPACITY_PERCENT", "Value": 60}),
        blue_green("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}),
        blue_green("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 5}),
        blue_green("LINEAR"),
    ],
)
def test_impossible_traffic_plan(routing: dict[str, Any]) -> None:
    with pytest.raises(ValidationException):
        plan_traffic(routing, 1)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=500))
def test_condensed_values_have_the_same_statistics(values: list[float]) -> None:
    distinct, counts = condense(values)
    assert len(distinct) == len(counts) <= MAX_DISTINCT_VALUES
    assert sum(counts) == len(values)
    assert sum(value * count for value, count in zip(distinct, counts, strict=True)) == pytest.approx(sum(values))
    assert (min(distinct), max(distinct)) == pytest.approx((min(values), max(values)))


@pytest.mark.parametrize(
    ("instance_type", "gib"),
    [("ml.m5.large", 8), ("ml.m5.xlarge", 16), ("ml.c5.xlarge", 8), ("ml.r5.2xlarge", 64), ("ml.t2.medium", 4)],
)
def test_memory_of_an_instance(instance_type: str, gib: int) -> None:
    assert memory_bytes(instance_type) == gib * GIB


def test_every_hosting_instance_type_has_memory() -> None:
    for instance_type in ServiceModel("sagemaker").shape("ProductionVariantInstanceType").enum:
        assert memory_bytes(instance_type) >= GIB, instance_type


def test_weights_share_the_traffic(tmp_path: Any) -> None:
    variants: list[Any] = [SimpleNamespace(name=name, weight=weight) for name, weight in (("a", 3.0), ("b", 1.0))]
    fleet = Fleet(variants, [], tmp_path)
    chooser = random.Random(7)  # noqa: S311
    chosen = [fleet.choose(chooser).name for _ in range(4000)]
    assert chosen.count("a") / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 200_000])
def test_event_stream_is_what_botocore_reads(size: int) -> None:
    payload = random.Random(size).randbytes(size)  # noqa: S311
    buffer = EventStreamBuffer()
    buffer.add_data(encode_payload(payload))
    messages = list(buffer)
    assert b"".join(message.payload for message in messages) == payload
    assert {message.headers[":event-type"] for message in messages} == {"PayloadPart"}

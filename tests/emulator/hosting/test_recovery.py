"""Endpoints after the emulator was killed or stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil


def test_endpoints_come_back_after_a_kill(open_bench: Callable[..., Any], start_emulator: Callable[..., Any]) -> None:
    bench = open_bench()
    bench.put_model("models/a.tar.gz", "weights of a")
    bench.deploy(bench.multi_model_container())
    assert bench.invoke(TargetModel="a.tar.gz")["model"] == "weights of a"
    changes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}]
    bench.sagemaker.update_endpoint_weights_and_capacities(EndpointName=bench.name, DesiredWeightsAndCapacities=changes)
    bench.wait("InService")
    # Deleted since: what serves does not need them.
    bench.sagemaker.delete_endpoint_config(EndpointConfigName=bench.name)
    bench.sagemaker.delete_model(ModelName=bench.name)
    # An update that never ends is going on.
    unhealthy = bench.create_model(bench.container(env={"UNHEALTHY": "1"}), suffix="-u")
    config = bench.create_config(bench.variant(unhealthy), suffix="-u")
    bench.sagemaker.update_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    left = bench.processes()
    assert left
    bench.emulator.kill()

    again = type(bench)(start_emulator(state_dir=bench.emulator.state_dir), bench.name, bucket=bench.bucket)
    # The first invocation waits for the containers, and loads the model again.
    answer = again.invoke(TargetModel="a.tar.gz")
    assert (answer["model"], answer["loaded"]) == ("weights of a", 1)
    description = again.sagemaker.describe_endpoint(EndpointName=bench.name)
    assert description["EndpointStatus"] == "Updating"
    assert description["EndpointConfigName"] == bench.name
    assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 4
    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_creation_and_deletion_go_on_after_a_kill(
    open_bench: Callable[..., Any], start_emulator: Callable[..., Any]
) -> None:
    bench = open_bench()
    config = bench.create_config(bench.variant(bench.create_model(bench.container())))
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    bench.emulator.kill()
    again = type(bench)(start_emulator(state_dir=bench.emulator.state_dir), bench.name, bucket=bench.bucket)
    assert again.wait("InService")["EndpointStatus"] == "InService"
    assert again.invoke()["body"] == "1,2"


def test_stopping_the_emulator_leaves_nothing_running(open_bench: Callable[..., Any]) -> None:
    bench = open_bench()
    bench.deploy(bench.container())
    processes = bench.processes()
    assert processes
    bench.emulator.stop()
    assert not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

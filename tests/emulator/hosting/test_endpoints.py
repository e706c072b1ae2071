"""Endpoints over HTTP with boto3: their life, their failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.store import Store


def test_life(bench: Any) -> None:
    name = bench.deploy(bench.container(env={"NAME": "one"}, ModelDataUrl=bench.put_model("model.tar.gz")))
    description = bench.sagemaker.describe_endpoint(EndpointName=name)
    assert description["EndpointArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"
    assert description["ProductionVariants"][0]["CurrentWeight"] == 1.0
    assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert "PendingDeploymentSummary" not in description
    assert "VariantStatus" not in description["ProductionVariants"][0]
    listed = bench.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    assert [endpoint["EndpointStatus"] for endpoint in listed] == ["InService"]

    answer = bench.invoke_raw("1,2", CustomAttributes="trace=7", Accept="application/json")
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "seen=1"
    assert answer["ContentType"] == "application/json"
    said = bench.invoke("1,2", CustomAttributes="trace=7", Accept="application/json")
    assert said["name"] == "one"
    assert (said["body"], said["content_type"], said["accept"]) == ("1,2", "text/csv", "application/json")
    assert said["custom_attributes"] == "trace=7"

    bench.sagemaker.delete_endpoint(EndpointName=name)
    bench.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(ClientError, match="Could not find endpoint"):
        bench.sagemaker.describe_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match=rf"Endpoint {name} of account 000000000000 not found\."):
        bench.invoke()


def test_names_are_unique_and_configurations_must_exist(bench: Any) -> None:
    name = bench.deploy(bench.container())
    with pytest.raises(ClientError, match=rf'Cannot create already existing endpoint "arn:aws:.*endpoint/{name}"\.'):
        bench.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        bench.sagemaker.create_endpoint(EndpointName=f"{name}-2", EndpointConfigName="missing")
    with pytest.raises(ClientError, match="Could not find endpoint "):
        bench.sagemaker.delete_endpoint(EndpointName="missing")


def test_container_that_ends_fails_the_endpoint(bench: Any) -> None:
    config = bench.create_config(bench.variant(bench.create_model(bench.container(env={"CRASH": "1"}))))
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    description = bench.wait("Failed")
    assert description["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    assert "ProductionVariants" not in description
    with pytest.raises(ClientError, match="Failed"):
        bench.sagemaker.update_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    bench.sagemaker.delete_endpoint(EndpointName=bench.name)


def test_container_that_never_answers_its_ping_fails_the_endpoint(
    open_bench: Callable[..., Any], start_emulator: Callable[..., Any]
) -> None:
    bench = open_bench()
    variant = bench.variant(
        bench.create_model(bench.container(env={"UNHEALTHY": "1"})), ContainerStartupHealthCheckTimeoutInSeconds=60
    )
    config = bench.create_config(variant)
    # AWS's shortest timeout is a minute; what is stored is not checked again.
    bench.emulator.stop()
    store = Store(bench.emulator.state_dir / "sagemaker.sqlite")
    document = store.get("endpoint-config", "us-east-1", config)
    assert document is not None
    document["ProductionVariants"][0]["ContainerStartupHealthCheckTimeoutInSeconds"] = 1
    store.put("endpoint-config", "us-east-1", config, document)
    store.close()
    again = type(bench)(start_emulator(state_dir=bench.emulator.state_dir), bench.name, bucket=bench.bucket)
    again.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    assert "did not pass the ping health check" in again.wait("InService")["FailureReason"]
    assert not again.processes()


def test_model_data_that_is_no_archive_fails_the_endpoint(bench: Any) -> None:
    bench.s3.put_object(Bucket=bench.bucket, Key="model.tar.gz", Body=b"not an archive")
    model = bench.create_model(bench.container(ModelDataUrl=f"s3://{bench.bucket}/model.tar.gz"))
    bench.sagemaker.create_endpoint(
        EndpointName=bench.name, EndpointConfigName=bench.create_config(bench.variant(model))
    )
    assert "Failed to extract model data archive" in bench.wait("Failed")["FailureReason"]


def test_model_data_deleted_since_fails_the_endpoint(bench: Any) -> None:
    model = bench.create_model(bench.container(ModelDataUrl=bench.put_model("model.tar.gz")))
    bench.s3.delete_object(Bucket=bench.bucket, Key="model.tar.gz")
    bench.sagemaker.create_endpoint(
        EndpointName=bench.name, EndpointConfigName=bench.create_config(bench.variant(model))
    )
    assert "Failed to download model data" in bench.wait("Failed")["FailureReason"]


def test_in_progress_endpoint_is_not_changed(bench: Any) -> None:
    config = bench.create_config(bench.variant(bench.create_model(bench.container(env={"UNHEALTHY": "1"}))))
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    description = bench.sagemaker.describe_endpoint(EndpointName=bench.name)
    assert description["EndpointStatus"] == "Creating"
    (pending,) = description["PendingDeploymentSummary"]["ProductionVariants"]
    assert (pending["VariantName"], pending["VariantStatus"][0]["Status"]) == ("AllTraffic", "Creating")
    for call in (bench.sagemaker.delete_endpoint, bench.sagemaker.update_endpoint):
        members = {"EndpointConfigName": config} if call == bench.sagemaker.update_endpoint else {}
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            call(EndpointName=bench.name, **members)
    with pytest.raises(ClientError, match="not found"):
        bench.invoke()


def test_update_is_blue_green_and_a_failed_one_leaves_the_old_configuration(bench: Any) -> None:
    name = bench.deploy(bench.container(env={"NAME": "blue"}))
    green = bench.create_config(
        bench.variant(bench.create_model(bench.container(env={"NAME": "green"}), suffix="-green")), suffix="-green"
    )
    broken = bench.create_config(
        bench.variant(bench.create_model(bench.container(env={"CRASH": "1"}), suffix="-broken")), suffix="-broken"
    )

    bench.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=broken)
    assert bench.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    description = bench.wait("InService")
    assert "did not pass the ping health check" in description["FailureReason"]
    assert description["EndpointConfigName"] == name
    assert bench.invoke()["name"] == "blue"

    bench.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=green)
    answers = set()
    while bench.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        answers.add(bench.invoke()["name"])
    assert answers <= {"blue", "green"}
    description = bench.wait("InService")
    assert description["EndpointConfigName"] == green
    assert "FailureReason" not in description
    assert bench.invoke()["name"] == "green"
    assert bench.processes(NAME="green")
    assert not bench.processes(NAME="blue")


def test_canary_gives_the_new_fleet_a_part_of_the_traffic(bench: Any) -> None:
    name = bench.deploy(bench.container(env={"NAME": "blue"}))
    green = bench.create_config(
        bench.variant(bench.create_model(bench.container(env={"NAME": "green"}), suffix="-green")), suffix="-green"
    )
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 1,
    }
    deployment_config = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    bench.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=green, DeploymentConfig=deployment_config)
    seen = []
    while bench.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        seen.append(bench.invoke()["name"])
    # Both served at the same time: blue again after the first green.
    assert "blue" in seen[seen.index("green") :]
    description = bench.wait("InService")
    assert description["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == routing


def test_alarm_rolls_an_update_back(bench: Any) -> None:
    name = bench.deploy(bench.container(env={"NAME": "blue"}))
    green = bench.create_config(
        bench.variant(bench.create_model(bench.container(env={"NAME": "green"}), suffix="-green")), suffix="-green"
    )
    bench.cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="Test", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    bench.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    bench.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=green,
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 600}
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]},
        },
    )
    description = bench.wait("InService")
    assert name in description["FailureReason"]
    assert description["EndpointConfigName"] == name
    assert bench.invoke()["name"] == "blue"


def test_weights_and_capacities(bench: Any) -> None:
    models = [bench.create_model(bench.container(env={"NAME": name}), suffix=f"-{name}") for name in ("a", "b")]
    config = bench.create_config(
        bench.variant(models[0], "A", InitialVariantWeight=1), bench.variant(models[1], "B", InitialVariantWeight=1)
    )
    bench.sagemaker.create_endpoint(EndpointName=bench.name, EndpointConfigName=config)
    bench.wait("InService")
    assert {bench.invoke()["name"] for _ in range(40)} == {"a", "b"}
    assert {bench.invoke(TargetVariant="B")["name"] for _ in range(5)} == {"b"}
    with pytest.raises(ClientError, match="Variant C not found"):
        bench.invoke(TargetVariant="C")

    changes = [{"VariantName": "A", "DesiredWeight": 0}, {"VariantName": "B", "DesiredInstanceCount": 3}]
    bench.sagemaker.update_endpoint_weights_and_capacities(EndpointName=bench.name, DesiredWeightsAndCapacities=changes)
    variants = bench.wait("InService")["ProductionVariants"]
    assert [(v["CurrentWeight"], v["CurrentInstanceCount"]) for v in variants] == [(0.0, 1), (1.0, 3)]
    assert {bench.invoke()["name"] for _ in range(20)} == {"b"}
    with pytest.raises(ClientError, match='Variant "C" not found'):
        bench.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=bench.name, DesiredWeightsAndCapacities=[{"VariantName": "C", "DesiredWeight": 1}]
        )

    # An update keeps them when asked to, except for what it excludes.
    other = bench.create_config(bench.variant(models[0], "A"), bench.variant(models[1], "B"), suffix="-2")
    bench.sagemaker.update_endpoint(
        EndpointName=bench.name,
        EndpointConfigName=other,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    variants = bench.wait("InService")["ProductionVariants"]
    assert [(v["CurrentWeight"], v["CurrentInstanceCount"]) for v in variants] == [(0.0, 1), (1.0, 1)]


@pytest.mark.parametrize(
    ("deployment_config", "message"),
    [
        (
            {"RollingUpdatePolicy": {
                "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0
            }},
            "BlueGreenUpdatePolicy instead of RollingUpdatePolicy",
        ),
        (
            {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 0}}},
            "requires CanarySize",
        ),
    ],
)  # fmt: skip
def test_deployment_config_it_cannot_follow_is_refused(
    bench: Any, deployment_config: dict[str, Any], message: str
) -> None:
    config = bench.create_config(bench.variant(bench.create_model(bench.container())))
    with pytest.raises(ClientError, match=message):
        bench.sagemaker.create_endpoint(
            EndpointName=bench.name, EndpointConfigName=config, DeploymentConfig=deployment_config
        )


def test_logs(bench: Any, eventually: Any) -> None:
    bench.deploy(bench.container(env={"NAME": "logged"}))
    logs = bench.client("logs")
    group = f"/aws/sagemaker/Endpoints/{bench.name}"
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    streams = eventually(lambda: logs.describe_log_streams(logGroupName=group)["logStreams"])
    assert streams[0]["logStreamName"].startswith("AllTraffic/i-")
    read = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"]}
    events = eventually(lambda: logs.get_log_events(**read)["events"])
    assert events[0]["message"] == "container logged is up"


def test_container_that_ends_later_is_started_again(bench: Any, eventually: Any) -> None:
    bench.deploy(bench.container())
    first = bench.processes()
    with pytest.raises(ClientError, match="ModelError"):
        bench.invoke("exit")

    def answers_again() -> bool:
        try:
            return bool(bench.invoke())
        except ClientError:
            return False

    assert eventually(answers_again)
    assert not set(first) & set(bench.processes())

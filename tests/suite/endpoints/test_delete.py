"""Deleting: the order, what is found by tags, what is spared, and that one failure stops nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AwsCallError, InputError
from kfp_sagemaker.aws.s3 import list_objects, write_text
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints import delete, hosting
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal

MISSING = refusal("ValidationException", "Could not find it")


class Aws:
    """SageMaker as dictionaries, with what was called in order."""

    def __init__(self) -> None:
        self.endpoints: dict[str, str] = {}
        self.configs: dict[str, list[str]] = {}
        self.models: set[str] = set()
        self.jobs: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.schedules: dict[str, str] = {}
        self.definitions: set[str] = set()
        self.refused: set[str] = set()
        self.targets: list[str] = []
        self.done: list[str] = []
        sagemaker = ScriptedClient(
            {
                "describe_endpoint": self.describe_endpoint,
                "describe_endpoint_config": self.describe_endpoint_config,
                "delete_endpoint": lambda **request: self.delete("endpoint", self.endpoints, **request),
                "delete_endpoint_config": lambda **request: self.delete("config", self.configs, **request),
                "delete_model": lambda **request: self.delete("model", self.models, **request),
                "describe_monitoring_schedule": self.describe_monitoring_schedule,
                "delete_monitoring_schedule": lambda **request: self.delete("schedule", self.schedules, **request),
                "delete_data_quality_job_definition": lambda **request: self.delete(
                    "definition", self.definitions, **request
                ),
                "stop_training_job": lambda **request: self.done.append(f"stop {request['TrainingJobName']}"),
            }
        )
        sagemaker.get_paginator = self.get_paginator  # type: ignore[method-assign]
        scaling = ScriptedClient(
            {
                "describe_scalable_targets": lambda **request: {
                    "ScalableTargets": [
                        {"ResourceId": name, "ScalableDimension": "d"}
                        for name in request["ResourceIds"]
                        if name in self.targets
                    ]
                },
                "deregister_scalable_target": lambda **request: self.done.append(f"deregister {request['ResourceId']}"),
            }
        )
        self.session: Any = ScriptedSession(sagemaker=sagemaker, **{"application-autoscaling": scaling})
        self.clock = ManualClock()
        self.lines: list[str] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if EndpointName not in self.endpoints:
            raise MISSING
        return {
            "EndpointStatus": "InService",
            "EndpointConfigName": self.endpoints[EndpointName],
            "ProductionVariants": [{"VariantName": "v"}],
        }

    def describe_monitoring_schedule(self, MonitoringScheduleName: str) -> dict[str, Any]:  # noqa: N803
        if MonitoringScheduleName not in self.schedules:
            raise MISSING
        definition = self.schedules[MonitoringScheduleName]
        return {
            "MonitoringScheduleStatus": "Scheduled",
            "MonitoringScheduleConfig": {"MonitoringJobDefinitionName": definition},
        }

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        if EndpointConfigName not in self.configs:
            raise MISSING
        return {"ProductionVariants": [{"ModelName": name} for name in self.configs[EndpointConfigName]]}

    def delete(self, kind: str, table: Any, **request: str) -> dict[str, Any]:
        (name,) = request.values()
        if name in self.refused:
            raise refusal("AccessDeniedException", f"no permission on {name}")
        if name not in table:
            raise MISSING
        table.discard(name) if isinstance(table, set) else table.pop(name)
        self.done.append(f"{kind} {name}")
        return {}

    def get_paginator(self, operation: str) -> Any:
        def paginate(**request: Any) -> list[dict[str, Any]]:
            if operation == "list_tags":
                own = self.tags.get(request["ResourceArn"], {})
                return [{"Tags": [{"Key": key, "Value": value} for key, value in own.items()]}]
            tables: dict[str, tuple[str, str, Any]] = {
                "list_endpoints": ("Endpoints", "Endpoint", self.endpoints),
                "list_endpoint_configs": ("EndpointConfigs", "EndpointConfig", self.configs),
                "list_models": ("Models", "Model", self.models),
                "list_hyper_parameter_tuning_jobs": (
                    "HyperParameterTuningJobSummaries",
                    "HyperParameterTuningJob",
                    {},
                ),
                "list_training_jobs": ("TrainingJobSummaries", "TrainingJob", self.jobs),
                "list_monitoring_schedules": ("MonitoringScheduleSummaries", "MonitoringSchedule", self.schedules),
                "list_monitoring_executions": ("MonitoringExecutionSummaries", "MonitoringExecution", {}),
                "list_data_quality_job_definitions": (
                    "JobDefinitionSummaries",
                    "MonitoringJobDefinition",
                    self.definitions,
                ),
                "list_transform_jobs": ("TransformJobSummaries", "TransformJob", {}),
                "list_processing_jobs": ("ProcessingJobSummaries", "ProcessingJob", {}),
            }
            member, prefix, table = tables[operation]
            return [{member: [{f"{prefix}Name": name, f"{prefix}Arn": f"arn:{name}"} for name in table]}]

        return type("Paginator", (), {"paginate": staticmethod(paginate)})()

    def of_run(self, run_id: str, *names: str, **more: str) -> None:
        for name in names:
            self.tags[f"arn:{name}"] = {"kfp-sagemaker:run-id": run_id} | {
                f"kfp-sagemaker:{key}": value for key, value in more.items()
            }

    def run(self, *, keep: bool = False, run_state: str = "", **plan: Any) -> list[str]:
        return delete.run(
            self.session,
            delete.build_plan(**plan),
            keep=keep,
            run_state=run_state,
            timing=self.clock.timing(),
            sink=self.lines.append,
        ).deleted


@pytest.fixture
def aws() -> Aws:
    aws = Aws()
    aws.endpoints = {"e": "c", "foreign": "c-foreign"}
    aws.configs = {"c": ["m1", "m2"], "c-foreign": ["m-foreign"]}
    aws.models = {"m1", "m2", "m-foreign"}
    aws.targets = ["endpoint/e/variant/v"]
    return aws


def test_an_endpoint_goes_with_all_it_depends_on_in_order(aws: Aws) -> None:
    assert aws.run(endpoint_names=["e"]) == [
        "autoscaling/endpoint/e/variant/v",
        "endpoint/e",
        "endpoint-config/c",
        "model/m1",
        "model/m2",
    ]
    assert aws.done == ["deregister endpoint/e/variant/v", "endpoint e", "config c", "model m1", "model m2"]
    assert aws.models == {"m-foreign"}


def test_dependencies_may_stay(aws: Aws) -> None:
    aws.run(endpoint_names=["e"], delete_dependencies=False)
    assert "c" in aws.configs
    assert aws.models == {"m1", "m2", "m-foreign"}


def test_what_does_not_exist_is_no_error(aws: Aws) -> None:
    assert aws.run(endpoint_names=["gone"], endpoint_config_names=["gone"], model_names=["gone"]) == []
    assert "model/gone does not exist." in aws.lines


def test_one_failure_stops_nothing_and_all_are_told(aws: Aws) -> None:
    aws.refused = {"c", "m1"}
    with pytest.raises(AwsCallError, match="2 of 5 deletions failed") as caught:
        aws.run(endpoint_names=["e"])
    assert "endpoint-config/c: deleting endpoint configuration c" in str(caught.value)
    assert "model/m1" in str(caught.value)
    assert "model m2" in aws.done


def test_a_run_is_found_by_its_tags(aws: Aws) -> None:
    aws.jobs = {"running": "", "others": ""}
    aws.models |= {"loose"}
    aws.of_run("run-1", "e", "c", "m1", "m2", "loose", "running")
    aws.of_run("run-2", "foreign", "c-foreign", "m-foreign", "others")
    aws.run(run_id="run-1")
    assert aws.done[0] == "stop running"
    assert (aws.endpoints, aws.configs, aws.models) == (
        {"foreign": "c-foreign"},
        {"c-foreign": ["m-foreign"]},
        {"m-foreign"},
    )
    assert "stop others" not in aws.done


def test_current_is_the_run_of_the_step(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_SAGEMAKER_RUN_ID", "run-1")
    aws.of_run("run-1", "m1")
    assert aws.run(run_id="current") == ["model/m1"]


def test_what_an_endpoint_of_another_run_serves_stays(aws: Aws) -> None:
    aws.of_run("run-1", "c-foreign", endpoint="foreign")
    aws.of_run("run-1", "m-foreign", "m1")
    assert aws.run(run_id="run-1") == ["model/m1"]
    assert any("Kept endpoint-config/c-foreign: endpoint foreign" in line for line in aws.lines)


def test_keep_deletes_nothing_and_stops_jobs(aws: Aws) -> None:
    aws.jobs = {"running": ""}
    aws.of_run("run-1", "e", "running")
    assert aws.run(run_id="run-1", keep=True, run_state="FAILED") == []
    assert aws.done == ["stop running"]
    assert "Kept endpoint/e." in aws.lines
    assert aws.lines[0] == "The run ended as FAILED. Its resources are kept, as asked."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "run_id is '', must be given"),
        ({"endpoint_names": ["a_b"]}, r"endpoint_names\[0\] is 'a_b'"),
        ({"s3_uris": ["s3://bucket"]}, "never the whole bucket"),
        ({"s3_uris": ["s3://bucket//"]}, "never the whole bucket"),
        ({"s3_uris": ["bucket/prefix"]}, r"s3_uris\[0\] is 'bucket/prefix'"),
        ({"model_names": ["m"], "timeout_seconds": -1}, "timeout_seconds is -1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        delete.build_plan(**arguments)


def test_empty_names_come_from_steps_that_never_ran() -> None:
    plan = delete.build_plan(endpoint_names=["", "e"], s3_uris=[""])
    assert (plan.endpoint_names, plan.s3_uris) == (("e",), ())


# On the emulator


def test_everything_of_a_run_goes(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_SAGEMAKER_RUN_ID", host.name)
    scaling = {"max_capacity": 2, "target_invocations_per_instance": 10}
    deployed = host.deploy(host.model(), autoscaling=scaling)
    host.model("-unused")
    for key in ("mme/a", "mme/b", "mme2/kept"):
        write_text(host.session, f"s3://{host.bucket}/{key}", "x")
    plan = delete.build_plan(run_id="current", s3_uris=[f"s3://{host.bucket}/mme/"])
    assert delete.run(host.session, plan).deleted == [
        f"autoscaling/endpoint/{host.name}/variant/AllTraffic",
        f"endpoint/{host.name}",
        f"endpoint-config/{deployed.endpoint_config_name}",
        f"model/{host.name}-unused",
        f"model/{host.name}",
        f"s3://{host.bucket}/mme/ (2 objects)",
    ]
    assert hosting.describe_endpoint(host.session, host.name) is None
    assert [item.key for item in list_objects(host.session, f"s3://{host.bucket}")] == ["mme2/kept"]
    assert delete.run(host.session, plan).deleted == []


def test_an_endpoint_that_is_still_being_created(host: Any) -> None:
    client = host.session.client("sagemaker")
    model_name = host.model()
    variant = {"VariantName": "v", "ModelName": model_name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=host.name, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=host.name, EndpointConfigName=host.name)
    plan = delete.build_plan(endpoint_names=[host.name], timeout_seconds=60)
    assert delete.run(host.session, plan).deleted == [
        f"endpoint/{host.name}",
        f"endpoint-config/{host.name}",
        f"model/{model_name}",
    ]


def test_a_single_object_and_a_bucket_that_does_not_exist(session: Session, host: Any) -> None:
    write_text(session, f"s3://{host.bucket}/one", "x")
    write_text(session, f"s3://{host.bucket}/one-more", "x")
    uri = f"s3://{host.bucket}/one"
    assert delete.run(session, delete.build_plan(s3_uris=[uri])).deleted == [uri]
    assert [item.key for item in list_objects(session, f"s3://{host.bucket}")] == ["one-more"]
    gone = delete.build_plan(s3_uris=["s3://no-such-bucket-here/prefix/"])
    assert delete.run(session, gone).deleted == []


def test_schedules_of_a_run_go_before_its_endpoints_and_with_their_definitions(aws: Aws) -> None:
    aws.schedules = {"s": "s-definition", "foreign-s": "foreign-definition"}
    aws.definitions = {"s-definition", "left-over", "foreign-definition"}
    aws.of_run("run", "s", "s-definition", "left-over", "e")
    deleted = aws.run(run_id="run", delete_dependencies=False)
    assert aws.done[:3] == ["schedule s", "definition s-definition", "definition left-over"]
    assert aws.done[-1] == "endpoint e"
    assert deleted[:2] == ["monitoring-schedule/s", "data-quality-job-definition/left-over"]
    assert deleted[-1] == "endpoint/e"


def test_what_would_go_is_found_and_left_alone(aws: Aws) -> None:
    aws.jobs = {"running": ""}
    aws.schedules = {"s": "s-definition"}
    aws.definitions = {"s-definition"}
    aws.of_run("run-1", "running", "s", "s-definition", "e", "c-foreign", endpoint="foreign")
    plan = delete.build_plan(run_id="run-1")
    assert delete.find(aws.session, plan) == [
        "training-job/running",
        "monitoring-schedule/s",
        "data-quality-job-definition/s-definition",
        "endpoint/e",
        "endpoint-config/c",
        "model/m1",
        "model/m2",
    ]
    assert aws.done == []

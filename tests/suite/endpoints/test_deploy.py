"""Deploying: creating, updating, rolling back, retrying, and what is left after each."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AwsCallError, CancelledError, DeadlineError, JobFailedError
from kfp_sagemaker.aws.termination import Terminated
from kfp_sagemaker.endpoints import autoscaling, deploy, deploy_options, hosting
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal

CONFIG: dict[str, Any] = {"ProductionVariants": [{"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large"}]}
NEW = deploy.config_name("e", CONFIG)
MISSING = refusal("ValidationException", 'Could not find endpoint "e".')
TAKEN = refusal("ValidationException", "Cannot create already existing endpoint configuration")


def endpoint(status: str, config: str = NEW, **members: Any) -> dict[str, Any]:
    return {
        "EndpointStatus": status,
        "EndpointConfigName": config,
        "EndpointArn": "arn:e",
        "EndpointName": "e",
        **members,
    }


def pending(config: str) -> dict[str, Any]:
    return {"PendingDeploymentSummary": {"EndpointConfigName": config}}


class Scripted:
    """Deploys endpoint ``e`` against scripted answers."""

    def __init__(self, **scripts: Any) -> None:
        defaults = {
            "create_endpoint_config": {"EndpointConfigArn": "arn:c"},
            "create_endpoint": {"EndpointArn": "arn:e"},
            "update_endpoint": {"EndpointArn": "arn:e"},
            "delete_endpoint": {},
            "delete_endpoint_config": {},
            "describe_endpoint_config": {"EndpointConfigArn": "arn:c"},
            "list_tags": {"Tags": []},
        }
        self.sagemaker = ScriptedClient(defaults | scripts)
        logs = ScriptedClient({"describe_log_streams": {"logStreams": []}, "get_log_events": {"events": []}})
        self.session: Any = ScriptedSession(sagemaker=self.sagemaker, logs=logs)
        self.clock = ManualClock()
        self.lines: list[str] = []

    def run(self, **options: Any) -> deploy.Deployed:
        return deploy.run(
            self.session,
            CONFIG,
            deploy_options.Options(endpoint_name="e", **options),
            timing=self.clock.timing(),
            sink=self.lines.append,
        )

    def deleted_configs(self) -> list[str]:
        return [call["EndpointConfigName"] for call in self.sagemaker.named("delete_endpoint_config")]


# Creating


def test_a_new_endpoint_is_created_and_waited_for() -> None:
    aws = Scripted(describe_endpoint=[MISSING, endpoint("Creating"), endpoint("Creating"), endpoint("InService")])
    assert aws.run() == ("e", NEW, "arn:e")
    (config,) = aws.sagemaker.named("create_endpoint_config")
    assert config["EndpointConfigName"] == NEW
    assert {"Key": "kfp-sagemaker:endpoint", "Value": "e"} in config["Tags"]
    assert not aws.deleted_configs()


def test_an_endpoint_that_cannot_be_created_is_taken_away_again() -> None:
    failed = endpoint("Failed", FailureReason="no capacity")
    aws = Scripted(describe_endpoint=[MISSING, endpoint("Creating"), failed, failed, endpoint("Deleting"), MISSING])
    with pytest.raises(JobFailedError, match="were deleted") as caught:
        aws.run()
    assert caught.value.reason == "no capacity"
    assert aws.sagemaker.named("delete_endpoint") == [{"EndpointName": "e"}]
    assert aws.deleted_configs() == [NEW]


def test_a_failed_one_is_kept_when_asked() -> None:
    aws = Scripted(describe_endpoint=[MISSING, endpoint("Failed", FailureReason="no capacity")])
    with pytest.raises(JobFailedError, match="are kept, as asked"):
        aws.run(keep_failed=True)
    assert not aws.sagemaker.named("delete_endpoint")
    assert not aws.deleted_configs()


def test_a_refused_creation_leaves_no_configuration() -> None:
    aws = Scripted(
        describe_endpoint=MISSING, create_endpoint=refusal("ResourceLimitExceeded", "0 instances of ml.m5.large")
    )
    with pytest.raises(AwsCallError, match="0 instances"):
        aws.run()
    assert aws.deleted_configs() == [NEW]


def test_past_the_deadline_it_says_what_is_left() -> None:
    aws = Scripted(describe_endpoint=[MISSING, endpoint("Creating")])
    with pytest.raises(DeadlineError, match=f"endpoint e is left, with configuration {NEW}: run delete_resources"):
        aws.run(timeout_seconds=60)
    assert aws.clock.seconds == pytest.approx(60)


def test_a_retry_waits_for_the_endpoint_it_began() -> None:
    aws = Scripted(describe_endpoint=[endpoint("Creating"), endpoint("Creating"), endpoint("InService")])
    assert aws.run().endpoint_config_name == NEW
    assert "create_endpoint" not in aws.sagemaker.operations


def test_a_failed_leftover_is_replaced() -> None:
    aws = Scripted(describe_endpoint=[endpoint("Failed"), endpoint("Failed"), MISSING, endpoint("InService")])
    aws.run()
    assert aws.sagemaker.operations.index("delete_endpoint") < aws.sagemaker.operations.index("create_endpoint")


# Updating


def test_an_update_deletes_what_it_superseded_only_afterwards() -> None:
    aws = Scripted(
        describe_endpoint=[
            endpoint("InService", "old"),
            endpoint("Updating", "old", **pending(NEW)),
            endpoint("InService"),
        ]
    )
    aws.run(update={"RetainAllVariantProperties": True})
    assert aws.sagemaker.named("update_endpoint") == [
        {"EndpointName": "e", "EndpointConfigName": NEW, "RetainAllVariantProperties": True}
    ]
    assert aws.deleted_configs() == ["old"]
    assert aws.sagemaker.operations[-1] == "delete_endpoint_config"


def test_the_superseded_configuration_is_kept_when_asked() -> None:
    aws = Scripted(describe_endpoint=[endpoint("InService", "old"), endpoint("InService")])
    aws.run(keep_superseded_config=True)
    assert not aws.deleted_configs()


def test_a_rollback_is_a_failure_and_the_old_configuration_stays() -> None:
    aws = Scripted(
        describe_endpoint=[
            endpoint("InService", "old"),
            endpoint("Updating", "old", **pending(NEW)),
            endpoint("RollingBack", "old", **pending(NEW)),
            endpoint("InService", "old", FailureReason="the container did not answer /ping"),
        ]
    )
    with pytest.raises(JobFailedError, match="was rolled back; the endpoint serves old as before") as caught:
        aws.run()
    assert caught.value.reason == "the container did not answer /ping"
    assert aws.deleted_configs() == [NEW]


def test_a_refused_update_leaves_no_configuration() -> None:
    aws = Scripted(
        describe_endpoint=endpoint("InService", "old"),
        update_endpoint=refusal("ResourceLimitExceeded", "too many"),
    )
    with pytest.raises(AwsCallError, match="too many"):
        aws.run()
    assert aws.deleted_configs() == [NEW]


def test_a_refused_update_keeps_a_configuration_that_was_there() -> None:
    aws = Scripted(
        describe_endpoint=endpoint("InService", "old"),
        create_endpoint_config=TAKEN,
        update_endpoint=refusal("ResourceLimitExceeded", "too many"),
    )
    with pytest.raises(AwsCallError, match="too many"):
        aws.run()
    assert not aws.deleted_configs()


def test_a_retry_waits_for_the_update_it_began() -> None:
    aws = Scripted(describe_endpoint=[endpoint("Updating", "old", **pending(NEW)), endpoint("InService")])
    aws.run()
    assert "update_endpoint" not in aws.sagemaker.operations
    assert aws.deleted_configs() == ["old"]


def test_a_retry_after_the_update_cleans_up_what_its_predecessor_could_not() -> None:
    aws = Scripted(
        describe_endpoint=endpoint("InService"),
        list_tags={"Tags": [{"Key": "kfp-sagemaker:supersedes", "Value": "old"}]},
    )
    aws.run()
    assert "update_endpoint" not in aws.sagemaker.operations
    assert aws.deleted_configs() == ["old"]


def test_another_update_is_waited_for_first() -> None:
    aws = Scripted(
        describe_endpoint=[
            endpoint("Updating", "older", **pending("old")),
            endpoint("InService", "old"),
            endpoint("InService", "old"),
            endpoint("InService"),
        ]
    )
    aws.run()
    assert aws.sagemaker.named("update_endpoint")[0]["EndpointConfigName"] == NEW
    assert aws.deleted_configs() == ["old"]


def test_an_endpoint_stays_when_its_update_fails_for_good() -> None:
    aws = Scripted(
        describe_endpoint=[endpoint("InService", "old"), endpoint("UpdateRollbackFailed", "old", FailureReason="mixed")]
    )
    with pytest.raises(JobFailedError, match="UpdateRollbackFailed"):
        aws.run()
    assert not aws.sagemaker.named("delete_endpoint")


# SIGTERM


def test_sigterm_takes_back_a_creation() -> None:
    aws = Scripted(describe_endpoint=[MISSING, endpoint("Creating"), Terminated()])
    with pytest.raises(CancelledError, match="deleted endpoint e and configuration"):
        aws.run()
    assert aws.sagemaker.operations[-2:] == ["delete_endpoint", "delete_endpoint_config"]


def test_sigterm_says_so_when_the_creation_cannot_be_taken_back() -> None:
    busy = refusal("ValidationException", 'Cannot update in-progress endpoint "e".')
    aws = Scripted(describe_endpoint=[MISSING, endpoint("Creating"), Terminated()], delete_endpoint=busy)
    with pytest.raises(CancelledError, match=r"could not be deleted .*in-progress.*: run delete_resources"):
        aws.run()
    assert not aws.deleted_configs(), "SageMaker still needs it"


def test_sigterm_leaves_an_update_to_aws() -> None:
    aws = Scripted(describe_endpoint=[endpoint("InService", "old"), endpoint("Updating", "old"), Terminated()])
    with pytest.raises(CancelledError, match="an update of endpoint e that has begun goes on"):
        aws.run()
    assert "delete_endpoint" not in aws.sagemaker.operations


# Deleting


def test_deleting_waits_until_a_busy_endpoint_has_settled() -> None:
    busy = refusal("ValidationException", 'Cannot update in-progress endpoint "e".')
    aws = Scripted(
        describe_endpoint=[endpoint("Creating"), endpoint("InService"), endpoint("Deleting"), MISSING],
        delete_endpoint=[busy, {}],
    )
    assert hosting.delete_endpoint(
        aws.session, "e", timeout_seconds=60, timing=aws.clock.timing(), sink=aws.lines.append
    )
    assert aws.lines == ["endpoint e: Creating", "endpoint e: InService", "endpoint e: Deleting"]


def test_deleting_gives_up_at_the_deadline() -> None:
    aws = Scripted(describe_endpoint=endpoint("Deleting"))
    with pytest.raises(DeadlineError, match="still Deleting 30 s after"):
        hosting.delete_endpoint(aws.session, "e", timeout_seconds=30, timing=aws.clock.timing(), sink=aws.lines.append)


# On the emulator


def test_create_update_and_come_back(host: Any) -> None:
    first = host.deploy(
        host.model("-a", environment={"NAME": "a"}),
        autoscaling={"max_capacity": 2, "target_invocations_per_instance": 10},
    )
    assert host.deploy(f"{host.name}-a") == first
    second = host.deploy(host.model("-b", environment={"NAME": "b"}))
    assert second.endpoint_config_name != first.endpoint_config_name
    assert host.configs() == [second.endpoint_config_name]
    answer = host.session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=host.name, ContentType="text/csv", Body=b"1"
    )
    assert b'"name": "b"' in answer["Body"].read()
    assert autoscaling.remove(host.session, host.name, ["AllTraffic"]) == [f"endpoint/{host.name}/variant/AllTraffic"]


def test_a_container_that_never_answers_leaves_nothing_behind(host: Any) -> None:
    with pytest.raises(JobFailedError, match="were deleted"):
        host.deploy(host.model(environment={"CRASH": "1"}))
    assert hosting.describe_endpoint(host.session, host.name) is None
    assert host.configs() == []


def test_a_failed_update_keeps_the_old_one_serving(host: Any) -> None:
    first = host.deploy(host.model("-a", environment={"NAME": "a"}))
    with pytest.raises(JobFailedError, match="was rolled back") as caught:
        host.deploy(host.model("-b", environment={"CRASH": "1"}))
    assert caught.value.reason
    assert host.configs() == [first.endpoint_config_name]
    description = hosting.describe_endpoint(host.session, host.name)
    assert description is not None
    assert (description["EndpointStatus"], description["EndpointConfigName"]) == (
        "InService",
        first.endpoint_config_name,
    )


def test_a_model_that_does_not_exist(host: Any) -> None:
    with pytest.raises(AwsCallError, match="no-such-model"):
        host.deploy("no-such-model")
    assert host.configs() == []

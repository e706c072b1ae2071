"""The engine against scripted answers: creating, adopting, waiting, failing, stopping."""

from __future__ import annotations

import os
import signal
from typing import Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from kfp_sagemaker.aws import engine, names, run_context
from kfp_sagemaker.aws.errors import (
    AccessDeniedError,
    AwsCallError,
    CancelledError,
    DeadlineError,
    JobFailedError,
    JobStoppedError,
    NameTakenError,
    ResourceMissingError,
)
from kfp_sagemaker.aws.kinds import (
    ENDPOINT,
    KINDS,
    PROCESSING_JOB,
    RUN_KINDS,
    TRAINING_JOB,
    TRANSFORM_JOB,
    ResourceKind,
)
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.tags import REQUEST, RUN_ID, as_mapping
from tests.suite.aws.scripted import ManualClock, ScriptedClient, ScriptedSession, refusal

REQUEST_BODY = {"RoleArn": "arn:aws:iam::123456789012:role/r", "ResourceConfig": {"InstanceCount": 1}}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"
EXISTS = refusal("ResourceInUse", "Training job names must be unique ... already exists", "CreateTrainingJob")
NOT_FOUND = refusal("ValidationException", "Requested resource not found.", "DescribeTrainingJob")


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_context.OVERRIDES["run_id"], "run-1")
    monkeypatch.setenv(run_context.OVERRIDES["task_name"], "train")


def described(status: str, detail: str = "", **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobArn": ARN,
        "TrainingJobStatus": status,
        "SecondaryStatus": detail or status,
        "ResourceConfig": {"InstanceCount": 1},
        **more,
    }


def own_tags(request: Any = None, run_id: str = "run-1") -> dict[str, Any]:
    fingerprint = names.request_hash(REQUEST_BODY if request is None else request)
    return {"Tags": [{"Key": REQUEST, "Value": fingerprint}, {"Key": RUN_ID, "Value": run_id}]}


class Stage:
    """One engine call: scripts in, lines and calls out."""

    def __init__(self, kind: ResourceKind = TRAINING_JOB, logs: dict[str, Any] | None = None, **scripts: Any) -> None:
        self.kind = kind
        self.sagemaker = ScriptedClient(
            {"create_training_job": {"TrainingJobArn": ARN}, "stop_training_job": {}} | scripts
        )
        self.logs = ScriptedClient(logs or {"describe_log_streams": {"logStreams": []}})
        self.clock = ManualClock()
        self.lines: list[str] = []
        self.session = cast(Session, ScriptedSession(sagemaker=self.sagemaker, logs=self.logs))

    def run(self, timeout_seconds: float = 3600, **options: Any) -> engine.Outcome:
        return engine.run(
            self.session,
            self.kind,
            options.pop("request", REQUEST_BODY),
            name_prefix="train",
            timeout_seconds=timeout_seconds,
            timing=options.pop("timing", None) or self.clock.timing(),
            sink=self.lines.append,
            **options,
        )


# Creating and waiting


def test_a_job_runs_to_its_end() -> None:
    stage = Stage(
        describe_training_job=[
            described("InProgress", "Starting"),
            described("InProgress", "Training"),
            described("Completed", ModelArtifacts={"S3ModelArtifacts": "s3://b/model.tar.gz"}),
        ]
    )
    outcome = stage.run()
    assert outcome.arn == ARN
    assert outcome.description["ModelArtifacts"]["S3ModelArtifacts"] == "s3://b/model.tar.gz"
    assert outcome.console_url == f"https://console.test/sagemaker/home?region=us-east-1#/jobs/{outcome.name}"
    assert outcome.elapsed_seconds == pytest.approx(0.25 + 0.3125)
    assert not outcome.adopted
    assert [line.split(": ", 1)[1] for line in stage.lines] == [
        "created",
        "InProgress (Starting)",
        "InProgress (Training)",
        "Completed",
    ]


def test_the_request_is_sent_with_the_name_and_the_tags_of_the_run() -> None:
    stage = Stage(describe_training_job=[described("Completed")])
    outcome = stage.run(tags={"team": "prices"})
    [sent] = stage.sagemaker.named("create_training_job")
    assert sent["RoleArn"] == REQUEST_BODY["RoleArn"]
    assert sent["TrainingJobName"] == outcome.name
    assert outcome.name.startswith("train-")
    tags = as_mapping(sent["Tags"])
    assert tags["team"] == "prices"
    assert tags[RUN_ID] == "run-1"
    assert tags[REQUEST] == names.request_hash(REQUEST_BODY)


def test_the_same_step_always_asks_for_the_same_name() -> None:
    first, second = (Stage(describe_training_job=[described("Completed")]).run().name for _ in range(2))
    other = Stage(describe_training_job=[described("Completed")]).run(request=REQUEST_BODY | {"EnableX": True}).name
    assert first == second != other


def test_polls_come_fast_at_first_and_then_every_thirty_seconds() -> None:
    stage = Stage(describe_training_job=[described("InProgress")] * 60 + [described("Completed")])
    stage.run(timeout_seconds=86400)
    naps = stage.clock.naps
    assert naps[:3] == [0.25, 0.3125, 0.390625]
    assert naps[-20:] == [30.0] * 20
    assert naps == sorted(naps)


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (1.0, 1.2)])
def test_polls_are_jittered(chance: float, factor: float) -> None:
    stage = Stage(describe_training_job=[described("InProgress"), described("Completed")])
    stage.run(timing=stage.clock.timing(chance))
    assert stage.clock.naps == [pytest.approx(0.25 * factor)]


def test_a_job_of_an_hour_takes_few_calls() -> None:
    clock_stage = Stage(
        describe_training_job=lambda **_: described(
            "Completed" if clock_stage.clock.seconds > 3600 else "InProgress", "Training"
        ),
        logs={
            "describe_log_streams": {"logStreams": [{"logStreamName": "job/algo-1"}]},
            "get_log_events": {"events": [], "nextForwardToken": "f/1"},
        },
    )
    clock_stage.run(timeout_seconds=7200)
    describes = len(clock_stage.sagemaker.named("describe_training_job"))
    assert clock_stage.sagemaker.operations.count("create_training_job") == 1
    assert set(clock_stage.sagemaker.operations) == {"create_training_job", "describe_training_job"}
    assert describes <= 145
    assert len(clock_stage.logs.named("get_log_events")) <= describes + 1
    assert len(clock_stage.logs.named("describe_log_streams")) <= describes / 10 + 2


# A bad network


@pytest.mark.parametrize(
    "error",
    [
        refusal("ThrottlingException", "Rate exceeded"),
        refusal("InternalFailure", "oops", status=500),
        refusal("ServiceUnavailable", "busy", status=503),
        EndpointConnectionError(endpoint_url="https://api.sagemaker"),
        ReadTimeoutError(endpoint_url="https://api.sagemaker"),
        ConnectTimeoutError(endpoint_url="https://api.sagemaker"),
        NOT_FOUND,
    ],
)
def test_polling_outlives_passing_errors(error: Exception) -> None:
    stage = Stage(describe_training_job=[error, error, described("InProgress"), error, described("Completed")])
    assert stage.run().description["TrainingJobStatus"] == "Completed"


def test_an_outage_is_said_once() -> None:
    error = EndpointConnectionError(endpoint_url="https://api.sagemaker")
    stage = Stage(describe_training_job=[described("InProgress"), *[error] * 9, described("Completed")])
    stage.run()
    assert sum("no answer from AWS" in line for line in stage.lines) == 1


def test_a_job_that_vanishes_is_an_error() -> None:
    stage = Stage(describe_training_job=[NOT_FOUND])
    with pytest.raises(ResourceMissingError, match="describing training job train-"):
        stage.run()


def test_a_missing_permission_to_describe_says_that_the_job_goes_on() -> None:
    denied = refusal(
        "AccessDeniedException",
        "User: arn:aws:sts::1:assumed-role/kfp is not authorized to perform: sagemaker:DescribeTrainingJob on "
        "resource: arn:aws:sagemaker:us-east-1:1:training-job/x because no identity-based policy allows it",
        "DescribeTrainingJob",
    )
    stage = Stage(describe_training_job=[denied])
    with pytest.raises(AccessDeniedError, match=r"which goes on meanwhile.*sagemaker:DescribeTrainingJob on arn:aws"):
        stage.run()


def test_a_refused_request_is_an_error_with_awss_words() -> None:
    stage = Stage(
        create_training_job=[refusal("ResourceLimitExceeded", "account-level limit 'ml.p3'", "CreateTrainingJob")]
    )
    with pytest.raises(
        AwsCallError, match=r"creating training job train-.*ResourceLimitExceeded.*account-level limit"
    ) as info:
        stage.run()
    assert info.value.code == "ResourceLimitExceeded"
    assert "describe_training_job" not in stage.sagemaker.operations


# A retried pod


@pytest.mark.parametrize(
    "refused",
    [
        EXISTS,
        refusal("ValidationException", "Cannot create already existing training job"),
        refusal("ValidationException", "Job with name X already exists"),
    ],
)
def test_a_retried_step_adopts_its_running_job(refused: Exception) -> None:
    stage = Stage(
        create_training_job=[refused],
        describe_training_job=[described("InProgress"), described("InProgress"), described("Completed")],
        list_tags=own_tags(),
    )
    outcome = stage.run()
    assert outcome.adopted
    assert len(stage.sagemaker.named("create_training_job")) == 1
    assert stage.sagemaker.named("list_tags") == [{"ResourceArn": ARN}]
    assert any("adopted" in line for line in stage.lines)


def test_a_retried_step_takes_the_result_of_its_finished_job() -> None:
    stage = Stage(create_training_job=[EXISTS], describe_training_job=[described("Completed")], list_tags=own_tags())
    assert stage.run().adopted
    assert stage.clock.naps == []


@pytest.mark.parametrize("spent", ["Failed", "Stopped", "Stopping"])
def test_a_retried_step_starts_another_attempt_after_a_spent_one(spent: str) -> None:
    stage = Stage(
        create_training_job=[EXISTS, EXISTS, {"TrainingJobArn": f"{ARN}-3"}],
        describe_training_job=[described(spent), described(spent), described("Completed", TrainingJobArn=f"{ARN}-3")],
        list_tags=own_tags(),
    )
    outcome = stage.run()
    tried = [call["TrainingJobName"] for call in stage.sagemaker.named("create_training_job")]
    assert tried == [tried[0], f"{tried[0]}-2", f"{tried[0]}-3"]
    assert outcome.name == tried[2]
    assert not outcome.adopted


def test_attempts_are_limited() -> None:
    stage = Stage(create_training_job=[EXISTS], describe_training_job=[described("Failed")], list_tags=own_tags())
    with pytest.raises(NameTakenError, match="all 20 attempts"):
        stage.run()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Tags": []}, "by somebody else"),
        (own_tags(request={"other": 1}), "from another request"),
        (own_tags(run_id="run-0"), "by run run-0"),
    ],
)
@pytest.mark.parametrize("status", ["InProgress", "Completed", "Failed"])
def test_somebody_elses_job_is_left_alone(tags: dict[str, Any], said: str, status: str) -> None:
    stage = Stage(create_training_job=[EXISTS], describe_training_job=[described(status)], list_tags=tags)
    with pytest.raises(NameTakenError, match=f"training job mine already exists and was made {said}"):
        stage.run(name="mine")
    assert stage.sagemaker.operations == ["create_training_job", "describe_training_job", "list_tags"]


def test_an_endpoint_of_this_step_that_failed_keeps_its_name() -> None:
    stage = Stage(
        ENDPOINT,
        create_endpoint=[refusal("ValidationException", 'Cannot create already existing endpoint "arn:..."')],
        describe_endpoint=[{"EndpointArn": ARN, "EndpointStatus": "Failed"}],
        list_tags=own_tags(),
    )
    with pytest.raises(NameTakenError, match="endpoint prices already exists, made by this step, and is Failed"):
        stage.run(name="prices")


# Bad ends


def test_a_failure_shows_reason_log_and_console_in_that_order() -> None:
    events = [{"message": f"line {number}", "timestamp": number} for number in range(60)]
    stage = Stage(
        describe_training_job=[described("Failed", FailureReason="AlgorithmError: exit code 1")],
        logs={
            "describe_log_streams": {"logStreams": [{"logStreamName": "job/algo-1-1"}]},
            "get_log_events": [
                {"events": events, "nextForwardToken": "f/1"},
                {"events": [], "nextForwardToken": "f/1"},
            ],
        },
    )
    with pytest.raises(JobFailedError) as info:
        stage.run()
    assert info.value.log_lines == [f"line {number}" for number in range(10, 60)]
    message = str(info.value)
    positions = [
        message.index(part) for part in (" failed\n", "AlgorithmError", "line 10", "line 59", "https://console")
    ]
    assert positions == sorted(positions)
    assert stage.lines[-60:] == [f"line {number}" for number in range(60)]


def test_a_failure_waits_for_the_last_lines_of_the_log() -> None:
    stage = Stage(
        describe_training_job=[described("Failed")],
        logs={
            "describe_log_streams": [{"logStreams": []}, {"logStreams": [{"logStreamName": "job/algo-1-1"}]}],
            "get_log_events": [
                {"events": [{"message": "ZeroDivisionError\n", "timestamp": 1}], "nextForwardToken": "f/1"},
                {"events": [], "nextForwardToken": "f/1"},
            ],
        },
    )
    with pytest.raises(JobFailedError) as info:
        stage.run()
    assert info.value.log_lines == ["ZeroDivisionError"]


def test_a_failure_without_streaming_still_shows_the_end_of_the_log() -> None:
    stage = Stage(
        describe_training_job=[described("Failed")],
        logs={
            "describe_log_streams": {"logStreams": [{"logStreamName": "job/algo-1-1"}]},
            "get_log_events": {"events": [{"message": "boom", "timestamp": 1}], "nextForwardToken": "f/1"},
        },
    )
    with pytest.raises(JobFailedError) as info:
        stage.run(stream_logs=False)
    assert info.value.log_lines == ["boom"]
    [read] = stage.logs.named("get_log_events")
    assert read["startFromHead"] is False
    assert "boom" not in stage.lines


@pytest.mark.parametrize("detail", ["Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded", "Interrupted"])
def test_a_stopped_job_is_a_failure(detail: str) -> None:
    stage = Stage(describe_training_job=[described("Stopped", detail)])
    with pytest.raises(JobStoppedError, match="was stopped, and not by this step") as info:
        stage.run()
    assert (f": Stopped ({detail})" in str(info.value)) is (detail != "Stopped")


@pytest.mark.parametrize(("messages", "hint"), [(["last words"], "; its log may say more"), ([], " and no log")])
def test_a_failure_without_a_reason_says_so(messages: list[str], hint: str) -> None:
    events = [{"message": message, "timestamp": 1} for message in messages]
    stage = Stage(
        describe_training_job=[described("Failed", FailureReason="AlgorithmError: , exit code: 1")],
        logs={
            "describe_log_streams": {"logStreams": [{"logStreamName": "job/algo-1-1"}]},
            "get_log_events": {"events": events, "nextForwardToken": "f/1"},
        },
    )
    with pytest.raises(JobFailedError) as info:
        stage.run(stream_logs=False)
    assert f"Reason: AlgorithmError: , exit code: 1 (the container wrote no failure file{hint})" in str(info.value)


def test_a_job_that_never_started_fails_without_a_log() -> None:
    stage = Stage(
        describe_training_job=[described("Failed", FailureReason="CapacityError")],
        logs={"describe_log_streams": refusal("ResourceNotFoundException", "The specified log group does not exist.")},
    )
    with pytest.raises(JobFailedError, match="CapacityError") as info:
        stage.run()
    assert info.value.log_lines == []


def test_the_deadline_stops_the_job() -> None:
    stage = Stage(describe_training_job=[described("InProgress", "Training")])
    with pytest.raises(DeadlineError, match=r"within 60 s \(last status InProgress \(Training\)\); it was stopped"):
        stage.run(timeout_seconds=60)
    assert stage.clock.seconds == pytest.approx(60)
    assert stage.sagemaker.operations[-1] == "stop_training_job"


def test_the_deadline_of_a_wait_leaves_the_resource_alone() -> None:
    stage = Stage(ENDPOINT, describe_endpoint=[{"EndpointArn": ARN, "EndpointStatus": "Updating"}])
    with pytest.raises(DeadlineError, match="it goes on"):
        engine.wait(
            stage.session, ENDPOINT, "prices", timeout_seconds=10, timing=stage.clock.timing(), sink=stage.lines.append
        )
    assert set(stage.sagemaker.operations) == {"describe_endpoint"}


def test_a_network_that_never_comes_back_ends_at_the_deadline() -> None:
    stage = Stage(
        describe_training_job=[EndpointConnectionError(endpoint_url="https://api")],
        stop_training_job=[EndpointConnectionError(endpoint_url="https://api")],
    )
    with pytest.raises(DeadlineError, match=r"last status unknown\); it could not be stopped"):
        stage.run(timeout_seconds=60)


# SIGTERM


def terminate(**_: Any) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGTERM)
    return described("InProgress")


def test_sigterm_stops_the_job_before_anything_else() -> None:
    stage = Stage(describe_training_job=[described("InProgress"), terminate])
    with pytest.raises(CancelledError, match=r"training job train-.* was stopped"):
        stage.run()
    assert stage.sagemaker.operations[-1] == "stop_training_job"
    assert stage.sagemaker.operations.count("describe_training_job") == 2
    assert len(stage.lines) == 2
    assert stage.logs.operations == ["describe_log_streams"]


def test_sigterm_during_the_create_call_stops_what_it_may_have_started() -> None:
    def create(**_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return {"TrainingJobArn": ARN}

    stage = Stage(create_training_job=create, stop_training_job=[NOT_FOUND, NOT_FOUND, {}])
    with pytest.raises(CancelledError, match="was stopped"):
        stage.run()
    assert stage.sagemaker.operations == ["create_training_job"] + ["stop_training_job"] * 3


def test_sigterm_says_when_the_job_could_not_be_stopped() -> None:
    stage = Stage(
        describe_training_job=terminate, stop_training_job=[refusal("AccessDeniedException", "not authorized", "Stop")]
    )
    with pytest.raises(CancelledError, match="could not be stopped"):
        stage.run()


def test_sigterm_after_the_job_ended_by_itself_counts_as_stopped() -> None:
    ended = refusal("ValidationException", "The request was rejected because the training job is in status Completed.")
    stage = Stage(describe_training_job=terminate, stop_training_job=[ended])
    with pytest.raises(CancelledError, match="was stopped"):
        stage.run()


def test_a_second_sigterm_does_not_interrupt_the_stop_call() -> None:
    def stop(**_: Any) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    stage = Stage(describe_training_job=terminate, stop_training_job=stop)
    with pytest.raises(CancelledError, match="was stopped"):
        stage.run()


def test_the_previous_sigterm_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    Stage(describe_training_job=[described("Completed")]).run()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_terminal_stops_the_job_too() -> None:
    stage = Stage(describe_training_job=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    assert stage.sagemaker.operations[-1] == "stop_training_job"


# The other kinds


@pytest.mark.parametrize(
    ("kind", "verb", "answer"),
    [
        (TRANSFORM_JOB, "transform_job", "TransformJob"),
        (PROCESSING_JOB, "processing_job", "ProcessingJob"),
    ],
)
def test_jobs_of_other_kinds_run_to_their_end(kind: ResourceKind, verb: str, answer: str) -> None:
    stage = Stage(
        kind,
        **{
            f"create_{verb}": {f"{answer}Arn": ARN},
            f"describe_{verb}": [
                {f"{answer}Arn": ARN, f"{answer}Status": "InProgress"},
                {f"{answer}Arn": ARN, f"{answer}Status": "Completed"},
            ],
        },
    )
    outcome = stage.run()
    assert outcome.arn == ARN
    assert stage.logs.named("describe_log_streams")[0]["logGroupName"] == f"/aws/sagemaker/{answer}s"


@pytest.mark.parametrize("between", [["Creating"], ["Updating"], ["SystemUpdating"], ["Updating", "RollingBack"]])
def test_an_endpoint_is_waited_for_until_it_serves(between: list[str]) -> None:
    statuses = [{"EndpointArn": ARN, "EndpointStatus": status} for status in [*between, "InService"]]
    stage = Stage(ENDPOINT, describe_endpoint=statuses)
    outcome = engine.wait(
        stage.session, ENDPOINT, "prices", timeout_seconds=600, timing=stage.clock.timing(), sink=stage.lines.append
    )
    assert outcome.description["EndpointStatus"] == "InService"
    assert stage.logs.operations == []


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed", "Deleting"])
def test_an_endpoint_that_cannot_serve_is_a_failure(status: str) -> None:
    stage = Stage(
        ENDPOINT, describe_endpoint=[{"EndpointArn": ARN, "EndpointStatus": status, "FailureReason": "no ping"}]
    )
    with pytest.raises(JobFailedError, match="no ping"):
        engine.wait(stage.session, ENDPOINT, "prices", timeout_seconds=60, timing=stage.clock.timing(), sink=str)


def test_cancelling_a_new_endpoint_deletes_it() -> None:
    def kill(**_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return {"EndpointStatus": "Creating"}

    stage = Stage(ENDPOINT, create_endpoint={"EndpointArn": ARN}, describe_endpoint=kill, delete_endpoint={})
    with pytest.raises(CancelledError):
        stage.run(name="prices")
    assert stage.sagemaker.operations[-1] == "delete_endpoint"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
def test_every_row_of_the_table_is_one_of_the_service(kind: ResourceKind) -> None:
    import botocore.session

    session = botocore.session.get_session()
    model = session.get_service_model(kind.service)
    by_method = {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:]: name for name in model.operation_names
    }
    for method in (kind.create_operation, kind.describe_operation, kind.stop_operation):
        operation = model.operation_model(by_method[method])
        assert kind.name_parameter in operation.input_shape.members
    assert kind.list_operation in by_method
    answer = model.operation_model(by_method[kind.describe_operation]).output_shape
    assert kind.arn_path in answer.members
    assert kind.arn_path in model.operation_model(by_method[kind.create_operation]).output_shape.members
    assert kind.reason_path in answer.members
    known = kind.running | kind.ended
    assert known == set(answer.members[kind.status_path].enum)
    assert "Tags" in model.operation_model(by_method[kind.create_operation]).input_shape.members


@pytest.mark.parametrize("kind", RUN_KINDS, ids=lambda kind: kind.log_group or kind.label)
def test_every_kind_of_run_is_one_of_the_service(kind: ResourceKind) -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model(kind.service)
    run_of = kind.run_of
    assert run_of is not None

    def operation(method: str) -> Any:
        return model.operation_model("".join(word.capitalize() for word in method.split("_")))

    parent = "arn:aws:states:us-east-1:000000000000:stateMachine:machine:1"
    for method, address in ((kind.describe_operation, run_of.describe), (kind.stop_operation, run_of.stop)):
        report = ParamValidator().validate(address(parent, "run"), operation(method).input_shape)
        assert not report.has_errors(), report.generate_report()
    assert run_of.parent_parameter in operation(kind.create_operation).input_shape.members
    assert run_of.parent_parameter in operation(kind.list_operation).input_shape.members
    answer = operation(kind.describe_operation).output_shape
    for path in (kind.arn_path, kind.reason_path, kind.status_path):
        shape = answer
        for member in path.split("."):
            shape = shape.members[member]
        if path == kind.status_path:
            assert kind.running | kind.ended == set(shape.enum)

"""The emulator is killed in the middle of everything, and started again on its state."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from kfp_sagemaker.aws.errors import JobFailedError
from tests.faults.conftest import Stage, archive, containers_of, until

TRAIN = """
import os, pathlib
print("loss=0.5;", flush=True)
(pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model/weights.txt").write_text("trained")
"""
PATIENT = """
import time
print("working", flush=True)
while True:
    time.sleep(0.05)
"""
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
TRUST_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})


def log_of(stage: Stage, group: str) -> list[str]:
    logs = stage.emulator.client("logs")
    lines = []
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stage.prefix)["logStreams"]:
        events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
        lines += [event["message"] for event in events["events"]]
    return lines


def test_what_the_components_made_is_there_again(open_stage: Callable[..., Stage]) -> None:
    stage = open_stage()
    role = stage.emulator.client("iam").create_role(RoleName="jobs", AssumeRolePolicyDocument=TRUST_POLICY)["Role"]
    trained = stage.call("train", training_image=stage.image(train=TRAIN), tags={"owner": "me"})
    stage.call(
        "publish_models",
        model_data_urls=[trained.model_data_url],
        target_models=["a.tar.gz"],
        destination_s3_uri=stage.uri("mme/"),
    )
    name = stage.create_model(mode="MultiModel", model_data_url=stage.uri("mme/"))
    stage.call("deploy_endpoint", endpoint_name=name, model_name=name, timeout_seconds=60)
    job = stage.sagemaker.describe_training_job(TrainingJobName=trained.job_name)
    objects = {item["Key"]: item["ETag"] for item in stage.s3.list_objects_v2(Bucket=stage.bucket)["Contents"]}
    left, log = stage.left(), log_of(stage, "/aws/sagemaker/TrainingJobs")
    processes = containers_of(stage.emulator.state_dir)
    assert processes
    stage.emulator.kill()
    until(lambda: not [process for process in processes if process.is_running()], "the end of the containers")

    again = open_stage(state_dir=stage.emulator.state_dir)
    assert again.left() == left
    assert {item["Key"]: item["ETag"] for item in again.s3.list_objects_v2(Bucket=again.bucket)["Contents"]} == objects
    after = again.sagemaker.describe_training_job(TrainingJobName=trained.job_name)
    assert {**after, "ResponseMetadata": None} == {**job, "ResponseMetadata": None}
    tags = again.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {"Key": "owner", "Value": "me"} in tags
    assert log_of(again, "/aws/sagemaker/TrainingJobs") == log
    assert again.emulator.client("iam").get_role(RoleName="jobs")["Role"]["Arn"] == role["Arn"]
    # The endpoint is up again, and takes a model published since.
    again.put("mme/b.tar.gz", archive({"weights.txt": b"new"}))
    invoked = again.call("invoke_endpoint", endpoint_name=name, rows=["1"], target_models=["a.tar.gz", "b.tar.gz"])
    assert [prediction["prediction"]["model"] for prediction in invoked.predictions] == ["trained", "new"]


def start_training(stage: Stage) -> dict[str, Any]:
    return {"training_image": stage.image(train=PATIENT)}


def start_processing(stage: Stage) -> dict[str, Any]:
    image = stage.image(process=PATIENT)
    return {"role_arn": stage.role_arn, "image_uri": image, "job_name_prefix": stage.prefix, "timeout_seconds": 60}


def start_transform(stage: Stage) -> dict[str, Any]:
    stage.put("in/rows.csv", f"wait {stage.folder / 'never'}\n")
    return {
        "model_name": stage.create_model(),
        "input_s3_uri": stage.uri("in/"),
        "output_s3_uri": stage.uri("out/"),
        "job_name_prefix": stage.prefix,
        "timeout_seconds": 60,
    }


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize(
    ("component", "start", "group"),
    [
        ("train", start_training, "/aws/sagemaker/TrainingJobs"),
        ("process", start_processing, "/aws/sagemaker/ProcessingJobs"),
        ("batch_transform", start_transform, "/aws/sagemaker/TransformJobs"),
    ],
)
def test_a_waiting_step_is_told_that_its_job_was_lost(
    open_stage: Callable[..., Stage],
    component: str,
    start: Callable[[Stage], dict[str, Any]],
    group: str,
) -> None:
    stage = open_stage()
    port = urlsplit(stage.emulator.endpoint_url).port
    arguments = start(stage)
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(stage.call, component, **arguments)
        until(lambda: containers_of(stage.emulator.state_dir) and has_group(stage, group), "the container's first line")
        processes = containers_of(stage.emulator.state_dir)
        stage.emulator.kill()
        until(lambda: not [process for process in processes if process.is_running()], "the end of the container")
        again = open_stage(state_dir=stage.emulator.state_dir, port=port)
        with pytest.raises(JobFailedError, match="InternalServerError: the emulator ended"):
            step.result(timeout=60)
    (jobs,) = [names for kind, names in again.left().items() if kind != "models"]
    assert len(jobs) == 1
    assert containers_of(again.emulator.state_dir) == []
    assert not list((again.emulator.state_dir / "jobs").glob("*/*/*"))


def has_group(stage: Stage, group: str) -> bool:
    groups = stage.emulator.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    return bool(groups)

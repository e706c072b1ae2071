"""Credentials that end in the middle of a wait, and signatures of a clock that is wrong, on an AWS that checks both."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.engine import Timing
from kfp_sagemaker.aws.errors import ConfigurationError, JobStoppedError
from kfp_sagemaker.aws.kinds import TRAINING_JOB
from kfp_sagemaker.aws.session import aws_errors, open_session
from kfp_sagemaker.cli import account
from sagemaker_emulator.emulator import Emulator
from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/patient:1"
SLEEP = [sys.executable, "-c", "import threading; threading.Event().wait(300)"]


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("guarded"), auth=True) as emulator:
        yield emulator


@pytest.fixture
def aws(guarded: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """With this process as its root."""
    for name, value in guarded.env.items():
        monkeypatch.setenv(name, value)
    return guarded


def test_a_session_that_ends_in_the_middle_of_a_wait_is_renewed(aws: Emulator) -> None:
    ImageRegistry(aws.state_dir / REGISTRY_FILE).register(IMAGE.replace(".", r"\."), name="patient", train=SLEEP)
    root = open_session("us-east-1")
    execution_role_arn = account.prepare(root, "patient-bucket", "", is_local=True)
    principal = {"Effect": "Allow", "Principal": {"AWS": root.account_id}, "Action": "sts:AssumeRole"}
    role = {"RoleName": "steps", "AssumeRolePolicyDocument": policy(principal)}
    role_arn = root.client("iam").create_role(**role)["Role"]["Arn"]
    everything = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
    root.client("iam").put_role_policy(RoleName="steps", PolicyName="all", PolicyDocument=everything)
    session = open_session("us-east-1", role_arn)
    request = {
        "RoleArn": execution_role_arn,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://patient-bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    handle = engine.create(session, TRAINING_JOB, request, name="patient")
    first_key = session.client("sagemaker")._get_credentials().access_key
    pauses: list[float] = []

    def an_hour_passes_then_the_job_is_stopped(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            advance = json.dumps({"advance_seconds": 3700}).encode()
            assert urllib3.request("POST", f"{aws.endpoint_url}/_emulator/clock", body=advance).status == 200
        elif len(pauses) == 2:
            root.client("sagemaker").stop_training_job(TrainingJobName="patient")

    with pytest.raises(JobStoppedError):
        engine.wait(
            session,
            TRAINING_JOB,
            handle.name,
            timeout_seconds=600,
            timing=Timing(sleep=an_hour_passes_then_the_job_is_stopped),
        )
    assert len(pauses) > 1
    assert session.client("sagemaker")._get_credentials().access_key != first_key


def test_a_clock_that_is_wrong_is_told_in_a_line(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="late")
    key = iam.create_access_key(UserName="late")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    for minutes, words in ((-40, "40 min behind"), (25, "25 min ahead")):
        with monkeypatch.context() as patch:
            tell_the_time(patch, minutes)
            with pytest.raises(ConfigurationError) as caught, aws_errors("looking"):
                open_session("us-east-1").client("sagemaker").list_models()
        assert f"looking: this machine's clock is {words}" in str(caught.value)
        assert "set the clock" in str(caught.value)
        assert "\n" not in str(caught.value)


def tell_the_time(patch: pytest.MonkeyPatch, minutes: int) -> None:
    """Have this process sign, and explain, by a clock that is so many minutes ahead."""

    def wrong(*_: Any) -> Any:
        return datetime.now(UTC) + timedelta(minutes=minutes)

    patch.setattr("botocore.auth.get_current_datetime", wrong)
    patch.setattr("kfp_sagemaker.aws.call_errors.datetime", SimpleNamespace(now=wrong))

"""Tuning jobs with ``--auth``: what their caller must be allowed, and on which resource."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator
from tests.emulator.jobs.conftest import Lab
from tests.emulator.jobs.test_tuning_jobs import config, definition, ended, trials

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
OPERATIONS = (
    "CreateHyperParameterTuningJob",
    "DescribeHyperParameterTuningJob",
    "ListTrainingJobsForHyperParameterTuningJob",
)
ACTIONS = [f"sagemaker:{operation}" for operation in OPERATIONS]
TUNING_ARN = "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/"


def policy(*statements: tuple[list[str], str]) -> str:
    granted = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": granted})


def authorizations(emulator: Emulator) -> list[dict[str, Any]]:
    url = f"{emulator.endpoint_url}/_emulator/authorizations"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback
        calls: list[dict[str, Any]] = json.load(answer)["authorizations"]
    return calls


def test_a_caller_needs_the_tuning_job_and_the_definitions_role_only(
    start_emulator: Callable[..., Emulator], tmp_path: Path
) -> None:
    emulator = start_emulator(tmp_path / "state", auth=True)
    lab = Lab(emulator, "tuning-roles", tmp_path)
    iam = emulator.client("iam")
    role_arn = iam.create_role(RoleName="trainer", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    bucket_arn = f"arn:aws:s3:::{lab.bucket}"
    s3 = policy((["s3:PutObject"], f"{bucket_arn}/*"), (["s3:ListBucket"], bucket_arn), (["ecr:*", "logs:*"], "*"))
    iam.put_role_policy(RoleName="trainer", PolicyName="s3", PolicyDocument=s3)
    iam.create_user(UserName="tuner")
    tuning = (ACTIONS, f"{TUNING_ARN}mine*")
    iam.put_user_policy(UserName="tuner", PolicyName="tune", PolicyDocument=policy(tuning))
    key = iam.create_access_key(UserName="tuner")["AccessKey"]
    lab.sagemaker = boto3.client(
        "sagemaker",
        region_name="us-east-1",
        endpoint_url=emulator.endpoint_url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )

    def create(name: str) -> None:
        lab.sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig=config(jobs=2),
            TrainingJobDefinition=definition(lab, RoleArn=role_arn),
        )

    with pytest.raises(ClientError, match=r"iam:PassRole on resource: .*role/trainer"):
        create("mine-1")
    may_pass = policy(tuning, (["iam:PassRole"], role_arn))
    iam.put_user_policy(UserName="tuner", PolicyName="tune", PolicyDocument=may_pass)
    with pytest.raises(ClientError, match="hyper-parameter-tuning-job/yours"):
        create("yours")
    create("mine-1")
    # Its training jobs are SageMaker's own doing: the caller needs no permission to create them.
    job = ended(lab, "mine-1")
    found = trials(lab, "mine-1")
    assert job["TrainingJobStatusCounters"]["Completed"] == 2, [each.get("FailureReason") for each in found]
    assert len(found) == 2
    allowed = {call["action"]: call["resource_arn"] for call in authorizations(emulator) if call["allowed"]}
    assert [allowed[action] for action in ACTIONS] == [f"{TUNING_ARN}mine-1"] * 3

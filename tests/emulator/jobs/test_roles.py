"""Jobs have the rights of their execution role, and no others."""

from __future__ import annotations

import json

import pytest
import urllib3
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator
from tests.emulator.jobs.conftest import Lab
from tests.emulator.jobs.test_training_jobs import channel, request

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


@pytest.fixture
def guarded(start_emulator, tmp_path) -> Lab:
    """A bucket and clients of the root user on an emulator that checks IAM policies."""
    emulator: Emulator = start_emulator(auth=True)
    return Lab(emulator, "guarded", tmp_path)


def create_role(lab: Lab, name: str, actions: list[str]) -> str:
    """Create a role that may do this, pull images and write logs."""
    iam = lab.emulator.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    statement = {"Effect": "Allow", "Action": [*actions, "ecr:*", "logs:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="jobs", PolicyDocument=policy)
    return role["Arn"]


def test_a_role_that_may_not_write_fails_the_upload(guarded):
    guarded.put("data/a.csv", "1")
    role_arn = create_role(guarded, "reader", ["s3:GetObject", "s3:ListBucket"])
    image = guarded.image(train="import os; open(os.environ['SM_MODEL_DIR'] + '/m', 'w').write('m')")
    inputs = [channel("train", guarded.uri("data/"))]
    guarded.sagemaker.create_training_job(**request(guarded, image, RoleArn=role_arn, InputDataConfig=inputs))
    job = guarded.ended("Training")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Artifact upload failed:")
    assert "AccessDenied" in job["FailureReason"]


def test_a_role_that_may_not_list_is_refused_at_creation(guarded):
    guarded.put("data/a.csv", "1")
    role_arn = create_role(guarded, "blind", ["s3:PutObject"])
    inputs = [channel("train", guarded.uri("data/"))]
    with pytest.raises(ClientError, match=r'has "s3:ListBucket" permissions on bucket "guarded"'):
        guarded.sagemaker.create_training_job(
            **request(guarded, guarded.image(train="print()"), RoleArn=role_arn, InputDataConfig=inputs)
        )


AS_ITS_ROLE = """
import boto3, json, os, urllib.request
session = boto3.Session()
credentials = session.get_credentials()
print("I am", session.client("sts").get_caller_identity()["Arn"], "by", credentials.method)
# What botocore does when they are about to expire: it asks again.
request = urllib.request.Request(
    os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]},
)
print("again", json.load(urllib.request.urlopen(request))["AccessKeyId"] == credentials.access_key)
print("keys", [name for name in os.environ if "ACCESS_KEY" in name])
"""


def test_a_container_calls_aws_as_its_role_with_credentials_that_are_renewed(guarded):
    role_arn = create_role(guarded, "caller", ["s3:*"])
    guarded.sagemaker.create_training_job(**request(guarded, guarded.image(train=AS_ITS_ROLE), RoleArn=role_arn))
    job = guarded.ended("Training")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    who, again, keys = guarded.log_lines("/aws/sagemaker/TrainingJobs")
    assert who.startswith("I am arn:aws:sts::000000000000:assumed-role/caller/")
    assert who.endswith("by container-role")
    assert (again, keys) == ("again True", "keys []")


def test_credentials_are_given_to_containers_only(guarded):
    for headers in ({}, {"Authorization": "made-up"}):
        url = f"{guarded.emulator.endpoint_url}/_emulator/credentials"
        answer = urllib3.request("GET", url, headers=headers, retries=False)
        assert answer.status == 401
        assert set(answer.json()) == {"code", "message"}


def test_a_role_that_may_not_pull_the_image_fails_the_job(guarded):
    iam = guarded.emulator.client("iam")
    role = iam.create_role(RoleName="no-images", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:*", "logs:*"], "Resource": "*"}],
    }
    iam.put_role_policy(RoleName="no-images", PolicyName="jobs", PolicyDocument=json.dumps(policy))
    image = guarded.image(train="print()")
    guarded.sagemaker.create_training_job(**request(guarded, image, RoleArn=role["Arn"]))
    job = guarded.ended("Training")
    assert job["TrainingJobStatus"] == "Failed"
    assert f"cannot pull {image}" in job["FailureReason"]
    assert "ecr:GetAuthorizationToken" in job["FailureReason"]


def test_a_role_that_may_not_write_logs_loses_the_log_and_nothing_else(guarded):
    iam = guarded.emulator.client("iam")
    role = iam.create_role(RoleName="mute", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "ecr:*"], "Resource": "*"}]}
    iam.put_role_policy(RoleName="mute", PolicyName="jobs", PolicyDocument=json.dumps(policy))
    image = guarded.image(train="print('said')")
    guarded.sagemaker.create_training_job(**request(guarded, image, RoleArn=role["Arn"]))
    job = guarded.ended("Training")
    assert job["TrainingJobStatus"] == "Completed"
    assert guarded.emulator.client("logs").describe_log_groups()["logGroups"] == []

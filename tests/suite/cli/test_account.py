from __future__ import annotations

import json

import pytest

from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.cli import account
from sagemaker_emulator.emulator import Emulator


@pytest.fixture
def session(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return open_session("eu-west-1")


@pytest.fixture
def waits() -> list[float]:
    return []


def test_bucket_and_role_are_made_once(session: Session, unique_name: str, waits: list[float]) -> None:
    first = account.prepare(session, unique_name, "", is_local=True, sleep=waits.append)
    again = account.prepare(session, unique_name, "", is_local=True, sleep=waits.append)

    assert first == again == account.find_role(session)
    assert account.bucket_exists(session, unique_name)
    assert waits == []
    location = session.client("s3").get_bucket_location(Bucket=unique_name)["LocationConstraint"]
    assert location == "eu-west-1"


def test_the_role_may_use_the_bucket_and_is_assumed_by_sagemaker_alone(session: Session, unique_name: str) -> None:
    arn = account.prepare(session, unique_name, "", is_local=True)

    iam = session.client("iam")
    role = iam.get_role(RoleName=account.ROLE_NAME)["Role"]
    policy = iam.get_role_policy(RoleName=account.ROLE_NAME, PolicyName=account.POLICY_NAME)["PolicyDocument"]
    assert arn.endswith(f":role/{account.ROLE_NAME}")
    assert [s["Principal"] for s in role["AssumeRolePolicyDocument"]["Statement"]] == [
        {"Service": "sagemaker.amazonaws.com"}
    ]
    assert f"arn:aws:s3:::{unique_name}/*" in json.dumps(policy)


def test_a_role_of_the_callers_is_used_as_it_is(session: Session, unique_name: str) -> None:
    given = "arn:aws:iam::000000000000:role/mine"

    assert account.prepare(session, unique_name, given, is_local=True) == given


def test_on_aws_a_new_role_is_given_time_to_be_known(session: Session, unique_name: str, waits: list[float]) -> None:
    for _ in range(2):
        account.prepare(session, unique_name, "", is_local=False, role_name=unique_name, sleep=waits.append)

    assert waits == [account.ROLE_PROPAGATION_SECONDS]

"""Whether a role can use a prefix: asked of IAM, on the emulator."""

from __future__ import annotations

import json

import pytest

from kfp_sagemaker.aws.errors import AccessDeniedError, ResourceMissingError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.data import bucket_access
from tests.suite.aws.scripted import ScriptedClient, ScriptedSession, refusal
from tests.suite.conftest import Account

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def role(account: Account, actions: list[str], prefix: str = "") -> str:
    """A role that may do that in the test's bucket."""
    arn = f"arn:aws:s3:::{account.bucket}"
    statement = {"Effect": "Allow", "Action": actions, "Resource": [arn, f"{arn}/{prefix}*"]}
    iam = account.emulator.client("iam")
    created = iam.create_role(RoleName=account.name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(
        RoleName=account.name,
        PolicyName="bucket",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    return str(created["Role"]["Arn"])


def test_a_role_that_can_is_let_pass(account: Account) -> None:
    arn = role(account, ["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
    uri = account.uri("runs/churn")
    said: list[str] = []
    verified = bucket_access.verify(open_session("us-east-1"), role_arn=arn, s3_uri=uri, sink=said.append)
    assert verified == (uri, True)
    assert said == [f"this step can write and read {uri}", f"{arn} can write, read and list {uri}"]


def test_a_role_that_cannot_is_told_what_it_lacks(account: Account) -> None:
    arn = role(account, ["s3:GetObject", "s3:ListBucket"])
    with pytest.raises(AccessDeniedError, match=rf"{arn} may not use s3://.*: s3:PutObject on arn:aws:s3:::.*/runs/\*"):
        bucket_access.verify(open_session("us-east-1"), role_arn=arn, s3_uri=account.uri("runs"))


def test_a_role_for_another_prefix_cannot(account: Account) -> None:
    arn = role(account, ["s3:*"], prefix="elsewhere/")
    with pytest.raises(AccessDeniedError, match=r"s3:GetObject on .*, s3:PutObject on"):
        bucket_access.verify(open_session("us-east-1"), role_arn=arn, s3_uri=account.uri("runs"))


def test_a_bucket_that_is_not_there_is_named(account: Account) -> None:
    with pytest.raises(ResourceMissingError, match="nobody-has-this-bucket"):
        bucket_access.verify(open_session("us-east-1"), role_arn="", s3_uri="s3://nobody-has-this-bucket/x")


def test_a_step_that_may_not_ask_says_so_and_goes_on(account: Account) -> None:
    class Pages:
        def paginate(self, **_: object) -> None:
            raise refusal("AccessDenied", "not authorized to perform: iam:SimulatePrincipalPolicy")

    iam = ScriptedClient({"get_paginator": lambda *_: Pages()})
    iam.get_paginator = lambda _: Pages()  # type: ignore[method-assign]
    session = ScriptedSession(iam=iam, s3=account.s3)
    said: list[str] = []
    verified = bucket_access.verify(
        session,  # type: ignore[arg-type]
        role_arn=account.role_arn,
        s3_uri=account.uri("runs"),
        sink=said.append,
    )
    assert not verified.role_was_asked
    assert "is not known, because this step may not ask IAM" in said[-1]

"""Single models of a multi-model endpoint: granted to a role, shown by calls, taken away, on an AWS that checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kfp_sagemaker.access import model_access, model_access_check
from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.access.permissions import MODEL_ACCESS_PATH
from kfp_sagemaker.aws.engine import Timing
from kfp_sagemaker.aws.errors import (
    AccessDeniedError,
    AccessTooWideError,
    AwsCallError,
    ConfigurationError,
    InputError,
)
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.cli import account
from sagemaker_emulator.emulator import Emulator
from tests.emulator.hosting.conftest import Workbench

ACCOUNT = "000000000000"
ENDPOINT = "Houses-of-all"
MINE, OTHER = "NewYork_NY/NewYork_NY.tar.gz", "Chicago_IL/Chicago_IL.tar.gz"
ALSO_MINE = "NewYork_NY/2.tar.gz"
ENDPOINT_ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/houses-of-all"


@dataclass(frozen=True)
class House:
    """An AWS that checks every call, with an endpoint of three models, and the key of a pipeline's steps."""

    emulator: Emulator
    steps: dict[str, str]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Emulator(tmp_path_factory.mktemp("house"), auth=True) as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.env.items():
            patch.setenv(name, value)
        root = open_session("us-east-1")
        role_arn = account.prepare(root, "houses-bucket", "", is_local=True)
        steps = account.use_pod_policies(root, Place(ACCOUNT, "houses-bucket", region="us-east-1"))
        bench = Workbench(emulator, "houses", "houses-bucket")
        for name in (MINE, ALSO_MINE, OTHER):
            bench.put_model(f"models/{name}", name.partition("/")[0])
        bench.sagemaker.create_model(
            ModelName="houses", ExecutionRoleArn=role_arn, PrimaryContainer=bench.multi_model_container()
        )
        bench.sagemaker.create_endpoint_config(
            EndpointConfigName="houses", ProductionVariants=[bench.variant("houses")]
        )
        bench.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="houses")
        bench.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1})
        yield House(emulator, steps)


@pytest.fixture
def session(house: House, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The account's root."""
    for name, value in house.emulator.env.items():
        monkeypatch.setenv(name, value)
    return open_session("us-east-1")


def grant(session: Session, role_name: str, *patterns: str, **options: Any) -> tuple[model_access.Granted, list[str]]:
    lines: list[str] = []
    request = model_access.build_request(
        endpoint_name=ENDPOINT, role_name=role_name, target_models=patterns or ("NewYork_NY/*",), **options
    )
    return model_access.grant(session, request, sink=lines.append), lines


def verify(role_arn: str, allowed: str = MINE, refused: str = OTHER, timing: Timing | None = None) -> Any:
    request = model_access_check.build_request(
        endpoint_name=ENDPOINT,
        role_arn=role_arn,
        allowed_target_model=allowed,
        refused_target_model=refused,
        rows=["1,2"],
        timeout_seconds=3 if timing else 0,
    )
    return model_access_check.run(open_session("us-east-1", role_arn), request, timing=timing)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: str = f"arn:aws:iam::{ACCOUNT}:root") -> str:
    return policy({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"})


def refusal(runtime: Any, target_model: str) -> str:
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(EndpointName=ENDPOINT, TargetModel=target_model, Body=b"1")
    return str(caught.value.response["Error"]["Code"])


def test_a_role_may_call_its_models_and_no_others_until_it_is_revoked(session: Session, unique_name: str) -> None:
    granted, _ = grant(session, unique_name, tags={"team": "Zürich/Süd"}, max_session_seconds=7200)
    assert granted.role_arn == f"arn:aws:iam::{ACCOUNT}:role/kfp-sagemaker/model-access/{unique_name}"
    assert granted.is_effective
    iam = session.client("iam")
    role = iam.get_role(RoleName=unique_name)["Role"]
    assert (role["MaxSessionDuration"], role["Path"]) == (7200, "/kfp-sagemaker/model-access/")
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith("/kfp-sagemaker-model-access-boundary")
    assert {"Key": "team", "Value": "Zürich/Süd"} in role["Tags"]

    calls = verify(granted.role_arn).calls["rows"]
    assert [row[:3] for row in calls] == [[MINE, "allowed", "allowed"], [OTHER, "refused", "refused"]]
    assert '"model": "NewYork_NY"' in calls[0][3]
    assert calls[1][3].startswith("AccessDeniedException: User: arn:aws:sts::")

    # Once more changes nothing, other patterns change the policy alone.
    again, lines = grant(session, unique_name, tags={"team": "Zürich/Süd"}, max_session_seconds=7200)
    assert (again, lines) == (granted, [f"{granted.role_arn} may call NewYork_NY/*"])
    _, lines = grant(session, unique_name, "Chicago_??/*")
    assert [line.partition(" of ")[0] for line in lines[:-1]] == [
        "let sessions",
        f"put policy model-access-{ENDPOINT}",
    ]
    assert [row[2] for row in verify(granted.role_arn, OTHER, MINE).calls["rows"]] == ["allowed", "refused"]

    sessions = open_session("us-east-1", granted.role_arn).client("sagemaker-runtime")
    assert sessions.invoke_endpoint(EndpointName=ENDPOINT, TargetModel=OTHER, Body=b"1")["Body"].read()
    assert model_access.revoke(session, role_name=unique_name).deleted == [
        f"policy model-access-{ENDPOINT} of role {unique_name}",
        f"role {unique_name}",
    ]
    assert refusal(sessions, OTHER) == "AccessDeniedException"
    assert model_access.revoke(session, role_name=unique_name).deleted == []


def test_session_policies_narrow_a_grant_and_never_widen_it(house: House, session: Session, unique_name: str) -> None:
    granted, _ = grant(session, unique_name, "NewYork_NY/*", "Chicago_IL/*")
    sts = session.client("sts")

    def runtime(*patterns: str) -> Any:
        statement = {
            "Effect": "Allow",
            "Action": "sagemaker:InvokeEndpoint",
            "Resource": "*",
            "Condition": {"StringLike": {"sagemaker:TargetModel": list(patterns)}},
        }
        answer = sts.assume_role(RoleArn=granted.role_arn, RoleSessionName="me", Policy=policy(statement))
        return house.emulator.client(
            "sagemaker-runtime",
            aws_access_key_id=answer["Credentials"]["AccessKeyId"],
            aws_secret_access_key=answer["Credentials"]["SecretAccessKey"],
            aws_session_token=answer["Credentials"]["SessionToken"],
        )

    narrow, wide = runtime("Chicago_*"), runtime("*")
    assert refusal(narrow, MINE) == "AccessDeniedException"
    assert narrow.invoke_endpoint(EndpointName=ENDPOINT, TargetModel=OTHER, Body=b"1")["Body"].read()
    assert refusal(wide, "Boston_MA/Boston_MA.tar.gz") == "AccessDeniedException"
    # Without any target model no condition on it can hold.
    with pytest.raises(ClientError, match="AccessDenied"):
        wide.invoke_endpoint(EndpointName=ENDPOINT, Body=b"1")


def test_the_steps_of_a_pipeline_may_do_it_and_may_not_make_other_roles(
    house: House, session: Session, monkeypatch: pytest.MonkeyPatch, unique_name: str
) -> None:
    for name, value in house.steps.items():
        monkeypatch.setenv(name, value)
    steps = open_session("us-east-1")
    granted, _ = grant(steps, unique_name)
    assert granted.is_effective
    assert [row[2] for row in verify(granted.role_arn).calls["rows"]] == ["allowed", "refused"]
    with pytest.raises(AccessDeniedError, match="iam:CreateRole"):
        grant(steps, f"{unique_name}-a", permissions_boundary_arn="none")
    with pytest.raises(AccessDeniedError, match="iam:CreateRole"):
        grant(steps, f"{unique_name}-b", path="/")
    with pytest.raises(AccessDeniedError, match="iam:ListRolePolicies"):
        grant(steps, "kfp-sagemaker-execution")
    assert model_access.revoke(steps, role_name=unique_name).deleted[-1] == f"role {unique_name}"


def test_somebody_elses_role_gets_the_policy_alone_and_stays(session: Session, unique_name: str) -> None:
    iam = session.client("iam")
    iam.create_role(RoleName=unique_name, AssumeRolePolicyDocument=trust())
    before = iam.get_role(RoleName=unique_name)["Role"]
    granted, lines = grant(session, unique_name, trusted_principals=[f"arn:aws:iam::{ACCOUNT}:user/x"])
    assert "was not made here" in lines[0]
    assert iam.get_role(RoleName=unique_name)["Role"] == before
    assert [row[2] for row in verify(granted.role_arn).calls["rows"]] == ["allowed", "refused"]
    assert model_access.revoke(session, role_name=unique_name, endpoint_name="another").deleted == []
    assert len(model_access.revoke(session, role_name=unique_name, endpoint_name=ENDPOINT).deleted) == 1
    assert iam.get_role(RoleName=unique_name)["Role"] == before


def test_what_verification_shows_has_to_be_about_access(session: Session, unique_name: str) -> None:
    granted, _ = grant(session, unique_name, "NewYork_NY/*", "Boston_MA/*")
    with pytest.raises(AccessTooWideError, match=f"ought to be refused {MINE}"):
        verify(granted.role_arn, ALSO_MINE, MINE)
    with pytest.raises(AwsCallError, match="another reason than access"):
        verify(granted.role_arn, MINE, "Boston_MA/Boston_MA.tar.gz")
    with pytest.raises(AccessDeniedError, match="sagemaker:InvokeEndpoint"):
        verify(granted.role_arn, OTHER, "Dallas_TX/Dallas_TX.tar.gz")
    session.client("iam").update_assume_role_policy(
        RoleName=unique_name, PolicyDocument=trust(f"arn:aws:iam::{ACCOUNT}:user/nobody")
    )
    with pytest.raises(AccessDeniedError, match="sts:AssumeRole"):
        verify(granted.role_arn)


def test_a_change_that_holds_only_later_is_waited_for(session: Session, unique_name: str) -> None:
    iam, seconds = session.client("iam"), [0.0]

    def sleep(pause: float) -> None:
        seconds[0] += pause
        iam.put_role_policy(RoleName=unique_name, PolicyName="late", PolicyDocument=policy(allowing))

    allowing = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": ENDPOINT_ARN}
    allowing["Condition"] = {"StringLike": {"sagemaker:TargetModel": "NewYork_NY/*"}}  # type: ignore[assignment]
    role_arn = iam.create_role(RoleName=unique_name, AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    timing = Timing(now=lambda: seconds[0], sleep=sleep)
    assert [row[2] for row in verify(role_arn, timing=timing).calls["rows"]] == ["allowed", "refused"]
    assert 0 < seconds[0] < 3
    iam.delete_role_policy(RoleName=unique_name, PolicyName="late")
    iam.delete_role(RoleName=unique_name)

    # A role made a moment ago that IAM does not find yet, when its policy is put.
    def lose_the_role(line: str) -> None:
        if line.startswith("put policy") and not seconds[0] > 3:
            iam.delete_role(RoleName=unique_name)

    def find_the_role(pause: float) -> None:
        seconds[0] += pause + 3
        iam.create_role(RoleName=unique_name, Path=MODEL_ACCESS_PATH, AssumeRolePolicyDocument=trust())

    request = model_access.build_request(endpoint_name=ENDPOINT, role_name=unique_name, target_models=["a/*"])
    seconds[0] = 0
    late = Timing(now=lambda: seconds[0], sleep=find_the_role)
    assert model_access.grant(session, request, timing=late, sink=lose_the_role).is_effective
    assert seconds[0] > 3


def test_a_boundary_that_keeps_the_role_from_its_models_is_told_at_once(session: Session, unique_name: str) -> None:
    iam = session.client("iam")
    other = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    boundary = iam.create_policy(PolicyName=unique_name, PolicyDocument=policy(other))["Policy"]["Arn"]
    with pytest.raises(ConfigurationError, match="the permissions boundary does not allow it"):
        grant(session, unique_name, permissions_boundary_arn=boundary)


def test_policies_at_the_size_limit(session: Session, unique_name: str) -> None:
    model_access.build_request(endpoint_name="e", role_name="r", target_models=["a" * 1000 + "/*"] * 9)
    with pytest.raises(InputError, match=r"their policy has \d{5} characters, and IAM takes 10240"):
        model_access.build_request(endpoint_name="e", role_name="r", target_models=["a" * 1000 + "/*"] * 10)
    iam = session.client("iam")
    iam.create_role(RoleName=unique_name, AssumeRolePolicyDocument=trust())
    others = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + "b" * 9_900}
    iam.put_role_policy(RoleName=unique_name, PolicyName="others", PolicyDocument=policy(others))
    with pytest.raises(InputError, match=rf"role {unique_name} has policies of \d+ already \(others\)"):
        grant(session, unique_name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target_models": ["São_Paulo/*"]}, "printable ASCII characters"),
        ({"target_models": ["${aws:username}/*"]}, "policy variable"),
        ({"target_models": []}, "must be given"),
        ({"role_name": "teams/houses"}, "what has slashes is its path"),
        ({"path": "teams"}, "between slashes"),
        ({"trusted_principals": ["*"]}, "without wildcards"),
        ({"trusted_principals": [f"arn:aws:iam::{ACCOUNT}:user/*"]}, "without wildcards"),
        ({"max_session_seconds": 900}, "3600"),
        ({"permissions_boundary_arn": "limits"}, "managed policy, or none"),
    ],
)
def test_a_grant_that_could_not_be_or_would_be_too_wide_is_refused(arguments: dict[str, Any], words: str) -> None:
    usual = {"endpoint_name": "e", "role_name": "r", "target_models": ["a/*"]}
    with pytest.raises(InputError, match=words):
        model_access.build_request(**{**usual, **arguments})

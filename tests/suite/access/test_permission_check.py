"""What a pipeline needs, told from its YAML, and whether it is allowed: the table, the command and the component."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from kfp_sagemaker import components as catalogue
from kfp_sagemaker.access import documents, needs, permission_check, pipeline_components, simulation
from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.access.permissions import POD_GRANTS
from kfp_sagemaker.aws.errors import AccessDeniedError, InputError, ResourceMissingError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.cli.main import main
from sagemaker_emulator.emulator import Emulator

ROOT = Path(__file__).parents[3]
PIPELINES = sorted(path.parent.name for path in ROOT.glob("pipelines/*/pipeline.yaml"))
MANIFESTS = ROOT / "manifests/iam"
# That of manifests/iam.
PLACE = Place("111122223333", "example-bucket", "kubeflow", region="us-east-1")
ACCOUNT = "000000000000"


def statement(effect: str, action: str | list[str], resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=1)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["permissions", *arguments], env={"COLUMNS": "400"})


def components_of(pipeline: str) -> list[str]:
    path = ROOT / "pipelines" / pipeline / "pipeline.yaml"
    return pipeline_components.components_of(next(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)))


@pytest.fixture
def session(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return open_session("us-east-1")


@pytest.fixture
def make_role(emulator: Emulator, unique_name: str) -> Callable[..., str]:
    """Makes a role with a policy ``rights``."""
    iam = emulator.client("iam")

    def make(*statements: dict[str, Any], **more: Any) -> str:
        trust = policy({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
        arn = iam.create_role(RoleName=unique_name, AssumeRolePolicyDocument=trust, **more)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=unique_name, PolicyName="rights", PolicyDocument=policy(*statements))
        return str(arn)

    return make


def test_the_components_of_a_pipeline_are_those_of_its_steps_and_of_the_work_its_own_steps_import() -> None:
    assert set(pipeline_components.all_components()) >= set(catalogue.__all__)
    found = components_of("housing_mme")
    assert {"train", "deploy_endpoint", "compare_predictions"} <= set(found)
    # clean_up is the pipeline's own, and deletes as delete_resources does.
    assert "delete_resources" in found
    assert "tune" not in found


@pytest.mark.parametrize("pipeline", [*PIPELINES, "everything"])
def test_the_table_of_a_pipeline_equals_what_the_manifests_grant_its_components(
    session: Session, pipeline: str
) -> None:
    used = catalogue.__all__ if pipeline == "everything" else components_of(pipeline)
    files = {path.name: json.loads(path.read_text()) for path in MANIFESTS.glob("pod-*-policy.json")}
    sids = {grant.sid for grants in POD_GRANTS.values() for grant in grants if grant.is_needed_by(used)}
    granting = [each for document in files.values() for each in document["Statement"] if each["Sid"] in sids]
    granted = {(action, resource) for each in granting for action in each["Action"] for resource in each["Resource"]}

    table = needs.of_steps(PLACE, used)

    assert {(need.action, need.resource) for need in table} == granted
    assert len(granted) > 15
    if pipeline == "everything":
        assert {each["Sid"] for document in files.values() for each in document["Statement"]} == sids
        check_that_policies_allow(session, {**files["pod-data-policy.json"], "Statement": granting}, table)


def check_that_policies_allow(session: Session, document: dict[str, Any], table: list[needs.Need]) -> None:
    """Nothing in the table is short of a condition of the policy."""
    for need in table:
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in need.context.items()
        ]
        (result,) = session.client("iam").simulate_custom_policy(
            PolicyInputList=[json.dumps(document)],
            ActionNames=[need.action],
            ResourceArns=[need.resource_in(PLACE)],
            ContextEntries=entries,
        )["EvaluationResults"]
        assert result["EvalDecision"] == "allowed", need


def test_a_role_that_has_the_policies_is_allowed_everything_and_one_that_lacks_a_topic_is_not(
    session: Session, make_role: Callable[..., str]
) -> None:
    place = Place(ACCOUNT, "houses-bucket", "work", region="us-east-1")
    topics = documents.pod_policies(place, components_of("housing_mme"))
    role_arn = make_role(*(each for document in topics.values() for each in document["Statement"]))
    arguments = ("housing_mme", "--bucket", "houses-bucket", "--prefix", "work", "--role-arn", role_arn)

    whole = invoke("check", *arguments)
    poorer = invoke("check", "churn_monitor", *arguments[1:], "--denied-only")

    assert whole.exit_code == 0, whole.output
    assert "implicitly denied" not in whole.output
    assert poorer.exit_code == 1
    assert "sagemaker:CreateMonitoringSchedule" in poorer.output
    assert "sagemaker:CreateTrainingJob" not in poorer.output
    assert "no statement allows it" in poorer.output


def test_each_kind_of_denial_says_why(session: Session, emulator: Emulator, make_role: Callable[..., str]) -> None:
    boundary = emulator.client("iam").create_policy(
        PolicyName="only-sagemaker", PolicyDocument=policy(statement("Allow", "sagemaker:*"))
    )["Policy"]["Arn"]
    role_arn = make_role(
        statement("Allow", ["s3:GetObject", "sagemaker:*"]),
        statement("Deny", "sagemaker:DeleteModel"),
        statement("Deny", "sagemaker:CreateModel", Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        PermissionsBoundary=boundary,
    )
    actions = [*(f"sagemaker:{verb}Model" for verb in ("Create", "Delete", "Describe")), "s3:GetObject", "sns:Publish"]
    request = permission_check.build_request(actions=actions, role_arn=role_arn, context={"aws:SourceIp": "10.1.1.1"})

    (decisions,) = permission_check.run(session, request).decisions.values()

    assert {each.need.action: (each.decision, each.reason) for each in decisions} == {
        "sagemaker:CreateModel": ("allowed", ""),
        "sagemaker:DeleteModel": ("explicitly denied", "denied by policy rights (role), lines 12-16"),
        "sagemaker:DescribeModel": ("allowed", ""),
        "s3:GetObject": ("implicitly denied", "the permissions boundary does not allow it"),
        "sns:Publish": ("implicitly denied", "the permissions boundary does not allow it"),
    }


def test_the_step_fails_with_every_denial_or_gives_the_table(session: Session, make_role: Callable[..., str]) -> None:
    condition = {"StringLike": {"sagemaker:TargetModel": "NewYork_NY/*"}}
    role_arn = make_role(statement("Allow", "sagemaker:InvokeEndpoint", Condition=condition))
    step = catalogue.check_permissions.python_func
    asked = {"role_arn": role_arn, "actions": ["sagemaker:InvokeEndpoint", "iam:PassRole"], "region": "us-east-1"}

    with pytest.raises(AccessDeniedError) as caught:
        step(**asked)
    assert f"{role_arn} may not iam:PassRole on *: implicitly denied, no statement allows it" in str(caught.value)
    assert "a statement about it asks for sagemaker:TargetModel, which context does not give" in str(caught.value)

    context = {"sagemaker:TargetModel": "NewYork_NY/1.tar.gz"}
    found = step(**asked, context=context, fail_on_denied=False)
    assert found.principal_arn == role_arn
    assert found.denied == ["iam:PassRole on *: implicitly denied, no statement allows it"]
    assert [row[3] for row in found.permissions["rows"]] == ["allowed", "implicitly denied"]


def test_the_execution_role_is_asked_about_its_own_rights(session: Session, make_role: Callable[..., str]) -> None:
    place = Place(ACCOUNT, "houses-bucket", region="us-east-1")
    role_arn = make_role(*documents.execution_policy(place)["Statement"])
    request = permission_check.build_request(
        components=["train"], bucket="houses-bucket", execution_role_arn=role_arn, context={}
    )
    checked = permission_check.run(session, request)
    # The caller is the account's root, which may do anything.
    assert [who.rpartition("/")[2] for who in checked.decisions] == [
        f"arn:aws:iam::{ACCOUNT}:root",
        role_arn.split("/")[1],
    ]
    assert checked.denied == []
    passed = [
        each.need.resource for each in checked.decisions[f"arn:aws:iam::{ACCOUNT}:root"] if "Pass" in each.need.action
    ]
    assert passed == [role_arn]


def test_who_works_as_a_role_is_asked_about_by_the_role_with_its_path(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, make_role: Callable[..., str]
) -> None:
    role_arn = make_role(Path="/teams/ä/".replace("ä", "a"))
    credentials = emulator.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="me")["Credentials"]
    environment = {
        "ACCESS_KEY_ID": "AccessKeyId",
        "SECRET_ACCESS_KEY": "SecretAccessKey",
        "SESSION_TOKEN": "SessionToken",
    }
    for name, value in {**emulator.env, **{f"AWS_{k}": credentials[v] for k, v in environment.items()}}.items():
        monkeypatch.setenv(name, value)
    assert simulation.caller_of(open_session("us-east-1")) == role_arn


def test_a_missing_role_and_a_caller_who_may_not_ask_are_told_apart(
    guarded_aws: Emulator, session: Session, monkeypatch: pytest.MonkeyPatch, unique_name: str
) -> None:
    missing = f"arn:aws:iam::{ACCOUNT}:role/never-there"
    request = permission_check.build_request(actions=["s3:GetObject"], role_arn=missing)
    with pytest.raises(ResourceMissingError, match="never-there does not exist"):
        permission_check.run(session, request)

    iam = guarded_aws.client("iam")
    arn = iam.create_user(UserName=unique_name)["User"]["Arn"]
    key = iam.create_access_key(UserName=unique_name)["AccessKey"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", guarded_aws.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    refused = invoke("check", "--action", "s3:GetObject", "--region", "us-east-1")
    assert refused.exit_code == 1
    assert f"needs iam:SimulatePrincipalPolicy on {arn}" in refused.output


def test_wrong_arguments_are_all_named() -> None:
    with pytest.raises(InputError) as caught:
        permission_check.build_request(
            components=["trane"],
            actions=["s3:*"],
            resource_arns=["bucket"],
            context={"SourceIp": "1"},
            role_arn="r",
            bucket="B_",
        )
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        *("components", "actions", "resource_arns", "context", "role_arn", "bucket")
    ]

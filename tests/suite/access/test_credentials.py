"""``kfp-sagemaker credentials`` against a real IAM emulation and a Kubernetes API."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from kfp_sagemaker.access.cluster import secret_problems
from kfp_sagemaker.cli.main import main
from sagemaker_emulator.emulator import Emulator
from tests.suite.access.conftest import NAMESPACE, KubernetesApi

USER = f"kfp-sagemaker-{NAMESPACE}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["credentials", *arguments, "-n", NAMESPACE, "--bucket", "data-bucket"])


def values(api: KubernetesApi) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in api.secret().items()}


def client(emulator: Emulator, service: str, held: dict[str, str]) -> object:
    return emulator.client(
        service,
        aws_access_key_id=held["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=held["AWS_SECRET_ACCESS_KEY"],
    )


def assert_no_secret_in(text: str, held: dict[str, str]) -> None:
    for value in held.values():
        assert value not in text
        assert base64.b64encode(value.encode()).decode() not in text


def test_create_with_a_secret_gives_a_key_with_just_these_rights(
    guarded_aws: Emulator, kubernetes_api: KubernetesApi
) -> None:
    guarded_aws.client("s3").create_bucket(Bucket="data-bucket")
    guarded_aws.client("s3").create_bucket(Bucket="other-bucket")

    created = run("create", "--mode", "secret")

    assert created.exit_code == 0, created.output
    held = values(kubernetes_api)
    assert_no_secret_in(created.output, held)
    assert f"create user {USER}" in created.output
    assert "role_arn of the pipelines: arn:aws:iam::000000000000:role/kfp-sagemaker-execution" in created.output
    s3: object = client(guarded_aws, "s3", held)
    s3.put_object(Bucket="data-bucket", Key="k", Body=b"1")  # type: ignore[attr-defined]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket="other-bucket", Key="k", Body=b"1")  # type: ignore[attr-defined]

    again = run("create", "--mode", "secret")
    assert again.exit_code == 0, again.output
    assert "Everything is as it ought to be." in again.output
    assert values(kubernetes_api) == held


def test_a_dry_run_changes_nothing(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    dry = run("create", "--mode", "secret", "--dry-run")

    assert dry.exit_code == 0, dry.output
    assert f"would create user {USER}" in dry.output
    assert f"would create Secret aws-secret in namespace {NAMESPACE}" in dry.output
    assert guarded_aws.client("iam").list_users()["Users"] == []
    assert kubernetes_api.objects == {}


def test_rotate_puts_a_new_key_to_work_and_deletes_the_old_one_last(
    guarded_aws: Emulator, kubernetes_api: KubernetesApi
) -> None:
    run("create", "--mode", "secret")
    old = values(kubernetes_api)

    rotated = run("rotate", "--mode", "secret")

    assert rotated.exit_code == 0, rotated.output
    new = values(kubernetes_api)
    assert new != old
    assert_no_secret_in(rotated.output, new | {f"old {key}": value for key, value in old.items()})
    said = [line.split(" access key")[0] for line in rotated.output.splitlines()]
    assert said == ["create an", f"change Secret aws-secret in namespace {NAMESPACE}", "deactivate", "delete"]
    client(guarded_aws, "sts", new).get_caller_identity()  # type: ignore[attr-defined]
    with pytest.raises(ClientError):
        client(guarded_aws, "sts", old).get_caller_identity()  # type: ignore[attr-defined]


def test_an_interrupted_rotation_is_finished_by_the_next(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    run("create", "--mode", "secret")
    guarded_aws.client("iam").create_access_key(UserName=USER)  # made, but never came into the Secret

    assert run("rotate", "--mode", "secret").exit_code == 0

    (key,) = guarded_aws.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
    assert values(kubernetes_api)["AWS_ACCESS_KEY_ID"] == key["AccessKeyId"]


def test_a_key_the_cluster_does_not_take_is_not_left_behind(
    guarded_aws: Emulator, kubernetes_api: KubernetesApi
) -> None:
    kubernetes_api.denied.add(("create", "secrets"))

    failed = run("create", "--mode", "secret")

    assert failed.exit_code == 1
    assert "cannot create secrets aws-secret in namespace team: 403" in failed.output
    assert guarded_aws.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"] == []


def test_show_tells_what_there_is_and_no_secret(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    assert "missing" in run("show", "--mode", "secret").output
    run("create", "--mode", "secret")
    held = values(kubernetes_api)

    shown = run("show", "--mode", "secret")

    assert_no_secret_in(shown.output, held)
    assert f"...{held['AWS_ACCESS_KEY_ID'][-4:]} active since" in shown.output
    assert "the user's" in shown.output
    assert f"{USER}-data, {USER}-endpoints, {USER}-jobs" in shown.output


def test_delete_leaves_nothing(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    run("create", "--mode", "secret")

    deleted = run("delete", "--mode", "secret", "--with-execution-role")

    assert deleted.exit_code == 0, deleted.output
    iam = guarded_aws.client("iam")
    assert kubernetes_api.objects == {}
    assert iam.list_users()["Users"] == []
    assert [role["RoleName"] for role in iam.list_roles()["Roles"] if "kfp" in role["RoleName"]] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert "Nothing to delete." in run("delete", "--mode", "secret", "--with-execution-role").output


def test_irsa_makes_a_role_for_one_service_account(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    options = ("--mode", "irsa", "--oidc-issuer", "https://oidc.eks.us-east-1.amazonaws.com/id/ABC")

    created = run("create", *options)

    assert created.exit_code == 0, created.output
    account = kubernetes_api.objects["serviceaccounts", NAMESPACE, "default-editor"]
    role_arn = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    role = guarded_aws.client("iam").get_role(RoleName=USER)["Role"]
    assert role_arn == role["Arn"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    conditions = statement["Condition"]["StringEquals"]
    assert f"system:serviceaccount:{NAMESPACE}:default-editor" in conditions.values()
    assert "Everything is as it ought to be." in run("create", *options).output
    assert role_arn in run("show", *options).output
    assert run("delete", *options).exit_code == 0
    assert "eks.amazonaws.com/role-arn" not in account["metadata"]["annotations"]


def test_pod_identity_associates_role_and_service_account(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    eks = guarded_aws.client("eks")
    vpc = {"subnetIds": ["subnet-1", "subnet-2"]}
    role = guarded_aws.client("iam").create_role(RoleName="eks", AssumeRolePolicyDocument="{}")["Role"]
    eks.create_cluster(name="mine", roleArn=role["Arn"], resourcesVpcConfig=vpc)
    options = ("--mode", "pod-identity", "--cluster", "mine")

    created = run("create", *options)

    assert created.exit_code == 0, created.output
    (association,) = eks.list_pod_identity_associations(clusterName="mine")["associations"]
    assert (association["namespace"], association["serviceAccount"]) == (NAMESPACE, "default-editor")
    assert "Everything is as it ought to be." in run("create", *options).output
    assert association["associationId"] in run("show", *options).output
    assert run("delete", *options).exit_code == 0
    assert eks.list_pod_identity_associations(clusterName="mine")["associations"] == []


def test_what_is_missing_is_said_before_anything_is_done(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    assert "--cluster is missing" in run("create", "--mode", "pod-identity").output
    assert "has no key: AWS renews" in run("rotate", "--mode", "irsa", "--oidc-issuer", "x").output
    assert guarded_aws.client("iam").list_roles()["Roles"] == []


def test_documents_are_for_the_place_asked_for(guarded_aws: Emulator, tmp_path: Path) -> None:
    written = run("documents", "--account", "222233334444", "--region", "cn-north-1", "-o", str(tmp_path / "iam"))

    assert written.exit_code == 0, written.output
    policy = json.loads((tmp_path / "iam/pod-data-policy.json").read_text())
    assert policy["Statement"][0]["Resource"] == ["arn:aws-cn:s3:::data-bucket"]


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ({}, "AWS_ACCESS_KEY_ID is missing"),
        ({"AWS_ACCESS_KEY_ID": "AKIA1\n", "AWS_SECRET_ACCESS_KEY": "s"}, "AWS_ACCESS_KEY_ID has white space"),
        ({"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": '"s3cr3t"'}, "quotation marks"),
        ({"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "s"}, "needs AWS_SESSION_TOKEN"),
        ({"aws_access_key_id": "AKIA1"}, "aws_access_key_id is unknown"),
    ],
)
def test_a_malformed_secret_is_described_without_its_values(secret: dict[str, str], problem: str) -> None:
    text = "; ".join(secret_problems(secret))

    assert problem in text
    assert not [value for value in secret.values() if len(value) > 1 and value.strip() in text]


def test_a_good_secret_has_no_problem() -> None:
    assert secret_problems({"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s"}) == []

"""``kfp-sagemaker credentials``, ``doctor`` and ``compile -n`` against a real API server and the embedded AWS's IAM."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from kfp_sagemaker.cli.main import main
from sagemaker_emulator.emulator import Emulator
from tests.kubernetes.cluster import Cluster, status_of

pytestmark = pytest.mark.kubernetes
BUCKET = "data-bucket"
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "300"})


def run(command: str, namespace: str, *options: str, mode: str = "secret") -> Result:
    return invoke("credentials", command, "--mode", mode, "-n", namespace, "--bucket", BUCKET, *options)


def read(cluster: Cluster, namespace: str, name: str = "aws-secret") -> dict[str, str]:
    data = cluster.core().read_namespaced_secret(name, namespace).data
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def identity(aws: Emulator, held: dict[str, str]) -> str:
    keys = {"aws_access_key_id": held["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": held["AWS_SECRET_ACCESS_KEY"]}
    sts: Any = aws.client("sts", **keys)
    return str(sts.get_caller_identity()["Arn"])


def test_the_secret_lives_from_create_over_rotate_to_delete(
    cluster: Cluster, namespace: str, guarded_aws: Emulator
) -> None:
    user = f"kfp-sagemaker-{namespace}"
    dry = run("create", namespace, "--dry-run")
    assert f"would create Secret aws-secret in namespace {namespace}" in dry.output
    assert status_of(lambda: cluster.core().read_namespaced_secret("aws-secret", namespace)) == 404

    created = run("create", namespace)
    assert created.exit_code == 0, created.output
    old = read(cluster, namespace)
    assert old.keys() == KEYS
    assert identity(guarded_aws, old).endswith(f":user/{user}")
    made = cluster.core().read_namespaced_secret("aws-secret", namespace)
    assert made.metadata.labels == {"app.kubernetes.io/managed-by": "kfp-sagemaker"}
    assert made.type == "Opaque"

    assert "Everything is as it ought to be." in run("create", namespace).output
    same = cluster.core().read_namespaced_secret("aws-secret", namespace)
    assert same.metadata.resource_version == made.metadata.resource_version
    shown = run("show", namespace)
    assert f"holds key ...{old['AWS_ACCESS_KEY_ID'][-4:]}, the user's" in shown.output

    rotated = run("rotate", namespace)
    assert rotated.exit_code == 0, rotated.output
    new = read(cluster, namespace)
    assert new["AWS_ACCESS_KEY_ID"] != old["AWS_ACCESS_KEY_ID"]
    assert identity(guarded_aws, new).endswith(f":user/{user}")
    with pytest.raises(ClientError):
        identity(guarded_aws, old)
    # The same object, so that whoever watches it sees a change and not a gap.
    assert cluster.core().read_namespaced_secret("aws-secret", namespace).metadata.uid == made.metadata.uid

    deleted = run("delete", namespace)
    assert deleted.exit_code == 0, deleted.output
    assert status_of(lambda: cluster.core().read_namespaced_secret("aws-secret", namespace)) == 404
    assert "Nothing to delete." in run("delete", namespace).output

    said = "".join(result.output for result in (created, shown, rotated, deleted))
    for value in (*old.values(), *new.values()):
        assert value not in said
        assert base64.b64encode(value.encode()).decode() not in said


def test_a_secret_the_api_server_refuses_leaves_no_key(namespace: str, guarded_aws: Emulator) -> None:
    misnamed = run("create", namespace, "--secret-name", "Aws_Secret")

    assert misnamed.exit_code == 1
    assert f"cannot create secrets Aws_Secret in namespace {namespace}: 422" in misnamed.output
    keys = guarded_aws.client("iam").list_access_keys(UserName=f"kfp-sagemaker-{namespace}")
    assert keys["AccessKeyMetadata"] == []

    nowhere = run("create", "no-such-namespace")
    assert nowhere.exit_code == 1
    assert 'cannot create secrets aws-secret in namespace no-such-namespace: 404 namespaces "no-such' in nowhere.output


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"AWS_ACCESS_KEY_ID": b"AKIA0000EXAMPLE0001"}, "AWS_SECRET_ACCESS_KEY is missing or empty"),
        ({"AWS_ACCESS_KEY_ID": b"AKIA0000EXAMPLE0001\n", "AWS_SECRET_ACCESS_KEY": b"s3cr3t"}, "has white space around"),
        ({"AWS_ACCESS_KEY_ID": b"AKIA0000EXAMPLE0001", "AWS_SECRET_ACCESS_KEY": b'"s3cr3t"'}, "quotation marks"),
        ({"AWS_ACCESS_KEY_ID": b"ASIA0000EXAMPLE0001", "AWS_SECRET_ACCESS_KEY": b"s3cr3t"}, "needs AWS_SESSION_TOKEN"),
        ({"aws_access_key_id": b"AKIA0000EXAMPLE0001"}, "aws_access_key_id is unknown"),
        ({"AWS_ACCESS_KEY_ID": b"\xff\xfe", "AWS_SECRET_ACCESS_KEY": b"s3cr3t"}, "AWS_ACCESS_KEY_ID is no text"),
        ({}, "AWS_ACCESS_KEY_ID is missing or empty"),
    ],
)
def test_a_malformed_secret_is_refused_without_showing_it(
    data: dict[str, bytes], problem: str, cluster: Cluster, namespace: str, guarded_aws: Emulator, tmp_path: Path
) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    cluster.core().create_namespaced_secret(namespace, {"metadata": {"name": "aws-secret"}, "data": encoded})

    doctor = invoke("doctor", "-n", namespace, "--bucket", BUCKET)
    pipeline = tmp_path / "housing_mme.yaml"
    compiled = invoke("compile", "housing_mme", "--credentials", "secret", "-n", namespace, "-o", str(pipeline))
    shown = run("show", namespace)

    assert (doctor.exit_code, compiled.exit_code, pipeline.exists()) == (1, 1, False)
    (line,) = [line for line in doctor.output.splitlines() if line.startswith("✗ secret")]
    assert problem in line
    assert line.endswith(f"-> kfp-sagemaker credentials create --mode secret -n {namespace}")
    assert problem in " ".join(compiled.output.split())
    assert problem in shown.output
    for value in ("s3cr3t", "EXAMPLE"):
        assert value not in doctor.output + compiled.output + shown.output

    # The fix the doctor names mends it.
    assert run("create", namespace).exit_code == 0
    assert read(cluster, namespace).keys() == KEYS


def test_the_doctor_says_when_it_may_not_look(
    cluster: Cluster, namespace: str, guarded_aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = cluster.core()
    assert "there is no Secret aws-secret" in invoke("doctor", "-n", namespace, "--bucket", BUCKET).output
    run("create", namespace)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "nobody"}})
    token = cluster.service_account_token(namespace, "nobody")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(namespace, token)))

    done = invoke("doctor", "-n", namespace, "--bucket", BUCKET)
    refused = run("rotate", namespace)

    assert f"you may not read Secret aws-secret in namespace {namespace}" in done.output
    assert refused.exit_code == 1
    assert f"cannot get secrets aws-secret in namespace {namespace}: 403" in refused.output
    assert f'"system:serviceaccount:{namespace}:nobody" cannot get resource "secrets"' in " ".join(
        refused.output.split()
    )


def test_irsa_annotates_the_service_account(cluster: Cluster, namespace: str, guarded_aws: Emulator) -> None:
    options = ("--oidc-issuer", "https://oidc.eks.us-east-1.amazonaws.com/id/ABC")

    def annotations() -> dict[str, str]:
        account = cluster.core().read_namespaced_service_account("default-editor", namespace)
        return dict(account.metadata.annotations or {})

    created = run("create", namespace, *options, mode="irsa")  # makes the service account
    assert created.exit_code == 0, created.output
    role = guarded_aws.client("iam").get_role(RoleName=f"kfp-sagemaker-{namespace}")["Role"]["Arn"]
    assert annotations() == {"eks.amazonaws.com/role-arn": role}

    cluster.core().patch_namespaced_service_account(
        "default-editor", namespace, {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "old", "other": "1"}}}
    )
    assert run("create", namespace, *options, mode="irsa").exit_code == 0
    assert annotations() == {"eks.amazonaws.com/role-arn": role, "other": "1"}
    assert run("delete", namespace, *options, mode="irsa").exit_code == 0
    assert annotations() == {"other": "1"}

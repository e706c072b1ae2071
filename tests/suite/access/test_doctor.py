"""``kfp-sagemaker doctor`` and ``clean``: what they find, and the fix they name."""

from __future__ import annotations

import base64

import pytest
from click.testing import CliRunner, Result

from kfp_sagemaker.cli.main import main
from sagemaker_emulator.emulator import Emulator
from tests.suite.access.conftest import NAMESPACE, KubernetesApi
from tests.suite.access.kubeflow_api import KubeflowApi


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "300"})


def use_the_secret(api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in api.secret().items():
        monkeypatch.setenv(key, base64.b64decode(value).decode())


def test_all_is_well_after_credentials_create(
    guarded_aws: Emulator, kubernetes_api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded_aws.client("s3").create_bucket(Bucket="data-bucket")
    place = ("--bucket", "data-bucket", "--prefix", "work", "-n", NAMESPACE)
    assert invoke("credentials", "create", "--mode", "secret", *place).exit_code == 0
    # Simulating and looking at roles is what administrators do, not steps.
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}'
    iam = guarded_aws.client("iam")
    iam.put_user_policy(UserName=f"kfp-sagemaker-{NAMESPACE}", PolicyName="look", PolicyDocument=policy)
    use_the_secret(kubernetes_api, monkeypatch)
    kubeflow = KubeflowApi()
    try:
        done = invoke("doctor", *place, "--host", kubeflow.url)
    finally:
        kubeflow.stop()

    assert done.exit_code == 0, done.output
    assert [line[:10].split()[1] for line in done.output.splitlines()] == [
        *("identity", "bucket", "role", "rights", "secret", "kubeflow")
    ]

    for topic in ("jobs", "data"):
        iam.detach_user_policy(
            UserName=f"kfp-sagemaker-{NAMESPACE}",
            PolicyArn=f"arn:aws:iam::000000000000:policy/kfp-sagemaker-{NAMESPACE}-{topic}",
        )
    poorer = invoke("doctor", *place)
    assert poorer.exit_code == 1
    assert "lacks logs:DescribeLogStreams" in poorer.output
    assert "✗ bucket" in poorer.output


def test_each_trouble_is_a_line_with_its_fix(guarded_aws: Emulator, kubernetes_api: KubernetesApi) -> None:
    data = {"AWS_ACCESS_KEY_ID": base64.b64encode(b"AKIA\n").decode()}
    kubernetes_api.objects["secrets", NAMESPACE, "aws-secret"] = {"metadata": {"name": "aws-secret"}, "data": data}
    kubeflow = KubeflowApi("2.14.4")
    try:
        done = invoke("doctor", "--bucket", "no-bucket", "-n", NAMESPACE, "--host", kubeflow.url)
    finally:
        kubeflow.stop()

    assert done.exit_code == 1
    lines = {line.split()[1]: line for line in done.output.splitlines()}
    assert "-> aws s3 mb s3://no-bucket" in lines["bucket"]
    assert "-> kfp-sagemaker credentials create" in lines["role"]
    assert "AWS_SECRET_ACCESS_KEY is missing or empty; AWS_ACCESS_KEY_ID has white space" in lines["secret"]
    assert "2.14.4 is too old: 2.15 or later" in lines["kubeflow"]


def test_clean_lists_and_then_deletes_what_a_run_left(guarded_aws: Emulator) -> None:
    sagemaker = guarded_aws.client("sagemaker")
    for run_id in ("mine", "theirs"):
        variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        if run_id == "mine":
            role = guarded_aws.client("iam").create_role(
                RoleName="r",
                AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
                '"Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
            )["Role"]["Arn"]
            image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
            sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
        sagemaker.create_endpoint_config(
            EndpointConfigName=run_id,
            ProductionVariants=[variant],
            Tags=[{"Key": "kfp-sagemaker:run-id", "Value": run_id}],
        )

    listed = invoke("clean", "mine", "--dry-run")
    assert listed.output.strip() == "endpoint-config/mine"
    assert invoke("clean", "mine", "--yes").exit_code == 0
    left = [each["EndpointConfigName"] for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]]
    assert left == ["theirs"]
    assert [each["ModelName"] for each in sagemaker.list_models()["Models"]] == ["m"], (
        "not the run's, though it served it"
    )
    assert "left nothing" in invoke("clean", "mine").output

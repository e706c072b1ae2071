"""The service of training metrics, deployed by its command to an embedded AWS that checks IAM, called by its URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kfp_sagemaker.access import permissions
from kfp_sagemaker.access.documents import Place, execution_policy, execution_trust, metrics_service_policy
from sagemaker_emulator.emulator import Emulator

ROOT = Path(__file__).parents[2]
STACK = "training-metrics"
ACCOUNT = "000000000000"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/service-test:1"
BUCKET = "service-test"
PLACE = Place(ACCOUNT, BUCKET, region="us-east-1")
# Roomy, so that no test is throttled by the others.
LIMITS = "RequestsPerSecond=1000 RequestsAtOnce=1000"
TRAIN = "print('loss=0.5 accuracy=0.875;')"

pytestmark = [pytest.mark.xdist_group("training_metrics_service"), pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Identity:
    access_key_id: str
    secret_access_key: str


@dataclass
class Service:
    """The deployed service and who may call it."""

    emulator: Emulator
    url: str
    caller: Identity
    stranger: Identity

    def get(self, path: str, identity: Identity | None = None, token: str = "") -> urllib3.BaseHTTPResponse:
        """A plain HTTP request, signed for an identity or with a token when there is one."""
        url = self.url + path
        request = AWSRequest("GET", url, headers={"Authorization": f"Bearer {token}"} if token else {})
        if identity is not None:
            credentials = Credentials(identity.access_key_id, identity.secret_access_key)
            SigV4Auth(credentials, "execute-api", "us-east-1").add_auth(request)
        # A function's first start takes longer than urllib3 waits by default before it asks again.
        options: dict[str, Any] = {"timeout": 60, "retries": False}
        return urllib3.request("GET", url, headers=dict(request.headers.items()), **options)

    def outputs(self, stack: str) -> dict[str, str]:
        """What a stack says of itself."""
        (found,) = self.emulator.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def identity(emulator: Emulator, name: str) -> Identity:
    iam = emulator.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Identity(key["AccessKeyId"], key["SecretAccessKey"])


def train(emulator: Emulator, *names: str) -> None:
    """Training jobs that print metrics, run to their end."""
    emulator.register_image(IMAGE.replace(".", r"\."), name="service-test", train=[sys.executable, "-c", TRAIN])
    iam = emulator.client("iam")
    role = iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(execution_trust(PLACE)))["Role"]
    iam.put_role_policy(RoleName="execution", PolicyName="p", PolicyDocument=json.dumps(execution_policy(PLACE)))
    sagemaker = emulator.client("sagemaker")
    for name in names:
        sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=role["Arn"],
            AlgorithmSpecification={
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {"Name": "loss", "Regex": "loss=([0-9.]+)"},
                    {"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"},
                ],
            },
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
    for name in names:
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(
            TrainingJobName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Emulator(tmp_path_factory.mktemp("guarded"), auth=True) as emulator:
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        train(emulator, "first", "second")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        deployed = subprocess.run(
            ["make", "--silent", "deploy", f"BUCKET={BUCKET}", f"ARGS={LIMITS}"],
            cwd=ROOT,
            env=os.environ | emulator.env | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert deployed.returncode == 0, deployed.stdout
        service = Service(emulator, "", identity(emulator, "caller"), identity(emulator, "stranger"))
        outputs = service.outputs(STACK)
        assert all(value in deployed.stdout for value in outputs.values())
        emulator.client("iam").attach_user_policy(UserName="caller", PolicyArn=outputs["CallerPolicyArn"])
        service.url = outputs["Url"]
        yield service


def test_jobs_are_listed(service: Service) -> None:
    answer = service.get("/training-jobs?name_contains=sec&status=Completed", service.caller)

    assert answer.status == 200
    (job,) = json.loads(answer.data)["training_jobs"]
    assert (job["name"], job["status"]) == ("second", "Completed")
    assert job["creation_time"] <= job["end_time"]


def test_jobs_come_a_page_at_a_time(service: Service) -> None:
    page = json.loads(service.get("/training-jobs?max_results=1", service.caller).data)
    assert [job["name"] for job in page["training_jobs"]] == ["second"]
    token = quote(page["next_token"], safe="")
    page = json.loads(service.get(f"/training-jobs?max_results=1&next_token={token}", service.caller).data)
    assert ([job["name"] for job in page["training_jobs"]], page["next_token"]) == (["first"], None)


def test_metrics_are_csv_and_json(service: Service) -> None:
    answer = service.get("/training-jobs/first/metrics", service.caller)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = answer.data.decode().splitlines()
    assert lines[0] == "timestamp,metric_name,value"
    assert [line.split(",", 1)[1] for line in lines[1:]] == ["accuracy,0.875", "loss,0.5"]

    document = json.loads(service.get("/training-jobs/first/metrics?format=json&metric_name=loss", service.caller).data)
    assert (document["name"], document["status"], list(document["metrics"])) == ("first", "Completed", ["loss"])
    assert document["metrics"]["loss"]["values"] == [0.5]
    assert document["metrics"]["loss"]["timestamps"] == [lines[2].split(",")[0]]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/training-jobs/missing/metrics", 404, "There is no training job missing in us-east-1"),
        (f"/training-jobs/{quote('a b')}/metrics", 400, "name is 'a b'"),
        ("/training-jobs/first/metrics?format=xml&days=3", 400, "format is 'xml', must be one of csv, json"),
        ("/training-jobs?status=Done", 400, "status is 'Done', must be one of Completed"),
        ("/training-jobs?next_token=invented", 400, "NextToken"),
        ("/models", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_says_why(service: Service, path: str, status: int, message: str) -> None:
    answer = service.get(path, service.caller)
    assert (answer.status, list(json.loads(answer.data))) == (status, ["message"])
    assert message.lower() in json.loads(answer.data)["message"].lower()


def test_only_who_holds_the_policy_is_answered(service: Service) -> None:
    forger = Identity(service.caller.access_key_id, "0" * 40)
    for somebody in (None, service.stranger, forger):
        answer = service.get("/training-jobs", somebody)
        assert (answer.status, json.loads(answer.data)) == (403, {"message": "Forbidden"})


def test_the_role_may_do_what_its_description_says_and_does_all_of_it(service: Service) -> None:
    (name,) = service.emulator.client("cloudformation").describe_stack_resources(
        StackName=STACK, LogicalResourceId="Role"
    )["StackResources"]
    iam = service.emulator.client("iam")
    role = {"RoleName": name["PhysicalResourceId"]}
    (inline,) = iam.list_role_policies(**role)["PolicyNames"]
    assert iam.list_attached_role_policies(**role)["AttachedPolicies"] == []
    assert iam.get_role_policy(**role, PolicyName=inline)["PolicyDocument"] == metrics_service_policy(PLACE)

    for path in ("/training-jobs", "/training-jobs/first/metrics"):
        assert service.get(path, service.caller).status == 200
    calls = urllib3.request("GET", f"{service.emulator.endpoint_url}/_emulator/authorizations").json()
    own = [call for call in calls["authorizations"] if f":assumed-role/{role['RoleName']}/" in call["principal_arn"]]
    assert [call for call in own if not call["allowed"]] == []
    granted = {action for grant in permissions.METRICS_SERVICE_GRANTS for action in grant.actions}
    assert {call["action"] for call in own} == granted


def test_the_logs_say_who_asked_for_what_and_hold_no_secret(service: Service) -> None:
    assert service.get("/training-jobs", service.caller).status == 200

    logs = service.emulator.client("logs")
    groups = (f"/aws/lambda/{STACK}", f"/aws/vendedlogs/apigateway/{STACK}")
    function, access = (
        [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]] for group in groups
    )
    caller = f"arn:aws:iam::{ACCOUNT}:user/caller"
    asked = [json.loads(line) for line in function if line.startswith("{")]
    assert {"caller": caller, "path": "/training-jobs", "status": 200}.items() <= asked[-1].items()
    assert {"caller": caller, "path": "/training-jobs", "status": "200"}.items() <= json.loads(access[-1]).items()
    text = "\n".join(function + access)
    assert service.caller.access_key_id not in text
    assert "Signature=" not in text


def test_holders_of_a_token_are_answered_where_the_stack_says_so(service: Service) -> None:
    cognito = service.emulator.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
    flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="notebook", ExplicitAuthFlows=flows)
    client_id = client["UserPoolClient"]["ClientId"]
    person = {"UserPoolId": pool, "Username": "anna"}
    cognito.admin_create_user(**person)
    cognito.admin_set_user_password(**person, Password="Long-enough-1", Permanent=True)
    signed_in = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "anna", "PASSWORD": "Long-enough-1"},
    )
    token = signed_in["AuthenticationResult"]["IdToken"]
    cloudformation = service.emulator.client("cloudformation")
    parameters = {
        "Authorization": "JWT",
        "JwtIssuer": f"https://cognito-idp.us-east-1.amazonaws.com/{pool}",
        "JwtAudience": client_id,
    }
    stack = {"StackName": "with-tokens"}
    cloudformation.create_stack(
        **stack,
        TemplateBody=cloudformation.get_template(StackName=STACK)["TemplateBody"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(**stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    outputs = service.outputs("with-tokens")
    assert list(outputs) == ["Url"]
    by_token = Service(service.emulator, outputs["Url"], service.caller, service.stranger)

    answer = by_token.get("/training-jobs?name_contains=first", token=token)
    assert (answer.status, len(json.loads(answer.data)["training_jobs"])) == (200, 1)
    for nobody in ("", f"{token[:-8]}AAAAAAAA"):
        assert by_token.get("/training-jobs", token=nobody).status == 401
    assert by_token.get("/training-jobs", service.caller).status == 401

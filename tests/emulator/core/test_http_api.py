"""HTTP APIs and the Lambda functions behind them: address, throttling, access log, and processes that leave nothing."""

import io
import json
import os
import zipfile

import psutil
import urllib3

from sagemaker_emulator.ministack_http_api import Bucket
from sagemaker_emulator.ministack_lambda import function_environment
from sagemaker_emulator.runtime.processes import OWNER_VARIABLE

ROLE = "arn:aws:iam::000000000000:role/any"
FUNCTION = """
import json, os
def handler(event, context):
    body = {"path": event["rawPath"], "pid": os.getpid(), "names": sorted(os.environ)}
    return {"statusCode": 201, "body": json.dumps(body)}
"""
LOG_FORMAT = "$context.routeKey $context.path $context.status $context.error.message $context.nobody.knows"


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as code:
        code.writestr("app.py", FUNCTION)
    return buffer.getvalue()


def deploy(emulator, name, *, settings=None, log_group="", issuer=""):
    """An HTTP API whose one route calls a function; returns its address."""
    function = emulator.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="app.handler", Code={"ZipFile": archive()}
    )
    api = emulator.client("apigatewayv2")
    made = api.create_api(Name=name, ProtocolType="HTTP")
    own = {"ApiId": made["ApiId"]}
    integration = api.create_integration(
        **own, IntegrationType="AWS_PROXY", IntegrationUri=function["FunctionArn"], PayloadFormatVersion="2.0"
    )
    route = {"RouteKey": "GET /things/{id}", "Target": f"integrations/{integration['IntegrationId']}"}
    if issuer:
        jwt = {"Issuer": issuer, "Audience": ["me"]}
        authorizer = api.create_authorizer(
            **own,
            Name="jwt",
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration=jwt,
        )
        route |= {"AuthorizationType": "JWT", "AuthorizerId": authorizer["AuthorizerId"]}
    api.create_route(**own, **route)
    stage = {"DefaultRouteSettings": settings} if settings else {}
    if log_group:
        emulator.client("logs").create_log_group(logGroupName=log_group)
        arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{log_group}:*"
        stage["AccessLogSettings"] = {"DestinationArn": arn, "Format": LOG_FORMAT}
    api.create_stage(**own, StageName="$default", AutoDeploy=True, **stage)
    assert made["ApiEndpoint"] == f"{emulator.endpoint_url}/_aws/execute-api/{made['ApiId']}"
    return made["ApiEndpoint"]


def get(url, **headers):
    answer = urllib3.request("GET", url, headers=headers, timeout=60, retries=False)
    return answer.status, json.loads(answer.data)


def test_a_stage_throttles_its_routes_and_logs_every_access(emulator, unique_name):
    slow = {"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 1}
    url = deploy(emulator, unique_name, settings=slow, log_group=f"/access/{unique_name}")

    status, body = get(f"{url}/things/a%20b")
    assert (status, body["path"]) == (201, "/things/a b")
    assert get(f"{url}/things/2") == (429, {"message": "Too Many Requests"})
    assert get(f"{url}/other") == (404, {"message": "Not Found"})

    events = emulator.client("logs").filter_log_events(logGroupName=f"/access/{unique_name}")["events"]
    assert [event["message"] for event in events] == [
        "GET /things/{id} /things/a b 201 - -",
        "GET /things/{id} /things/2 429 Too Many Requests -",
        "- /other 404 - -",
    ]


def test_a_bucket_fills_at_its_rate_up_to_its_burst():
    bucket = Bucket(rate=2, burst=3, tokens=3, filled=100)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(now) for now in (100.4, 100.5, 100.6)] == [False, True, False]
    assert [bucket.take(1000) for _ in range(4)] == [True, True, True, False]


def test_keys_of_an_issuer_elsewhere_are_not_fetched(emulator, unique_name):
    url = deploy(emulator, unique_name, issuer="https://issuer.example.com/")
    token = "eyJraWQiOiJhIiwiYWxnIjoiUlMyNTYifQ.e30.c2ln"  # header, claims {} and a signature of nobody
    assert get(f"{url}/things/1", Authorization=f"Bearer {token}") == (401, {"message": "Unauthorized"})
    log = (emulator.state_dir / "emulator.log").read_text()
    assert "An HTTP API may not call https://issuer.example.com/" in log


def test_a_function_inherits_nothing_of_the_emulators_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_TOKEN", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    own = {"AWS_REGION": "us-east-1", "AWS_SESSION_TOKEN": "the role's", "TABLE": "things"}

    environment = function_environment({**os.environ, **own}, tmp_path)

    assert environment.items() >= own.items()
    assert environment[OWNER_VARIABLE] == str(tmp_path)
    assert "MY_TOKEN" not in environment


def test_a_function_that_cannot_be_run_is_refused(emulator, unique_name):
    client = emulator.client("lambda")
    absent = {"S3Bucket": "no-such-bucket", "S3Key": "code.zip"}
    unrunnable = {
        "needs the runtime java21": {"Runtime": "java21", "Handler": "app.handler", "Code": {"ZipFile": archive()}},
        "has no code": {"Runtime": "python3.13", "Handler": "app.handler", "Code": absent},
        "is a container image": {"PackageType": "Image", "Code": {"ImageUri": "000000000000.dkr.ecr/x:1"}},
    }
    for number, (reason, function) in enumerate(unrunnable.items()):
        name = f"{unique_name}-{number}"
        client.create_function(FunctionName=name, Role=ROLE, **function)
        answer = client.invoke(FunctionName=name)
        assert answer["FunctionError"] == "Unhandled"
        assert reason in json.loads(answer["Payload"].read())["errorMessage"]


def test_a_functions_process_ends_with_a_killed_emulator(start_emulator):
    emulator = start_emulator()
    url = deploy(emulator, "thing")
    _, body = get(f"{url}/things/1")
    assert OWNER_VARIABLE in body["names"]
    process = psutil.Process(body["pid"])
    emulator.kill()
    assert process not in psutil.wait_procs([process], timeout=30)[1]

"""The wire, as clients see it; raw requests where boto3 would not send such a thing."""

import json

import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

SCOPE = "Credential=test/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"


def call(emulator, body, *, target="", path="/", service="sagemaker", region="us-east-1"):
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 " + SCOPE.format(region=region, service=service),
        "Content-Type": "application/x-amz-json-1.1",
        **({"X-Amz-Target": target} if target else {}),
    }
    answer = urllib3.request("POST", emulator.endpoint_url + path, body=body, headers=headers, retries=False)
    return answer.status, answer.headers, answer.json()


def test_answers_carry_a_request_id_and_epoch_times(emulator, unique_name):
    emulator.client("sagemaker").create_model(ModelName=unique_name, PrimaryContainer={"Image": "i"})
    status, headers, answer = call(
        emulator, json.dumps({"ModelName": unique_name}).encode(), target="SageMaker.DescribeModel"
    )
    assert status == 200
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert len(headers["x-amzn-requestid"]) == 36
    assert isinstance(answer["CreationTime"], float)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{not json", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"", "ValidationException"),
        (b'{"ModelName": "a", "NoSuchMember": 1}', "ValidationException"),
    ],
)
def test_bad_bodies_are_refused(emulator, body, code):
    status, headers, answer = call(emulator, body, target="SageMaker.DescribeModel")
    assert (status, answer["__type"], headers["x-amzn-errortype"]) == (400, code, code)
    assert answer["message"]


def test_an_operation_that_does_not_exist(emulator):
    _, _, answer = call(emulator, b"{}", target="SageMaker.MakeCoffee")
    assert answer["__type"] == "UnknownOperationException"


def test_an_operation_that_is_not_implemented_says_so_once(emulator):
    sagemaker = emulator.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 5}))
    with pytest.raises(ClientError) as caught:
        sagemaker.list_hubs()
    assert caught.value.response["Error"]["Code"] == "OperationNotImplemented"
    assert "does not implement ListHubs" in str(caught.value)
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_a_rest_path_that_does_not_exist_says_so(emulator):
    _, _, answer = call(emulator, b"", path="/no/such/path")
    assert "does not implement POST /no/such/path" in answer["message"]


def test_errors_of_the_runtime_are_typed(emulator):
    runtime = emulator.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ValidationError, match="nothing-here"):
        runtime.invoke_endpoint(EndpointName="nothing-here", Body=b"1")


def test_a_label_that_breaks_its_pattern_is_refused(emulator):
    runtime = emulator.client("sagemaker-runtime", config=Config(parameter_validation=False))
    with pytest.raises(runtime.exceptions.ValidationError, match="at 'endpointName' failed to satisfy constraint"):
        runtime.invoke_endpoint(EndpointName="a/b", Body=b"1")


def test_other_services_and_presigned_requests_go_to_ministack(emulator, unique_name):
    s3 = emulator.client("s3", config=Config(signature_version="s3v4"))
    s3.create_bucket(Bucket=unique_name)
    put = s3.generate_presigned_url("put_object", Params={"Bucket": unique_name, "Key": "a/b"})
    assert urllib3.request("PUT", put, body=b"body", retries=False).status == 200
    assert s3.get_object(Bucket=unique_name, Key="a/b")["Body"].read() == b"body"
    assert emulator.client("cloudwatch").list_metrics(Namespace=unique_name)["Metrics"] == []


def test_nothing_but_loopback_is_listened_on(emulator):
    import psutil

    listening = [c.laddr for c in psutil.Process(emulator.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [(address.ip, f"http://127.0.0.1:{address.port}") for address in listening] == [
        ("127.0.0.1", emulator.endpoint_url)
    ]

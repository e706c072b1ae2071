from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from kfp_sagemaker.aws.errors import AwsCallError, ConfigurationError
from kfp_sagemaker.aws.session import open_session

ROLE = "arn:aws:iam::123456789012:role/kfp"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-example")


class FakeSts:
    """STS on loopback: hands out numbered credentials of the wanted lifetime, and says who asks."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.lifetime_seconds = 3600
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                action = parse_qs(body)["Action"][0]
                key = self.headers["Authorization"].split("Credential=")[1].split("/")[0]
                fake.requests.append((action, key))
                answer = fake.answer(action).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, action: str) -> str:
        if action == "GetCallerIdentity":
            result = "<Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>u</UserId>"
        else:
            number = sum(name == "AssumeRole" for name, _ in self.requests)
            expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.lifetime_seconds)
            result = (
                f"<Credentials><AccessKeyId>ROLEKEY{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
                f"<SessionToken>t</SessionToken><Expiration>{expiry:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            )
        return f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSts]:
    fake = FakeSts()
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", fake.url)
    yield fake
    fake.server.shutdown()
    thread.join()
    fake.server.server_close()


# Region


def test_the_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert open_session().region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert open_session().region == "eu-west-2"
    assert open_session("eu-west-3").region == "eu-west-3"


def test_the_profiles_region_comes_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert open_session().region == "ap-south-1"


def test_no_region_is_one_line_that_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError) as info:
        open_session()
    assert str(info.value) == "no AWS region is set: give the step a region, or set AWS_REGION"


@pytest.mark.parametrize("region", ["us-est-1", "us-east-99", "mars", "aws-global"])
def test_an_unknown_region_is_an_error_that_names_it(region: str) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown AWS region '{region}'"):
        open_session(region)


def test_an_unknown_region_comes_with_a_guess() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean .*us-east-1"):
        open_session("us-est-1")


@pytest.mark.parametrize(
    ("region", "partition", "dns_suffix", "console"),
    [
        ("us-east-1", "aws", "amazonaws.com", "https://us-east-1.console.aws.amazon.com/x"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn", "https://cn-north-1.console.amazonaws.cn/x"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com", "https://us-gov-west-1.console.amazonaws-us-gov.com/x"),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov", ""),
    ],
)
def test_partitions(region: str, partition: str, dns_suffix: str, console: str) -> None:
    session = open_session(region)
    assert (session.partition, session.dns_suffix, session.console_url("/x")) == (partition, dns_suffix, console)


def test_the_embedded_aws_has_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    assert open_session("us-east-1").console_url("/x") == ""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://vpce-1.api.sagemaker.us-east-1.vpce.amazonaws.com")
    assert open_session("us-east-1").console_url("/x") != ""


# Credentials


def test_no_credentials_is_one_line_that_says_what_to_set() -> None:
    session = open_session("us-east-1")
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID") as info:
        session.client("sagemaker")
    assert "\n" not in str(info.value)


def test_no_credentials_to_assume_a_role_with() -> None:
    with pytest.raises(ConfigurationError, match=f"to assume {ROLE} with"):
        open_session("us-east-1", ROLE)


def test_half_of_the_credentials_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY"):
        open_session("us-east-1").client("sagemaker")


def test_a_missing_profile_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match="nobody"):
        open_session()


@pytest.mark.usefixtures("credentials")
def test_clients_are_made_once_and_say_who_they_are() -> None:
    session = open_session("us-east-1")
    client = session.client("sagemaker")
    assert session.client("sagemaker") is client
    assert "kfp-sagemaker/" in client.meta.config.user_agent
    assert client.meta.config.retries["mode"] == "standard"
    assert client.meta.config.retries["total_max_attempts"] == 10
    assert hasattr(session.client("s3"), "upload_fileobj")


@pytest.mark.usefixtures("credentials")
def test_adaptive_retries_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    assert open_session("us-east-1").client("sagemaker").meta.config.retries["mode"] == "adaptive"


@pytest.mark.usefixtures("credentials")
def test_the_account_is_asked_for_once(sts: FakeSts) -> None:
    session = open_session("us-east-1")
    assert session.account_id == session.account_id == "123456789012"
    assert sts.requests == [("GetCallerIdentity", "AKIDEXAMPLE")]


@pytest.mark.usefixtures("credentials")
def test_a_role_is_assumed_on_first_use_and_kept(sts: FakeSts) -> None:
    session = open_session("us-east-1", ROLE)
    session.client("sts")
    assert sts.requests == []
    for _ in range(2):
        session.client("sts").get_caller_identity()
    assert sts.requests == [
        ("AssumeRole", "AKIDEXAMPLE"),
        ("GetCallerIdentity", "ROLEKEY1"),
        ("GetCallerIdentity", "ROLEKEY1"),
    ]


@pytest.mark.usefixtures("credentials")
def test_a_roles_credentials_are_renewed_before_they_end(sts: FakeSts) -> None:
    sts.lifetime_seconds = 60
    session = open_session("us-east-1", ROLE)
    for _ in range(2):
        session.client("sts").get_caller_identity()
    assert [key for action, key in sts.requests if action == "GetCallerIdentity"] == ["ROLEKEY1", "ROLEKEY2"]
    assert {key for action, key in sts.requests if action == "AssumeRole"} == {"AKIDEXAMPLE"}


@pytest.mark.usefixtures("credentials")
def test_an_aws_that_is_not_there_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    with pytest.raises(AwsCallError, match="could not be reached"):
        _ = open_session("us-east-1").account_id


# Start-up


def test_the_engine_imports_nothing_heavier_than_botocore() -> None:
    program = (
        "import json, sys\n"
        "import kfp_sagemaker.aws.engine, kfp_sagemaker.aws.kinds, kfp_sagemaker.aws.image_uris\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    ).stdout
    heavy = {"boto3", "kfp", "numpy", "pandas", "sagemaker", "sagemaker_emulator", "kubernetes", "matplotlib", "yaml"}
    assert heavy.isdisjoint(json.loads(output))

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AwsCallError, JobFailedError
from kfp_sagemaker.data.source import pack
from kfp_sagemaker.transform.component import batch_transform
from tests.suite.conftest import Account

EMPTY_ARCHIVE = pack({"model.txt": "2"})
# Doubles every number it gets.
SERVE = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()
    def do_POST(self):
        rows = self.rfile.read(int(self.headers["Content-Length"])).decode().split()
        self.send_response(400 if "x" in rows else 200)
        self.send_header("Content-Type", "text/csv")
        self.end_headers()
        self.wfile.write("".join(f"{2 * int(row)}\\n" for row in rows if row != "x").encode())
    def log_message(self, *arguments):
        pass
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def transform(account: Account) -> Callable[..., Any]:
    archive = account.put("models/model.tar.gz", EMPTY_ARCHIVE)
    account.sagemaker.create_model(
        ModelName=account.name,
        ExecutionRoleArn=account.role_arn,
        PrimaryContainer={"Image": account.image(serve=SERVE), "ModelDataUrl": archive},
    )

    def run(input_key: str, **arguments: Any) -> Any:
        given = {
            "model_name": account.name,
            "input_s3_uri": account.uri(input_key),
            "output_s3_uri": account.uri("out/"),
            "content_type": "text/csv",
            "split_type": "Line",
            "assemble_with": "Line",
            "timeout_seconds": 60,
        }
        return batch_transform.python_func(**{**given, **arguments})

    return run


def test_one_object_gives_one_result_whose_place_is_known(account: Account, transform: Callable[..., Any]) -> None:
    account.put("in/rows.csv", "1\n2\n3\n")
    outputs = transform("in/rows.csv")
    assert outputs.output_s3_uri == account.uri("out/")
    assert outputs.output_file_s3_uri == account.uri("out/rows.csv.out")
    assert account.get(outputs.output_file_s3_uri).split() == [b"2", b"4", b"6"]
    description = account.sagemaker.describe_transform_job(TransformJobName=outputs.job_name)
    assert description["TransformJobStatus"] == "Completed"


def test_a_prefix_gives_a_result_for_each_object(account: Account, transform: Callable[..., Any]) -> None:
    account.put("in/a.csv", "1\n")
    account.put("in/b.csv", "5\n")
    outputs = transform("in/", join_source="Input", output_filter="$[1]")
    assert outputs.output_file_s3_uri == ""
    assert account.get(account.uri("out/a.csv.out")).split() == [b"2"]
    assert account.get(account.uri("out/b.csv.out")).split() == [b"10"]


def test_a_model_that_refuses_its_input_fails_the_step(account: Account, transform: Callable[..., Any]) -> None:
    account.put("in/rows.csv", "1\nx\n")
    with pytest.raises(JobFailedError):
        transform("in/rows.csv")


def test_a_model_that_does_not_exist_is_one_clear_error(account: Account, transform: Callable[..., Any]) -> None:
    account.put("in/rows.csv", "1\n")
    with pytest.raises(AwsCallError, match="no-such-model"):
        transform("in/rows.csv", model_name="no-such-model")

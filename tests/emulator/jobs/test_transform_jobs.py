"""Batch transform jobs through boto3."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.jobs.conftest import ROLE_ARN, Lab

LOG_GROUP = "/aws/sagemaker/TransformJobs"

# Answers one number a line: the sum of the line's columns times the factor of its model.
SERVER = """
import http.server, json, os, pathlib

BASE = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
FACTOR = float((BASE / "model/factor").read_text()) if (BASE / "model/factor").exists() else 1

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    failures = 0

    def do_GET(self):
        if self.path == "/execution-parameters":
            parameters = {"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 1, "BatchStrategy": "MULTI_RECORD"}
            self.answer(200, json.dumps(parameters))
        else:
            self.answer(200, "")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        mode = os.environ.get("MODE", "")
        # One write a line: threads and processes share the output.
        os.write(1, f"payload of {len(body.splitlines())} lines as {self.headers['Content-Type']}\\n".encode())
        if mode == "refuse":
            return self.answer(415, "only images, please")
        if mode == "flaky" and Handler.failures < 2:
            Handler.failures += 1
            return self.answer(500, "try again")
        if mode == "echo":
            return self.answer(200, body, self.headers["Accept"])
        sums = [FACTOR * sum(map(float, line.split(","))) for line in body.splitlines()]
        self.answer(200, "\\n".join(str(value) for value in sums) + "\\n", "text/csv")

    def answer(self, status, text, content_type="text/plain"):
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass

address = (os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""


@pytest.fixture
def model(lab: Lab) -> str:
    """A model whose container doubles sums."""
    return create_model(lab, {"factor": b"2"})


def create_model(lab: Lab, files: dict[str, bytes], script: str = SERVER, **environment: str) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    container = {
        "Image": lab.image(serve=script),
        "ModelDataUrl": lab.put("models/model.tar.gz", archive.getvalue()),
        "Environment": environment,
    }
    lab.sagemaker.create_model(ModelName=lab.name, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    return lab.name


def request(lab: Lab, model: str, s3_uri: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": s3_uri}}
    base = {
        "TransformJobName": lab.name,
        "ModelName": model,
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": lab.uri("out"), "AssembleWith": "Line", "Accept": "text/csv"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    for member in ("TransformInput", "TransformOutput"):
        base[member] |= changes.pop(member, {})
    return base | changes


def transform(lab: Lab, model: str, s3_uri: str, **changes: Any) -> dict[str, Any]:
    lab.sagemaker.create_transform_job(**request(lab, model, s3_uri, **changes))
    return lab.ended("Transform")


def test_every_object_gets_its_predictions(lab, model):
    lab.put("in/a.csv", "1,2\n3,4\n")
    lab.put("in/deep/b.csv", "5,6")
    job = transform(lab, model, lab.uri("in/"))
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert lab.get("out/a.csv.out") == b"6.0\n14.0\n"
    assert lab.get("out/deep/b.csv.out") == b"22.0\n"
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert job["TransformInput"]["CompressionType"] == "None"
    assert lab.leftover_folders() == []


def test_the_log_names_the_parameters_and_has_the_containers_output(lab, model):
    lab.put("in/a.csv", "1,2\n3,4\n")
    transform(lab, model, lab.uri("in/a.csv"))
    lines = lab.log_lines(LOG_GROUP)
    assert "[sagemaker logs]: MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=MultiRecord" in lines
    assert "payload of 2 lines as text/csv" in lines


def test_single_records_are_sent_alone(lab, model):
    lab.put("in/a.csv", "1,2\n3,4\n")
    transform(lab, model, lab.uri("in/a.csv"), BatchStrategy="SingleRecord")
    assert lab.log_lines(LOG_GROUP).count("payload of 1 lines as text/csv") == 2
    assert lab.get("out/a.csv.out") == b"6.0\n14.0\n"


def test_many_payloads_keep_their_order(lab, model):
    rows = [f"{number},0" for number in range(200_000)]
    lab.put("in/a.csv", "\n".join(rows))
    transform(lab, model, lab.uri("in/a.csv"), MaxConcurrentTransforms=4, MaxPayloadInMB=1)
    assert lab.get("out/a.csv.out").decode().split() == [str(2.0 * number) for number in range(200_000)]
    assert sum(line.startswith("payload of") for line in lab.log_lines(LOG_GROUP)) > 1


def test_compressed_input_is_read(lab, model):
    lab.put("in/a.csv.gz", gzip.compress(b"1,2\n"))
    transform(lab, model, lab.uri("in/"), TransformInput={"CompressionType": "Gzip"})
    assert lab.get("out/a.csv.gz.out") == b"6.0\n"


def test_an_object_can_be_one_payload(lab):
    model = create_model(lab, {}, MODE="echo")
    lab.put("in/a.bin", b"line 1\nline 2")
    transform(
        lab,
        model,
        lab.uri("in/"),
        TransformInput={"SplitType": "None", "ContentType": "application/x-any"},
        TransformOutput={"AssembleWith": "None", "Accept": "application/x-any"},
    )
    assert lab.get("out/a.bin.out") == b"line 1\nline 2"


def test_the_id_column_is_dropped_and_joined_again(lab, model):
    lab.put("in/a.csv", "101,1,2\n102,3,4\n")
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    job = transform(lab, model, lab.uri("in/"), DataProcessing=processing)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert lab.get("out/a.csv.out") == b"101,6.0\n102,14.0\n"


def test_json_lines_are_joined(lab):
    model = create_model(lab, {}, MODE="echo")
    lab.put("in/a.jsonl", '{"id": 1, "x": [5]}\n{"id": 2, "x": [6]}\n')
    transform(
        lab,
        model,
        lab.uri("in/"),
        TransformInput={"ContentType": "application/jsonlines"},
        TransformOutput={"Accept": "application/jsonlines"},
        DataProcessing={"InputFilter": "$.x", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
    )
    rows = [json.loads(line) for line in lab.get("out/a.jsonl.out").splitlines()]
    assert rows == [{"id": 1, "SageMakerOutput": [5]}, {"id": 2, "SageMakerOutput": [6]}]


def test_a_flaky_container_is_asked_again(lab):
    model = create_model(lab, {"factor": b"2"}, MODE="flaky")
    lab.put("in/a.csv", "1,2\n")
    job = transform(lab, model, lab.uri("in/"), MaxConcurrentTransforms=1)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert lab.get("out/a.csv.out") == b"6.0\n"


def test_a_refused_payload_fails_the_job_with_the_containers_words_in_the_log(lab):
    model = create_model(lab, {}, MODE="refuse")
    lab.put("in/a.csv", "1,2\n")
    job = transform(lab, model, lab.uri("in/"))
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: See job logs for more information")
    assert f"[sagemaker logs]: {lab.bucket}/in/a.csv: Message: only images, please" in lab.log_lines(LOG_GROUP)
    assert lab.keys("out/") == []


def test_the_environment_of_the_job_overrides_the_models(lab):
    model = create_model(lab, {"factor": b"2"}, MODE="refuse")
    lab.put("in/a.csv", "1,2\n")
    job = transform(lab, model, lab.uri("in/"), Environment={"MODE": "sum"})
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")


def test_an_archive_that_leads_out_of_its_folder_fails_the_job(lab):
    model = create_model(lab, {"../../../escaped": b"x"})
    lab.put("in/a.csv", "1,2\n")
    job = transform(lab, model, lab.uri("in/"))
    assert job["TransformJobStatus"] == "Failed"
    assert "Failed to extract model data archive" in job["FailureReason"]
    assert not list(lab.emulator.state_dir.rglob("escaped"))


def test_a_container_that_ends_fails_the_job(lab):
    model = create_model(lab, {}, script="print('cannot load'); raise SystemExit(9)")
    lab.put("in/a.csv", "1,2\n")
    job = transform(lab, model, lab.uri("in/"))
    assert "ended with exit code 9" in job["FailureReason"]
    assert "cannot load" in lab.log_lines(LOG_GROUP)


def test_nothing_at_the_prefix_fails_the_job(lab, model):
    job = transform(lab, model, lab.uri("nothing/"))
    assert "No S3 objects found under S3 URL" in job["FailureReason"]


def test_objects_are_spread_over_instances(lab, model):
    for number in range(3):
        lab.put(f"in/{number}.csv", f"{number},0\n")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    transform(lab, model, lab.uri("in/"), TransformResources=resources)
    assert [lab.get(f"out/{number}.csv.out") for number in range(3)] == [b"0.0\n", b"2.0\n", b"4.0\n"]
    streams = lab.logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{lab.name}/")["logStreams"]
    assert sum(stream["logStreamName"].endswith("/data-log") for stream in streams) == 2


def test_a_job_can_be_stopped(lab):
    script = "import time\nprint('never answers a ping', flush=True)\ntime.sleep(120)"
    model = create_model(lab, {}, script=script)
    lab.put("in/a.csv", "1,2\n")
    lab.sagemaker.create_transform_job(**request(lab, model, lab.uri("in/")))
    lab.until(lambda: any("never answers" in line for line in log_lines_so_far(lab)), "the start")
    lab.sagemaker.stop_transform_job(TransformJobName=lab.name)
    assert lab.ended("Transform")["TransformJobStatus"] == "Stopped"
    assert lab.leftover_folders() == []


def log_lines_so_far(lab: Lab) -> list[str]:
    try:
        return lab.log_lines(LOG_GROUP)
    except lab.logs.exceptions.ResourceNotFoundException:
        return []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ModelName": "nobody-made-this"}, 'Could not find model "arn:aws:sagemaker:us-east-1:'),
        ({"TransformOutput": {"S3OutputPath": "s3://no-such-bucket-anywhere/x"}}, "does not exist"),
        ({"TransformInput": {"SplitType": "TFRecord"}}, "does not implement SplitType TFRecord"),
        ({"MaxPayloadInMB": 101}, "cannot be greater than 100"),
        ({"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6}, "it is 120"),
        ({"DataProcessing": {"InputFilter": "$..x"}}, "DataProcessing.InputFilter"),
        ({"DataProcessing": {"JoinSource": "Input"}, "TransformInput": {"ContentType": "image/png"}}, "ContentType"),
    ],
)
def test_a_wrong_request_is_refused(lab, model, changes, message):
    with pytest.raises(ClientError) as refusal:
        lab.sagemaker.create_transform_job(**request(lab, model, lab.uri("in/"), **changes))
    assert refusal.value.response["Error"]["Code"] == "ValidationException"
    assert message in refusal.value.response["Error"]["Message"]

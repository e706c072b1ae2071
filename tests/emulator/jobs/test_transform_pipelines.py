"""Serial inference pipelines, and containers that never become healthy, as batch transform meets them."""

from __future__ import annotations

import json

from tests.emulator.jobs.conftest import ROLE_ARN, Lab
from tests.emulator.jobs.test_transform_jobs import LOG_GROUP, transform

# Answers what it got: its name, the headers, the payload.
SERVER = """
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print("served by", os.environ["STAGE"], flush=True)
        seen = {"stage": os.environ["STAGE"], "type": self.headers["Content-Type"],
                "accept": self.headers["Accept"], "body": body}
        self.send_response(200)
        self.send_header("Content-Type", "application/x-" + os.environ["STAGE"])
        self.end_headers()
        self.wfile.write(json.dumps(seen).encode())

    def log_message(self, *_):
        pass

address = (os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""


def create_pipeline(lab: Lab, *stages: str) -> str:
    image = lab.image(serve=SERVER)
    containers = [{"Image": image, "ContainerHostname": stage, "Environment": {"STAGE": stage}} for stage in stages]
    lab.sagemaker.create_model(ModelName=lab.name, ExecutionRoleArn=ROLE_ARN, Containers=containers)
    return lab.name


def test_each_stage_gets_the_answer_of_the_one_before(lab):
    model = create_pipeline(lab, "first", "second")
    lab.put("in/a.csv", "1,2")
    job = transform(lab, model, lab.uri("in/"), TransformOutput={"Accept": "application/json"})
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    second = json.loads(lab.get("out/a.csv.out"))
    first = json.loads(second["body"])
    assert (first["stage"], first["type"], first["accept"]) == ("first", "text/csv", None)
    assert first["body"] == "1,2"
    assert (second["stage"], second["type"], second["accept"]) == ("second", "application/x-first", "application/json")


def test_each_stage_has_a_log_stream_of_its_own(lab):
    model = create_pipeline(lab, "first", "second")
    lab.put("in/a.csv", "1,2")
    transform(lab, model, lab.uri("in/"))
    streams = lab.logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{lab.name}/")["logStreams"]
    assert {stream["logStreamName"].rsplit("/", 1)[1] for stream in streams} == {"first", "second", "data-log"}
    assert {"served by first", "served by second"} <= set(lab.log_lines(LOG_GROUP))


def test_execution_parameters_are_optional(lab):
    model = create_pipeline(lab, "only")
    lab.put("in/a.csv", "1,2")
    transform(lab, model, lab.uri("in/"))
    expected = "[sagemaker logs]: MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MultiRecord"
    assert expected in lab.log_lines(LOG_GROUP)

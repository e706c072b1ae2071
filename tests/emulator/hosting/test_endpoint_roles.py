"""Endpoints have the rights of their model's execution role (``--auth``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.emulator.hosting.conftest import Workbench
from tests.emulator.jobs.conftest import Lab
from tests.emulator.jobs.test_roles import create_role

SERVE = """
import http.server, json, os, boto3

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        credentials = boto3.Session().get_credentials()
        who = boto3.client("sts").get_caller_identity()["Arn"] if credentials else "nobody"
        self.answer(json.dumps({"who": who}).encode())

    def answer(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

address = (os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""


def test_a_container_is_its_models_role_and_nobody_without_one(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(auth=True)
    lab = Lab(emulator, "guarded", tmp_path)
    image = lab.image(serve=SERVE)
    role_arn = create_role(lab, "server", ["s3:GetObject"])
    for name, role in (("owned", {"ExecutionRoleArn": role_arn}), ("nobodys", {})):
        bench = Workbench(emulator, name, lab.bucket)
        bench.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": image}, **role)
        bench.create_config(bench.variant(name))
        bench.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        assert bench.wait("InService")["EndpointStatus"] == "InService"
        who = bench.invoke()["who"]
        assert who == "nobody" if not role else who.startswith("arn:aws:sts::000000000000:assumed-role/server/")

    iam = emulator.client("iam")
    iam.delete_role_policy(RoleName="server", PolicyName="jobs")
    iam.delete_role(RoleName="server")
    lab.sagemaker.create_endpoint(EndpointName="late", EndpointConfigName="owned")
    failed = bench.wait("Failed", name="late")
    assert "role/server" in failed["FailureReason"]

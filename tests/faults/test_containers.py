"""Containers that fail, through the components that started them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import JobFailedError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.endpoints import deploy, endpoint_config
from sagemaker_emulator.store import Store
from tests.faults.conftest import Stage, containers_of

RAISES = """
print("reading rows", flush=True)
raise ValueError("no rows at all")
"""
ENDS = "raise SystemExit(1)"
FAILURE_FILE = """
import os, pathlib
output = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "output"
output.mkdir(exist_ok=True)
(output / "failure").write_text("the disk is full")
raise SystemExit(1)
"""


def failure(stage: Stage, component: str, **arguments: Any) -> JobFailedError:
    """The error of a component whose job fails; no trace of the job is left on the emulator's disk."""
    with pytest.raises(JobFailedError) as caught:
        stage.call(component, **arguments)
    jobs = stage.emulator.state_dir / "jobs"
    assert [path for path in jobs.glob("*/*/*") if path.name.startswith(stage.prefix)] == []
    return caught.value


@pytest.mark.parametrize(
    ("script", "reason", "log_line"),
    [
        (RAISES, "AlgorithmError: , exit code: 1 (the container wrote no failure file; its log", "no rows at all"),
        (ENDS, "AlgorithmError: , exit code: 1 (the container wrote no failure file and no log)", ""),
        (FAILURE_FILE, "AlgorithmError: the disk is full, exit code: 1", ""),
    ],
    ids=["raises", "ends without a word", "writes a failure file"],
)
def test_a_training_container_that_fails(stage: Stage, script: str, reason: str, log_line: str) -> None:
    error = failure(stage, "train", training_image=stage.image(train=script))
    assert error.reason.startswith(reason)
    assert any(log_line in line for line in error.log_lines) or not log_line
    (name,) = stage.left()["training"]
    assert str(error).startswith(f"training job {name} failed\nReason: {reason}")
    assert len(str(error).splitlines()) < 60
    # Nothing of a failed job passes for a model.
    assert not [key for key in keys(stage) if key.endswith("model.tar.gz")]


@pytest.mark.parametrize(("script", "said"), [(RAISES, "no rows at all"), (ENDS, "exit code: 1")])
def test_a_processing_container_that_fails(stage: Stage, script: str, said: str) -> None:
    output = {"local_path": "/opt/ml/processing/out", "s3_uri": stage.uri("processed")}
    error = failure(
        stage,
        "process",
        role_arn=stage.role_arn,
        image_uri=stage.image(process=script),
        outputs=[output],
        job_name_prefix=stage.prefix,
        timeout_seconds=60,
    )
    assert said in str(error)


def keys(stage: Stage, prefix: str = "") -> list[str]:
    answer = stage.s3.list_objects_v2(Bucket=stage.bucket, Prefix=prefix)
    return [item["Key"] for item in answer.get("Contents", ())]


def transform(stage: Stage, script: str, **arguments: Any) -> JobFailedError:
    stage.put("in/rows.csv", "1\n2\n")
    name = stage.prefix
    containers = [{"image": stage.image(serve=script)}]
    stage.call("create_model", role_arn=stage.role_arn, containers=containers, model_name=name)
    error = failure(
        stage,
        "batch_transform",
        model_name=name,
        input_s3_uri=stage.uri("in/"),
        output_s3_uri=stage.uri("predictions/"),
        job_name_prefix=name,
        timeout_seconds=60,
        **{"content_type": "text/csv", "split_type": "Line", **arguments},
    )
    assert keys(stage, "predictions/") == []
    return error


def test_a_transform_whose_container_ends_says_so(stage: Stage) -> None:
    error = transform(stage, "raise SystemExit('the model cannot be read')")
    assert "the model cannot be read" in str(error)
    assert error.reason


# Answers each request with its own body, and without saying what that is.
UNTYPED = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("wanted", [{"output_filter": "$[0]"}, {"join_source": "Input"}])
def test_a_filter_needs_to_know_the_format_of_the_answers(stage: Stage, wanted: dict[str, str]) -> None:
    error = transform(stage, UNTYPED, **wanted)
    assert error.reason.startswith("ClientError: See job logs for more information: ")
    assert error.reason.endswith("the model answered without a Content-Type, and TransformOutput has no Accept")


def test_a_filter_that_selects_nothing_is_shown_with_what_it_met(stage: Stage) -> None:
    error = transform(stage, UNTYPED, output_filter="$[9]", accept="text/csv")
    assert "'$[9]' selects nothing in ['1']" in error.reason


# Endpoints


def test_an_endpoint_whose_container_ends_is_taken_away_again(stage: Stage) -> None:
    name = stage.create_model(environment={"CRASH": "1"})
    with pytest.raises(JobFailedError, match=r"(?s)were deleted.*the model cannot be read") as caught:
        stage.call("deploy_endpoint", endpoint_name=stage.prefix, model_name=name, timeout_seconds=60)
    assert caught.value.reason
    assert stage.left() == {"models": [name]}


def test_an_endpoint_that_never_answers_a_ping_is_taken_away_again(open_stage: Callable[..., Stage]) -> None:
    stage = open_stage()
    name = stage.create_model(environment={"UNHEALTHY": "1"})
    # AWS's shortest time for the first ping is a minute. The configuration is there already, as after an earlier
    # attempt of the step, and what is stored is not checked again.
    session = open_session()
    variant = {"model_name": name, "instance_type": "ml.m5.large", "initial_instance_count": 1}
    variant["container_startup_health_check_timeout_seconds"] = 60
    request = endpoint_config.build_request(session, production_variants=[variant])
    config = deploy.config_name(stage.prefix, request)
    stage.sagemaker.create_endpoint_config(EndpointConfigName=config, **request)
    stage.emulator.stop()
    shorten_the_first_ping(stage.emulator.state_dir, config)
    again = open_stage(state_dir=stage.emulator.state_dir)
    with pytest.raises(JobFailedError, match="did not pass the ping health check") as caught:
        again.call("deploy_endpoint", endpoint_name=stage.prefix, production_variants=[variant], timeout_seconds=60)
    assert f"endpoint {stage.prefix} and configuration {config} were deleted" in str(caught.value)
    assert "endpoints" not in again.left()
    assert containers_of(again.emulator.state_dir) == []


def shorten_the_first_ping(state_dir: Path, config: str) -> None:
    store = Store(state_dir / "sagemaker.sqlite")
    document = store.get("endpoint-config", "us-east-1", config)
    assert document is not None
    document["ProductionVariants"][0]["ContainerStartupHealthCheckTimeoutInSeconds"] = 1
    store.put("endpoint-config", "us-east-1", config, document)
    store.close()

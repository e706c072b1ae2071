"""The engine with real clients against a SageMaker on loopback that throttles, hangs up and hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.kinds import TRAINING_JOB
from kfp_sagemaker.aws.session import open_session
from tests.suite.aws.scripted import ManualClock

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"
REQUEST = {"RoleArn": "arn:aws:iam::123456789012:role/r", "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"}}
HANG_UP = object()


class FakeSageMaker:
    """Answers each request with what ``answer`` returns for it: a body, a refusal ``(code, message)`` or HANG_UP."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], Any]) -> None:
        self.operations: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
                operation = self.headers["X-Amz-Target"].split(".")[-1]
                fake.operations.append(operation)
                answered = answer(operation, body)
                if answered is HANG_UP:
                    self.close_connection = True
                    return
                refused = isinstance(answered, tuple)
                content = {"__type": answered[0], "message": answered[1]} if refused else answered
                payload = json.dumps(content).encode()
                self.send_response(400 if refused else 200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "KFP_SAGEMAKER_RUN_ID": "run-1",
        }
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeSageMaker]]:
    served: list[FakeSageMaker] = []

    def start(answer: Callable[[str, dict[str, Any]], Any]) -> FakeSageMaker:
        fake = FakeSageMaker(answer)
        served.append(fake)
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        return fake

    # Retries come at once; that they wait is botocore's own business.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    yield start
    for fake in served:
        fake.close()


def job_answers(polls: int) -> Callable[[str, dict[str, Any]], Any]:
    """A job that completes at the given poll, without a log."""
    left = iter(["InProgress"] * polls)

    def answer(operation: str, _: dict[str, Any]) -> Any:
        if operation == "CreateTrainingJob":
            return {"TrainingJobArn": ARN}
        if operation == "DescribeTrainingJob":
            return {"TrainingJobArn": ARN, "TrainingJobStatus": next(left, "Completed")}
        if operation == "DescribeLogStreams":
            return ("ResourceNotFoundException", "The specified log group does not exist.")
        raise AssertionError(operation)

    return answer


def run() -> engine.Outcome:
    return engine.run(
        open_session("us-east-1"),
        TRAINING_JOB,
        REQUEST,
        timeout_seconds=86400,
        timing=ManualClock().timing(),
        sink=lambda _: None,
    )


@pytest.mark.parametrize(
    "trouble", [("ThrottlingException", "Rate exceeded"), HANG_UP], ids=["throttled", "hung up on"]
)
def test_a_job_gets_through_where_every_third_call_fails(serve: Callable[..., FakeSageMaker], trouble: Any) -> None:
    answer = job_answers(polls=20)
    counter = iter(range(1000))
    fake = serve(lambda *request: trouble if next(counter) % 3 == 0 else answer(*request))
    assert run().arn == ARN
    assert fake.operations.count("DescribeTrainingJob") > 20


def test_a_create_whose_answer_got_lost_is_found_again(serve: Callable[..., FakeSageMaker]) -> None:
    """The server took the job but the connection broke; botocore asks again and hears that the name is taken."""
    sent: list[dict[str, Any]] = []
    answer = job_answers(polls=1)

    def forgetful(operation: str, body: dict[str, Any]) -> Any:
        if operation == "CreateTrainingJob":
            sent.append(body)
            return HANG_UP if len(sent) == 1 else ("ResourceInUse", "a training job with this name already exists")
        return {"Tags": sent[0]["Tags"]} if operation == "ListTags" else answer(operation, body)

    serve(forgetful)
    outcome = run()
    assert outcome.adopted
    assert sent[0]["TrainingJobName"] == sent[1]["TrainingJobName"] == outcome.name


def test_a_short_job_takes_few_requests(serve: Callable[..., FakeSageMaker]) -> None:
    fake = serve(job_answers(polls=3))
    run()
    assert fake.operations == ["CreateTrainingJob"] + ["DescribeTrainingJob", "DescribeLogStreams"] * 4


def test_sigterm_in_the_middle_of_a_request_stops_the_job_at_once(serve: Callable[..., FakeSageMaker]) -> None:
    """The step hangs in a poll when the signal comes; the stop call must not wait for that poll."""
    polled, stopped, released = threading.Event(), threading.Event(), threading.Event()

    def hanging(operation: str, _: dict[str, Any]) -> Any:
        if operation == "CreateTrainingJob":
            return {"TrainingJobArn": ARN}
        if operation == "DescribeTrainingJob":
            polled.set()
            released.wait(30)
            return HANG_UP
        stopped.set()
        return {}

    fake = serve(hanging)
    program = (
        "from kfp_sagemaker.aws import engine\n"
        "from kfp_sagemaker.aws.kinds import TRAINING_JOB\n"
        "from kfp_sagemaker.aws.session import open_session\n"
        f"engine.run(open_session('us-east-1'), TRAINING_JOB, {REQUEST!r}, name='job', timeout_seconds=600)\n"
    )
    step = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | fake.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert polled.wait(30)
        step.send_signal(signal.SIGTERM)
        assert stopped.wait(10), "no stop call came while the poll was hanging"
        output, errors = step.communicate(timeout=30)
    finally:
        released.set()
        step.kill()
        step.wait()
    assert step.returncode == 1
    assert errors.rstrip().endswith("CancelledError: the step was terminated; training job job was stopped")
    assert output == "training job job: created\n"
    assert fake.operations == ["CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"]

"""`run_glue_job` on the embedded AWS."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from kfp_sagemaker.aws import engine, run_context
from kfp_sagemaker.aws.errors import CancelledError, InputError, JobFailedError, NameTakenError
from kfp_sagemaker.aws.kinds import GLUE_PYTHON_SHELL_RUN
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.glue.component import run_glue_job
from tests.suite.conftest import Account

CLEAN = """
import sys
from awsglue.utils import getResolvedOptions
options = getResolvedOptions(sys.argv, ["rows"])
print("cleaned", options["rows"])
print("a warning", file=sys.stderr)
"""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@pytest.fixture(autouse=True)
def in_a_run(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_context.OVERRIDES["run_id"], account.name)
    monkeypatch.setenv(run_context.OVERRIDES["task_name"], "glue")


def run(account: Account, script: str = CLEAN, **changes: Any) -> Any:
    given = {"job_name": account.name, "script_s3_uri": account.uri("clean.py"), "script": script}
    given |= {"role_arn": account.role_arn, "command": "pythonshell", "arguments": {"rows": 10.0}}
    return run_glue_job.python_func(**{**given, "timeout_seconds": 120, **changes})


def runs(account: Account) -> list[Any]:
    return list(account.emulator.client("glue").get_job_runs(JobName=account.name)["JobRuns"])


def test_a_job_is_made_of_a_script_and_a_retried_step_adopts_its_run(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = run(account)
    assert outputs.dpu_hours == pytest.approx(0.0625 * outputs.execution_seconds / 3600, abs=1e-6)
    shown = capsys.readouterr().out
    assert "cleaned 10\n" in shown
    assert "[error] a warning\n" in shown
    assert run(account).run_id == outputs.run_id
    assert "adopted" in capsys.readouterr().out
    [only] = runs(account)
    assert only["Arguments"]["--rows"] == "10"
    # Another request of the step is another run, of the same job brought up to date.
    changed = run(account, arguments={"rows": 11.0}, max_runtime_minutes=5)
    assert changed.run_id != outputs.run_id
    assert [each["Timeout"] for each in runs(account)] == [5, 2880]
    assert "updated" in capsys.readouterr().out
    # What exists is run as it is.
    existing = {"job_name": account.name, "arguments": {"--rows": "12"}, "timeout_seconds": 120}
    assert run_glue_job.python_func(**existing).run_id not in (outputs.run_id, changed.run_id)
    assert "cleaned 12\n" in capsys.readouterr().out


def test_a_failed_run_says_why_and_is_not_adopted(account: Account) -> None:
    for _ in range(2):
        with pytest.raises(JobFailedError, match="ValueError: no rows"):
            run(account, "raise ValueError('no rows')")
    assert [each["Arguments"]["--kfp-sagemaker-run"].endswith("-2") for each in runs(account)] == [True, False]


def test_a_cancelled_step_stops_its_run(account: Account) -> None:
    glue = account.emulator.client("glue")
    script = account.put("sleep.py", "import time; time.sleep(120)")
    command = {"Name": "pythonshell", "ScriptLocation": script}
    glue.create_job(Name=account.name, Role=account.role_arn, Command=command)

    def cancel() -> None:
        deadline = time.monotonic() + 60
        while not runs(account) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=cancel)
    thread.start()
    request = {"JobName": account.name}
    with pytest.raises(CancelledError):
        engine.run(open_session(), GLUE_PYTHON_SHELL_RUN, request, name_prefix="x", timeout_seconds=120)
    thread.join()
    deadline = time.monotonic() + 60
    while runs(account)[0]["JobRunState"] not in ENDED and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [each["JobRunState"] for each in runs(account)] == ["STOPPED"]


def test_a_strangers_job_is_left_alone(account: Account) -> None:
    command = {"Name": "pythonshell", "ScriptLocation": account.uri("other.py")}
    account.emulator.client("glue").create_job(Name=account.name, Role=account.role_arn, Command=command)
    with pytest.raises(NameTakenError, match="somebody else"):
        run(account)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        run_glue_job.python_func(
            job_name="j",
            arguments={"--kfp-sagemaker-run": "x"},
            role_arn="arn:aws:iam::000000000000:role/r",
            command="ray",
            worker_type="G.1X",
            max_capacity=1.0,
            region="us-east-1",
        )
    message = str(caught.value)
    for part in ("role_arn", "command is 'ray'", "max_capacity", "the step sets it"):
        assert part in message

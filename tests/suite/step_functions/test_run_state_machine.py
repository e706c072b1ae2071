"""`run_state_machine` on the embedded AWS."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import pytest

from kfp_sagemaker.aws import run_context
from kfp_sagemaker.aws.errors import CancelledError, InputError, JobFailedError, NameTakenError, ResourceMissingError
from kfp_sagemaker.step_functions.component import run_state_machine
from tests.suite.conftest import Account

GLUE = "arn:aws:states:::glue:startJobRun.sync"


@pytest.fixture(autouse=True)
def in_a_run(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_context.OVERRIDES["run_id"], account.name)
    monkeypatch.setenv(run_context.OVERRIDES["task_name"], "machine")


def create(account: Account, states: dict[str, Any]) -> str:
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    answer = account.emulator.client("stepfunctions").create_state_machine(
        name=account.name, definition=definition, roleArn=account.role_arn
    )
    return str(answer["stateMachineArn"])


def executions(account: Account, arn: str) -> list[Any]:
    found = account.emulator.client("stepfunctions").list_executions(stateMachineArn=arn)
    return list(found["executions"])


def test_the_output_comes_back_and_a_retried_step_adopts(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    states = {
        "Double": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, $.n)"}, "Next": "Rest"},
        "Rest": {"Type": "Wait", "Seconds": 0, "End": True},
    }
    arn = create(account, states)
    outputs = run_state_machine.python_func(arn, {"n": 4.0})
    assert outputs.output == {"n": 8}
    assert json.loads(outputs.output_json) == {"n": 8}
    lines = [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line in ("entered (Pass)", "entered (Wait)", "done")] == [
        "entered (Pass)",
        "done",
        "entered (Wait)",
        "done",
    ]
    assert run_state_machine.python_func(arn, {"n": 4.0}).execution_arn == outputs.execution_arn
    assert "adopted" in capsys.readouterr().out
    assert len(executions(account, arn)) == 1
    named = {"state_machine_arn": arn, "execution_name": outputs.execution_arn.rpartition(":")[2]}
    with pytest.raises(NameTakenError, match="another input"):
        run_state_machine.python_func(**named, input={"n": 5})


def test_a_failure_names_the_state_the_error_and_the_cause(account: Account) -> None:
    script = account.put("fail.py", "raise ValueError('no rows')")
    command = {"Name": "pythonshell", "ScriptLocation": script}
    account.emulator.client("glue").create_job(Name=account.name, Role=account.role_arn, Command=command)
    task = {"Type": "Task", "Resource": GLUE, "Parameters": {"JobName": account.name}, "End": True}
    arn = create(account, {"Clean": task})
    for _ in range(2):
        with pytest.raises(JobFailedError) as caught:
            run_state_machine.python_func(arn, {})
        message = str(caught.value)
        assert "States.TaskFailed: ValueError: no rows" in message
        assert "Clean: failed: States.TaskFailed: ValueError: no rows" in message
        assert "Clean: started glue startJobRun.sync" in message
    assert len(executions(account, arn)) == 2


def test_a_cancelled_step_stops_its_execution(account: Account) -> None:
    arn = create(account, {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}})

    def cancel() -> None:
        deadline = time.monotonic() + 60
        while not executions(account, arn) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledError):
        run_state_machine.python_func(arn, {})
    thread.join()
    assert [each["status"] for each in executions(account, arn)] == ["ABORTED"]


def test_what_cannot_be_run_is_refused(account: Account) -> None:
    with pytest.raises(InputError) as caught:
        run_state_machine.python_func("arn:aws:states:nowhere", {"x": "y" * 300_000}, execution_name="a b")
    for part in ("state_machine_arn is", "execution_name is 'a b'", "262144 bytes as JSON"):
        assert part in str(caught.value)
    with pytest.raises(ResourceMissingError):
        run_state_machine.python_func(f"arn:aws:states:us-east-1:000000000000:stateMachine:{account.name}")

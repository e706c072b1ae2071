"""Tasks call the emulated services for real, wait for what they started, and end it when they are stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.jobs.conftest import ROLE_ARN, Lab
from tests.emulator.workflows.conftest import Machines

PROCESSING = "arn:aws:states:::sagemaker:createProcessingJob.sync"


@pytest.fixture
def lab(emulator, unique_name, tmp_path) -> Lab:
    return Lab(emulator, unique_name, tmp_path)


def processing(image: str, role_arn: str = ROLE_ARN, **fields: Any) -> dict[str, Any]:
    """A Task state that runs a processing job named by its input."""
    parameters = {
        "ProcessingJobName.$": "$.name",
        "AppSpecification": {"ImageUri": image},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
        },
        "RoleArn": role_arn,
    }
    return {"Type": "Task", "Resource": PROCESSING, "Parameters": parameters, **({"End": True} | fields)}


def test_a_job_is_waited_for_and_its_description_is_the_output(machines: Machines, lab: Lab):
    states = {"Clean": processing(lab.image(process="print('clean')"))}
    arn = machines.start(states, {"name": lab.name})
    job = machines.ended(arn)["output"]
    assert (job["ProcessingJobName"], job["ProcessingJobStatus"]) == (lab.name, "Completed")
    assert job["ProcessingEndTime"] >= job["CreationTime"] > 1e12
    tags = lab.sagemaker.list_tags(ResourceArn=job["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}]
    kinds = [event["type"] for event in machines.events(arn)]
    assert kinds[1:7] == [
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
    ]


def test_a_failed_job_fails_the_task_with_its_description_and_may_be_caught(machines: Machines, lab: Lab):
    catch = [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.failure", "Next": "Read"}]
    read = {"Type": "Pass", "Parameters": {"job.$": "States.StringToJson($.failure.Cause)"}, "End": True}
    states = {"Clean": processing(lab.image(process="raise SystemExit(3)"), Catch=catch), "Read": read}
    job = machines.run(states, {"name": lab.name})["output"]["job"]
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].endswith("exit code: 3")


def test_stopping_an_execution_stops_its_job(machines: Machines, lab: Lab):
    sleep = "import time; print('ready', flush=True); time.sleep(120)"
    arn = machines.start({"Clean": processing(lab.image(process=sleep))}, {"name": lab.name})
    lab.until(lambda: any(event["type"] == "TaskSubmitted" for event in machines.events(arn)), "the job's start")
    machines.states.stop_execution(executionArn=arn)
    assert machines.ended(arn)["status"] == "ABORTED"
    assert lab.ended("Processing")["ProcessingJobStatus"] == "Stopped"


def test_a_glue_run_is_waited_for(machines: Machines, lab: Lab):
    script = lab.put("run.py", "import sys; sys.exit('no rows' if '--fail' in sys.argv else 0)")
    command = {"Name": "pythonshell", "ScriptLocation": script}
    lab.emulator.client("glue").create_job(Name=lab.name, Role=ROLE_ARN, Command=command)
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "End": True}
    ok = machines.run({"Run": task | {"Parameters": {"JobName": lab.name, "Arguments": {"--rows": "1"}}}})["output"]
    assert (ok["JobRunState"], ok["Arguments"]) == ("SUCCEEDED", {"--rows": "1"})
    failing = task | {"Parameters": {"JobName": lab.name, "Arguments": {"--fail": "1"}}}
    failed = machines.run({"Run": failing}, name=f"{machines.name}-2")
    assert failed["error"] == "States.TaskFailed"
    assert json.loads(failed["cause"])["ErrorMessage"] == "SystemExit: no rows"


def test_a_refused_call_is_an_error_of_the_service(machines: Machines, lab: Lab):
    get = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:getObject", "End": True}
    states = {"Get": get | {"Parameters": {"Bucket": lab.bucket, "Key": "none"}}}
    ended = machines.run(states)
    assert (ended["status"], ended["error"]) == ("FAILED", "S3.NoSuchKeyException")
    model = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createModel", "End": True}
    states = {"Model": model | {"Parameters": {"ModelName": lab.name, "ExecutionRoleArn": "arn:aws:iam::nobody:role"}}}
    ended = machines.run(states, name=f"{machines.name}-2")
    assert ended["error"] == "SageMaker.AmazonSageMakerException"
    assert "Error Code: ValidationException" in ended["cause"]


def test_generic_calls_and_nested_executions(machines: Machines, lab: Lab):
    lab.put("data/a.json", '{"x": 1}')
    get = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
        "Parameters": {"Bucket": lab.bucket, "Key.$": "$.key"},
        "ResultSelector": {"document.$": "States.StringToJson($.Body)", "length.$": "$.ContentLength"},
        "End": True,
    }
    child = machines.create({"Get": get}, name=f"{machines.name}-child")
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": child, "Input": {"key.$": "$.key"}},
        "OutputPath": "$.Output",
        "End": True,
    }
    assert machines.run({"Child": nested}, {"key": "data/a.json"})["output"] == {"document": {"x": 1}, "length": 8}
    failed = machines.run({"Child": nested}, {"key": "gone"}, name=f"{machines.name}-3")
    assert failed["error"] == "States.TaskFailed"
    assert json.loads(failed["cause"])["Error"] == "S3.NoSuchKeyException"


def test_a_killed_emulator_says_so_of_its_executions(start_emulator, tmp_path):
    first = start_emulator(tmp_path / "state")
    machines = Machines(first, "recovery")
    arn = machines.start({"Wait": {"Type": "Wait", "Seconds": 600, "End": True}})
    machines.events(arn)
    lab = Lab(first, "recovery", tmp_path)
    command = {"Name": "pythonshell", "ScriptLocation": lab.put("run.py", "import time; time.sleep(120)")}
    first.client("glue").create_job(Name="sleep", Role=ROLE_ARN, Command=command)
    run_id = first.client("glue").start_job_run(JobName="sleep")["JobRunId"]
    first.kill()
    second = start_emulator(tmp_path / "state")
    machines.states = second.client("stepfunctions")
    run = second.client("glue").get_job_run(JobName="sleep", RunId=run_id)["JobRun"]
    assert run["JobRunState"] == "FAILED"
    assert "the emulator ended while the job was running" in run["ErrorMessage"]
    ended = machines.ended(arn)
    assert ended["status"] == "FAILED"
    assert ended["cause"].startswith("The emulator ended while the execution was running")
    kinds = [event["type"] for event in machines.events(arn)]
    assert kinds == ["ExecutionStarted", "WaitStateEntered", "ExecutionFailed"]


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_tasks_have_the_rights_of_the_execution_role_and_no_others(start_emulator, tmp_path):
    guarded = start_emulator(auth=True)
    lab, iam, states = Lab(guarded, "guarded", tmp_path), guarded.client("iam"), guarded.client("stepfunctions")
    job_role = iam.create_role(RoleName="job", AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))
    job_role_arn = job_role["Role"]["Arn"]
    wrong = job_role_arn
    machine_role = iam.create_role(RoleName="machine", AssumeRolePolicyDocument=trust("states.amazonaws.com"))
    role_arn = machine_role["Role"]["Arn"]

    def allow(role: str, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=document)

    allow("job", "ecr:*", "logs:*")
    definition = {"StartAt": "Clean", "States": {"Clean": processing(lab.image(process="print()"), job_role_arn)}}
    request = {"name": "guarded", "definition": json.dumps(definition)}
    with pytest.raises(ClientError, match="authorized to assume the provided role"):
        states.create_state_machine(**request, roleArn=wrong)
    with pytest.raises(ClientError, match="is not authorized to create managed-rule"):
        states.create_state_machine(**request, roleArn=role_arn)
    events = ["events:PutRule", "events:PutTargets", "events:DescribeRule"]
    allow("machine", *events, "sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:AddTags")
    machine = states.create_state_machine(**request, roleArn=role_arn)["stateMachineArn"]
    machines = Machines(guarded, "guarded")

    def run(name: str) -> dict[str, Any]:
        given = json.dumps({"name": name})
        return machines.ended(states.start_execution(stateMachineArn=machine, input=given)["executionArn"])

    refused = run("first")
    assert refused["error"] == "SageMaker.AmazonSageMakerException"
    assert "iam:PassRole" in refused["cause"]
    allow(
        "machine",
        *events,
        "sagemaker:CreateProcessingJob",
        "sagemaker:DescribeProcessingJob",
        "sagemaker:AddTags",
        "iam:PassRole",
    )
    assert run("second")["status"] == "SUCCEEDED"

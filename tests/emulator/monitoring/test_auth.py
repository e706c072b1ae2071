"""Monitoring under ``--auth``: whose rights each call needs, and with whose rights an execution reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator
from tests.emulator.monitoring.conftest import Monitor

PREFIX = "arn:aws:sagemaker:us-east-1:000000000000"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("guarded"), auth=True) as emulator:
        iam = emulator.client("iam")
        for name in ("execution", "monitoring"):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(
            RoleName="execution", PolicyName="p", PolicyDocument=policy({"Action": "*", "Resource": "*"})
        )
        yield emulator


@pytest.fixture
def monitor(guarded: Emulator, unique_name: str) -> Monitor:
    return Monitor(guarded, f"{unique_name[:24].strip('-')}-{unique_name[-8:]}")


def job_as(monitor: Monitor, role_name: str) -> dict[str, Any]:
    return monitor.job() | {"RoleArn": f"arn:aws:iam::000000000000:role/{role_name}"}


def test_a_caller_needs_the_schedule_and_the_role_inside_it(monitor: Monitor) -> None:
    monitor.deploy_captured()
    iam = monitor.emulator.client("iam")
    iam.create_user(UserName=monitor.name)
    key = iam.create_access_key(UserName=monitor.name)["AccessKey"]
    sagemaker = monitor.emulator.client(
        "sagemaker", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    config = {
        "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
        "MonitoringJobDefinition": job_as(monitor, "execution"),
    }

    def create() -> None:
        sagemaker.create_monitoring_schedule(MonitoringScheduleName=monitor.name, MonitoringScheduleConfig=config)

    arn = f"{PREFIX}:monitoring-schedule/{monitor.name}"
    with pytest.raises(ClientError, match=f"sagemaker:CreateMonitoringSchedule on resource: {arn}"):
        create()
    schedules = {"Action": "sagemaker:*MonitoringSchedule", "Resource": f"{PREFIX}:monitoring-schedule/{monitor.name}"}
    iam.put_user_policy(UserName=monitor.name, PolicyName="p", PolicyDocument=policy(schedules))
    with pytest.raises(ClientError, match="iam:PassRole on resource: arn:aws:iam::000000000000:role/execution"):
        create()
    passed = {"Action": "iam:PassRole", "Resource": "arn:aws:iam::000000000000:role/execution"}
    iam.put_user_policy(UserName=monitor.name, PolicyName="p", PolicyDocument=policy(schedules, passed))
    create()
    monitor.settled()
    sagemaker.stop_monitoring_schedule(MonitoringScheduleName=monitor.name)
    with pytest.raises(ClientError, match="sagemaker:ListMonitoringExecutions on resource: \\*"):
        sagemaker.list_monitoring_executions(MonitoringScheduleName=monitor.name)
    definition = f"{PREFIX}:data-quality-job-definition/{monitor.name}"
    with pytest.raises(ClientError, match=f"sagemaker:DescribeDataQualityJobDefinition on resource: {definition}"):
        sagemaker.describe_data_quality_job_definition(JobDefinitionName=monitor.name)


def test_an_execution_reads_with_the_rights_of_its_role(monitor: Monitor) -> None:
    monitor.deploy_captured()
    monitor.invoke("1,2")
    monitor.schedule(MonitoringJobDefinition=job_as(monitor, "monitoring"))
    execution = monitor.execution()
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert "AccessDenied" in execution["FailureReason"]
    name = monitor.schedule(name=f"{monitor.name}-b", MonitoringJobDefinition=job_as(monitor, "execution"))
    assert monitor.execution(name=name)["MonitoringExecutionStatus"] == "Completed"


def test_a_role_that_does_not_exist_is_refused(monitor: Monitor) -> None:
    monitor.deploy_captured()
    with pytest.raises(ClientError, match="Could not assume role"):
        monitor.schedule(MonitoringJobDefinition=job_as(monitor, "missing"))

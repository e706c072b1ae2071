"""Glue jobs through boto3: Python shell and Spark scripts really run, with their role's rights."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.jobs.conftest import Lab

ROLE_ARN = "arn:aws:iam::000000000000:role/glue"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT")


class GlueLab(Lab):
    """A bucket and jobs of one test."""

    def create(self, script: str, command: str = "pythonshell", **settings: Any) -> str:
        location = self.put(f"scripts/{self.name}.py", textwrap.dedent(script))
        self.glue = self.emulator.client("glue")
        request = {"Name": self.name, "Role": ROLE_ARN, "Command": {"Name": command, "ScriptLocation": location}}
        return str(self.glue.create_job(**(request | settings))["Name"])

    def start(self, **settings: Any) -> str:
        return str(self.glue.start_job_run(JobName=self.name, **settings)["JobRunId"])

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.glue.get_job_run(JobName=self.name, RunId=run_id)["JobRun"])

    def ended_run(self, run_id: str) -> dict[str, Any]:
        def end() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["JobRunState"] in ENDED else None

        # Starting Java and Spark takes most of a minute on a machine that is busy with other tests.
        return dict(self.until(end, f"the end of {run_id}", deadline_seconds=240))


@pytest.fixture
def lab(emulator, unique_name, tmp_path) -> GlueLab:
    return GlueLab(emulator, unique_name, tmp_path)


def test_a_python_shell_job_gets_its_arguments_and_leaves_its_result_and_its_logs(lab):
    script = """
        import sys
        import boto3
        from awsglue.utils import getResolvedOptions
        options = getResolvedOptions(sys.argv, ["bucket", "suffix"])
        boto3.client("s3").put_object(Bucket=options["bucket"], Key="out" + options["suffix"], Body=b"made")
        print("to output")
        print("to error", file=sys.stderr)
    """
    lab.create(script, DefaultArguments={"--bucket": lab.bucket, "--suffix": ".wrong"}, Timeout=5)
    run = lab.ended_run(lab.start(Arguments={"--suffix": ".txt"}))
    assert run["JobRunState"] == "SUCCEEDED", run
    assert lab.get("out.txt") == b"made"
    assert (run["MaxCapacity"], run["Timeout"], run["LogGroupName"]) == (0.0625, 5, "/aws-glue/python-jobs")
    assert run["CompletedOn"] >= run["StartedOn"]
    assert lab.log_lines("/aws-glue/python-jobs/output", run["Id"]) == ["to output"]
    assert lab.log_lines("/aws-glue/python-jobs/error", run["Id"]) == ["to error"]
    assert [item["Id"] for item in lab.glue.get_job_runs(JobName=lab.name)["JobRuns"]] == [run["Id"]]


def test_a_failed_run_says_why_and_is_retried(lab):
    lab.create("raise ValueError('bad rows')", MaxRetries=1)
    first = lab.ended_run(lab.start())
    assert (first["JobRunState"], first["ErrorMessage"]) == ("FAILED", "ValueError: bad rows")
    second = lab.ended_run(f"{first['Id']}_attempt_1")
    assert (second["JobRunState"], second["Attempt"], second["PreviousRunId"]) == ("FAILED", 1, first["Id"])


def test_runs_are_limited_and_can_be_stopped(lab):
    lab.create("import time; print('ready', flush=True); time.sleep(120)")
    run_id = lab.start()
    with pytest.raises(lab.glue.exceptions.ConcurrentRunsExceededException):
        lab.start()
    lab.until(lambda: lab.run(run_id)["JobRunState"] == "RUNNING", "the start")
    answer = lab.glue.batch_stop_job_run(JobName=lab.name, JobRunIds=[run_id, "jr_none"])
    assert [item["JobRunId"] for item in answer["SuccessfulSubmissions"]] == [run_id]
    assert answer["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    assert lab.ended_run(run_id)["JobRunState"] == "STOPPED"


def test_what_cannot_run_is_refused(lab):
    lab.create("print()", DefaultArguments={"--additional-python-modules": "no-such-module==1"})
    with pytest.raises(lab.glue.exceptions.InvalidInputException, match="'no-such-module==1' is not there"):
        lab.start()
    with pytest.raises(lab.glue.exceptions.InvalidInputException, match="bookmarks"):
        lab.start(Arguments={"--additional-python-modules": "", "--job-bookmark-option": "job-bookmark-enable"})
    with pytest.raises(lab.glue.exceptions.InvalidInputException, match="not gluestreaming"):
        lab.create("print()", "gluestreaming", Name=f"{lab.name}-2")
    with pytest.raises(lab.glue.exceptions.InvalidInputException, match="not supported for Job Command pythonshell"):
        lab.start(WorkerType="G.1X", NumberOfWorkers=2, Arguments={"--additional-python-modules": ""})
    with pytest.raises(ClientError, match="already submitted with different configuration"):
        lab.create("print()", MaxRetries=3)
    with pytest.raises(ClientError, match="OperationNotImplemented"):
        lab.glue.start_crawler(Name="nothing-is-crawled")
    database = {"Name": lab.name.replace("-", "_")}
    lab.glue.create_database(DatabaseInput=database)
    assert lab.glue.get_database(Name=database["Name"])["Database"]["Name"] == database["Name"]


def test_a_spark_job_reads_and_writes_s3(lab):
    script = """
        import sys
        from awsglue.context import GlueContext
        from awsglue.dynamicframe import DynamicFrame
        from awsglue.job import Job
        from awsglue.transforms import *
        from awsglue.utils import getResolvedOptions
        from pyspark.context import SparkContext
        args = getResolvedOptions(sys.argv, ["JOB_NAME", "source", "target"])
        glue = GlueContext(SparkContext.getOrCreate())
        job = Job(glue)
        job.init(args["JOB_NAME"], args)
        frame = glue.create_dynamic_frame.from_options(
            "s3", {"paths": [args["source"]]}, format="csv", format_options={"withHeader": True})
        frame = ApplyMapping.apply(frame, [("a", "int", "x", "long"), ("b", "string", "b", "string")])
        adults = frame.toDF().where("x > 1").coalesce(1)
        adults.write.mode("overwrite").parquet(args["target"])
        again = glue.spark_session.read.parquet(args["target"])
        again.write.csv(args["target"] + "-csv", header=True)
        print(args["JOB_NAME"], again.count())
        job.commit()
        glue.spark_session.sql("select * from nowhere")
    """
    lab.put("in/1.csv", "a,b\n1,one\n2,two\n")
    lab.put("in/2.csv", "a,b\n3,three\n")
    lab.put("target/old", "is overwritten")
    arguments = {"--source": lab.uri("in"), "--target": lab.uri("target")}
    lab.create(script, "glueetl", WorkerType="G.1X", NumberOfWorkers=2, GlueVersion="4.0")
    run = lab.ended_run(lab.start(Arguments=arguments))
    assert lab.log_lines("/aws-glue/jobs/output", run["Id"]) == [f"{lab.name} 2"]
    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"].startswith("Error Category: UNCLASSIFIED_ERROR; Failed Line Number: 22; ")
    assert "nowhere" in run["ErrorMessage"]
    assert (run["MaxCapacity"], run["NumberOfWorkers"]) == (2, 2)
    assert "target/old" not in lab.keys("target/")
    tables = [lab.get(key).decode() for key in lab.keys("target-csv/") if key.endswith(".csv")]
    assert tables == ["x,b\n2,two\n3,three\n"]


def test_a_run_has_the_rights_of_its_role(start_emulator, tmp_path):
    lab = GlueLab(start_emulator(auth=True), "guarded", tmp_path)
    iam = lab.emulator.client("iam")

    def role(name: str, service: str, *actions: str) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        allow = {"Effect": "Allow", "Action": [*actions, "logs:*"], "Resource": "*"}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [allow]}))
        return str(made["Role"]["Arn"])

    script = "import boto3; boto3.client('s3').put_object(Bucket='guarded', Key='made', Body=b'')"
    with pytest.raises(ClientError, match="verify role's TrustPolicy"):
        lab.create(script, Role=role("other", "sagemaker.amazonaws.com"))
    lab.create(script, Role=role("reader", "glue.amazonaws.com", "s3:GetObject"))
    run = lab.ended_run(lab.start())
    assert run["JobRunState"] == "FAILED"
    assert "AccessDenied" in run["ErrorMessage"]
    assert any("PutObject" in line for line in lab.log_lines("/aws-glue/python-jobs/error", run["Id"]))
    location = {"Name": "pythonshell", "ScriptLocation": lab.uri("scripts/guarded.py")}
    writer = role("writer", "glue.amazonaws.com", "s3:GetObject", "s3:PutObject")
    lab.glue.update_job(JobName="guarded", JobUpdate={"Role": writer, "Command": location})
    assert lab.ended_run(lab.start())["JobRunState"] == "SUCCEEDED"
    assert lab.keys("made") == ["made"]

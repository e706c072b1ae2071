"""Processing jobs through boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.jobs.conftest import ROLE_ARN, Lab

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def request(lab: Lab, image: str, **changes: Any) -> dict[str, Any]:
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
    return {
        "ProcessingJobName": lab.name,
        "AppSpecification": {"ImageUri": image},
        "ProcessingResources": {"ClusterConfig": cluster},
        "RoleArn": ROLE_ARN,
        **changes,
    }


def given(name: str, s3_uri: str, **source: Any) -> dict[str, Any]:
    s3_input = {"S3Uri": s3_uri, "LocalPath": f"/opt/ml/processing/{name}", "S3DataType": "S3Prefix"}
    return {"InputName": name, "S3Input": {**s3_input, "S3InputMode": "File", **source}}


def output(name: str, s3_uri: str, mode: str = "EndOfJob") -> dict[str, Any]:
    s3_output = {"S3Uri": s3_uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": mode}
    return {"OutputName": name, "S3Output": s3_output}


def process(lab: Lab, script: str, **changes: Any) -> dict[str, Any]:
    lab.sagemaker.create_processing_job(**request(lab, lab.image(process=script), **changes))
    return lab.ended("Processing")


COPY = """
import os, pathlib, shutil
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "processing")
for path in (base / "in").rglob("*"):
    if path.is_file():
        shutil.copy(path, base / "out")
"""


def test_inputs_arrive_and_outputs_are_stored(lab):
    lab.put("data/a.csv", "1")
    lab.put("data/b.csv", "2")
    job = process(
        lab,
        COPY,
        ProcessingInputs=[given("in", lab.uri("data/"))],
        ProcessingOutputConfig={"Outputs": [output("out", lab.uri("result"))]},
    )
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert lab.keys("result") == ["result/a.csv", "result/b.csv"]
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert lab.leftover_folders() == []


def test_a_script_runs_in_a_framework_image_by_its_entry_point(lab):
    lab.put(
        "code/clean.py",
        "import sys, pathlib\nprint('argument', sys.argv[1])\n"
        "pathlib.Path(__file__).parents[2].joinpath('out', 'done').write_text('yes')\n",
    )
    lab.sagemaker.create_processing_job(
        **request(
            lab,
            SCIKIT_LEARN,
            AppSpecification={
                "ImageUri": SCIKIT_LEARN,
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/clean.py"],
                "ContainerArguments": ["--fast"],
            },
            ProcessingInputs=[given("code", lab.uri("code/clean.py"), LocalPath="/opt/ml/processing/input/code")],
            ProcessingOutputConfig={"Outputs": [output("out", lab.uri("result"))]},
        )
    )
    job = lab.ended("Processing")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert lab.get("result/done") == b"yes"
    assert "argument --fast" in lab.log_lines(LOG_GROUP)


def test_the_container_finds_its_configuration(lab):
    process(
        lab,
        """
        import json, os, pathlib
        base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
        found = {name: json.loads((base / "config" / f"{name}.json").read_text())
                 for name in ("processingjobconfig", "resourceconfig")}
        (base / "processing/out/found").write_text(json.dumps(found | {"mine": os.environ["MINE"]}))
        """,
        Environment={"MINE": "yes"},
        ProcessingOutputConfig={"Outputs": [output("out", lab.uri("result"))]},
    )
    found = json.loads(lab.get("result/found"))
    assert found["processingjobconfig"]["ProcessingJobName"] == lab.name
    assert found["processingjobconfig"]["Environment"] == {"MINE": "yes"}
    assert found["resourceconfig"]["current_host"] == "algo-1"
    assert found["mine"] == "yes"


def test_hosts_share_a_sharded_input(lab):
    for number in range(4):
        lab.put(f"data/part-{number}", str(number))
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 5}
    process(
        lab,
        """
        import os, pathlib
        base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "processing")
        names = sorted(path.name for path in (base / "in").iterdir())
        (base / "out" / os.environ["SM_CURRENT_HOST"]).write_text(" ".join(names))
        """,
        ProcessingResources={"ClusterConfig": cluster},
        ProcessingInputs=[given("in", lab.uri("data/"), S3DataDistributionType="ShardedByS3Key")],
        ProcessingOutputConfig={"Outputs": [output("out", lab.uri("result"))]},
    )
    shards = [lab.get(f"result/algo-{number}").decode().split() for number in (1, 2)]
    assert [len(shard) for shard in shards] == [2, 2]
    assert sorted(shards[0] + shards[1]) == [f"part-{number}" for number in range(4)]


def test_a_continuous_output_is_there_before_the_job_ends(lab):
    image = lab.image(
        process="""
        import os, pathlib, time
        base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "processing")
        (base / "out" / "first").write_text("early")
        while True:
            time.sleep(0.05)
        """
    )
    outputs = {"Outputs": [output("out", lab.uri("result"), "Continuous")]}
    lab.sagemaker.create_processing_job(**request(lab, image, ProcessingOutputConfig=outputs))
    lab.until(lambda: lab.keys("result") == ["result/first"], "the upload")
    assert lab.sagemaker.describe_processing_job(ProcessingJobName=lab.name)["ProcessingJobStatus"] == "InProgress"
    lab.sagemaker.stop_processing_job(ProcessingJobName=lab.name)
    assert lab.ended("Processing")["ProcessingJobStatus"] == "Stopped"


def test_the_exit_message_is_answered(lab):
    job = process(
        lab,
        """
        import os
        with open(os.environ["SAGEMAKER_BASE_DIR"] + "/output/message", "w") as file:
            file.write("CompletedWithViolations: 3")
        """,
    )
    assert job["ExitMessage"] == "CompletedWithViolations: 3"


def test_a_failing_script_fails_the_job(lab):
    job = process(lab, "raise SystemExit(4)")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information, exit code: 4"


def test_max_runtime_is_enforced(lab):
    job = process(lab, "import time; time.sleep(120)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert job["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds" in job["FailureReason"]


def test_an_image_without_a_program_asks_for_an_entry_point(lab):
    lab.sagemaker.create_processing_job(**request(lab, SCIKIT_LEARN))
    job = lab.ended("Processing")
    assert (job["ProcessingJobStatus"], "ContainerEntrypoint" in job["FailureReason"]) == ("Failed", True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ProcessingInputs": [given("in", "s3://no-such-bucket-anywhere/x")]}, "No S3 objects found under S3 URL"),
        ({"ProcessingOutputConfig": {"Outputs": [output("o", "s3://no-such-bucket-anywhere/x")]}}, "does not exist"),
        (
            {"ProcessingInputs": [given("in", "s3://b/x", LocalPath="/elsewhere")]},
            "absolute path below /opt/ml/processing/",
        ),
        (
            {"ProcessingInputs": [given("in", "s3://b/x", LocalPath="/opt/ml/processing/../../x")]},
            'must not contain ".."',
        ),
        ({"ProcessingInputs": [given("in", "s3://b/x", S3InputMode="Pipe")]}, "S3InputMode File only"),
        ({"ProcessingInputs": [given("in", "s3://b/x")] * 2}, "must be unique"),
    ],
)
def test_a_wrong_request_is_refused(lab, changes, message):
    with pytest.raises(ClientError) as refusal:
        lab.sagemaker.create_processing_job(**request(lab, lab.image(process="print()"), **changes))
    assert refusal.value.response["Error"]["Code"] == "ValidationException"
    assert message in refusal.value.response["Error"]["Message"]


def test_listing_and_deleting(lab):
    process(lab, "print()")
    listed = lab.sagemaker.list_processing_jobs(NameContains=lab.name)["ProcessingJobSummaries"]
    assert [each["ProcessingJobStatus"] for each in listed] == ["Completed"]
    lab.sagemaker.delete_processing_job(ProcessingJobName=lab.name)
    with pytest.raises(ClientError, match="Could not find requested job with name"):
        lab.sagemaker.describe_processing_job(ProcessingJobName=lab.name)

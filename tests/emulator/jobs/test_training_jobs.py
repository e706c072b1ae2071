"""Training jobs through boto3: what a container finds, what comes out, how jobs end."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.jobs.conftest import ROLE_ARN, Lab

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def request(lab: Lab, image: str, **changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": lab.name,
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": ROLE_ARN,
        "OutputDataConfig": {"S3OutputPath": lab.uri("out")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


def channel(name: str, s3_uri: str, source: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    s3_source = {"S3DataType": "S3Prefix", "S3Uri": s3_uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": s3_source | (source or {})}, **members}


def train(lab: Lab, script: str, metric_definitions: Sequence[dict[str, str]] = (), **changes: Any) -> dict[str, Any]:
    asked = request(lab, lab.image(train=script), **changes)
    asked["AlgorithmSpecification"]["MetricDefinitions"] = list(metric_definitions)
    lab.sagemaker.create_training_job(**asked)
    return lab.ended("Training")


def archive_content(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {
            member.name: file.read()
            for member in archive.getmembers()
            if member.isfile() and (file := archive.extractfile(member))
        }


REPORT = """
import json, os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
files = {str(path.relative_to(base)): path.read_text() for path in sorted(base.rglob("*")) if path.is_file()}
(base / "model" / "report.json").write_text(json.dumps({"files": files, "env": dict(os.environ)}))
"""


def report_of(lab: Lab) -> dict[str, Any]:
    return json.loads(archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz"))["report.json"])


def test_a_job_finds_its_input_and_leaves_its_model(lab):
    lab.put("data/a.csv", "1,2")
    lab.put("data/deep/b.csv", "3,4")
    job = train(
        lab,
        REPORT,
        InputDataConfig=[channel("train", lab.uri("data/"), ContentType="text/csv;label_size=1")],
        HyperParameters={"epochs": "10", "loss": "absolute_loss"},
        Environment={"MINE": "yes"},
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    report = report_of(lab)
    files = report["files"]
    assert files["input/data/train/a.csv"] == "1,2"
    assert files["input/data/train/deep/b.csv"] == "3,4"
    assert json.loads(files["input/config/hyperparameters.json"]) == {"epochs": "10", "loss": "absolute_loss"}
    assert json.loads(files["input/config/inputdataconfig.json"]) == {
        "train": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "text/csv;label_size=1",
        }
    }
    resources = json.loads(files["input/config/resourceconfig.json"])
    assert (resources["current_host"], resources["hosts"]) == ("algo-1", ["algo-1"])
    assert resources["current_instance_type"] == "ml.m5.large"
    env = report["env"]
    assert env["MINE"] == "yes"
    assert env["TRAINING_JOB_NAME"] == lab.name
    assert env["AWS_ENDPOINT_URL"] == lab.emulator.endpoint_url
    assert json.loads(env["SM_HPS"]) == {"epochs": 10, "loss": "absolute_loss"}
    assert env["SM_CHANNEL_TRAIN"] == f"{env['SAGEMAKER_BASE_DIR']}/input/data/train"
    assert lab.leftover_folders() == []


def test_the_description_of_a_finished_job(lab):
    job = train(lab, "print('done')")
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(transition["EndTime"] >= transition["StartTime"] for transition in job["SecondaryStatusTransitions"])
    assert job["SecondaryStatus"] == "Completed"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == lab.uri(f"out/{lab.name}/output/model.tar.gz")
    assert job["OutputDataConfig"] == {"KmsKeyId": "", "S3OutputPath": lab.uri("out")}
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"] <= job["LastModifiedTime"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert job["TrainingJobArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{lab.name}"


def test_output_data_and_the_log_are_kept(lab):
    train(
        lab,
        """
        import os, sys
        print("to stdout")
        print("to stderr", file=sys.stderr)
        print("tab\\tseparated")
        print("no line end", end="")
        with open(os.environ["SM_OUTPUT_DATA_DIR"] + "/curve.csv", "w") as file:
            file.write("1,2")
        """,
    )
    assert archive_content(lab.get(f"out/{lab.name}/output/output.tar.gz")) == {"curve.csv": b"1,2"}
    lines = [line for line in lab.log_lines(LOG_GROUP) if not line.startswith("sagemaker-emulator:")]
    assert sorted(lines) == sorted(["to stdout", "to stderr", "tab#011separated", "no line end"])


def test_metrics_of_the_log_reach_cloudwatch_and_the_description(lab):
    begin = datetime.now(UTC) - timedelta(minutes=1)
    job = train(
        lab,
        "for epoch, loss in enumerate((0.5, 0.25, 0.125)): print(f'epoch {epoch} loss={loss};')",
        [{"Name": "train:loss", "Regex": "loss=([0-9.]+);"}, {"Name": "never", "Regex": "accuracy=(.*)"}],
    )
    assert [(each["MetricName"], each["Value"]) for each in job["FinalMetricDataList"]] == [("train:loss", 0.125)]
    cloudwatch = lab.emulator.client("cloudwatch")
    statistics = cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="train:loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": lab.name}],
        StartTime=begin,
        EndTime=begin + timedelta(hours=1),
        Period=3600,
        Statistics=["Minimum", "Maximum", "SampleCount"],
    )["Datapoints"]
    assert sum(point["SampleCount"] for point in statistics) == 3
    assert min(point["Minimum"] for point in statistics) == 0.125
    assert max(point["Maximum"] for point in statistics) == 0.5


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "import os; open(os.environ['SAGEMAKER_BASE_DIR'] + '/output/failure', 'w').write('no rows'); exit(1)",
            "AlgorithmError: no rows, exit code: 1",
        ),
        ("exit(3)", "AlgorithmError: , exit code: 3"),
        (
            "import os; open(os.environ['SAGEMAKER_BASE_DIR'] + '/output/failure', 'w').write('bad input'); exit(2)",
            "ClientError: bad input, exit code: 2",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "AlgorithmError: , exit code: 137"),
    ],
)
def test_a_failing_container_fails_the_job_with_its_reason(lab, script, reason):
    job = train(lab, script)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == reason
    assert f"out/{lab.name}/output/model.tar.gz" not in lab.keys("out/")
    assert lab.leftover_folders() == []


def test_an_image_nobody_registered_fails_the_job_and_says_how_to_register(lab):
    lab.sagemaker.create_training_job(**request(lab, "123456789012.dkr.ecr.us-east-1.amazonaws.com/unheard-of:1"))
    job = lab.ended("Training")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Cannot pull algorithm container")
    assert "sagemaker-emulator images register '.*/unheard-of:.*' --name unheard-of" in job["FailureReason"]


def test_stopping_a_job_keeps_what_it_has_saved(lab):
    script = """
    import os, signal, sys, time
    def save(*_):
        open(os.environ["SM_MODEL_DIR"] + "/saved", "w").write("half")
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    print("ready", flush=True)
    time.sleep(120)
    """
    lab.sagemaker.create_training_job(**request(lab, lab.image(train=script)))
    lab.until(lambda: "ready" in log_lines_so_far(lab), "the start")
    lab.sagemaker.stop_training_job(TrainingJobName=lab.name)
    job = lab.ended("Training")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "Stopping" in [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz")) == {"saved": b"half"}
    with pytest.raises(ClientError, match="The request was rejected because the training job is in status Stopped"):
        lab.sagemaker.stop_training_job(TrainingJobName=lab.name)


def log_lines_so_far(lab: Lab) -> list[str]:
    try:
        return lab.log_lines(LOG_GROUP)
    except lab.logs.exceptions.ResourceNotFoundException:
        return []


def test_max_runtime_is_enforced(lab):
    job = train(lab, "import time; time.sleep(120)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_hosts_of_a_cluster_share_the_input_and_see_each_other(lab):
    for number in range(4):
        lab.put(f"data/part-{number}", str(number))
    job = train(
        lab,
        """
        import json, os, pathlib
        base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
        data = base / "input/data"
        parts = {kind: sorted(path.name for path in (data / kind).iterdir()) for kind in ("all", "shard")}
        config = json.loads((base / "input/config/resourceconfig.json").read_text())
        host = os.environ["SM_CURRENT_HOST"]
        (base / "model" / host).write_text(json.dumps(parts | {"hosts": config["hosts"]}))
        """,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 5},
        InputDataConfig=[
            channel("all", lab.uri("data/")),
            channel("shard", lab.uri("data/"), {"S3DataDistributionType": "ShardedByS3Key"}),
        ],
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz"))
    first, second = json.loads(model["algo-1"]), json.loads(model["algo-2"])
    assert first["hosts"] == second["hosts"] == ["algo-1", "algo-2"]
    assert first["all"] == second["all"] == [f"part-{number}" for number in range(4)]
    assert sorted(first["shard"] + second["shard"]) == first["all"]
    assert len(first["shard"]) == len(second["shard"]) == 2


def test_instance_groups_have_channels_of_their_own(lab):
    lab.put("data/x", "x")
    groups = [
        {"InstanceGroupName": "big", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "small", "InstanceType": "ml.m5.large", "InstanceCount": 1},
    ]
    job = train(
        lab,
        """
        import os, pathlib
        base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
        found = (base / "input/data/train/x").exists()
        (base / "model" / os.environ["SM_CURRENT_INSTANCE_GROUP"]).write_text(str(found))
        """,
        ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 5},
        InputDataConfig=[channel("train", lab.uri("data/"), {"InstanceGroupNames": ["big"]})],
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz"))
    assert model == {"big": b"True", "small": b"False"}


def test_one_failing_host_ends_the_others(lab):
    job = train(
        lab,
        """
        import os, time
        if os.environ["SM_CURRENT_HOST"] == "algo-2":
            exit(5)
        time.sleep(120)
        """,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 5},
    )
    assert job["FailureReason"] == "AlgorithmError: , exit code: 5"


def test_a_manifest_names_the_files(lab):
    lab.put("far/one.csv", "1")
    lab.put("far/two.csv", "2")
    lab.put("far/three.csv", "3")
    manifest = lab.put("lists/m.json", json.dumps([{"prefix": lab.uri("far/")}, "one.csv", "three.csv"]))
    train(lab, REPORT, InputDataConfig=[channel("train", manifest, {"S3DataType": "ManifestFile"})])
    names = {name for name in report_of(lab)["files"] if name.startswith("input/data/")}
    assert names == {"input/data/train/one.csv", "input/data/train/three.csv"}


PIPE_READER = """
import os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
for epoch in range(2):
    with open(base / "input/data" / f"train_{epoch}", "rb") as pipe:
        (base / "model" / f"epoch-{epoch}").write_bytes(pipe.read())
"""


def test_pipe_mode_streams_every_epoch(lab):
    large = b"x" * 300_000
    lab.put("data/1", b"one\n")
    lab.put("data/2", large)
    job = train(lab, PIPE_READER, InputDataConfig=[channel("train", lab.uri("data/"), InputMode="Pipe")])
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz"))
    assert model == {"epoch-0": b"one\n" + large, "epoch-1": b"one\n" + large}


def test_pipe_mode_wraps_the_attributes_of_an_augmented_manifest(lab):
    image = lab.put("images/1.jpg", b"JPEG!")
    manifest = lab.put("lists/augmented", json.dumps({"source-ref": image, "label": 7, "other": "ignored"}) + "\n")
    source = {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["source-ref", "label"]}
    inputs = [channel("train", manifest, source, InputMode="Pipe", RecordWrapperType="RecordIO")]
    train(lab, PIPE_READER, InputDataConfig=inputs)
    magic = bytes.fromhex("0a23d7ce")
    expected = magic + b"\5\0\0\0JPEG!\0\0\0" + magic + b"\1\0\0\x007\0\0\0"
    assert archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz"))["epoch-0"] == expected


def test_checkpoints_come_from_s3_and_go_back(lab):
    lab.put("checkpoints/before", "epoch 1")
    train(
        lab,
        """
        import os, pathlib
        folder = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "checkpoints")
        (folder / "after").write_text((folder / "before").read_text() + " and 2")
        """,
        CheckpointConfig={"S3Uri": lab.uri("checkpoints")},
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
    )
    assert lab.get("checkpoints/after") == b"epoch 1 and 2"


def test_the_model_can_be_left_uncompressed(lab):
    job = train(
        lab,
        "import os; open(os.environ['SM_MODEL_DIR'] + '/weights', 'w').write('w')",
        OutputDataConfig={"S3OutputPath": lab.uri("out/"), "CompressionType": "NONE"},
    )
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == lab.uri(f"out/{lab.name}/output/model/")
    assert lab.get(f"out/{lab.name}/output/model/weights") == b"w"


def test_a_key_that_leads_out_of_the_channel_fails_the_job(lab):
    lab.put("data/../../escape", "x")
    lab.put("data/a", "x")
    job = train(lab, "print()", InputDataConfig=[channel("train", lab.uri("data/"))])
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:")


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket-anywhere/x"}},
            "ValidationException",
            "does not exist",
        ),
        (
            {"InputDataConfig": [channel("train", "s3://no-such-bucket-anywhere/x")]},
            "ValidationException",
            'No S3 objects found under S3 URL "s3://no-such-bucket-anywhere/x" given in input data source',
        ),
        ({"EnableManagedSpotTraining": True}, "ValidationException", "Invalid MaxWaitTimeInSeconds"),
        (
            {"ResourceConfig": {"VolumeSizeInGB": 5}},
            "ValidationException",
            "requires InstanceType and InstanceCount",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://any/x", "LocalPath": "/somewhere"}},
            "ValidationException",
            "only provides folders below /opt/ml",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://any/x", "LocalPath": "/opt/ml/../../x"}},
            "ValidationException",
            "only provides folders below /opt/ml",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "any/image:1",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(["}],
                }
            },
            "ValidationException",
            "metric 'loss' is invalid",
        ),
        ({"TrainingJobName": "-wrong"}, "ValidationException", "trainingJobName"),
        ({"RoleArn": "arn:aws:iam::12:role/short"}, "ValidationException", "role"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "mine", "Regex": "x=(.)"}],
                }
            },
            "ValidationException",
            "You can't override the metric definitions for Amazon SageMaker algorithms",
        ),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(lab, changes, code, message):
    with pytest.raises(ClientError) as refusal:
        lab.sagemaker.create_training_job(**request(lab, lab.image(train="print()"), **changes))
    assert refusal.value.response["Error"]["Code"] == code
    assert message in refusal.value.response["Error"]["Message"]
    with pytest.raises(ClientError):
        lab.sagemaker.describe_training_job(TrainingJobName=lab.name)


def test_a_name_is_taken_once(lab):
    train(lab, "print()")
    with pytest.raises(lab.sagemaker.exceptions.ResourceInUse, match="must be unique"):
        lab.sagemaker.create_training_job(**request(lab, lab.image(train="print()")))


def test_listing_filters_by_name_and_status(lab):
    train(lab, "print()")
    listed = lab.sagemaker.list_training_jobs(NameContains=lab.name, StatusEquals="Completed")["TrainingJobSummaries"]
    assert [(each["TrainingJobName"], each["SecondaryStatus"]) for each in listed] == [(lab.name, "Completed")]
    assert not lab.sagemaker.list_training_jobs(NameContains=lab.name, StatusEquals="Failed")["TrainingJobSummaries"]


def test_builtin_algorithms_describe_their_own_metrics(lab):
    lab.put("data/train.csv", "this is not what linear-learner reads")
    image = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
    lab.sagemaker.create_training_job(
        **request(lab, image, InputDataConfig=[channel("train", lab.uri("data/"), ContentType="text/csv")])
    )
    definitions = lab.ended("Training")["AlgorithmSpecification"]["MetricDefinitions"]
    regex = {each["Name"]: each["Regex"] for each in definitions}
    assert regex["validation:absolute_loss"] == r"#quality_metric: host=\S+, validation absolute_loss <loss>=(\S+)"


def test_a_missing_job_is_named_as_aws_does(lab):
    with pytest.raises(ClientError, match="Requested resource not found") as missing:
        lab.sagemaker.describe_training_job(TrainingJobName="nobody-made-this")
    assert missing.value.response["Error"]["Code"] == "ValidationException"

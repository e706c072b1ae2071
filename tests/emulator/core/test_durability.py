"""What was acknowledged survives ``kill -9``."""

import json

import pytest

from sagemaker_emulator.emulator import is_running

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def crash(start_emulator, tmp_path):
    """Runs an emulator, and another on its state after a SIGKILL."""
    first = start_emulator(tmp_path / "state")

    def kill_and_restart():
        first.kill()
        return start_emulator(tmp_path / "state")

    return first, kill_and_restart


def test_resources_of_every_kind_survive(crash):
    first, kill_and_restart = crash
    sagemaker, s3, iam = first.client("sagemaker"), first.client("s3"), first.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    s3.create_bucket(Bucket="with-objects")
    s3.put_object(Bucket="with-objects", Key="a/b", Body=b"body", ContentType="text/csv", Metadata={"m": "1"})
    s3.create_bucket(Bucket="empty-bucket")
    s3.put_bucket_tagging(Bucket="empty-bucket", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    session = first.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    model = sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": "i"}, Tags=[{"Key": "k", "Value": "v"}])
    described = sagemaker.describe_model(ModelName="m")
    logs, cloudwatch = first.client("logs"), first.client("cloudwatch")
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    created = logs.describe_log_groups()["logGroups"][0]["creationTime"]
    now_ms = described["CreationTime"].timestamp() * 1000
    for number in range(3):
        logs.put_log_events(
            logGroupName="/g",
            logStreamName="s",
            logEvents=[{"timestamp": int(now_ms) + number, "message": f"line {number}"}],
        )
    for value in (1.0, 3.0):
        cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": value}])
    # So long that boto3 compresses it.
    many = [{"MetricName": f"metric-with-a-long-name-{number}", "Value": 1.0} for number in range(500)]
    cloudwatch.put_metric_data(Namespace="Many", MetricData=many)

    second = kill_and_restart()

    sagemaker, s3, iam = second.client("sagemaker"), second.client("s3"), second.client("iam")
    assert iam.get_role(RoleName="r")["Role"]["Arn"] == role
    found = s3.get_object(Bucket="with-objects", Key="a/b")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"body", "text/csv", {"m": "1"})
    assert s3.get_bucket_tagging(Bucket="empty-bucket")["TagSet"] == [{"Key": "k", "Value": "v"}]
    after = sagemaker.describe_model(ModelName="m")
    assert {**after, "ResponseMetadata": None} == {**described, "ResponseMetadata": None}
    assert sagemaker.list_tags(ResourceArn=model["ModelArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    logs = second.client("logs")
    # Handled again, but at the time it came: not at the time of the restart.
    assert abs(logs.describe_log_groups()["logGroups"][0]["creationTime"] - created) < 500
    events = logs.get_log_events(logGroupName="/g", logStreamName="s", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["line 0", "line 1", "line 2"]
    assert _metric_sum(second, described) == 4.0
    pages = second.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="Many")
    assert sum(len(page["Metrics"]) for page in pages) == len(many)
    identity = second.client(
        "sts",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    ).get_caller_identity()
    assert identity["Arn"].endswith("assumed-role/r/session")


def test_an_orderly_stop_and_later_kills_count_nothing_twice(start_emulator, tmp_path):
    emulator = start_emulator(tmp_path / "state")
    emulator.client("sagemaker").create_model(ModelName="m", PrimaryContainer={"Image": "i"})
    described = emulator.client("sagemaker").describe_model(ModelName="m")
    for end in ("stop", "kill", "kill", "stop"):
        emulator.client("cloudwatch").put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 1.0}])
        getattr(emulator, end)()
        emulator = start_emulator(tmp_path / "state")
    assert _metric_sum(emulator, described) == 4.0


def test_a_large_journal_becomes_a_snapshot_that_counts_nothing_twice(start_emulator, tmp_path):
    emulator = start_emulator(tmp_path / "state")
    logs = emulator.client("logs")
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    journal = tmp_path / "state" / "ministack" / "journal"
    sent = 0
    while (journal / "cloudwatch_logs.0.jsonl").exists():
        events = [{"timestamp": 1_800_000_000_000 + sent * 4 + i, "message": "x" * 200_000} for i in range(4)]
        logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=events)
        sent += 1
    emulator.kill()
    again = start_emulator(tmp_path / "state").client("logs")
    assert again.describe_log_streams(logGroupName="/g")["logStreams"][0]["logStreamName"] == "s"
    count, token = 0, None
    while True:
        page = again.get_log_events(
            logGroupName="/g", logStreamName="s", startFromHead=True, **({"nextToken": token} if token else {})
        )
        count += len(page["events"])
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert count == sent * 4


def test_a_line_cut_short_by_the_end_is_left_out(start_emulator, tmp_path):
    emulator = start_emulator(tmp_path / "state")
    emulator.client("logs").create_log_group(logGroupName="/kept")
    emulator.kill()
    journal = tmp_path / "state" / "ministack" / "journal" / "cloudwatch_logs.0.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"time": 1, "acc')
    again = start_emulator(tmp_path / "state")
    again.client("logs").create_log_group(logGroupName="/new")
    again.kill()
    groups = start_emulator(tmp_path / "state").client("logs").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["/kept", "/new"]


def test_nothing_is_written_outside_the_state_folder(start_emulator, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.chdir(home)
    emulator = start_emulator(tmp_path / "state")
    emulator.client("s3").create_bucket(Bucket="somewhere")
    emulator.client("iam").create_user(UserName="u")
    emulator.client("sqs").create_queue(QueueName="q")
    pid = emulator.pid
    emulator.stop()
    assert not is_running(pid)
    assert list(home.iterdir()) == []
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def _metric_sum(emulator, described):
    from datetime import timedelta

    answer = emulator.client("cloudwatch").get_metric_statistics(
        Namespace="N",
        MetricName="m",
        StartTime=described["CreationTime"] - timedelta(hours=1),
        EndTime=described["CreationTime"] + timedelta(hours=1),
        Period=7200,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in answer["Datapoints"])

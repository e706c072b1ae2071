"""Tuning jobs over HTTP: their training jobs really run, and what is known of them is what their logs say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator
from tests.emulator.jobs.conftest import ROLE_ARN, Lab

# Prints its loss once an epoch and says when it ran; `wait_for_stop` trials sleep until they are told to stop.
SCRIPT = """
    import json, os, signal, sys, time
    base = os.environ["SAGEMAKER_BASE_DIR"]
    given = json.load(open(os.path.join(base, "input", "config", "hyperparameters.json")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("given", json.dumps(given), flush=True)
    if given.get("fails") == "yes":
        sys.exit("a bad choice")
    loss = (float(given["x"]) - 3) ** 2
    for epoch in range(int(given.get("epochs", 1))):
        print(f"epoch={epoch} loss={loss};", flush=True)
        time.sleep(float(given.get("epoch_seconds", 0)))
    if given.get("silent") == "yes":
        sys.exit()
    if given.get("hangs") == "yes":
        time.sleep(120)
    open(os.path.join(base, "model", "model.json"), "w").write(json.dumps(given))
"""
METRIC = {"Name": "loss", "Regex": "loss=(.*?);"}
X = {"Name": "x", "MinValue": "-10", "MaxValue": "10"}


def config(strategy: str = "Random", jobs: int | None = 4, parallel: int = 2, **more: Any) -> dict[str, Any]:
    limits = {"MaxParallelTrainingJobs": parallel} | ({"MaxNumberOfTrainingJobs": jobs} if jobs else {})
    return {
        "Strategy": strategy,
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": limits | more.pop("limits", {}),
        "ParameterRanges": {"ContinuousParameterRanges": [X]},
        "RandomSeed": 3,
        **more,
    }


def definition(lab: Lab, static: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": lab.image(train=SCRIPT),
            "TrainingInputMode": "File",
            "MetricDefinitions": [METRIC],
        },
        "StaticHyperParameters": static or {},
        "RoleArn": ROLE_ARN,
        "OutputDataConfig": {"S3OutputPath": lab.uri("output")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **more,
    }


def tuning_name(lab: Lab) -> str:
    return f"t-{lab.name[-8:]}"


def create(lab: Lab, name: str = "", **request: Any) -> str:
    name = name or tuning_name(lab)
    lab.sagemaker.create_hyper_parameter_tuning_job(HyperParameterTuningJobName=name, **request)
    return name


def describe(lab: Lab, name: str) -> dict[str, Any]:
    job: dict[str, Any] = lab.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    return job


def ended(lab: Lab, name: str) -> dict[str, Any]:
    def description() -> dict[str, Any] | None:
        job = describe(lab, name)
        return job if job["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped") else None

    job: dict[str, Any] = lab.until(description, f"the end of tuning job {name}")
    return job


def trials(lab: Lab, name: str, **filters: Any) -> list[dict[str, Any]]:
    paginator = lab.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    pages = paginator.paginate(HyperParameterTuningJobName=name, **filters)
    return [job for page in pages for job in page["TrainingJobSummaries"]]


def value_of(job: dict[str, Any]) -> float:
    return float(job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def most_at_once(jobs: list[dict[str, Any]]) -> int:
    starts = [(job["CreationTime"], 1) for job in jobs]
    ends = [(job["TrainingEndTime"], -1) for job in jobs]
    running = most = 0
    for _, change in sorted(starts + ends, key=lambda event: (event[0], event[1])):
        running += change
        most = max(most, running)
    return most


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_it_trains_in_parallel_and_finds_the_best(lab: Lab, strategy: str) -> None:
    tags = [{"Key": "team", "Value": "blue"}]
    name = create(
        lab,
        HyperParameterTuningJobConfig=config(strategy, jobs=7, parallel=3),
        TrainingJobDefinition=definition(lab, {"epochs": "2"}),
        Tags=tags,
    )
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 7
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 7, "Pending": 0, "Failed": 0}
    found = trials(lab, name, MaxResults=3)
    assert len({each["TunedHyperParameters"]["x"] for each in found}) == 7
    assert 1 < most_at_once(found) <= 3
    for each in found:
        assert value_of(each) == pytest.approx((float(each["TunedHyperParameters"]["x"]) - 3) ** 2)
    best = min(found, key=value_of)
    assert job["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
    assert job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Type"] == "Minimize"

    training = lab.sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert training["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    hyperparameters = {"epochs": "2", "_tuning_objective_metric": "loss", **best["TunedHyperParameters"]}
    assert training["HyperParameters"] == hyperparameters
    assert lab.sagemaker.list_tags(ResourceArn=training["TrainingJobArn"])["Tags"] == tags
    assert training["ModelArtifacts"]["S3ModelArtifacts"].startswith(lab.uri(f"output/{best['TrainingJobName']}/"))
    lines = lab.log_lines("/aws/sagemaker/TrainingJobs", best["TrainingJobName"])
    assert json.loads(lines[0].removeprefix("given ")) == hyperparameters

    by_value = trials(lab, name, SortBy="FinalObjectiveMetricValue")
    assert [value_of(each) for each in by_value] == sorted(value_of(each) for each in found)
    assert [each["TrainingJobName"] for each in trials(lab, name)] == sorted(each["TrainingJobName"] for each in found)
    assert trials(lab, name, StatusEquals="Failed") == []


def test_a_maximised_objective(lab: Lab) -> None:
    objective = {"Type": "Maximize", "MetricName": "loss"}
    settings = config(HyperParameterTuningJobObjective=objective)
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab))
    job = ended(lab, name)
    assert value_of(job["BestTrainingJob"]) == max(value_of(each) for each in trials(lab, name))


def test_a_grid_is_searched_whole(lab: Lab) -> None:
    ranges = {
        "CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "4"]}, {"Name": "c", "Values": ["a", "b"]}]
    }
    settings = config("Grid", jobs=None, parallel=4, ParameterRanges=ranges)
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab))
    assert ended(lab, name)["HyperParameterTuningJobStatus"] == "Completed"
    tried = sorted((each["TunedHyperParameters"]["x"], each["TunedHyperParameters"]["c"]) for each in trials(lab, name))
    assert tried == [(x, c) for x in "124" for c in "ab"]


def test_hyperband_stops_the_poor_ones(lab: Lab) -> None:
    resources = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}}
    settings = config("Hyperband", jobs=12, parallel=4, StrategyConfig=resources)
    static = {"epochs": "30", "epoch_seconds": "0.05"}
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab, static))
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    # None is let run for all its thirty epochs, and some not even for nine.
    assert job["TrainingJobStatusCounters"]["Stopped"] == 12
    assert job["ObjectiveStatusCounters"]["Succeeded"] == 12
    epochs = [
        sum("loss=" in line for line in lab.log_lines("/aws/sagemaker/TrainingJobs", each["TrainingJobName"]))
        for each in trials(lab, name)
    ]
    assert max(epochs) < 30
    assert min(epochs) < 9 <= max(epochs)


def test_early_stopping_ends_trials_that_are_worse_than_the_median(lab: Lab) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["3", "2", "9"]}]}
    settings = config("Grid", jobs=3, parallel=1, ParameterRanges=ranges, TrainingJobEarlyStoppingType="Auto")
    static = {"epochs": "2", "epoch_seconds": "0.1", "hangs": "no"}
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab, static))
    assert ended(lab, name)["HyperParameterTuningJobStatus"] == "Completed"
    assert {each["TunedHyperParameters"]["x"]: each["TrainingJobStatus"] for each in trials(lab, name)} == {
        "3": "Completed",
        "2": "Completed",
        "9": "Stopped",
    }


def test_stop_ends_its_training_jobs(lab: Lab) -> None:
    static = {"hangs": "yes"}
    name = create(lab, HyperParameterTuningJobConfig=config(), TrainingJobDefinition=definition(lab, static))
    lab.until(lambda: describe(lab, name)["TrainingJobStatusCounters"]["InProgress"] == 2, "two training jobs")
    with pytest.raises(ClientError, match="stop it first"):
        lab.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    lab.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert describe(lab, name)["HyperParameterTuningJobStatus"] in ("Stopping", "Stopped")
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == len(trials(lab, name)) == 2
    with pytest.raises(ClientError, match="is in status Stopped"):
        lab.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    lab.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(ClientError, match="can't find a tuning job") as refused:
        describe(lab, name)
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"


def test_failing_trials_do_not_end_the_search_unless_all_fail(lab: Lab) -> None:
    choice = {"Name": "fails", "Values": ["yes", "no"]}
    ranges = {"CategoricalParameterRanges": [choice, {"Name": "x", "Values": ["1"]}]}
    settings = config("Grid", jobs=None, ParameterRanges=ranges)
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab))
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert (job["TrainingJobStatusCounters"]["Completed"], job["TrainingJobStatusCounters"]["NonRetryableError"]) == (
        1,
        1,
    )
    (failed,) = trials(lab, name, StatusEquals="Failed")
    assert failed["ObjectiveStatus"] == "Failed"
    assert "exit code: 1" in failed["FailureReason"]

    name = create(
        lab,
        f"{name}-2",
        HyperParameterTuningJobConfig=config(jobs=2),
        TrainingJobDefinition=definition(lab, {"fails": "yes"}),
    )
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("All training jobs failed")
    assert "BestTrainingJob" not in job


@pytest.mark.parametrize(
    "criteria",
    [
        {"TargetObjectiveMetricValue": 1e6},
        {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}},
        {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}},
    ],
)
def test_criteria_end_the_search(lab: Lab, criteria: dict[str, Any]) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["3", "4", "5"]}]}
    settings = config(
        "Bayesian", jobs=60, parallel=3, ParameterRanges=ranges, TuningJobCompletionCriteria=criteria, RandomSeed=1
    )
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab))
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    count = len(trials(lab, name))
    details = job["TuningJobCompletionDetails"]
    if "TargetObjectiveMetricValue" in criteria:
        assert count <= 3
    elif "BestObjectiveNotImproving" in criteria:
        assert details["NumberOfTrainingJobsObjectiveNotImproving"] >= 3
        assert count < 20
    else:
        assert details["ConvergenceDetectedTime"] <= job["HyperParameterTuningEndTime"]
        assert 10 < count < 40


def test_several_definitions_share_the_limits(lab: Lab) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["5", "6"]}]}
    objective = {"Type": "Minimize", "MetricName": "loss"}
    both = [
        definition(
            lab, DefinitionName="near", TuningObjective=objective, HyperParameterRanges=ranges, StaticHyperParameters={}
        ),
        definition(
            lab,
            DefinitionName="free",
            TuningObjective=objective,
            HyperParameterRanges={"ContinuousParameterRanges": [X]},
        ),
    ]
    settings = {
        key: value
        for key, value in config(jobs=6).items()
        if key not in ("ParameterRanges", "HyperParameterTuningJobObjective")
    }
    name = create(lab, HyperParameterTuningJobConfig=settings, TrainingJobDefinitions=both)
    job = ended(lab, name)
    found = trials(lab, name)
    assert [each["TrainingJobDefinitionName"] for each in found].count("near") == 3
    assert len(found) == 6
    assert value_of(job["BestTrainingJob"]) == min(value_of(each) for each in found)


def test_a_warm_start_knows_its_parents(lab: Lab) -> None:
    described = definition(lab)
    parent = create(lab, HyperParameterTuningJobConfig=config(jobs=6), TrainingJobDefinition=described)
    first = ended(lab, parent)
    warm_start = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": parent}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    far = {"ContinuousParameterRanges": [X | {"MinValue": "-10", "MaxValue": "-9"}]}
    name = create(
        lab,
        f"{parent}-2",
        HyperParameterTuningJobConfig=config("Bayesian", jobs=2, ParameterRanges=far),
        TrainingJobDefinition=described,
        WarmStartConfig=warm_start,
    )
    job = ended(lab, name)
    assert job["OverallBestTrainingJob"]["TuningJobName"] == parent
    assert job["OverallBestTrainingJob"]["TrainingJobName"] == first["BestTrainingJob"]["TrainingJobName"]
    assert value_of(job["BestTrainingJob"]) > value_of(job["OverallBestTrainingJob"])

    lab.put("data/train.csv", "1")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": lab.uri("data/")}}
    other = described | {"InputDataConfig": [{"ChannelName": "train", "DataSource": source}]}
    with pytest.raises(ClientError, match="requires the image and the input data of the parent"):
        create(
            lab,
            f"{parent}-3",
            HyperParameterTuningJobConfig=config(),
            TrainingJobDefinition=other,
            WarmStartConfig=warm_start,
        )


def test_autotune_makes_ranges_of_hints(lab: Lab) -> None:
    settings = config(jobs=3, ParameterRanges={"AutoParameters": [{"Name": "x", "ValueHint": "2.5"}]})
    name = create(
        lab,
        HyperParameterTuningJobConfig=settings,
        TrainingJobDefinition=definition(lab),
        Autotune={"Mode": "Enabled"},
    )
    assert ended(lab, name)["Autotune"] == {"Mode": "Enabled"}
    values = [float(each["TunedHyperParameters"]["x"]) for each in trials(lab, name)]
    assert len(set(values)) == 3
    assert all(0.25 <= value <= 25 for value in values)


def test_lists(lab: Lab) -> None:
    names = [
        create(
            lab,
            f"{tuning_name(lab)}-{index}",
            HyperParameterTuningJobConfig=config(jobs=2),
            TrainingJobDefinition=definition(lab),
        )
        for index in range(3)
    ]
    for name in names:
        ended(lab, name)
    paginator = lab.sagemaker.get_paginator("list_hyper_parameter_tuning_jobs")
    listed = [
        job
        for page in paginator.paginate(
            NameContains=tuning_name(lab), SortBy="Name", SortOrder="Ascending", MaxResults=2
        )
        for job in page["HyperParameterTuningJobSummaries"]
    ]
    assert [job["HyperParameterTuningJobName"] for job in listed] == names
    assert listed[0]["Strategy"] == "Random"
    assert listed[0]["TrainingJobStatusCounters"]["Completed"] == 2
    answer = lab.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=tuning_name(lab), StatusEquals="Failed")
    assert answer["HyperParameterTuningJobSummaries"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ParameterRanges": {}}, "At least one hyperparameter range"),
        ({"ParameterRanges": {"AutoParameters": [{"Name": "x", "ValueHint": "1"}]}}, "require Autotune"),
        ({"Strategy": "Grid"}, r"\[x\] is numeric"),
        ({"Strategy": "Hyperband"}, "MaxResource"),
        (
            {"StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}}},
            "only be given with the Hyperband",
        ),
        ({"ResourceLimits": {"MaxParallelTrainingJobs": 2}}, "MaxNumberOfTrainingJobs"),
        (
            {"ResourceLimits": {"MaxParallelTrainingJobs": 3, "MaxNumberOfTrainingJobs": 2}},
            "cannot be greater than MaxNumberOfTrainingJobs",
        ),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "accuracy"}},
            "A metric is required for this hyperparameter tuning job objective",
        ),
    ],
)
def test_wrong_requests_are_refused(lab: Lab, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        create(lab, HyperParameterTuningJobConfig=config() | changes, TrainingJobDefinition=definition(lab))
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_wrong_definitions_are_refused(lab: Lab) -> None:
    with pytest.raises(ClientError, match="Exactly one of TrainingJobDefinition"):
        create(lab, HyperParameterTuningJobConfig=config())
    with pytest.raises(ClientError, match="does not exist"):
        create(
            lab,
            HyperParameterTuningJobConfig=config(),
            TrainingJobDefinition=definition(lab, OutputDataConfig={"S3OutputPath": f"s3://{lab.bucket}-not/out"}),
        )
    with pytest.raises(ClientError, match="belong in each definition"):
        create(
            lab,
            HyperParameterTuningJobConfig=config(),
            TrainingJobDefinitions=[definition(lab, DefinitionName="one")],
        )
    kmeans = definition(lab) | {
        "AlgorithmSpecification": {
            "TrainingImage": "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1",
            "TrainingInputMode": "File",
        }
    }
    with pytest.raises(ClientError, match=r"\[loss\], isn't valid for the \["):
        create(lab, HyperParameterTuningJobConfig=config(), TrainingJobDefinition=kmeans)


def test_a_name_is_taken_once(lab: Lab) -> None:
    request: dict[str, Any] = {
        "HyperParameterTuningJobConfig": config(jobs=2),
        "TrainingJobDefinition": definition(lab),
    }
    name = create(lab, **request)
    with pytest.raises(ClientError, match="must be unique") as refused:
        create(lab, **request)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    ended(lab, name)


def test_a_killed_emulator_goes_on_with_the_search(start_emulator: Callable[..., Emulator], tmp_path: Path) -> None:
    first = start_emulator(tmp_path / "state")
    lab = Lab(first, "recovery", tmp_path)
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": [str(value) for value in range(8)]}]}
    settings = config("Grid", jobs=None, parallel=2, ParameterRanges=ranges)
    static = {"epoch_seconds": "0.2"}
    name = create(
        lab, "survivor", HyperParameterTuningJobConfig=settings, TrainingJobDefinition=definition(lab, static)
    )
    lab.until(lambda: describe(lab, name)["TrainingJobStatusCounters"]["Completed"] >= 2, "two results")
    first.kill()

    second = start_emulator(tmp_path / "state")
    lab.sagemaker = second.client("sagemaker")
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 8
    completed = trials(lab, name, StatusEquals="Completed")
    assert sorted(int(each["TunedHyperParameters"]["x"]) for each in completed) == list(range(8))
    interrupted = trials(lab, name, StatusEquals="Failed")
    assert len(interrupted) == job["TrainingJobStatusCounters"]["RetryableError"]
    assert all("the emulator ended" in each["FailureReason"] for each in interrupted)
    assert value_of(job["BestTrainingJob"]) == 0


def test_a_stop_that_was_under_way_is_finished_after_a_kill(
    start_emulator: Callable[..., Emulator], tmp_path: Path
) -> None:
    first = start_emulator(tmp_path / "state")
    lab = Lab(first, "recovery", tmp_path)
    ignoring = SCRIPT.replace("sys.exit(0)", "None")
    image = lab.image(train=ignoring, name="ignoring")
    described = definition(lab, {"hangs": "yes"})
    described["AlgorithmSpecification"]["TrainingImage"] = image
    name = create(lab, "stopped", HyperParameterTuningJobConfig=config(), TrainingJobDefinition=described)
    lab.until(lambda: describe(lab, name)["TrainingJobStatusCounters"]["InProgress"] == 2, "two training jobs")
    lab.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    first.kill()

    second = start_emulator(tmp_path / "state")
    lab.sagemaker = second.client("sagemaker")
    job = ended(lab, name)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert len(trials(lab, name)) == 2

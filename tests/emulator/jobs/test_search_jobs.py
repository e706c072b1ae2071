"""Jobs found by Search, listed and tagged: training jobs themselves, the others by their trial components."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.jobs import (
    test_processing_jobs,
    test_training_jobs,
    test_transform_jobs,
    test_tuning_jobs,
)
from tests.emulator.jobs.conftest import Lab


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    """A finished training, processing and transform job of the test's name, each tagged with its kind."""

    def tags(kind: str) -> list[dict[str, str]]:
        return [{"Key": "test", "Value": lab.name}, {"Key": "kind", "Value": kind}]

    image = lab.image(train="print('mse=0.5')", process="print('hello')", serve=test_transform_jobs.SERVER)
    training = test_training_jobs.request(lab, image, Tags=tags("training"), HyperParameters={"epochs": "12"})
    training["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "mse", "Regex": "mse=(.*)"}]
    lab.sagemaker.create_training_job(**training)
    lab.sagemaker.create_processing_job(**test_processing_jobs.request(lab, image, Tags=tags("processing")))
    lab.sagemaker.create_model(
        ModelName=lab.name, PrimaryContainer={"Image": image}, ExecutionRoleArn=training["RoleArn"]
    )
    rows = lab.put("rows/one.csv", "1,2\n")
    lab.sagemaker.create_transform_job(**test_transform_jobs.request(lab, lab.name, rows, Tags=tags("transform")))
    for kind in ("Training", "Processing", "Transform"):
        job = lab.ended(kind)
        assert job[f"{kind}JobStatus"] == "Completed", job
    return lab


def search(lab: Lab, resource: str, *filters: tuple[str, str, str], **parameters: Any) -> list[dict[str, Any]]:
    expression = {"Filters": [dict(zip(("Name", "Operator", "Value"), one, strict=True)) for one in filters]}
    answer = lab.sagemaker.search(Resource=resource, SearchExpression=expression, **parameters)
    results: list[dict[str, Any]] = answer["Results"]
    return results


def test_jobs_are_found_by_what_they_are(jobs: Lab) -> None:
    mine = ("Tags.test", "Equals", jobs.name)
    (found,) = search(jobs, "TrainingJob", mine, ("Metrics.mse", "LessThan", "1"))
    training = found["TrainingJob"]
    assert training["TrainingJobName"] == jobs.name
    assert training["FinalMetricDataList"][0]["Value"] == 0.5
    assert {"Key": "kind", "Value": "training"} in training["Tags"]
    assert search(jobs, "TrainingJob", mine, ("HyperParameters.epochs", "GreaterThan", "12")) == []

    name = ("TrialComponentName", "Contains", jobs.name)
    components = search(jobs, "ExperimentTrialComponent", name, SortBy="CreationTime", SortOrder="Ascending")
    kinds = ["Training", "Processing", "Transform"]
    assert [one["TrialComponent"]["Source"]["SourceType"] for one in components] == [f"SageMaker{k}Job" for k in kinds]
    assert {one["TrialComponent"]["Status"]["PrimaryStatus"] for one in components} == {"Completed"}
    for kind in kinds:
        path = f"SourceDetail.{kind}Job"
        (one,) = search(jobs, "ExperimentTrialComponent", (f"{path}.Tags.test", "Equals", jobs.name))
        component = one["TrialComponent"]
        assert component["TrialComponentName"] == f"{jobs.name}-aws-{kind.lower()}-job"
        assert component["SourceDetail"][f"{kind}Job"][f"{kind}JobName"] == jobs.name
        assert component["StartTime"] <= component["EndTime"]


def test_tags_of_a_job_are_added_listed_and_found(jobs: Lab) -> None:
    for kind in ("training", "processing", "transform"):
        described = getattr(jobs.sagemaker, f"describe_{kind}_job")(**{f"{kind.capitalize()}JobName": jobs.name})
        arn = described[f"{kind.capitalize()}JobArn"]
        jobs.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "done"}])
        tags = jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"test": jobs.name, "kind": kind, "stage": "done"}
    found = search(jobs, "TrainingJob", ("Tags.test", "Equals", jobs.name), ("Tags.stage", "Equals", "done"))
    assert len(found) == 1


def test_jobs_are_listed_by_training_plan(lab: Lab) -> None:
    plan = "arn:aws:sagemaker:us-east-1:000000000000:training-plan/plan"
    asked = test_training_jobs.request(lab, lab.image(train="pass"))
    asked["ResourceConfig"]["TrainingPlanArn"] = plan
    lab.sagemaker.create_training_job(**asked)
    lab.ended("Training")
    for arn, names in ((plan, [lab.name]), (f"{plan}-b", [])):
        answer = lab.sagemaker.list_training_jobs(NameContains=lab.name, TrainingPlanArnEquals=arn)
        assert [summary["TrainingJobName"] for summary in answer["TrainingJobSummaries"]] == names


def test_tuning_jobs_are_found_with_their_progress(lab: Lab) -> None:
    name = test_tuning_jobs.create(
        lab,
        HyperParameterTuningJobConfig=test_tuning_jobs.config(jobs=2),
        TrainingJobDefinition=test_tuning_jobs.definition(lab),
        Tags=[{"Key": "test", "Value": lab.name}],
    )
    best = test_tuning_jobs.ended(lab, name)["BestTrainingJob"]
    (found,) = search(lab, "HyperParameterTuningJob", ("Tags.test", "Equals", lab.name))
    tuning = found["HyperParameterTuningJob"]
    assert (tuning["HyperParameterTuningJobName"], tuning["TrainingJobStatusCounters"]["Completed"]) == (name, 2)
    assert tuning["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]

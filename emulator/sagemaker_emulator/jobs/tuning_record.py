"""A tuning job's stored document and its training jobs: what Describe and List make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.jobs import training
from sagemaker_emulator.jobs.job_record import INTERRUPTED

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

Document = dict[str, Any]

KIND = "hyper-parameter-tuning-job"
NAME = "HyperParameterTuningJobName"
STATUS = "HyperParameterTuningJobStatus"
UNFINISHED = ("InProgress", "Stopping")
TRIAL = "Trial"
"""The member of a training job's document, answered by no operation, with what its tuning job chose."""
_SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)


def definitions(job: Document) -> list[Document]:
    """The training definitions of a tuning job or of its request, each with its objective and ranges."""
    if "TrainingJobDefinitions" in job:
        return list(job["TrainingJobDefinitions"])
    config = job["HyperParameterTuningJobConfig"]
    return [
        {
            "HyperParameterRanges": config.get("ParameterRanges", {}),
            "TuningObjective": config.get("HyperParameterTuningJobObjective"),
            **job["TrainingJobDefinition"],
        }
    ]


def training_jobs(app: App, region: str, tuning_job_arn: str) -> list[Document]:
    """The training jobs a tuning job has started, in that order."""
    jobs = [job for job in app.store.list(training.KIND, region) if job.get("TuningJobArn") == tuning_job_arn]
    return sorted(jobs, key=lambda job: (job["CreationTime"], job["TrainingJobName"]))


def objective_value(job: Document) -> float | None:
    """The final value of a training job's objective; None when it has not ended or logged none."""
    if job["TrainingJobStatus"] not in ("Completed", "Stopped"):
        return None
    metric = job[TRIAL]["Objective"]["MetricName"]
    final = {each["MetricName"]: float(each["Value"]) for each in job.get("FinalMetricDataList", ())}
    return final.get(metric)


def summary(job: Document) -> Document:
    """A training job as a HyperParameterTrainingJobSummary."""
    trial, value = job[TRIAL], objective_value(job)
    has_ended = job["TrainingJobStatus"] not in UNFINISHED
    listed = {member: job[member] for member in _SUMMARY if member in job}
    listed["TunedHyperParameters"] = trial["TunedHyperParameters"]
    listed["ObjectiveStatus"] = "Succeeded" if value is not None else "Failed" if has_ended else "Pending"
    if trial["DefinitionName"]:
        listed["TrainingJobDefinitionName"] = trial["DefinitionName"]
    if value is not None:
        listed["FinalHyperParameterTuningJobObjectiveMetric"] = {**trial["Objective"], "Value": value}
    return listed


def best(jobs: Iterable[Document]) -> Document | None:
    """The training job with the best objective; the earliest of several."""
    values = [(job, value) for job in jobs if (value := objective_value(job)) is not None]
    if not values:
        return None
    sign = 1 if values[0][0][TRIAL]["Objective"]["Type"] == "Minimize" else -1
    return min(values, key=lambda item: sign * item[1])[0]


def jobs_since_best(jobs: Sequence[Document]) -> int:
    """How many training jobs have ended with an objective since the best one did."""
    ended = sorted((job for job in jobs if objective_value(job) is not None), key=lambda job: job["TrainingEndTime"])
    found = best(ended)
    return len(ended) - 1 - ended.index(found) if found else 0


def progress(app: App, region: str, job: Document) -> Document:
    """The members of a tuning job's description that follow from its training jobs."""
    jobs = training_jobs(app, region, job["HyperParameterTuningJobArn"])
    summaries = [summary(each) for each in jobs]
    statuses = [each["TrainingJobStatus"] for each in jobs]
    retryable = sum(each.get("FailureReason") == INTERRUPTED for each in jobs)
    objectives = [each["ObjectiveStatus"] for each in summaries]
    end = job.get("HyperParameterTuningEndTime") or app.clock.now()
    members: Document = {
        "TrainingJobStatusCounters": {
            "Completed": statuses.count("Completed"),
            "InProgress": sum(statuses.count(status) for status in UNFINISHED),
            "RetryableError": retryable,
            "NonRetryableError": statuses.count("Failed") - retryable,
            "Stopped": statuses.count("Stopped"),
        },
        "ObjectiveStatusCounters": {status: objectives.count(status) for status in ("Succeeded", "Pending", "Failed")},
        "TuningJobCompletionDetails": {
            **job.get("TuningJobCompletionDetails", {}),
            "NumberOfTrainingJobsObjectiveNotImproving": jobs_since_best(jobs),
        },
        "ConsumedResources": {"RuntimeInSeconds": round((end - job["CreationTime"]).total_seconds())},
    }
    if found := best(jobs):
        members["BestTrainingJob"] = summary(found)
    # Objectives of other data or another algorithm do not compare.
    if job.get("WarmStartConfig", {}).get("WarmStartType") == "IdenticalDataAndAlgorithm":
        everywhere = jobs + [each for parent in parents(app, region, job) for each in _trials(app, region, parent)]
        if found := best(everywhere):
            members["OverallBestTrainingJob"] = {**summary(found), "TuningJobName": found[TRIAL]["TuningJobName"]}
    return members


def parents(app: App, region: str, job: Document) -> list[Document]:
    """The tuning jobs a warm start builds on, as far as they still exist."""
    names = [
        each.get("HyperParameterTuningJobName", "")
        for each in job.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ())
    ]
    found = (app.store.get(KIND, region, name) for name in names)
    return [parent for parent in found if parent is not None]


def _trials(app: App, region: str, job: Document) -> list[Document]:
    return training_jobs(app, region, job["HyperParameterTuningJobArn"])

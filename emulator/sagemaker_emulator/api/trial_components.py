"""The trial components SageMaker keeps of every training, processing and transform job, for Search.

Search itself knows training jobs only; processing and transform jobs are found by these records, which hold the whole
job in ``SourceDetail``. They are made from the jobs when asked for: a job that is deleted takes its component along.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrialComponent.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.operations import Context

_JOBS = {"training-job": "Training", "processing-job": "Processing", "transform-job": "Transform"}


def trial_components(ctx: Context) -> list[dict[str, Any]]:
    """Return the trial components of all jobs of a region."""
    return [
        _component(ctx, kind, verb, job) for kind, verb in _JOBS.items() for job in ctx.app.store.list(kind, ctx.region)
    ]


def _component(ctx: Context, kind: str, verb: str, job: dict[str, Any]) -> dict[str, Any]:
    name = f"{job[f'{verb}JobName']}-aws-{kind}"
    arn = job[f"{verb}JobArn"]
    status = {"PrimaryStatus": job[f"{verb}JobStatus"], "Message": job.get("FailureReason")}
    component = {
        "TrialComponentName": name,
        "TrialComponentArn": common.arn(ctx, "experiment-trial-component", name),
        "DisplayName": job.get("ExperimentConfig", {}).get("TrialComponentDisplayName", name),
        "Source": {"SourceArn": arn, "SourceType": f"SageMaker{verb}Job"},
        "SourceDetail": {"SourceArn": arn, f"{verb}Job": job},
        "Status": {member: value for member, value in status.items() if value},
        "CreationTime": job["CreationTime"],
        "LastModifiedTime": job["LastModifiedTime"],
    }
    times = {"StartTime": job.get(f"{verb}StartTime"), "EndTime": job.get(f"{verb}EndTime")}
    return component | {member: moment for member, moment in times.items() if moment}

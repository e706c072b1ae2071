"""The work of the `tune` component: run a SageMaker hyperparameter tuning job and report on its trials."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.artifacts import Artifact, record
from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.errors import JobFailedError
from kfp_sagemaker.aws.kinds import TUNING_JOB
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.tuning.report import trials_table, write_report
from kfp_sagemaker.tuning.request import TuningJob, build_request

# What `train` adds by itself, and the SDK too; SageMaker's own begin with an underscore.
_ADDED_BY_SCRIPT_MODE = frozenset(
    "sagemaker_" + name
    for name in (
        "program",
        "submit_directory",
        "container_log_level",
        "region",
        "job_name",
        "estimator_class_name",
        "estimator_module",
    )
)


class Outputs(NamedTuple):
    """What the step returns."""

    tuning_job_name: str
    best_job_name: str
    best_model_data_url: str
    best_hyperparameters: dict[str, Any]
    objective_value: float
    trials: dict[str, Any]


def tune(*, metrics: Artifact, report: Artifact, region: str, assume_role_arn: str, **arguments: Any) -> Outputs:
    """Run a tuning job to its end.

    Args:
        metrics: Receives the best objective and how many training jobs there were.
        report: Receives the page about the trials.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.tuning.request.TuningJob`.

    Returns:
        The best training job, its model and hyperparameters, and all trials.

    Raises:
        JobFailedError: The tuning job failed, or ended without any result.
    """
    job = TuningJob(**arguments)
    session = open_session(region, assume_role_arn)
    service_model = session.client("sagemaker").meta.service_model
    request = build_request(job, region=session.region, service_model=service_model)
    outcome = engine.run(
        session,
        TUNING_JOB,
        request,
        name=job.job_name,
        name_prefix=job.name_prefix,
        tags=job.tags,
        timeout_seconds=job.deadline_seconds,
    )
    description = outcome.description
    trials = list_trials(session, outcome.name)
    write_report(report.path, description, trials)
    best = description.get("BestTrainingJob")
    if not best:
        raise JobFailedError(
            f"tuning job {outcome.name} ended without a best training job",
            reason="no training job reported the objective; see the metric's regular expression and the logs",
            console_url=outcome.console_url,
        )
    with aws_errors(f"describing the best training job {best['TrainingJobName']}"):
        trained = session.client("sagemaker").describe_training_job(TrainingJobName=best["TrainingJobName"])
    outputs = Outputs(
        tuning_job_name=outcome.name,
        best_job_name=best["TrainingJobName"],
        best_model_data_url=trained.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        best_hyperparameters=as_given_to_train(trained.get("HyperParameters", {})),
        objective_value=float(best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]),
        trials=trials_table(trials),
    )
    figures = _figures(description, outputs.objective_value)
    record(metrics, figures, figures)
    report.metadata.update(
        {
            "tuning_job_name": outcome.name,
            "tuning_job_arn": outcome.arn,
            "best_job_name": outputs.best_job_name,
            "best_model_data_url": outputs.best_model_data_url,
            "region": session.region,
            "console_url": outcome.console_url,
        }
    )
    return outputs


def list_trials(session: Session, name: str) -> list[dict[str, Any]]:
    """The training jobs of a tuning job, in the order they were started.

    Raises:
        AwsCallError: AWS refused to list them.
    """
    with aws_errors(f"listing the training jobs of tuning job {name}"):
        paginator = session.client("sagemaker").get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        pages = paginator.paginate(HyperParameterTuningJobName=name, PaginationConfig={"PageSize": 100})
        found = [trial for page in pages for trial in page["TrainingJobSummaries"]]
    return sorted(found, key=lambda trial: (trial["CreationTime"], trial["TrainingJobName"]))


def as_given_to_train(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """A training job's hyperparameters as ``train`` takes them.

    Args:
        hyperparameters: Of ``DescribeTrainingJob``; in script mode each is JSON.

    Returns:
        Without what SageMaker and script mode add.
    """
    own = {
        name: value
        for name, value in hyperparameters.items()
        if not name.startswith("_") and name not in _ADDED_BY_SCRIPT_MODE
    }
    if "sagemaker_program" not in hyperparameters:
        return own
    return {name: _decoded(value) for name, value in own.items()}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _figures(description: Mapping[str, Any], objective_value: float) -> dict[str, float]:
    """The best objective under its metric's name, the training jobs by their end, and the time."""
    best = description["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    counters = description["TrainingJobStatusCounters"]
    failures: Sequence[str] = ("RetryableError", "NonRetryableError")
    figures = {
        best["MetricName"]: objective_value,
        "completed_training_jobs": counters.get("Completed", 0),
        "stopped_training_jobs": counters.get("Stopped", 0),
        "failed_training_jobs": sum(counters.get(member, 0) for member in failures),
    }
    if "HyperParameterTuningEndTime" in description:
        elapsed = description["HyperParameterTuningEndTime"] - description["CreationTime"]
        figures["elapsed_seconds"] = elapsed.total_seconds()
    return figures

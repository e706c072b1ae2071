"""The work of the `train` component: run a SageMaker training job and report on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.artifacts import Artifact, record
from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import AwsCallError
from kfp_sagemaker.aws.kinds import TRAINING_JOB
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.training.request import TrainingJob, build_request


class Outputs(NamedTuple):
    """What the step returns."""

    job_name: str
    model_data_url: str
    training_image: str
    billable_seconds: int


def train(
    *,
    model: Artifact,
    metrics: Artifact,
    learning_curves: Artifact,
    export_metrics: bool,
    region: str,
    assume_role_arn: str,
    **arguments: Any,
) -> Outputs:
    """Run a training job to its end.

    Args:
        model: Receives the references to the trained model.
        metrics: Receives the final metrics and times.
        learning_curves: Receives the page with the metrics over time.
        export_metrics: Whether it does.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.training.request.TrainingJob`.

    Returns:
        The job's name, its model, image and billed time.
    """
    job = TrainingJob(**arguments)
    session = open_session(region, assume_role_arn)
    service_model = session.client("sagemaker").meta.service_model
    request = build_request(job, region=session.region, service_model=service_model)
    outcome = engine.run(
        session,
        TRAINING_JOB,
        request,
        name=job.job_name,
        name_prefix=job.name_prefix,
        tags=job.tags,
        timeout_seconds=job.deadline_seconds,
    )
    description = outcome.description
    outputs = Outputs(
        job_name=outcome.name,
        model_data_url=description.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        training_image=description["AlgorithmSpecification"].get("TrainingImage", ""),
        billable_seconds=int(description.get("BillableTimeInSeconds", description.get("TrainingTimeInSeconds", 0))),
    )
    references = {
        **outputs._asdict(),
        "training_job_arn": outcome.arn,
        "region": session.region,
        "console_url": outcome.console_url,
    }
    record(model, description, references)
    figures = final_figures(description)
    record(metrics, figures, figures)
    if export_metrics:
        from kfp_sagemaker.metrics import export

        try:
            export.write_page(session, description, learning_curves.path)
        except AwsCallError as error:
            # The model is there and paid for.
            print_line(f"WARNING: no learning curves: {error}")
    return outputs


def final_figures(description: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a finished job: its final metrics, billable, training and elapsed seconds.

    Args:
        description: Of ``DescribeTrainingJob``.

    Returns:
        Name to value. When a metric occurs several times the last one counts.
    """
    reported = sorted(description.get("FinalMetricDataList", ()), key=lambda metric: metric["Timestamp"])
    figures = {metric["MetricName"]: float(metric["Value"]) for metric in reported}
    times = {"billable_seconds": "BillableTimeInSeconds", "training_seconds": "TrainingTimeInSeconds"}
    figures |= {name: float(description[member]) for name, member in times.items() if member in description}
    if "TrainingEndTime" in description:
        elapsed = description["TrainingEndTime"] - description["CreationTime"]
        figures["elapsed_seconds"] = elapsed.total_seconds()
    return figures

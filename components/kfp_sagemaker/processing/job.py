"""The work of the `process` component: run a SageMaker processing job and say where its outputs are."""

from __future__ import annotations

from typing import Any, NamedTuple

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.kinds import PROCESSING_JOB
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.processing.request import ProcessingJob, build_request


class Outputs(NamedTuple):
    """What the step returns."""

    job_name: str
    output_s3_uris: dict[str, str]
    exit_message: str


def process(*, region: str, assume_role_arn: str, **arguments: Any) -> Outputs:
    """Run a processing job to its end.

    Args:
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.processing.request.ProcessingJob`.

    Returns:
        The job's name, the S3 URI of each output and the container's exit message.
    """
    job = ProcessingJob(**arguments)
    session = open_session(region, assume_role_arn)
    service_model = session.client("sagemaker").meta.service_model
    request = build_request(job, region=session.region, service_model=service_model)
    outcome = engine.run(
        session,
        PROCESSING_JOB,
        request,
        name=job.job_name,
        name_prefix=job.job_name_prefix or "process",
        tags=job.tags,
        timeout_seconds=job.deadline_seconds,
    )
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return Outputs(
        job_name=outcome.name,
        output_s3_uris={item["OutputName"]: item["S3Output"]["S3Uri"] for item in outputs if "S3Output" in item},
        exit_message=outcome.description.get("ExitMessage", ""),
    )

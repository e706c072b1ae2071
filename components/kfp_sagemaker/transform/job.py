"""The work of the `batch_transform` component: run a SageMaker batch transform job and say where its results are."""

from __future__ import annotations

import posixpath
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.call_errors import aws_errors, error_code
from kfp_sagemaker.aws.kinds import TRANSFORM_JOB
from kfp_sagemaker.aws.s3 import join_uri, parse_uri
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.transform.request import TransformJob, build_request


class Outputs(NamedTuple):
    """What the step returns."""

    job_name: str
    output_s3_uri: str
    output_file_s3_uri: str


def batch_transform(*, region: str, assume_role_arn: str, **arguments: Any) -> Outputs:
    """Run a batch transform job to its end.

    Args:
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.transform.request.TransformJob`.

    Returns:
        The job's name and where its results are.
    """
    return run(open_session(region, assume_role_arn), TransformJob(**arguments))


def run(session: Session, job: TransformJob) -> Outputs:
    """Run a batch transform job to its end.

    Args:
        session: The step's session.
        job: The arguments.

    Returns:
        The job's name and where its results are.
    """
    request = build_request(job, service_model=session.client("sagemaker").meta.service_model)
    outcome = engine.run(
        session,
        TRANSFORM_JOB,
        request,
        name=job.job_name,
        name_prefix=job.job_name_prefix or "transform",
        tags=job.tags,
        timeout_seconds=job.timeout_seconds,
    )
    return Outputs(outcome.name, job.output_s3_uri, output_file(session, job))


def output_file(session: Session, job: TransformJob) -> str:
    """Where the result is when the input is one object.

    Args:
        session: The step's session.
        job: The finished job.

    Returns:
        The result's S3 URI; empty for a prefix or a manifest, and where the step may not look.
    """
    bucket, key = parse_uri(job.input_s3_uri)
    if job.s3_data_type != "S3Prefix" or not key or key.endswith("/"):
        return ""
    with aws_errors(f"looking at {job.input_s3_uri}"):
        try:
            session.client("s3").head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ("403", "404"):
                return ""
            raise
    return join_uri(job.output_s3_uri, f"{posixpath.basename(key)}.out")

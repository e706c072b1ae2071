"""The work of the `run_glue_job` component: the job from a script if wanted, then a run of it to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.aws import engine, names, run_context, s3
from kfp_sagemaker.aws.call_errors import aws_errors, error_code
from kfp_sagemaker.aws.errors import NameTakenError
from kfp_sagemaker.aws.kinds import GLUE_PYTHON_SHELL_RUN, GLUE_SPARK_RUN
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.tags import REQUEST, as_mapping, run_tags
from kfp_sagemaker.glue.request import PYTHON_SHELL, GlueRun, build_requests

_EXISTS = ("AlreadyExistsException", "IdempotentParameterMismatchException")
_SECONDS_PER_HOUR = 3600


class Outputs(NamedTuple):
    """What the step returns."""

    run_id: str
    execution_seconds: int
    dpu_hours: float


def run(*, region: str, assume_role_arn: str, **arguments: Any) -> Outputs:
    """Run a Glue job to its end.

    Args:
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.glue.request.GlueRun`.

    Returns:
        The run's id, and what it took.
    """
    glue_run = GlueRun(**arguments)
    session = open_session(region, assume_role_arn)
    job, request = build_requests(glue_run, session.client("glue").meta.service_model)
    if glue_run.script:
        s3.write_text(session, glue_run.script_s3_uri, glue_run.script, content_type="text/x-python")
    command = _put_job(session, job, glue_run.tags) if job else _command_of(session, glue_run.job_name)
    outcome = engine.run(
        session,
        GLUE_PYTHON_SHELL_RUN if command == PYTHON_SHELL else GLUE_SPARK_RUN,
        request,
        name_prefix=glue_run.job_name,
        timeout_seconds=glue_run.deadline_seconds,
    )
    ended = outcome.description["JobRun"]
    seconds = int(ended.get("ExecutionTime", 0))
    # AWS tells DPU seconds where workers come and go; elsewhere the whole capacity is there all the time.
    dpu_seconds = ended.get("DPUSeconds") or seconds * ended.get("MaxCapacity", 0.0)
    return Outputs(outcome.name, seconds, round(dpu_seconds / _SECONDS_PER_HOUR, 6))


def _command_of(session: Session, job_name: str) -> str:
    with aws_errors(f"looking at Glue job {job_name}"):
        return str(session.client("glue").get_job(JobName=job_name)["Job"]["Command"]["Name"])


def _put_job(session: Session, job: Mapping[str, Any], tags: Mapping[str, Any]) -> str:
    """Create the job, or bring the suite's own of that name up to date; returns its command."""
    glue, name = session.client("glue"), str(job["Name"])
    all_tags = as_mapping(run_tags(run_context.current(), tags, request_hash=names.request_hash(job)))
    command = str(job["Command"]["Name"])
    with aws_errors(f"creating Glue job {name}"):
        try:
            glue.create_job(**job, Tags=all_tags)
        except ClientError as error:
            if error_code(error) not in _EXISTS:
                raise
        else:
            # The same request again is answered as if it had created the job, which has its tags already.
            engine.print_line(f"Glue job {name}: created, or as it was")
            return command
    arn = f"arn:{session.partition}:glue:{session.region}:{session.account_id}:job/{name}"
    with aws_errors(f"updating Glue job {name}"):
        if REQUEST not in glue.get_tags(ResourceArn=arn)["Tags"]:
            raise NameTakenError(
                f"Glue job {name} already exists and was made by somebody else: choose another job_name, or leave "
                "script_s3_uri empty to run it as it is"
            )
        glue.update_job(JobName=name, JobUpdate={key: value for key, value in job.items() if key != "Name"})
    engine.print_line(f"Glue job {name}: updated")
    return command

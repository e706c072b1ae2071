"""The `run_glue_job` component: the face Kubeflow shows of a run of a Glue job."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def run_glue_job(
    job_name: str,
    arguments: dict = {},
    script_s3_uri: str = "",
    script: str = "",
    role_arn: str = "",
    command: str = "",
    glue_version: str = "",
    python_version: str = "",
    worker_type: str = "",
    number_of_workers: int = 0,
    max_capacity: float = 0.0,
    max_runtime_minutes: int = 0,
    max_concurrent_runs: int = 0,
    connections: list = [],
    security_configuration: str = "",
    extra_request: dict = {},
    timeout_seconds: int = 0,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", run_id=str, execution_seconds=int, dpu_hours=float):
    """Run a Glue job, Spark or Python shell, and wait for it, streaming its log.

    Without `script_s3_uri` the job exists. With it the job is created from the script, or brought up to date when an
    earlier run of the component created it. A retried step adopts the run it already started, which it knows by the
    argument --kfp-sagemaker-run that every run gets besides yours; a cancelled step stops its run. AWS charges for the
    run's DPU hours.

    API: https://docs.aws.amazon.com/glue/latest/webapi/API_StartJobRun.html

    Args:
        job_name: Name of the Glue job, 1 to 255 letters, digits, spaces and . _ - /.
        arguments: Arguments of the run by name, with or without their two hyphens; numbers are written as text. The
            script reads them with awsglue.utils.getResolvedOptions. No place for secrets: Glue shows them.
        script_s3_uri: S3 URI of the Python script to create the job from; empty runs the job as it is.
        script: Python source to upload to `script_s3_uri` first; empty takes the script that is there.
        role_arn: ARN of the IAM role Glue assumes for the job, trusting glue.amazonaws.com; needed with
            `script_s3_uri`. The suite's own policies let steps pass roles named kfp-sagemaker-glue*.
        command: Kind of a job that is created, glueetl (Spark) or pythonshell; empty means glueetl.
        glue_version: Glue version of a job that is created, such as 5.0; empty means 5.0 for Spark, 3.0 for a Python
            shell job.
        python_version: Python version of a job that is created, 3 for Spark or 3.9 for a Python shell job, which are
            the defaults when empty.
        worker_type: Worker type, such as G.1X or G.2X (1 and 2 DPU); sets the price. Empty means the job's own, or
            G.1X for a Spark job that is created.
        number_of_workers: Number of workers; 0 means the job's own, or 2 for a Spark job that is created.
        max_capacity: DPUs of a Python shell job, 0.0625 or 1, or of a Spark job without workers; 0 means the job's own.
        max_runtime_minutes: Glue ends the run as TIMEOUT when it has run for so long; 0 means the job's own limit.
        max_concurrent_runs: How many runs of a job that is created may go on at once; 0 means 1.
        connections: Names of Glue connections for a job that is created, for private networks and databases.
        security_configuration: Name of the Glue security configuration that encrypts what the run writes; empty means
            the job's own.
        extra_request: Anything else CreateJob accepts, such as DefaultArguments, merged last and deeply into the job
            that is created.
        timeout_seconds: Stop the run and fail the step when it is not finished by then; 0 means `max_runtime_minutes`
            and an hour, or two days and an hour when that is 0 too.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for a job that is created, name to value; runs have none.

    Returns:
        run_id: ID of the run.
        execution_seconds: How long it ran, without its start.
        dpu_hours: What AWS charges for: DPUs times hours.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The run failed; holds Glue's message, the last log lines and the console page.
        NameTakenError: The job to be created from a script is somebody else's.
    """
    given = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.glue import job

    return job.run(**given)

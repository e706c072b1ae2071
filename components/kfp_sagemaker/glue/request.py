"""The requests of a Glue run, and of the job it is a run of: built and checked with no AWS.

API: https://docs.aws.amazon.com/glue/latest/webapi/API_CreateJob.html and
https://docs.aws.amazon.com/glue/latest/webapi/API_StartJobRun.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.model import ServiceModel

from kfp_sagemaker.aws.job_arguments import gather_tags
from kfp_sagemaker.aws.kinds import GLUE_SPARK_RUN
from kfp_sagemaker.aws.request import RequestBuilder
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.values import normalise, string_map

SPARK = "glueetl"
PYTHON_SHELL = "pythonshell"
_VERSIONS = {SPARK: ("5.0", "3"), PYTHON_SHELL: ("3.0", "3.9")}
_DEFAULT_WORKER_TYPE = "G.1X"
_DEFAULT_WORKERS = 2
# The Glue developer guide, "Job": the time limit of a job that says none.
_DEFAULT_RUNTIME_MINUTES = 2880
_QUEUE_ALLOWANCE_SECONDS = 3600
_JOB_NAME = r"[\w ./\-]{1,255}"
# Arguments that describe a job, and mean nothing when there is one.
_OF_NEW_JOBS = (
    "script",
    "role_arn",
    "command",
    "glue_version",
    "python_version",
    "max_concurrent_runs",
    "connections",
    "extra_request",
    "tags",
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GlueRun:
    """The arguments of ``run_glue_job``; see the component for the meaning of each."""

    job_name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    script_s3_uri: str = ""
    script: str = ""
    role_arn: str = ""
    command: str = ""
    glue_version: str = ""
    python_version: str = ""
    worker_type: str = ""
    number_of_workers: int = 0
    max_capacity: float = 0
    max_runtime_minutes: int = 0
    max_concurrent_runs: int = 0
    connections: Sequence[str] = ()
    security_configuration: str = ""
    extra_request: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 0
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deadline_seconds(self) -> float:
        """When the step gives up."""
        minutes = self.max_runtime_minutes or _DEFAULT_RUNTIME_MINUTES
        return self.timeout_seconds or minutes * 60 + _QUEUE_ALLOWANCE_SECONDS


def build_requests(run: GlueRun, service_model: ServiceModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Build the ``CreateJob`` and the ``StartJobRun`` request.

    Args:
        run: The arguments.
        service_model: botocore's model of Glue.

    Returns:
        The job without its tags, empty when it exists; and the run.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("run_glue_job")
    _check(run, problems)
    start = RequestBuilder(service_model, "StartJobRun", problems)
    start.set("JobName", run.job_name, argument="job_name")
    start.set("Arguments", _arguments(run.arguments, problems), argument="arguments")
    start.set("Timeout", run.max_runtime_minutes or None, argument="max_runtime_minutes")
    start.set("SecurityConfiguration", run.security_configuration, argument="security_configuration")
    start.set("WorkerType", run.worker_type, argument="worker_type")
    start.set("NumberOfWorkers", run.number_of_workers or None, argument="number_of_workers")
    start.set("MaxCapacity", run.max_capacity or None, argument="max_capacity")
    create = _job(run, RequestBuilder(service_model, "CreateJob", problems)) if run.script_s3_uri else None
    request = start.finish(supplied_later=[])
    return create.finish(supplied_later=[]) if create else {}, request


def _job(run: GlueRun, create: RequestBuilder) -> RequestBuilder:
    command = run.command or SPARK
    glue_version, python_version = _VERSIONS.get(command, ("", ""))
    create.set("Name", run.job_name, argument="job_name")
    create.set("Role", run.role_arn, argument="role_arn")
    create.set("Command.Name", command, argument="command")
    create.set("Command.ScriptLocation", run.script_s3_uri, argument="script_s3_uri")
    create.set("Command.PythonVersion", run.python_version or python_version, argument="python_version")
    create.set("GlueVersion", run.glue_version or glue_version, argument="glue_version")
    create.set("Timeout", run.max_runtime_minutes or None, argument="max_runtime_minutes")
    create.set("ExecutionProperty.MaxConcurrentRuns", run.max_concurrent_runs or None, argument="max_concurrent_runs")
    create.set("Connections.Connections", run.connections, argument="connections")
    create.set("SecurityConfiguration", run.security_configuration, argument="security_configuration")
    create.set("MaxCapacity", run.max_capacity or None, argument="max_capacity")
    if command == SPARK and not run.max_capacity:
        create.set("WorkerType", run.worker_type or _DEFAULT_WORKER_TYPE, argument="worker_type")
        create.set("NumberOfWorkers", run.number_of_workers or _DEFAULT_WORKERS, argument="number_of_workers")
    reserved = {"Name": "job_name", "Tags": "tags"}
    create.merge(run.extra_request, argument="extra_request", reserved=reserved)
    return create


def _check(run: GlueRun, problems: Problems) -> None:
    """What AWS's model does not say: arguments that need or exclude each other."""
    if problems.required("job_name", run.job_name):
        problems.matches("job_name", run.job_name, _JOB_NAME, "1 to 255 letters, digits, spaces and . _ - /")
    problems.one_of("command", run.command, (SPARK, PYTHON_SHELL))
    problems.between("timeout_seconds", run.timeout_seconds, minimum=0)
    for argument in ("number_of_workers", "max_capacity", "max_runtime_minutes", "max_concurrent_runs"):
        problems.between(argument, getattr(run, argument), minimum=0)
    if run.script_s3_uri:
        problems.s3_uri("script_s3_uri", run.script_s3_uri)
        if problems.required("role_arn", run.role_arn):
            problems.role_arn("role_arn", run.role_arn)
    else:
        for argument in _OF_NEW_JOBS:
            if value := getattr(run, argument):
                problems.add(argument, value, "left out without script_s3_uri: it describes a job that is created")
    if run.max_capacity and (run.worker_type or run.number_of_workers):
        problems.add("max_capacity", run.max_capacity, "left out with worker_type or number_of_workers")
    if run.command == PYTHON_SHELL and (run.worker_type or run.number_of_workers):
        problems.add(
            "worker_type", run.worker_type, "left out for a Python shell job, as number_of_workers: it has none"
        )
    gather_tags(problems, run.tags)


def _arguments(given: Mapping[str, Any], problems: Problems) -> Any:
    if not isinstance(given, Mapping):
        return given
    run_of = GLUE_SPARK_RUN.run_of
    named = {name if str(name).startswith("--") else f"--{name}": value for name, value in given.items()}
    if run_of and run_of.marker_argument in named:
        problems.add(f"arguments.{run_of.marker_argument}", named[run_of.marker_argument], "left out: the step sets it")
    return string_map(normalise(named))

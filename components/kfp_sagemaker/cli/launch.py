"""Launches a run in its place: the embedded AWS, started for it and stopped after it, or the caller's AWS account."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.access.model_access_check import SESSION_NAME
from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.cli import account, emulator
from kfp_sagemaker.cli.pipeline_file import PipelineFile
from kfp_sagemaker.cli.run import Run, execute, show_outcome

AUTHORIZATIONS_FILE = "authorizations.json"
PROVIDED = ("bucket", "role_arn", "region")


def run_locally(
    pipeline: PipelineFile,
    arguments: dict[str, Any],
    run: Run,
    console: Console,
    *,
    auth: bool,
    multi_model_memory_mb: int,
    keep: bool,
) -> bool:
    """Run a pipeline on an embedded AWS of its own.

    Args:
        pipeline: The compiled pipeline.
        arguments: Its arguments; bucket, role and region are filled in.
        run: The run.
        console: Shows how it goes.
        auth: Whether every call is checked against the policies a cluster's steps would have. What was checked is then
            in the run's folder.
        multi_model_memory_mb: Memory for the models of a multi-model endpoint; 0 takes the instance type's.
        keep: Whether the embedded AWS stays up after a success.

    Returns:
        Whether it succeeded.
    """
    check_required(pipeline, arguments)
    run.logs_dir.mkdir(parents=True, exist_ok=True)
    with console.status("Starting the embedded AWS"):
        aws = emulator.start(
            run.folder / "aws",
            run.logs_dir / "emulator.log",
            auth=auth,
            multi_model_memory_mb=multi_model_memory_mb,
            outlives_parent=keep,
        )
    stays = False
    try:
        environment = {**aws.environment, **run.environment}
        run = replace(run, environment=environment)
        run.save(emulator_pid=aws.pid)
        succeeded = _run(pipeline, arguments, run, console, is_local=True, auth=auth)
        stays = keep and succeeded
    finally:
        if auth:
            refused = emulator.save_authorizations(aws.environment, run.folder / AUTHORIZATIONS_FILE)
            for call in (each for each in refused if not each.endswith(f"/{SESSION_NAME}")):
                console.print(f"[red]Refused[/red] {call}", soft_wrap=True)
        if not stays:
            aws.stop()
            shutil.rmtree(run.folder / "aws", ignore_errors=True)
    if stays:
        console.print("\nThe embedded AWS keeps serving the endpoint. To use it, set in your shell:\n")
        for line in emulator.shell_exports(environment):
            console.print(f"  {line}", soft_wrap=True)
        console.print(f"\nTo end it:\n\n  kfp-sagemaker stop {run.run_id}", soft_wrap=True)
    return succeeded


def run_on_aws(pipeline: PipelineFile, arguments: dict[str, Any], run: Run, console: Console, *, ask: bool) -> bool:
    """Run a pipeline's steps here and its jobs in the caller's AWS account, after showing what that creates.

    Args:
        pipeline: The compiled pipeline.
        arguments: Its arguments; bucket, role and region are filled in.
        run: The run.
        console: Shows how it goes.
        ask: Whether to ask before anything is created.

    Returns:
        Whether it succeeded.
    """
    check_required(pipeline, arguments)
    return _run(pipeline, arguments, run, console, is_local=False, ask=ask)


def check_required(pipeline: PipelineFile, arguments: Mapping[str, Any]) -> None:
    """Refuse to start without a parameter that nobody can fill in.

    Raises:
        InputError: One or more are missing.
    """
    known = {*arguments, *PROVIDED}
    missing = [each.name for each in pipeline.parameters.values() if each.is_required and each.name not in known]
    if missing:
        raise InputError([f"--param {name}=... is missing" for name in missing], pipeline.name)


def _run(
    pipeline: PipelineFile,
    arguments: dict[str, Any],
    run: Run,
    console: Console,
    *,
    is_local: bool,
    ask: bool = False,
    auth: bool = False,
) -> bool:
    with environment_of(run.environment):
        session = open_session()
        bucket = arguments.get("bucket") or account.default_bucket(session)
        role_arn = arguments.get("role_arn", "")
        if not is_local:
            _show_plan(session, pipeline, arguments, bucket, role_arn, console)
            if ask and not click.confirm("Go ahead?"):
                raise click.Abort
            run.logs_dir.mkdir(parents=True, exist_ok=True)
            run.save(bucket=bucket)
        prefix = _prefix(pipeline, arguments) if auth else ""
        role_arn = account.prepare(session, bucket, role_arn, is_local=is_local, prefix=prefix)
        if auth:
            place = Place(session.account_id, bucket, prefix, session.partition, session.region)
            run = replace(run, environment={**run.environment, **account.use_pod_policies(session, place)})
    ours = dict(zip(PROVIDED, (bucket, role_arn, session.region), strict=True))
    arguments |= {name: value for name, value in ours.items() if name in pipeline.parameters}
    state = execute(pipeline, arguments, run, console)
    show_outcome(state, run, console)
    return bool(state.succeeded)


def _prefix(pipeline: PipelineFile, arguments: Mapping[str, Any]) -> str:
    """What the run's keys start with, which is all that its policies then allow."""
    parameter = pipeline.parameters.get("prefix")
    return str(arguments.get("prefix") or (parameter.default if parameter else "") or "")


def _show_plan(
    session: Session, pipeline: PipelineFile, arguments: Mapping[str, Any], bucket: str, role_arn: str, console: Console
) -> None:

    exists = "exists" if account.bucket_exists(session, bucket) else "will be created, and stay"
    own_role = f"{account.ROLE_NAME}, {'exists' if account.find_role(session) else 'will be created, and stay'}"
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row("account", f"{session.account_id}, {session.region}")
    table.add_row("bucket", f"{bucket}, {exists}")
    table.add_row("role", role_arn or own_role)
    for name, parameter in pipeline.parameters.items():
        if name.endswith(("instance_type", "instance_count")):
            value = arguments.get(name, parameter.default)
            table.add_row(name.replace("_", " "), str(int(value) if isinstance(value, float) else value))
    loops = [task for task in pipeline.all_tasks() if task.kind == "loop"]
    inner = {each.name for loop in loops for each in loop.walk()}
    repeated = [t.display_name for loop in loops for t in loop.walk() if t.kind == "step"]
    once = [t.display_name for t in pipeline.all_tasks() if t.kind == "step" and t.name not in inner]
    table.add_row("steps", ", ".join(once))
    if repeated:
        table.add_row("repeated steps", ", ".join(repeated))
    console.print("This creates in AWS, and AWS charges for it:\n")
    console.print(table)
    console.print()


@contextlib.contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Let this process's own AWS calls go where the steps' go."""
    before = dict(os.environ)
    if "AWS_ENDPOINT_URL" in variables:  # the embedded AWS: nothing of the caller's own profile may show through
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

"""``kfp-sagemaker flow``: validate a training flow, render it for an engine, compare it, run it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.cli import git
from kfp_sagemaker.cli.flow_diff import diff_command
from kfp_sagemaker.cli.flow_report import report_command
from kfp_sagemaker.cli.flow_run import run_command
from kfp_sagemaker.flow import loading
from kfp_sagemaker.flow.definition import Flow
from kfp_sagemaker.flow.loading import ENGINES, FlowFileError

CONSOLE = Console(highlight=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])
file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group("flow")
def flow_group() -> None:
    """Training flows in one file, flow.yaml: validate, render, compare, run, report.

    \b
    kfp-sagemaker flow validate flow.yaml                        every problem with its line
    kfp-sagemaker flow run flow.yaml                             here: no AWS account needed
    kfp-sagemaker flow run flow.yaml --engine stepfunctions --aws
    kfp-sagemaker flow diff flow.yaml --against main             what a change means for the jobs
    kfp-sagemaker flow report runs/ID --github                   the verdict on the pull request
    """


@flow_group.command("validate")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE...")
@click.option("--engine", type=click.Choice(ENGINES), help="Also refuse what this engine cannot run.")
def validate_command(files: tuple[Path, ...], engine: str | None) -> None:
    """Check flows: one line a problem, FILE:LINE: PATH: MESSAGE. Ends with 1 when there is any."""
    failed = False
    for file in files:
        try:
            flow = loading.load(file, engine=engine or "")
        except FlowFileError as error:
            failed = True
            for problem in error.details:
                click.echo(str(problem), err=True)
        else:
            click.echo(f"{file}: {flow.name} is valid")
    sys.exit(1 if failed else 0)


def _place_options(function: _Command) -> _Command:
    options = (
        click.option(
            "--commit", default="", help="Commit that the jobs are named after. Default: the one checked out."
        ),
        click.option("--bucket", default="", help="Bucket, where the file names none."),
        click.option("--role-arn", default="", help="Role of SageMaker's jobs, where the file names none."),
        click.option("--account-id", default="", help="In place of both: your account, with the project's own names."),
        click.option("--region", default="", help="Region, where the file names none."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@flow_group.command("render")
@file_argument
@click.option("--engine", type=click.Choice(["kubeflow", "stepfunctions"]), default="kubeflow", show_default=True)
@click.option("--role", is_flag=True, help="Step Functions: the execution role's trust and policy instead.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@_place_options
def render_command(
    file: Path,
    engine: str,
    role: bool,
    output: Path | None,
    commit: str,
    bucket: str,
    role_arn: str,
    account_id: str,
    region: str,
) -> None:
    """Write FILE as a Kubeflow pipeline, or as an Amazon States Language definition.

    Nothing is called, and nothing uploaded: `flow run` uploads what the flow takes from the repository.
    """
    from kfp_sagemaker.flow import plan, requests

    if role and engine != "stepfunctions":
        raise click.UsageError("--role is for --engine stepfunctions.")
    flow = loading.load(file, engine=engine)
    session = requests.offline_session(region or flow.region)
    place = _Place(flow, bucket, role_arn, account_id, session.region, session.partition)
    setting = place.setting(commit or git.head_commit(file.resolve().parent), engine)
    made = plan.build(flow, setting)
    built = requests.build(made, session)  # checks every request, whatever is written
    if engine == "kubeflow":
        text = _pipeline_yaml(made)
    elif role:
        from kfp_sagemaker.access.documents import Place
        from kfp_sagemaker.flow import execution_role

        where = Place(place.account_id, setting.bucket, partition=session.partition, region=session.region)
        document = {
            "role_name": execution_role.role_name(flow.name),
            "trust": execution_role.trust(where),
            "policy": execution_role.policy(where, made, built),
        }
        text = json.dumps(document, indent=2) + "\n"
    else:
        from kfp_sagemaker.flow import state_machine

        text = json.dumps(state_machine.definition(made, built), indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    CONSOLE.print(f"Wrote {output}", soft_wrap=True)
    for upload in made.uploads:
        CONSOLE.print(f"[dim]needs {upload.s3_uri}: `flow run` uploads it[/dim]", soft_wrap=True)


class _Place:
    """Where a flow is rendered for: what the file says, then the options, then the account's own names."""

    def __init__(self, flow: Flow, bucket: str, role_arn: str, account_id: str, region: str, partition: str) -> None:
        from kfp_sagemaker.access.documents import EXECUTION_ROLE_NAME
        from kfp_sagemaker.flow.execution_role import GLUE_ROLE_NAME

        own_bucket = f"kfp-sagemaker-{account_id}-{region}" if account_id else ""
        own_role = f"arn:{partition}:iam::{account_id}:role/{EXECUTION_ROLE_NAME}" if account_id else ""
        self.flow = flow
        self.region = region
        self.bucket = flow.bucket or bucket or own_bucket
        self.role_arn = flow.roles.sagemaker or role_arn or own_role
        start = self.role_arn.rpartition("/")[0]
        self._glue_role_arn = f"{start}/{GLUE_ROLE_NAME}"
        problems = []
        if not self.bucket:
            problems.append("bucket is not known: set bucket in the file, or give --bucket or --account-id")
        if not self.role_arn:
            problems.append("the role is not known: set roles.sagemaker, or give --role-arn or --account-id")
        if problems:
            raise InputError(problems, flow.name)
        self.account_id = account_id or self.role_arn.split(":")[4]

    def setting(self, commit: str, engine: str) -> Any:
        from kfp_sagemaker._component import ANALYZER_IMAGE
        from kfp_sagemaker.flow.plan import Setting

        return Setting(
            bucket=self.bucket,
            region=self.region,
            role_arn=self.role_arn,
            glue_role_arn=self.flow.roles.glue or self._glue_role_arn,
            commit=commit,
            engine=engine,
            analyzer_image=ANALYZER_IMAGE,
        )


def _pipeline_yaml(made: Any) -> str:
    from kfp_sagemaker.cli.flow_pipeline import compile_flow

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pipeline.yaml"
        compile_flow(made, target)
        return target.read_text(encoding="utf-8")


for _command in (diff_command, report_command, run_command):
    flow_group.add_command(_command)

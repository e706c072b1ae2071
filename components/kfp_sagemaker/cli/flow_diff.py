"""``kfp-sagemaker flow diff``: what a change of a flow means for its jobs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kfp_sagemaker.cli import git
from kfp_sagemaker.flow import loading
from kfp_sagemaker.flow.changes import JobChange, compare
from kfp_sagemaker.flow.loading import ENGINES

CONSOLE = Console(highlight=False)
_MARKS = {"added": "[green]+[/green]", "removed": "[red]-[/red]", "changed": "[yellow]~[/yellow]"}
_WORDS = {"added": "new", "removed": "no longer runs", "changed": "runs again"}
# Both sides get the same, so that only what the files say differs.
_ANY_ROLE = "arn:aws:iam::000000000000:role/kfp-sagemaker-execution"
_ANY_BUCKET = "bucket"
_ANY_COMMIT = "commit"


@click.command("diff")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--against", default="HEAD", show_default=True, metavar="FILE|GIT_REF", help="What to compare with.")
@click.option("--engine", type=click.Choice(ENGINES), default="stepfunctions", show_default=True)
@click.option("--exit-code", is_flag=True, help="End with 1 when there are differences, as git diff does.")
def diff_command(file: Path, against: str, engine: str, exit_code: bool) -> None:
    """Show what the change from --against to FILE means for the jobs: which fields of their requests differ.

    A job whose request changed runs again; the others' results are reused on the same commit.
    """
    with ExitStack() as stack:
        other = Path(against)
        if not other.is_file():
            other = stack.enter_context(git.at_commit(file, against))
        changes = compare(_planned(other, engine), _planned(file, engine))
    if not changes:
        CONSOLE.print(f"The same jobs as {against}.", soft_wrap=True)
        return
    for change in changes:
        why = ""
        if change.kind == "changed" and all(field.follows for field in change.fields):
            why = ", because of what it reads"
        said = f"{_MARKS[change.kind]} [bold]{change.step}[/bold]  [dim]{change.operation}[/dim]"
        CONSOLE.print(f"{said}, {_WORDS[change.kind]}{why}")
        if change.kind == "changed" and not why:
            CONSOLE.print(_table(change))
    sys.exit(1 if exit_code else 0)


def _planned(file: Path, engine: str) -> Any:
    from kfp_sagemaker._component import ANALYZER_IMAGE
    from kfp_sagemaker.flow import plan, requests

    flow = loading.load(file, engine=engine)
    session = requests.offline_session(flow.region or "us-east-1")
    setting = plan.Setting(
        bucket=flow.bucket or _ANY_BUCKET,
        region=session.region,
        role_arn=flow.roles.sagemaker or _ANY_ROLE,
        glue_role_arn=flow.roles.glue,
        commit=_ANY_COMMIT,
        engine=engine,
        analyzer_image=ANALYZER_IMAGE,
    )
    made = plan.build(flow, setting)
    return made, requests.build(made, session)


def _table(change: JobChange) -> Table:
    table = Table("", "field", "before", "after", box=None, show_header=False, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for field in (each for each in change.fields if not each.follows):
        table.add_row(f"  {_MARKS[field.kind]}", escape(field.path), _shown(field.before), _shown(field.after))
    return table


def _shown(value: Any) -> str:
    return "" if value is None else escape(str(value))

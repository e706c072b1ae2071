"""``kfp-sagemaker clean``: lists what a run left on AWS, found by its tags, and deletes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

if TYPE_CHECKING:
    from kfp_sagemaker.aws.session import Session
    from kfp_sagemaker.endpoints.delete import Plan

CONSOLE = Console(highlight=False, soft_wrap=True)


def plan_of(run_id: str) -> Plan:
    """All that carries the run's tag, and nothing that does not: a run may serve the models of another."""
    from kfp_sagemaker.endpoints import delete

    return delete.build_plan(run_id=run_id, delete_dependencies=False)


def list_resources(session: Session, plan: Plan) -> list[str]:
    """Find and print what a run left, such as ``model/prices``."""
    from kfp_sagemaker.endpoints import delete

    found = delete.find(session, plan)
    for name in found:
        CONSOLE.print(name)
    if not found:
        CONSOLE.print(f"Run {plan.run_id} left nothing in {session.region}.")
    return found


@click.command("clean")
@click.argument("run_id")
@click.option("--region", default="", help="AWS region; by default AWS_REGION or your profile's.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only list.")
def clean_command(run_id: str, region: str, yes: bool, dry_run: bool) -> None:
    """List the running jobs, schedules, endpoints and models of RUN_ID on AWS; ask, then stop and delete them.

    RUN_ID is the id that Kubeflow shows. Objects in S3 stay.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import delete

    session = open_session(region)
    plan = plan_of(run_id)
    found = list_resources(session, plan)
    if dry_run or not found:
        return
    if not yes:
        click.confirm(f"Stop and delete these {len(found)}?", abort=True)
    # It says itself what it deletes.
    delete.run(session, plan, keep=False)

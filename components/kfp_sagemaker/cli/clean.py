"""``kfp-sagemaker clean``: lists what a run left on AWS, found by its tags, and deletes it."""

from __future__ import annotations

import click
from rich.console import Console

CONSOLE = Console(highlight=False)


@click.command("clean")
@click.argument("run_id")
@click.option("--region", default="", help="AWS region; by default AWS_REGION or your profile's.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only list.")
def clean_command(run_id: str, region: str, yes: bool, dry_run: bool) -> None:
    """List the running jobs, endpoints and models of RUN_ID on AWS; stop and delete them.

    RUN_ID is the id that Kubeflow shows. Objects in S3 stay.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import delete, run_resources

    session = open_session(region)
    listings = (*run_resources.JOBS, run_resources.ENDPOINTS, run_resources.CONFIGS, run_resources.MODELS)
    found = [
        f"{listing.kind}/{resource.name}"
        for listing in listings
        for resource in run_resources.find(session, listing, run_id)
    ]
    for name in found:
        CONSOLE.print(name, soft_wrap=True)
    if not found:
        CONSOLE.print(f"Run {run_id} left nothing in {session.region}.", soft_wrap=True)
        return
    if dry_run:
        return
    if not yes:
        click.confirm(f"Stop and delete these {len(found)}?", abort=True)
    # It says itself what it deletes.
    delete.run(session, delete.build_plan(run_id=run_id), keep=False)

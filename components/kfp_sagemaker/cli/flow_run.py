"""``kfp-sagemaker flow run``: the command; what it does is in ``flow_runner``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kfp_sagemaker.flow.loading import ENGINES


@click.command("run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--engine", type=click.Choice(ENGINES), default="local", show_default=True)
@click.option("--aws", "on_aws", is_flag=True, help="Use your AWS account. Shows the jobs and asks first.")
@click.option("-y", "--yes", is_flag=True, help="With --aws: do not ask.")
@click.option("--commit", default="", help="Commit that the jobs are named after. Default: the one checked out.")
@click.option("--branch", default="", help="Branch of the commit. Default: the one checked out.")
@click.option(
    "--main-branch", default="main", show_default=True, help="Branch whose metrics later runs are held against."
)
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the logs, report.html and flow-result.json. Default: a new one below runs/.",
)
@click.option("--host", default="", envvar="KF_PIPELINES_ENDPOINT", help="Kubeflow: address of Kubeflow Pipelines.")
@click.option("--experiment", default="Default", show_default=True, help="Kubeflow: experiment.")
@click.option("--service-account", default="", help="Kubeflow: service account of the run's pods.")
@click.option("--namespace", "-n", default="", help="Kubeflow: namespace.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Kubeflow: file with a bearer token for the address.",
)
def run_command(run_dir: Path | None, **given: object) -> None:
    """Run the flow in FILE. Ends with 1 when it fails or misses a gate.

    Without --aws it runs on the embedded AWS, or on the one that AWS_ENDPOINT_URL names. Its state stays below
    runs/embedded-aws: a commit that is run again finds its finished jobs, and gates find main's metrics. Kubeflow
    always runs on your AWS account.
    """
    from kfp_sagemaker.cli import flow_runner

    options = flow_runner.Options(run_dir=run_dir, **given)  # type: ignore[arg-type]  # what click parsed
    if options.engine == "kubeflow" and not options.host:
        raise click.UsageError("--engine kubeflow needs --host, or KF_PIPELINES_ENDPOINT.")
    sys.exit(0 if flow_runner.run_file(options).status == "Succeeded" else 1)

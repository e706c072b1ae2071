"""``kfp-sagemaker permissions``: what a pipeline needs to be allowed, and whether it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

if TYPE_CHECKING:
    from kfp_sagemaker.access import permission_check

CONSOLE = Console(highlight=False, soft_wrap=True)
_STYLES = {"allowed": "green", "implicitly denied": "yellow", "explicitly denied": "red"}

_pipelines_dir_option = click.option(
    "--pipelines-dir",
    type=click.Path(path_type=Path),
    help="Folder of the pipelines. By default the nearest pipelines/, here or above.",
)


@click.group("permissions")
def permissions_group() -> None:
    """Check what a pipeline, a role or yourself may do on AWS, by IAM's policy simulator: nothing is tried."""


@permissions_group.command("components")
@click.argument("pipeline")
@_pipelines_dir_option
def components_command(pipeline: str, pipelines_dir: Path | None) -> None:
    """List the components PIPELINE uses, as `check_permissions` takes them."""
    CONSOLE.print("\n".join(_components(pipeline, pipelines_dir)))


@permissions_group.command("check")
@click.argument("pipeline", default="")
@click.option("--component", "components", multiple=True, help="In place of PIPELINE: a component. Repeat for more.")
@click.option(
    "--action", "actions", multiple=True, metavar="SERVICE:OPERATION", help="In place of PIPELINE: an action."
)
@click.option("--resource", "resource_arns", multiple=True, metavar="ARN", help="What the actions are on. Default: *.")
@click.option("--context", multiple=True, metavar="KEY=VALUE", help="A condition key of the requests. Repeat for more.")
@click.option("--role-arn", default="", help="The steps' role. By default you, as your credentials say.")
@click.option("--execution-role-arn", default="", help="Of SageMaker's jobs, which is checked too.")
@click.option("--bucket", default="", help="Bucket of data and models. By default kfp-sagemaker-ACCOUNT-REGION.")
@click.option("--prefix", default="", help="What the keys in it start with.")
@click.option("--region", default="", help="AWS region; by default AWS_REGION or your profile's.")
@click.option("--denied-only", is_flag=True, help="Show only what is denied.")
@_pipelines_dir_option
def check_command(
    pipeline: str,
    components: tuple[str, ...],
    actions: tuple[str, ...],
    resource_arns: tuple[str, ...],
    context: tuple[str, ...],
    role_arn: str,
    execution_role_arn: str,
    bucket: str,
    prefix: str,
    region: str,
    denied_only: bool,
    pipelines_dir: Path | None,
) -> None:
    """Check what PIPELINE needs, or all the suite's components; ends with 1 when something is denied.

    \b
    kfp-sagemaker permissions check housing_mme
    kfp-sagemaker permissions check housing_mme --role-arn arn:aws:iam::111122223333:role/pods
    kfp-sagemaker permissions check --action sagemaker:InvokeEndpoint \\
        --resource arn:aws:sagemaker:us-east-1:111122223333:endpoint/houses \\
        --context sagemaker:TargetModel=NewYork_NY/1.tar.gz
    """
    from kfp_sagemaker.access import permission_check
    from kfp_sagemaker.aws.session import open_session

    if sum(map(bool, (pipeline, components, actions))) > 1:
        raise click.UsageError("PIPELINE, --component and --action exclude each other.")
    for pair in context:
        if "=" not in pair:
            raise click.UsageError(f"--context {pair}: must be KEY=VALUE.")
    request = permission_check.build_request(
        components=_components(pipeline, pipelines_dir) if pipeline else components,
        actions=actions,
        resource_arns=resource_arns,
        context=dict(pair.split("=", 1) for pair in context),
        role_arn=role_arn,
        execution_role_arn=execution_role_arn,
        bucket=bucket,
        prefix=prefix,
    )
    checked = permission_check.run(open_session(region), request)
    _show(checked, denied_only=denied_only)
    sys.exit(1 if checked.denied else 0)


def _components(pipeline: str, pipelines_dir: Path | None) -> list[str]:
    from kfp_sagemaker.access.pipeline_components import components_of
    from kfp_sagemaker.aws.errors import ConfigurationError
    from kfp_sagemaker.cli.catalogue import find_pipeline, find_pipelines_dir
    from kfp_sagemaker.cli.pipeline_file import PipelineFile

    entry = find_pipeline(find_pipelines_dir(pipelines_dir, Path.cwd()), pipeline)
    if not entry.compiled.exists():
        raise ConfigurationError(f"{entry.name} is not compiled: kfp-sagemaker compile {entry.name}")
    return components_of(PipelineFile(entry.compiled).spec)


def _show(checked: permission_check.Checked, *, denied_only: bool) -> None:
    from rich.markup import escape

    for principal, decisions in checked.decisions.items():
        allowed = sum(each.is_allowed for each in decisions)
        CONSOLE.print(f"[bold]{escape(principal)}[/bold]: {allowed} of {len(decisions)} allowed")
        # Lines, and no table: ARNs are longer than a terminal is wide, and are searched for.
        for each in decisions:
            if not (denied_only and each.is_allowed):
                why = f"  [dim]{escape(each.reason)}[/dim]" if each.reason else ""
                CONSOLE.print(
                    f"[{_STYLES[each.decision]}]{each.decision:<17}[/]  {each.need.action}  "
                    f"{escape(each.need.resource)}{why}"
                )

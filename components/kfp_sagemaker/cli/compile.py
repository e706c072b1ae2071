"""``kfp-sagemaker compile``: the YAML to upload to Kubeflow, for a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.cli.cluster_options import CREDENTIALS, ClusterOptions

CONSOLE = Console(highlight=False)
_DEFAULTS = ClusterOptions()


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of :class:`ClusterOptions` to a command."""
    for option in reversed(
        (
            click.option(
                "--credentials",
                type=click.Choice(CREDENTIALS),
                default=_DEFAULTS.credentials,
                show_default=True,
                help="Where the steps' rights come from: the Secret when it is there, the Secret, or a role.",
            ),
            click.option("--secret-name", default=_DEFAULTS.secret_name, show_default=True, help="The Secret."),
            click.option("--image", default="", help="Image of the steps, such as a mirror of ours."),
            click.option(
                "--install",
                metavar="SPEC",
                default="",
                help="Without an image of ours: steps install this with pip when they start, in a plain Python image.",
            ),
            click.option("--cpu-request", default=_DEFAULTS.cpu_request, show_default=True, help="Of each step."),
            click.option("--memory-request", default=_DEFAULTS.memory_request, show_default=True, help="Of each step."),
            click.option("--memory-limit", default=_DEFAULTS.memory_limit, show_default=True, help="Of each step."),
            click.option("--retries", type=int, default=_DEFAULTS.retries, show_default=True, help="Of a failed step."),
            click.option(
                "--namespace", "-n", default="", help="Make sure first that the credentials are there in a namespace."
            ),
        )
    ):
        function = option(function)
    return function


def checked_options(namespace: str, arguments: dict[str, Any]) -> ClusterOptions:
    """The options, and with a namespace a look whether the Secret they name is there and well-formed."""
    options = ClusterOptions(**arguments)
    if namespace and options.credentials == "secret":
        from kfp_sagemaker.access.changes import Changes
        from kfp_sagemaker.access.cluster import Cluster, secret_problems

        values = Cluster(namespace, Changes(CONSOLE.print)).secret(options.secret_name)
        problems = ["is missing"] if values is None else secret_problems(values)
        if problems:
            raise ConfigurationError(
                f"Secret {options.secret_name} in namespace {namespace}: {'; '.join(problems)}. Make it with "
                f"kfp-sagemaker credentials create --mode secret -n {namespace}"
            )
    return options


@click.command("compile")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Every pipeline.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, instead of the pipeline's own pipeline.yaml; with --all a folder.",
)
@cluster_options
@click.option("--pipelines-dir", type=click.Path(path_type=Path), help="By default the nearest pipelines/.")
def compile_command(
    name: str | None,
    everything: bool,
    output: Path | None,
    namespace: str,
    pipelines_dir: Path | None,
    **arguments: Any,
) -> None:
    """Compile pipeline NAME to the YAML that is uploaded to Kubeflow and run here."""
    from kfp_sagemaker.cli.catalogue import find_pipeline, find_pipelines_dir, list_pipelines

    if bool(name) == everything:
        raise click.UsageError("Give the NAME of a pipeline, or --all.")
    folder = find_pipelines_dir(pipelines_dir, Path.cwd())
    options = checked_options(namespace, arguments)
    if name:
        entry = find_pipeline(folder, name)
        targets = {entry: output or entry.compiled}
    else:
        if output:
            output.mkdir(parents=True, exist_ok=True)
        targets = {
            entry: output / f"{entry.name}.yaml" if output else entry.compiled for entry in list_pipelines(folder)
        }
    for entry, target in targets.items():
        entry.compile(target, options)
        CONSOLE.print(f"Wrote {target}", soft_wrap=True)

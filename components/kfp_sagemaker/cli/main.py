"""The ``kfp-sagemaker`` command: list, compile and run pipelines, and stop what a run left."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from kfp_sagemaker._version import __version__
from kfp_sagemaker.aws.errors import ConfigurationError, KfpSagemakerError
from kfp_sagemaker.cli.clean import clean_command
from kfp_sagemaker.cli.compile import compile_command
from kfp_sagemaker.cli.credentials import credentials_group
from kfp_sagemaker.cli.doctor import doctor_command
from kfp_sagemaker.cli.flow import flow_group
from kfp_sagemaker.cli.metrics import metrics_group
from kfp_sagemaker.cli.permissions import permissions_group
from kfp_sagemaker.cli.submit import submit_command

if TYPE_CHECKING:
    from kfp_sagemaker.cli.pipeline_file import PipelineFile

CONSOLE = Console(highlight=False)
DEFAULT_LOCAL_REGION = "us-east-1"

_pipelines_dir_option = click.option(
    "--pipelines-dir",
    type=click.Path(path_type=Path),
    help="Folder of the pipelines. By default the nearest pipelines/, here or above.",
)
_runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the runs' logs, outputs and reports. By default runs/ beside pipelines/.",
)


class _Group(click.Group):
    """Shows errors of the suite as a message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KfpSagemakerError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="kfp-sagemaker")
def main() -> None:
    """Kubeflow pipelines on Amazon SageMaker: compile them, and run them here.

    \b
    kfp-sagemaker list                      what there is
    kfp-sagemaker run housing_mme           run it: no AWS account, no Docker, no Kubernetes
    kfp-sagemaker run housing_mme --aws     the same steps, on your AWS account
    kfp-sagemaker compile housing_mme       the YAML to upload to Kubeflow
    """


@main.command("list")
@_pipelines_dir_option
def list_command(pipelines_dir: Path | None) -> None:
    """List the pipelines and what each is for."""
    from rich.table import Table

    from kfp_sagemaker.cli.catalogue import find_pipelines_dir, list_pipelines
    from kfp_sagemaker.cli.pipeline_file import PipelineFile

    folder = find_pipelines_dir(pipelines_dir, Path.cwd())
    table = Table("pipeline", "what it does", "steps", "parameters", box=None, header_style="bold", pad_edge=False)
    for entry in list_pipelines(folder):
        if not entry.compiled.exists():
            table.add_row(entry.name, f"[yellow]not compiled: kfp-sagemaker compile {entry.name}[/yellow]")
            continue
        pipeline = PipelineFile(entry.compiled)
        steps = sum(task.kind == "step" for task in pipeline.all_tasks())
        table.add_row(entry.name, pipeline.description, str(steps), str(len(pipeline.parameters)))
    CONSOLE.print(table if table.row_count else f"No pipelines in {folder}.")


@main.command("run")
@click.argument("name")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter; lists as a,b or JSON. Repeat for more. `--param help` lists them.",
)
@click.option("--aws", "on_aws", is_flag=True, help="Use your AWS account. Shows what it will create and asks first.")
@click.option("-y", "--yes", is_flag=True, help="With --aws: do not ask.")
@click.option("--region", default="", help="AWS region. By default AWS_REGION or your profile's; us-east-1 locally.")
@click.option("--keep-endpoint", is_flag=True, help="Leave the endpoint serving; `kfp-sagemaker stop` deletes it.")
@click.option("--auth", is_flag=True, help="Locally: check every call against IAM policies, as AWS does.")
@click.option(
    "--multi-model-memory-mb",
    type=click.IntRange(0),
    default=None,
    help="Locally: memory for the models of a multi-model endpoint.",
)
@_pipelines_dir_option
@_runs_dir_option
def run_command(
    name: str,
    params: tuple[str, ...],
    on_aws: bool,
    yes: bool,
    region: str,
    keep_endpoint: bool,
    auth: bool,
    multi_model_memory_mb: int | None,
    pipelines_dir: Path | None,
    runs_dir: Path | None,
) -> None:
    """Run pipeline NAME here: the compiled pipeline.yaml, step by step, on the embedded AWS.

    The embedded AWS is started for the run and stopped after it. Steps are processes on this machine, their logs,
    outputs and a report with the results go to runs/<run id>/. Ends with 1 when the run fails.
    """
    from kfp_sagemaker.cli import launch
    from kfp_sagemaker.cli.catalogue import find_pipeline, find_pipelines_dir
    from kfp_sagemaker.cli.pipeline_file import PipelineFile
    from kfp_sagemaker.cli.run import Run, new_run_id

    folder = find_pipelines_dir(pipelines_dir, Path.cwd())
    entry = find_pipeline(folder, name)
    if not entry.compiled.exists():
        raise ConfigurationError(f"{entry.name} is not compiled: kfp-sagemaker compile {entry.name}")
    pipeline = PipelineFile(entry.compiled)
    if params == ("help",):
        _show_parameters(pipeline)
        return
    if changed := entry.newer_sources():
        CONSOLE.print(
            f"[yellow]{', '.join(changed)} changed after pipeline.yaml, which is what runs: "
            f"kfp-sagemaker compile {entry.name}[/yellow]\n",
            soft_wrap=True,
        )
    if on_aws and (auth or multi_model_memory_mb is not None):
        raise click.UsageError("--auth and --multi-model-memory-mb are for the embedded AWS, not for --aws.")
    settings = entry.local_settings()
    arguments = pipeline.parse_arguments(parameter_pairs(params))
    if not on_aws:
        arguments = {**settings.parameters, **(settings.auth_parameters if auth else {}), **arguments}
    if keep_endpoint:
        if "keep_endpoint" not in pipeline.parameters:
            raise click.UsageError(f"--keep-endpoint: {entry.name} has no parameter keep_endpoint.")
        arguments["keep_endpoint"] = True

    run_id = new_run_id(pipeline.name)
    run_folder = (runs_dir or folder.resolve().parent / "runs").resolve() / run_id
    where = "your AWS account" if on_aws else "the embedded AWS"
    CONSOLE.print(f"[bold]{pipeline.name}[/bold] on {where}  [dim]{run_id}[/dim]\n", soft_wrap=True)
    with _interrupted_by_sigterm():
        if on_aws:
            run = Run(run_id, run_folder, where, {"AWS_REGION": region} if region else {})
            succeeded = launch.run_on_aws(pipeline, arguments, run, CONSOLE, ask=not yes)
        else:
            memory = settings.multi_model_memory_mb if multi_model_memory_mb is None else multi_model_memory_mb
            run = Run(run_id, run_folder, where, {"AWS_REGION": region or DEFAULT_LOCAL_REGION})
            succeeded = launch.run_locally(
                pipeline, arguments, run, CONSOLE, auth=auth, multi_model_memory_mb=memory, keep=keep_endpoint
            )
    sys.exit(0 if succeeded else 1)


@main.command("stop")
@click.argument("run_id")
@click.option("--region", default="", help="Region of a run that was not started here, such as one in Kubeflow.")
@_pipelines_dir_option
@_runs_dir_option
def stop_command(run_id: str, region: str, pipelines_dir: Path | None, runs_dir: Path | None) -> None:
    """List what RUN_ID left, found by its tags; stop its jobs and delete its schedules, endpoints and models.

    Without asking, unlike `clean`. For runs of `kfp-sagemaker run`, whose embedded AWS it ends, and for those in
    Kubeflow: give the id that Kubeflow shows.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.cli import emulator
    from kfp_sagemaker.cli.catalogue import find_pipelines_dir
    from kfp_sagemaker.cli.clean import list_resources, plan_of
    from kfp_sagemaker.cli.launch import environment_of
    from kfp_sagemaker.cli.run import RUN_FILE
    from kfp_sagemaker.endpoints import delete

    saved: dict[str, Any] = {}
    with contextlib.suppress(ConfigurationError):
        runs_dir = runs_dir or find_pipelines_dir(pipelines_dir, Path.cwd()).resolve().parent / "runs"
    path = (runs_dir or Path()) / run_id / RUN_FILE
    if path.exists():
        saved = json.loads(path.read_text())
    pid = saved.get("emulator_pid")
    if pid and not emulator.answers(saved["environment"], pid):
        CONSOLE.print(f"Nothing to stop: the embedded AWS of {run_id} is gone, and all it had with it.")
        return
    environment = saved.get("environment", {})
    with environment_of({**environment, **({"AWS_REGION": region} if region else {})}):
        session, plan = open_session(), plan_of(run_id)
        if list_resources(session, plan):
            # It says itself what it deletes.
            delete.run(session, plan, keep=False)
    if pid:
        emulator.stop_by_pid(pid, path.parent / "aws")
        CONSOLE.print("Stopped the embedded AWS.")


def _show_parameters(pipeline: PipelineFile) -> None:
    from rich.table import Table

    table = Table("parameter", "type", "default", "meaning", box=None, header_style="bold", pad_edge=False)
    for parameter in pipeline.parameters.values():
        default = "" if parameter.is_required else json.dumps(parameter.default)
        kind = parameter.type.removeprefix("NUMBER_").lower()
        table.add_row(parameter.name, kind, default, parameter.description)
    CONSOLE.print(table)


def parameter_pairs(params: tuple[str, ...]) -> dict[str, str]:
    """The NAME=VALUE pairs of the command line."""
    pairs = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--param {text}: must be NAME=VALUE; `--param help` lists the names.")
        pairs[name.strip()] = value
    return pairs


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is under way as Ctrl-C does, so that the emulator is stopped."""
    import signal
    from types import FrameType

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


for _command in (clean_command, compile_command, credentials_group, doctor_command, permissions_group, submit_command):
    main.add_command(_command)
main.add_command(flow_group)
main.add_command(metrics_group)


if __name__ == "__main__":
    main()

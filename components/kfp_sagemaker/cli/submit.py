"""``kfp-sagemaker submit``: compiles a pipeline, starts it in Kubeflow, and follows it to its end."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.cli.compile import checked_options, cluster_options

CONSOLE = Console(highlight=False)
POLL_SECONDS = 5.0
# A run goes on when the API server is away for a while; so does following it.
_FAILED_POLLS = 24
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
_MARKS = {"SUCCEEDED": "[green]✓[/green]", "FAILED": "[red]✗[/red]", "SKIPPED": "[dim]-[/dim]", "RUNNING": "…"}


@click.command("submit")
@click.argument("name")
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; repeat for more.")
@click.option("--host", required=True, envvar="KF_PIPELINES_ENDPOINT", help="Address of Kubeflow Pipelines.")
@click.option("--experiment", default="Default", show_default=True, help="Experiment; made when it is missing.")
@click.option("--run-name", default="", help="By default the pipeline's name and the time.")
@click.option("--service-account", default="", help="Of the run's pods; by default Kubeflow's own.")
@click.option(
    "--recurring", metavar="CRON", default="", help="Run it again and again: a cron expression of six fields."
)
@click.option("--watch", is_flag=True, help="Follow the run until it ends; ends with 1 when it fails.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a bearer token for the address.",
)
@cluster_options
@click.option("--pipelines-dir", type=click.Path(path_type=Path), help="By default the nearest pipelines/.")
def submit_command(
    name: str,
    params: tuple[str, ...],
    host: str,
    experiment: str,
    run_name: str,
    service_account: str,
    recurring: str,
    watch: bool,
    token_file: Path | None,
    namespace: str,
    pipelines_dir: Path | None,
    **arguments: Any,
) -> None:
    """Compile pipeline NAME, start it in Kubeflow, and print where to look at it."""
    from kfp_sagemaker.cli.catalogue import find_pipeline, find_pipelines_dir
    from kfp_sagemaker.cli.launch import PROVIDED
    from kfp_sagemaker.cli.main import parameter_pairs
    from kfp_sagemaker.cli.pipeline_file import PipelineFile

    if recurring and watch:
        raise click.UsageError("--watch follows one run; --recurring starts many.")
    entry = find_pipeline(find_pipelines_dir(pipelines_dir, Path.cwd()), name)
    options = checked_options(namespace, arguments)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / f"{entry.name}.yaml"
        entry.compile(compiled, options)
        pipeline = PipelineFile(compiled)
        values = pipeline.parse_arguments(parameter_pairs(params))
        missing = [each.name for each in pipeline.parameters.values() if each.is_required and each.name not in values]
        if missing:
            hint = "; `kfp-sagemaker credentials create` prints the role" if set(missing) & set(PROVIDED) else ""
            raise ConfigurationError(f"{pipeline.name} needs {', '.join(f'-p {each}=...' for each in missing)}{hint}")
        client = connect(host, namespace, token_file)
        title = run_name or f"{pipeline.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
        # The client prints the links in its own way, too.
        with _api_errors(host), contextlib.redirect_stdout(io.StringIO()):
            made = client.create_experiment(experiment, namespace=namespace or None)
            started = {
                "experiment_id": made.experiment_id,
                "job_name": title,
                "pipeline_package_path": str(compiled),
                "params": values,
                "service_account": service_account or None,
            }
            if recurring:
                job = client.create_recurring_run(cron_expression=recurring, **started)
            else:
                job = client.run_pipeline(**started)
    base = host.rstrip("/")
    CONSOLE.print(f"Experiment  {base}/#/experiments/details/{made.experiment_id}", soft_wrap=True)
    if recurring:
        CONSOLE.print(f"Recurring   {base}/#/recurringrun/details/{job.recurring_run_id}", soft_wrap=True)
        return
    CONSOLE.print(f"Run         {base}/#/runs/details/{job.run_id}", soft_wrap=True)
    if watch:
        sys.exit(0 if follow(client, job.run_id, CONSOLE) else 1)
    CONSOLE.print(f"\nTo end it: terminate it there; `kfp-sagemaker clean {job.run_id}` deletes what it left on AWS.")


def connect(host: str, namespace: str = "", token_file: Path | None = None) -> Any:
    """The client of Kubeflow Pipelines' API.

    Raises:
        ConfigurationError: Nobody answers there.
    """
    with _api_errors(host), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that KFP v1 is not supported
        import kfp

        token = token_file.read_text().strip() if token_file else None
        return kfp.Client(host=host, namespace=namespace or "kubeflow", existing_token=token)


def follow(client: Any, run_id: str, console: Console, sleep: Callable[[float], None] | None = None) -> bool:
    """Print each step's state as it changes, until the run ends.

    Args:
        client: From ``connect``.
        run_id: The run.
        console: Takes the lines.
        sleep: Waits between two looks.

    Returns:
        Whether it succeeded.
    """
    shown: dict[str, str] = {}
    failed_polls = 0
    while True:
        try:
            run = client.get_run(run_id)
            failed_polls = 0
        except Exception as error:
            failed_polls += 1
            if failed_polls >= _FAILED_POLLS:
                raise ConfigurationError(f"lost sight of run {run_id}, which may go on: {_said(error)}") from None
            (sleep or time.sleep)(POLL_SECONDS)
            continue
        for task in _tasks(run):
            if task.state in _MARKS and shown.get(task.task_id) != task.state:
                shown[task.task_id] = task.state
                console.print(f"{_MARKS[task.state]} {escape(task.display_name)}{_took(task)}")
        if run.state in _ENDED:
            break
        (sleep or time.sleep)(POLL_SECONDS)
    for task in _tasks(run):
        if task.state == "FAILED":
            console.print(Panel(escape(_reason(task)), title=f"{task.display_name} failed", border_style="red"))
    if run.state != "SUCCEEDED" and run.error is not None and run.error.message:
        console.print(f"[red]{escape(run.error.message)}[/red]")
    console.print(f"{run.state.capitalize()}.")
    return bool(run.state == "SUCCEEDED")


def _tasks(run: Any) -> Iterator[Any]:
    """The run's steps, without the helpers KFP starts around each and the groups they are in."""
    details = (run.run_details.task_details if run.run_details else None) or []
    for task in details:
        name = task.display_name or ""
        if name and not task.child_tasks and not name.endswith("-driver") and name not in ("executor", "root"):
            yield task


def _took(task: Any) -> str:
    if task.state != "SUCCEEDED" or not (task.start_time and task.end_time):
        return ""
    return f"  [dim]{(task.end_time - task.start_time).total_seconds():.0f} s[/dim]"


def _reason(task: Any) -> str:
    said = task.error.message if task.error is not None and task.error.message else ""
    where = f"\nLog: the pod {task.pod_name}, or the run's page." if task.pod_name else ""
    return (said or "Kubeflow gave no reason; the step's log has it.") + where


def _said(error: Exception) -> str:
    body = getattr(error, "body", None)
    return " ".join(str(body or error).split())[:500]


@contextlib.contextmanager
def _api_errors(host: str) -> Iterator[None]:
    """What the client raises, as one line."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise ConfigurationError(f"Kubeflow Pipelines at {host} answered {error.status}: {_said(error)}") from None
    except (HTTPError, OSError, TimeoutError) as error:
        raise ConfigurationError(
            f"cannot reach Kubeflow Pipelines at {host} ({type(error).__name__}): forward its port with "
            "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80 and use --host http://127.0.0.1:8080"
        ) from None

"""The ``sagemaker-emulator`` command."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from sagemaker_emulator.cli_images import images
from sagemaker_emulator.cli_options import state_dir_option
from sagemaker_emulator.settings import Settings

DEFAULT_PORT = 4566


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """An AWS on this machine: SageMaker that really trains and serves, and S3, IAM, Logs, CloudWatch beside it.

    \b
    sagemaker-emulator up                     # in one terminal
    eval "$(sagemaker-emulator env)"          # in another; then use boto3, aws or a pipeline as ever
    """


main.add_command(images)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: a free one.")
@state_dir_option
@click.option(
    "--auth", is_flag=True, help="Check every call against IAM policies; roles must exist and trust SageMaker."
)
@click.option("--latency-ms", type=click.IntRange(0), default=0, show_default=True, help="Delay each request.")
@click.option(
    "--multi-model-memory-mb",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Memory for the models of one multi-model container; 0: that of its instance type.",
)
@click.option("--stop-with-stdin", is_flag=True, help="Stop also when standard input ends: with the starting program.")
def up(
    port: int, state_dir: Path, auth: bool, latency_ms: int, multi_model_memory_mb: int, stop_with_stdin: bool
) -> None:
    """Serve until stopped (Ctrl-C or SIGTERM), printing the environment to export once ready.

    Listens on the loopback interface only. It runs the training scripts and model code it is given as ordinary
    processes of yours: it is no sandbox.
    """
    import asyncio
    import logging

    try:
        import uvloop

        from sagemaker_emulator import server
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the embedded AWS needs {error.name}, which is not installed: pip install 'kfp-sagemaker[local]'"
        ) from None

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state_dir = state_dir.resolve()
    try:
        with server.own_state_dir(state_dir), server.bind(port) as listener:
            settings = Settings(
                port=listener.getsockname()[1],
                state_dir=state_dir,
                auth=auth,
                latency_ms=latency_ms,
                multi_model_memory_mb=multi_model_memory_mb,
            )
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(
                    server.serve(
                        settings,
                        listener,
                        lambda environment: _say_ready(settings, environment),
                        stop_with_stdin=stop_with_stdin,
                    )
                )
    except server.EmulatorError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@state_dir_option
def env(state_dir: Path) -> None:
    """Print the environment of the running emulator as export lines, for eval."""
    from sagemaker_emulator import server

    try:
        environment = server.running_environment(state_dir.resolve())
    except server.EmulatorError as error:
        raise click.ClickException(str(error)) from error
    click.echo(_export_lines(environment))


@main.command("operations")
def list_operations() -> None:
    """List the operations that are implemented; all other ones are refused by name."""
    from rich.console import Console
    from rich.table import Table

    from sagemaker_emulator import operations

    operations.load()
    table = Table("service", "operation")
    for service, names in operations.implemented().items():
        for name in names:
            table.add_row(service, name)
    Console().print(table)


def _say_ready(settings: Settings, environment: dict[str, str]) -> None:
    click.echo(_export_lines(environment))
    mode = "every call is checked against IAM" if settings.auth else "any credentials pass"
    click.echo(f"# Ready on {settings.endpoint_url} (pid {os.getpid()}); {mode}; state in {settings.state_dir}")


def _export_lines(environment: dict[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


if __name__ == "__main__":
    main()

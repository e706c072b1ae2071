"""``sagemaker-emulator images``: which program an image URI stands for, and images of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from sagemaker_emulator.cli_options import state_dir_option
from sagemaker_emulator.runtime.images import (
    BUILTINS,
    REGISTRY_FILE,
    Image,
    ImageRegistry,
    UnknownImageError,
)


class _Command(click.ParamType[tuple[str, ...]]):
    """A command line as one argument, cut as a shell cuts it."""

    name = "command"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            self.fail(f"{value!r} is not a command line: {error}", param, ctx)


@click.group(invoke_without_command=True)
@state_dir_option
@click.pass_context
def images(ctx: click.Context, state_dir: Path) -> None:
    """List the images and their programs, or register one of your own.

    The emulator pulls no images: an image URI stands for programs of this machine. Registrations belong to a state
    folder; an emulator that runs there sees them at once.
    """
    if ctx.invoked_subcommand is None:
        _print_images(_registry(state_dir))


@images.command()
@click.argument("pattern")
@click.option("--name", required=True, help="Short name; an earlier registration of it is replaced.")
@click.option("--train", type=_Command(), default=(), help="What a training job runs, such as 'python train.py'.")
@click.option("--serve", type=_Command(), default=(), help="What serves a model, on $SAGEMAKER_BIND_TO_PORT.")
@click.option("--process", type=_Command(), default=(), help="What a processing job without an entry point runs.")
@click.option(
    "--working-directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Where the commands start; this folder when not given.",
)
@state_dir_option
def register(
    pattern: str,
    name: str,
    train: tuple[str, ...],
    serve: tuple[str, ...],
    process: tuple[str, ...],
    working_directory: Path,
    state_dir: Path,
) -> None:
    """Register the programs of the images whose whole URI matches PATTERN, a regular expression.

    Give each command as 'docker run IMAGE train' would end up running it. The job's folder is at /opt/ml.

    \b
    sagemaker-emulator images register '.*/churn:.*' --name churn --train 'python train.py'
    """
    try:
        _registry(state_dir).register(
            pattern,
            name=name,
            train=train,
            serve=serve,
            process=process,
            working_directory=str(working_directory.resolve()),
        )
    except (ValueError, UnknownImageError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Images matching {pattern} now run the programs of {name} in {working_directory.resolve()}.")


@images.command()
@click.argument("name")
@state_dir_option
def unregister(name: str, state_dir: Path) -> None:
    """Forget the registration called NAME; what runs keeps running."""
    try:
        _registry(state_dir).unregister(name)
    except UnknownImageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name} is no longer registered.")


def _registry(state_dir: Path) -> ImageRegistry:
    return ImageRegistry(state_dir.resolve() / REGISTRY_FILE)


def _print_images(registry: ImageRegistry) -> None:
    try:
        registered = registry.registrations()
    except UnknownImageError as error:
        raise click.ClickException(str(error)) from error
    # In the order in which they are asked: the latest registration first.
    for registration in reversed(registered):
        _print_image("registered", registration.pattern, registration.image())
    for repository, image in BUILTINS.items():
        _print_image("built in", f".*/{repository}:.*", image)


def _print_image(source: str, pattern: str, image: Image) -> None:
    click.echo(f"{click.style(image.name, bold=True)} ({source}): images matching {pattern}")
    for verb, command in (("train", image.train), ("serve", image.serve), ("process", image.process)):
        if command:
            click.echo(f"  {verb:8}{shlex.join(command)}")
    if image.working_directory:
        click.echo(f"  {'in':8}{image.working_directory}")

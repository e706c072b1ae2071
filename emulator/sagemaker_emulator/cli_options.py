"""Options several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from sagemaker_emulator.settings import DEFAULT_STATE_DIR

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="Where everything is kept.",
)

"""``getResolvedOptions``: the arguments of a run by name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn


class GlueArgumentError(Exception):
    """A named argument was not given to the run."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise GlueArgumentError(message)


def getResolvedOptions(args: Sequence[str], options: Sequence[str]) -> dict[str, Any]:  # noqa: N802 - Glue's name
    """Return the value of each named argument, and of Glue's own that were given.

    Args:
        args: ``sys.argv``.
        options: Names without their two hyphens; each has to be there.

    Raises:
        GlueArgumentError: One is missing.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in dict.fromkeys(options):
        # A hyphen in a name is an underscore in its key.
        parser.add_argument(f"--{name}", dest=name.replace("-", "_"), required=True)
    for name in {"JOB_NAME", "JOB_ID", "JOB_RUN_ID", "TempDir", "job-bookmark-option"} - set(options):
        parser.add_argument(f"--{name}", dest=name.replace("-", "_"), default=argparse.SUPPRESS)
    return vars(parser.parse_known_args(list(args[1:]))[0])

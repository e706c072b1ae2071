"""Runs the phases of a buildspec the way CodeBuild does, on this machine.

Each phase is one shell that stops at the first command that fails; exported variables go on to the next. After a failed
install or pre_build nothing follows; after a failed build, post_build still does.

https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")


@dataclass
class FinishedBuild:
    """A build, ended.

    Attributes:
        succeeded: Whether every phase did.
        phases: Exit code by phase, of those that ran.
        output: What they printed.
    """

    succeeded: bool = True
    phases: dict[str, int] = field(default_factory=dict)
    output: str = ""


def read(path: Path) -> dict[str, Any]:
    """A buildspec."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    assert content["version"] == 0.2
    assert set(content["phases"]) <= set(PHASES)
    return content


def run(
    buildspec: Mapping[str, Any], folder: Path, environment: Mapping[str, str], *, skip: tuple[str, ...] = ()
) -> FinishedBuild:
    """Run a build.

    Args:
        buildspec: From :func:`read`.
        folder: The checked-out repository.
        environment: What the project and CodeBuild set; wins over the buildspec's own variables.
        skip: Phases to leave out.
    """
    with tempfile.TemporaryDirectory() as shared:
        return _run(
            buildspec, folder, {**buildspec["env"]["variables"], **environment}, skip, Path(shared) / "exported"
        )


def _run(
    buildspec: Mapping[str, Any], folder: Path, given: Mapping[str, str], skip: tuple[str, ...], exported: Path
) -> FinishedBuild:
    build = FinishedBuild()
    for phase in PHASES:
        if phase in skip or phase not in buildspec["phases"]:
            continue
        if not build.succeeded and (phase != "post_build" or "build" not in build.phases):
            break
        script = "\n".join(
            [
                f"[ -f {exported} ] && . {exported}",
                f"export CODEBUILD_BUILD_SUCCEEDING={int(build.succeeded)}",
                "set -e",
                *buildspec["phases"][phase]["commands"],
                f"export -p > {exported}",
            ]
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={**os.environ, **given},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        build.phases[phase] = done.returncode
        build.succeeded = build.succeeded and done.returncode == 0
        build.output += done.stdout
    return build

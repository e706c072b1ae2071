"""What git knows of a flow's file: the commit, the branch, and the repository as it was at another commit."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_sagemaker.aws.errors import ConfigurationError


def head_commit(folder: Path) -> str:
    """The commit that is checked out.

    Raises:
        ConfigurationError: The folder is in no repository, or that has no commit.
    """
    try:
        return _git(folder, "rev-parse", "--verify", "HEAD")
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}: give the commit with --commit") from None


def branch(folder: Path) -> str:
    """The branch that is checked out; empty where none is, or there is no repository."""
    try:
        return _git(folder, "symbolic-ref", "--short", "HEAD")
    except ConfigurationError:
        return ""


@contextmanager
def at_commit(path: Path, ref: str) -> Iterator[Path]:
    """A file as it was at a commit, with the whole repository around it, in a folder that is deleted afterwards.

    Args:
        path: The file.
        ref: Commit, branch or tag.

    Yields:
        The file there.

    Raises:
        ConfigurationError: There is no such commit, or no such file in it.
    """
    top = Path(_git(path.parent, "rev-parse", "--show-toplevel"))
    inside = path.resolve().relative_to(top.resolve())
    _git(top, "rev-parse", "--verify", f"{ref}^{{commit}}")
    archive = _run(top, "archive", "--format=tar", ref)
    with tempfile.TemporaryDirectory(prefix="kfp-sagemaker-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            content.extractall(folder, filter="data")
        found = Path(folder) / inside
        if not found.is_file():
            raise ConfigurationError(f"there is no {inside} at {ref}")
        yield found


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, *arguments).decode().strip()


def _run(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise ConfigurationError("git is not installed") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(said[0].removeprefix("fatal: ") if said else f"git {arguments[0]} failed")
    return done.stdout

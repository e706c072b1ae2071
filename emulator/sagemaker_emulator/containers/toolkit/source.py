"""The user's source: fetched, safely unpacked, its requirements installed next to it."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import unquote, urlparse

from sagemaker_emulator.containers.contract import Folders

log = logging.getLogger("toolkit")

# Packages scripts import from the real containers' own libraries: sagemaker_containers, sagemaker_xgboost_container.
SHIMS_FOLDER = Path(__file__).parent / "shims"
REQUIREMENTS_FOLDER = "requirements"  # below the base folder: the packages of requirements.txt


class SourceError(Exception):
    """The user's source cannot be had or installed; the message names it."""


def fetch_source(location: str, folders: Folders) -> Path:
    """Make the source available and return its folder.

    Args:
        location: An ``s3://`` URI of a tar.gz, a ``file://`` URI, a folder or a tar.gz.
        folders: The container's; paths below ``/opt/ml`` are found below its base.

    Raises:
        SourceError: It cannot be downloaded or unpacked.
    """
    if location.startswith("s3://"):
        archive = folders.base / "tmp" / "sourcedir.tar.gz"
        archive.parent.mkdir(parents=True, exist_ok=True)
        _download(location, archive)
        extract(archive, folders.code)
        return folders.code
    path = local_path(location, folders)
    if path.is_dir():
        return path
    if path.is_file():
        extract(path, folders.code)
        return folders.code
    raise SourceError(f"The source '{location}' does not exist; it is an s3:// URI of a tar.gz or a local folder")


def local_path(location: str, folders: Folders) -> Path:
    """A path in the container as a path here: ``/opt/ml/...`` lies below the base folder."""
    text = unquote(urlparse(location).path) if location.startswith("file://") else location
    path = Path(text)
    if path.is_relative_to("/opt/ml") and folders.base != Path("/opt/ml"):
        return folders.base / path.relative_to("/opt/ml")
    return path


def _download(uri: str, target: Path) -> None:
    """Download with the job's own credentials, as the toolkits do."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parsed = urlparse(uri)
    try:
        boto3.client("s3").download_file(parsed.netloc, parsed.path.lstrip("/"), str(target))
    except (BotoCoreError, ClientError) as error:
        raise SourceError(f"The source archive {uri} cannot be downloaded: {error}") from error


def extract(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, nothing of it outside the folder.

    Raises:
        SourceError: It is not an archive, or a member points outside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:*") as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(folder, filter="data")
            else:  # Python before 3.11.4
                for member in tar.getmembers():
                    inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
                    if not inside or not (member.isfile() or member.isdir()):
                        raise SourceError(f"{archive.name}: the member '{member.name}' would not stay in the folder")
                    tar.extract(member, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SourceError(f"{archive.name} cannot be unpacked: {error}") from error


def install_requirements(folder: Path, folders: Folders) -> None:
    """Install the ``requirements.txt`` of a source folder and put the packages on ``sys.path`` and ``PYTHONPATH``.

    A container's image is its own; here the interpreter is shared with the user's environment. What that has already
    is used, anything else goes into a folder of this container, so that no job changes another or the environment.

    Raises:
        SourceError: pip failed; its output is in the log.
    """
    if not (folder / "requirements.txt").is_file():
        return
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-r", "requirements.txt"]
    dry_run = [*pip, "--dry-run", "--no-index"]
    check = subprocess.run(dry_run, cwd=folder, capture_output=True, text=True, check=False)
    if check.returncode == 0 and "Would install" not in check.stdout:
        log.info("requirements.txt is satisfied by what is installed")
        return
    target = folders.base / REQUIREMENTS_FOLDER
    command = [*pip, "--target", str(target)]
    log.info("Installing dependencies from requirements.txt:\n%s", " ".join(command))
    result = subprocess.run(command, cwd=folder, check=False)
    if result.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        raise SourceError(
            f'InstallRequirementsError:\nExitCode {result.returncode}\nErrorMessage ""\nCommand "{" ".join(command)}"'
        )
    prepend_python_path(target)


def prepend_python_path(folder: Path) -> None:
    """Let this process and its children import from a folder first."""
    sys.path.insert(0, str(folder))
    rest = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{rest}" if rest else str(folder)

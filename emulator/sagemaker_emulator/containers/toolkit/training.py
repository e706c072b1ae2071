"""Runs a user's training script in a child process, as SageMaker's training toolkit does."""

from __future__ import annotations

import collections
import logging
import os
import shlex
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from sagemaker_emulator.containers.contract import CustomerError, Folders, TrainingConfig, write_failure
from sagemaker_emulator.containers.toolkit.environment import ScriptEnvironment
from sagemaker_emulator.containers.toolkit.source import (
    SHIMS_FOLDER,
    SourceError,
    fetch_source,
    install_requirements,
)

log = logging.getLogger("sagemaker-training-toolkit")

_KEPT_ERROR_LINES = 200


def run_script(framework_module: str) -> NoReturn:
    """Run the entry point of the job and end the process: with exit code 0, or 1 when the script failed.

    Args:
        framework_module: Named in ``SM_FRAMEWORK_MODULE``.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(name)s %(levelname)-8s %(message)s", force=True
    )
    folders = Folders.from_environment()
    try:
        environment = ScriptEnvironment.of(TrainingConfig.read(folders), framework_module)
        exit_code = _run(environment)
    except (SourceError, CustomerError) as error:
        log.error("%s", error)  # noqa: TRY400 - the message says what the user has to change
        write_failure(folders, str(error))
        exit_code = 1
    except Exception as error:
        log.exception("framework error")
        write_failure(folders, f"framework error: \n{traceback.format_exc()}\n{error}")
        exit_code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _run(environment: ScriptEnvironment) -> int:
    if not environment.program:
        raise CustomerError(
            "No entry point: set the hyperparameter 'sagemaker_program' to the script's name in the source archive "
            "and 'sagemaker_submit_directory' to the archive's s3:// URI"
        )
    folders = environment.config.folders
    environment.make_folders()
    source = fetch_source(environment.submit_directory, folders) if environment.submit_directory else folders.code
    script = source / environment.program
    if not script.is_file():
        held = ", ".join(sorted(path.name for path in source.iterdir())) if source.is_dir() else "nothing"
        raise CustomerError(f"The entry point '{environment.program}' is not in the source; it holds: {held}")
    install_requirements(source, folders)
    command = _command(environment)
    log.info("Invoking script with the following command:\n\n%s\n", shlex.join(command))
    code, error_lines = _execute(command, source, {**os.environ, **environment.variables, **_python_path(source)})
    if code == 0:
        log.info("Reporting training SUCCESS")
        return 0
    if code == -signal.SIGTERM:
        log.info("The script was stopped")
        return 128 + signal.SIGTERM
    message = _error_message(error_lines)
    failure = f'ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{message}"\nCommand "{shlex.join(command)}"'
    trace = "\n".join(_last_traceback(error_lines))
    write_failure(folders, f"{failure}\n\n{trace}" if trace else failure)
    log.error("Reporting training FAILURE\n%s", failure)
    return 1  # as the toolkit: the script's own code is in the failure file


def _command(environment: ScriptEnvironment) -> list[str]:
    if environment.program.endswith(".py"):
        return [sys.executable, environment.program, *environment.arguments]
    return ["/bin/sh", environment.program, *environment.arguments]


def _python_path(source: Path) -> dict[str, str]:
    """The source can be imported from anywhere; the shims come last, so that an installed package wins."""
    paths = [str(source), *filter(None, [os.environ.get("PYTHONPATH")]), str(SHIMS_FOLDER)]
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _execute(command: list[str], folder: Path, variables: dict[str, str]) -> tuple[int, list[str]]:
    """Run the script; its output passes through, the end of what it writes to stderr is kept.

    SIGTERM goes to the whole process group when a job is stopped: the script decides when it ends.
    """
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    kept: collections.deque[str] = collections.deque(maxlen=_KEPT_ERROR_LINES)
    with subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None  # noqa: S101 - PIPE was asked for
        for raw in process.stderr:
            sys.stderr.buffer.write(raw)
            sys.stderr.buffer.flush()
            kept.append(raw.decode("utf-8", "replace").rstrip("\n"))
        code = process.wait()
    return code, list(kept)


def _error_message(lines: list[str]) -> str:
    """What the last exception says, or the last line there is."""
    trace = _last_traceback(lines)
    said = [index for index, line in enumerate(trace) if index and line and not line.startswith(" ")]
    if said:
        return "\n".join(trace[said[0] :]).strip()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _last_traceback(lines: list[str]) -> list[str]:
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    return lines[starts[-1] :] if starts else []

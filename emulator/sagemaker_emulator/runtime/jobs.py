"""The jobs that run now: one task each, stopped on request, marked as failed when the emulator went down under them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker_emulator.runtime import processes

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

LOGGER = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 120.0
"""How long a job's containers have between SIGTERM and SIGKILL; the API reference of StopTrainingJob names it."""

JobKey = tuple[str, str, str]


@dataclass(frozen=True)
class JobControl:
    """What a running job watches.

    Attributes:
        stop_requested: Set when somebody called the job's ``Stop`` operation.
    """

    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)


Runner = Callable[[JobControl], Awaitable[None]]


class Jobs:
    """Starts and stops the tasks behind training, processing and transform jobs.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: dict[JobKey, tuple[asyncio.Task[None], JobControl]] = {}

    def start(self, kind: str, region: str, name: str, runner: Runner) -> None:
        """Run a job in the background.

        Args:
            kind: The store's kind, such as ``training-job``.
            region: The job's region.
            name: The job's name.
            runner: Does all of it; it records its own failures.
        """
        key = (kind, region, name)
        control = JobControl()
        task = asyncio.create_task(self._run(key, runner, control), name=f"{kind} {name}")
        self._running[key] = (task, control)

    def stop(self, kind: str, region: str, name: str) -> bool:
        """Ask a job to stop; returns whether it was running."""
        running = self._running.get((kind, region, name))
        if running:
            running[1].stop_requested.set()
        return running is not None

    async def wait(self, kind: str, region: str, name: str) -> None:
        """Wait until a job has ended; returns at once when it is not running."""
        if running := self._running.get((kind, region, name)):
            await asyncio.wait([running[0]])

    async def end_all(self) -> None:
        """End every job's processes at once, because the emulator stops; the next start records them as failed."""
        tasks = [task for task, _ in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def folder(self, kind: str, region: str, name: str) -> Path:
        """Return the folder of a job's containers; the job makes and removes it."""
        return self.folders() / region / kind / name

    def folders(self) -> Path:
        """Return the folder that holds those of all jobs."""
        return self._app.settings.state_dir.resolve() / "jobs"

    async def clear_leftovers(self) -> None:
        """Kill the containers and remove the folders that an emulator which was killed left behind."""
        count = await asyncio.to_thread(processes.end_leftovers, self._app.settings.state_dir)
        if count:
            LOGGER.warning("Ended %d processes that an earlier emulator left running", count)
        await asyncio.to_thread(shutil.rmtree, self.folders(), ignore_errors=True)

    async def _run(self, key: JobKey, runner: Runner, control: JobControl) -> None:
        try:
            await runner(control)
        except Exception:
            LOGGER.exception("The runner of %s %s in %s broke", key[0], key[2], key[1])
        finally:
            del self._running[key]

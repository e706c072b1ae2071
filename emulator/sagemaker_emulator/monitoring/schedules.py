"""The schedules of the emulator: each waits for its next time, and starts an execution then."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from sagemaker_emulator.jobs.job_record import INTERRUPTED
from sagemaker_emulator.monitoring import schedule_expression
from sagemaker_emulator.monitoring.execution import EXECUTION, MonitoringExecution, new_execution

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

SCHEDULE = "monitoring-schedule"
"""The store's kind of schedules."""
_UNFINISHED = ("Pending", "InProgress", "Stopping")

logger = logging.getLogger(__name__)

_Key = tuple[str, str]


class MonitoringSchedules:
    """Runs the schedules whose documents say ``Scheduled``.

    A schedule's executions run one after the other. Times that pass while the emulator is down are left out; times
    that pass because its clock is set ahead, or the computer was suspended, are made up for.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._timers: dict[_Key, asyncio.Task[None]] = {}
        self._last_executions: dict[_Key, asyncio.Task[None]] = {}

    def start(self, region: str, name: str) -> None:
        """Let a schedule run; one that runs already begins anew with its present configuration."""
        self.stop(region, name)
        self._timers[region, name] = asyncio.create_task(self._run(region, name), name=f"schedule {region}/{name}")

    def stop(self, region: str, name: str) -> None:
        """Start no more executions of a schedule; the running one goes on."""
        if timer := self._timers.pop((region, name), None):
            timer.cancel()

    async def start_all(self) -> None:
        """Go on after a start of the emulator; executions it ended under are ``Failed``."""
        for region, name, execution in self._app.store.all(EXECUTION):
            if execution["MonitoringExecutionStatus"] in _UNFINISHED:
                execution |= {"MonitoringExecutionStatus": "Failed", "FailureReason": INTERRUPTED}
                execution["LastModifiedTime"] = self._app.clock.now()
                self._app.store.put(EXECUTION, region, name, execution)
        for region, name, schedule in self._app.store.all(SCHEDULE):
            if schedule["MonitoringScheduleStatus"] in ("Pending", "Scheduled"):
                self.start(region, name)

    async def stop_all(self) -> None:
        """End all of it; the next :meth:`start_all` takes up what the documents say."""
        tasks = [*self._timers.values(), *self._last_executions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, region: str, name: str) -> None:
        schedule = self._app.store.get(SCHEDULE, region, name)
        if schedule is None:
            return
        schedule["MonitoringScheduleStatus"] = "Scheduled"
        expression = schedule["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
        cron = schedule_expression.parse(expression)
        self._app.store.put(SCHEDULE, region, name, schedule)
        moment = self._app.clock.now()
        if cron is None:
            if not schedule.get("HasRun"):
                self._execute(region, name, moment)
                self._app.store.put(SCHEDULE, region, name, {**schedule, "HasRun": True})
            return
        while True:
            moment = cron.next_after(moment)
            await self._app.clock.sleep_until(moment)
            self._execute(region, name, moment)

    def _execute(self, region: str, name: str, scheduled: datetime) -> None:
        schedule = self._app.store.get(SCHEDULE, region, name)
        if schedule is None:
            return
        execution = new_execution(self._app, region, schedule, scheduled)
        key = (region, name)
        task = asyncio.create_task(self._run_after(self._last_executions.get(key), region, execution))
        self._last_executions[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    async def _run_after(self, earlier: asyncio.Task[None] | None, region: str, execution: str) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        try:
            await MonitoringExecution(self._app, region, execution).run()
        except Exception:
            logger.exception("Monitoring execution %s in %s", execution, region)

    def _forget(self, key: _Key, done: asyncio.Task[None]) -> None:
        # The next execution may have taken its place already.
        if self._last_executions.get(key) is done:
            del self._last_executions[key]

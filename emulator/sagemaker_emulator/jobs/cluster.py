"""The containers of a job, one an instance: started together, watched until they end or have to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.jobs.instances import Instance, write_hosts_file
from sagemaker_emulator.jobs.job_record import JobFailure
from sagemaker_emulator.runtime.jobs import STOP_GRACE_SECONDS, JobControl
from sagemaker_emulator.runtime.log_stream import LogStream
from sagemaker_emulator.runtime.processes import ContainerProcess, owner_environment

if TYPE_CHECKING:
    from sagemaker_emulator.app import App


class EndedBy(Enum):
    """Why a job's containers are no longer running."""

    EXIT = "exit"
    STOP = "stop"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class ClusterEnd:
    """How the containers of a job ended.

    Attributes:
        ended_by: Why.
        failed_host: The first host whose container ended with an error; empty when none did.
        exit_code: Its exit code, or 0.
    """

    ended_by: EndedBy
    failed_host: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Program:
    """What runs in every container of a job.

    Attributes:
        argv: The command.
        working_directory: Where it starts; its ``/opt/ml`` when empty.
        environment: Gives the environment of an instance, beyond the credentials.
    """

    argv: Sequence[str]
    working_directory: str
    environment: Callable[[Instance], Mapping[str, str]]


class Cluster:
    """The running containers of one job."""

    def __init__(self) -> None:
        self._processes: dict[str, ContainerProcess] = {}
        self._logs: list[LogStream] = []

    @classmethod
    async def start(
        cls,
        app: App,
        region: str,
        role_arn: str,
        instances: Sequence[Instance],
        program: Program,
        *,
        log_group: str,
        log_stream_prefix: str,
        on_line: Callable[[str, str], str] = lambda line, host: line,
    ) -> Cluster:
        """Start a container on every instance.

        Args:
            app: The application.
            region: The job's region.
            role_arn: Whose credentials the containers get.
            instances: The instances; their folders exist.
            program: What they run.
            log_group: The log group.
            log_stream_prefix: The log stream's name before the host's.
            on_line: Has a line and its host; returns the line as it goes to the log.

        Raises:
            JobFailure: A program cannot be started.
        """
        self = cls()
        aws_environment = await asyncio.to_thread(app.aws.container_environment, region, role_arn)
        started_ms = int(app.clock.now().timestamp() * 1000)
        try:
            for instance in instances:
                log = LogStream(app, region, log_group, f"{log_stream_prefix}/{instance.host}-{started_ms}", role_arn)
                self._logs.append(log)
                hosts_file = None
                if len(instances) > 1:
                    hosts_file = instance.folder / "hosts"
                    write_hosts_file(hosts_file, instances)
                self._processes[instance.host] = await ContainerProcess.start(
                    program.argv,
                    base_dir=instance.base_dir,
                    env={
                        **owner_environment(app.settings.state_dir),
                        "HOME": str(instance.home),
                        **aws_environment,
                        **program.environment(instance),
                    },
                    on_line=_line_writer(log, on_line, instance.host),
                    working_directory=program.working_directory,
                    hosts_file=hosts_file,
                )
        except OSError as error:
            await self.close()
            raise JobFailure(f"ClientError: Cannot start {' '.join(program.argv)}: {error}") from error
        except BaseException:
            await self.close()
            raise
        return self

    async def wait(
        self,
        app: App,
        control: JobControl,
        max_runtime_seconds: float,
        on_stopping: Callable[[EndedBy], None],
    ) -> ClusterEnd:
        """Wait until all containers have ended, one has failed, the job is stopped or its time is over.

        Args:
            app: The application, for its clock.
            control: Says when the job is to stop.
            max_runtime_seconds: The job's time.
            on_stopping: Called before the containers are asked to end.
        """
        exits: dict[asyncio.Task[Any], str] = {
            asyncio.create_task(process.wait()): host for host, process in self._processes.items()
        }
        stop = asyncio.create_task(control.stop_requested.wait())
        deadline = asyncio.create_task(app.clock.sleep(max_runtime_seconds))
        try:
            running = set(exits)
            while running:
                done, _ = await asyncio.wait({*running, stop, deadline}, return_when=asyncio.FIRST_COMPLETED)
                for task in done & running:
                    if code := task.result():
                        return ClusterEnd(EndedBy.EXIT, exits[task], code)
                running -= done
                if running and done & {stop, deadline}:
                    ended_by = EndedBy.STOP if stop in done else EndedBy.DEADLINE
                    on_stopping(ended_by)
                    await self._stop(STOP_GRACE_SECONDS)
                    return ClusterEnd(ended_by)
        finally:
            for task in (*exits, stop, deadline):
                task.cancel()
        return ClusterEnd(EndedBy.EXIT)

    async def close(self) -> None:
        """End what still runs, and send the rest of the logs."""
        await self._stop(0)
        await asyncio.gather(*(log.close() for log in self._logs))

    async def _stop(self, grace_seconds: float) -> None:
        await asyncio.gather(*(process.stop(grace_seconds) for process in self._processes.values()))


def _line_writer(log: LogStream, on_line: Callable[[str, str], str], host: str) -> Callable[[str], None]:
    def write(line: str) -> None:
        log.write(on_line(line, host))

    return write

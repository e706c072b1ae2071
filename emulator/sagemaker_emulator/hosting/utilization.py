"""What the processes of containers use of the machine."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


class ProcessUtilization:
    """CPU and memory of a changing set of processes and their descendants.

    Kept between looks, because CPU use is measured since the last one. Everything here blocks: call it in a thread.
    """

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}

    def look(self, pids: Iterable[int]) -> bool:
        """Find the processes; returns whether there are any.

        Args:
            pids: The containers' programs; their descendants count too.
        """
        found: dict[int, psutil.Process] = {}
        for pid in pids:
            try:
                program = psutil.Process(pid)
                for process in [program, *program.children(recursive=True)]:
                    found[process.pid] = self._processes.get(process.pid, process)
            except psutil.Error:
                continue
        self._processes = found
        return bool(found)

    def cpu_percent(self) -> float:
        """Return CPU use since the last look, 100 for each core."""
        return sum(_cpu_percent(process) for process in self._processes.values())

    def resident_bytes(self) -> int:
        """Return the memory they hold."""
        return sum(_resident_bytes(process) for process in self._processes.values())


def _cpu_percent(process: psutil.Process) -> float:
    try:
        return float(process.cpu_percent())
    except psutil.Error:
        return 0.0


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0

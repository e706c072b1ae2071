"""The emulator by itself: how soon it is ready, and what it takes while nobody asks anything."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from benchmarks.figures import Figure
from sagemaker_emulator.emulator import Emulator

READY_SECONDS = 4.0
IDLE_MB = 200.0
STARTS = 3


def measure() -> Iterable[Figure]:
    """Start an empty emulator a few times; the slowest start counts, and the memory once it has answered a call."""
    ready_seconds, idle_mb = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        with Emulator() as emulator:
            ready_seconds.append(time.perf_counter() - began)
            emulator.client("sagemaker").list_models()
            idle_mb.append(_proportional_set_mb(emulator.pid))
    yield Figure(
        "emulator_ready", max(ready_seconds), "s", f"<= {READY_SECONDS:g}", max(ready_seconds) <= READY_SECONDS
    )
    yield Figure("emulator_idle_memory", max(idle_mb), "MB", f"<= {IDLE_MB:g}", max(idle_mb) <= IDLE_MB)


def _proportional_set_mb(pid: int) -> float:
    """Return the memory of a process and its descendants, pages shared with others counted in part (PSS)."""
    process = psutil.Process(pid)
    processes = [process, *process.children(recursive=True)]
    total_bytes: int = sum(one.memory_full_info().pss for one in processes)
    return total_bytes / 2**20

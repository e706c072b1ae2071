"""Which models one multi-model container holds: loaded when first invoked, unloaded when memory is needed.

What AWS documents as "How multi-model endpoints work": the archive ``{ModelDataUrl}{TargetModel}`` is downloaded and
unpacked on the instance, the container is told to load it, and when memory runs short the least recently used model is
unloaded but stays on disk; when the disk runs short, models that are not loaded are deleted from it. An archive
uploaded anew under the same name is not seen while the old one is on the instance.

https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints.html
https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

MODEL_OVERHEAD_BYTES = 1024 * 1024
"""Accounted for each loaded model on top of its extracted size: interpreter objects, worker state."""
_MICROSECONDS = 1_000_000


class ModelServer(Protocol):
    """The control half of a multi-model container."""

    async def load_model(self, model_name: str, url: str) -> tuple[int, str]:
        """``POST /models``; returns the HTTP status and the body's text."""
        ...

    async def unload_model(self, model_name: str) -> tuple[int, str]:
        """``DELETE /models/{model_name}``; returns the HTTP status and the body's text."""
        ...


class ModelLoadError(Exception):
    """The container refused to load a model.

    Args:
        status: The container's HTTP status.
        message: Its body.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"The container answered {status} to loading the model: {message}")
        self.status = status
        self.message = message


@dataclass(slots=True)
class LoadedModel:
    """A model the container holds.

    Attributes:
        target_model: The archive's name, relative to the container's ``ModelDataUrl``.
        model_name: What the container knows it as.
        memory_bytes: What it counts against the budget.
        in_use: Invocations running on it; it is not unloaded while there are any.
    """

    target_model: str
    model_name: str
    memory_bytes: int
    in_use: int = 0


@dataclass(slots=True)
class _Loading:
    """A load in progress and how many invocations wait for it."""

    task: asyncio.Task[LoadedModel]
    waiters: int = 0


@dataclass(slots=True)
class _OnDisk:
    """An unpacked model on the instance's storage."""

    folder: Path
    size_bytes: int


Observe = Callable[[str, float], None]
"""Takes a CloudWatch metric's name and value: the durations in microseconds, ``ModelCacheHit`` 0 or 1."""


@dataclass
class ModelCache:
    """The models of one multi-model container.

    Attributes:
        server: The container.
        fetch: Downloads and unpacks the archive of a target model into a new folder; its errors reach the caller.
        folder: Where the models are unpacked, as ``<sha256>/model``.
        memory_budget_bytes: What all loaded models together may count.
        disk_budget_bytes: What all unpacked models together may take.
        keeps_models: False unloads each model after its invocation (``ModelCacheSetting=Disabled``).
        observe: Takes the metrics.
    """

    server: ModelServer
    fetch: Callable[[str, Path], Awaitable[None]]
    folder: Path
    memory_budget_bytes: int
    disk_budget_bytes: int
    keeps_models: bool = True
    observe: Observe = lambda _name, _value: None
    _loaded: OrderedDict[str, LoadedModel] = field(default_factory=OrderedDict)
    _loading: dict[str, _Loading] = field(default_factory=dict)
    _disk: OrderedDict[str, _OnDisk] = field(default_factory=OrderedDict)
    _unloading: set[asyncio.Task[None]] = field(default_factory=set)
    _memory: asyncio.Condition = field(default_factory=asyncio.Condition)
    _memory_bytes: int = 0

    @property
    def loaded_model_count(self) -> int:
        """How many models the container holds."""
        return len(self._loaded)

    @property
    def memory_utilization_percent(self) -> float:
        """The share of the memory budget the loaded models count for."""
        return 100.0 * self._memory_bytes / self.memory_budget_bytes

    @property
    def disk_bytes(self) -> int:
        """What the unpacked models take on disk."""
        return sum(model.size_bytes for model in self._disk.values())

    @asynccontextmanager
    async def use(self, target_model: str) -> AsyncIterator[LoadedModel]:
        """Have a model loaded for the length of a block; any number of invocations share one load.

        Args:
            target_model: The archive's name under the container's prefix.

        Raises:
            ModelLoadError: The container refused it.
        """
        model = self._loaded.get(target_model)
        if model is not None:
            self._loaded.move_to_end(target_model)
            self.observe("ModelCacheHit", 1)
            model.in_use += 1
        else:
            self.observe("ModelCacheHit", 0)
            model = await self._wait_for_load(target_model)
        try:
            yield model
        finally:
            model.in_use -= 1
            if model.in_use == 0:
                self._on_idle(model)

    async def close(self) -> None:
        """Cancel what is still loading; the container is about to be stopped."""
        tasks: list[asyncio.Task[Any]] = [*(loading.task for loading in self._loading.values()), *self._unloading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_for_load(self, target_model: str) -> LoadedModel:
        started = time.perf_counter()
        loading = self._loading.get(target_model)
        if loading is None:
            task = asyncio.create_task(self._load(target_model), name=f"load {target_model}")
            loading = self._loading[target_model] = _Loading(task)
        loading.waiters += 1
        try:
            # Shielded: one caller that gives up must not take the load away from the others.
            model = await asyncio.shield(loading.task)
        except asyncio.CancelledError:
            if loading.task.done() and not loading.task.cancelled() and loading.task.exception() is None:
                loading.task.result().in_use -= 1
            else:
                loading.waiters -= 1
            raise
        self.observe("ModelLoadingWaitTime", (time.perf_counter() - started) * _MICROSECONDS)
        return model

    async def _load(self, target_model: str) -> LoadedModel:
        """Download, make room, load; the new model is born in use by everybody who waits for it."""
        try:
            on_disk = await self._bring_to_disk(target_model)
            model = LoadedModel(target_model, self._model_name(target_model), on_disk.size_bytes + MODEL_OVERHEAD_BYTES)
            await self._reserve(model)
            try:
                await self._load_into_container(model, on_disk)
            except BaseException:
                await self._give_back(model)
                raise
            model.in_use = self._loading[target_model].waiters
            self._loaded[target_model] = model
            if model.in_use == 0:
                self._on_idle(model)
            return model
        finally:
            del self._loading[target_model]

    async def _bring_to_disk(self, target_model: str) -> _OnDisk:
        if (on_disk := self._disk.get(target_model)) is not None:
            self._disk.move_to_end(target_model)
            return on_disk
        started = time.perf_counter()
        folder = self.folder / hashlib.sha256(target_model.encode()).hexdigest()
        try:
            await self.fetch(target_model, folder / "model")
            size_bytes = await asyncio.to_thread(_tree_size_bytes, folder)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        self.observe("ModelDownloadingTime", (time.perf_counter() - started) * _MICROSECONDS)
        on_disk = self._disk[target_model] = _OnDisk(folder, size_bytes)
        await self._trim_disk()
        return on_disk

    async def _trim_disk(self) -> None:
        """Delete models that are neither loaded nor loading, least recently used first, down to the disk budget."""
        excess = self.disk_bytes - self.disk_budget_bytes
        for target_model in list(self._disk):
            if excess <= 0:
                return
            if target_model not in self._loaded and target_model not in self._loading:
                excess -= self._disk[target_model].size_bytes
                await self._delete_from_disk(target_model)

    async def _delete_from_disk(self, target_model: str) -> None:
        on_disk = self._disk.pop(target_model)
        # Moved aside at once, so that a new download of the same model never meets the deletion.
        doomed = on_disk.folder.with_name(f"deleted-{uuid.uuid4().hex}")
        on_disk.folder.rename(doomed)
        await asyncio.to_thread(shutil.rmtree, doomed, ignore_errors=True)

    async def _reserve(self, model: LoadedModel) -> None:
        """Count a model's memory, unloading others until it fits; waits while all others are in use."""
        async with self._memory:
            while self._memory_bytes + model.memory_bytes > self.memory_budget_bytes and self._memory_bytes > 0:
                if not await self._unload_least_recently_used():
                    await self._memory.wait()
            if model.memory_bytes > self.memory_budget_bytes:
                raise ModelLoadError(
                    507,
                    f"Model {model.target_model} needs {model.memory_bytes} bytes of memory; "
                    f"the container has {self.memory_budget_bytes}.",
                )
            self._memory_bytes += model.memory_bytes

    async def _give_back(self, model: LoadedModel) -> None:
        async with self._memory:
            self._memory_bytes -= model.memory_bytes
            self._memory.notify_all()

    async def _load_into_container(self, model: LoadedModel, on_disk: _OnDisk) -> None:
        started = time.perf_counter()
        while True:
            status, message = await self.server.load_model(model.model_name, str(on_disk.folder / "model"))
            # 409: it holds the model already, from a load whose answer was lost.
            if status < 300 or status == 409:
                break
            # 507: out of memory by the container's own count. Make room and try again, as SageMaker does.
            if status == 507:
                async with self._memory:
                    if await self._unload_least_recently_used():
                        continue
            raise ModelLoadError(status, message)
        self.observe("ModelLoadingTime", (time.perf_counter() - started) * _MICROSECONDS)

    async def _unload_least_recently_used(self) -> bool:
        """Unload the model unused for longest; False when all are in use. Called with the memory lock held."""
        for model in self._loaded.values():
            if model.in_use == 0:
                await self._unload(model)
                return True
        return False

    async def _unload(self, model: LoadedModel) -> None:
        # Out of the table first: an invocation that arrives during the call must load it anew, not use it.
        del self._loaded[model.target_model]
        started = time.perf_counter()
        try:
            await self.server.unload_model(model.model_name)
        finally:
            # Also when the container did not answer: it is told again (409 counts as loaded) or started anew.
            self._memory_bytes -= model.memory_bytes
            self._memory.notify_all()
        self.observe("ModelUnloadingTime", (time.perf_counter() - started) * _MICROSECONDS)

    def _on_idle(self, model: LoadedModel) -> None:
        """A model has become free: wake loads that wait for memory, and drop it when models are not kept."""
        if self.keeps_models and not self._loading:
            return
        task = asyncio.create_task(self._release(model))
        self._unloading.add(task)
        task.add_done_callback(self._unloading.discard)

    async def _release(self, model: LoadedModel) -> None:
        async with self._memory:
            self._memory.notify_all()
            if not self.keeps_models and model.in_use == 0 and self._loaded.get(model.target_model) is model:
                await self._unload(model)
                if model.target_model not in self._loading:
                    await self._delete_from_disk(model.target_model)

    @staticmethod
    def _model_name(target_model: str) -> str:
        # SageMaker too names models in the container by a hash; any target model is then one path segment.
        return hashlib.sha256(target_model.encode()).hexdigest()[:32]


def _tree_size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

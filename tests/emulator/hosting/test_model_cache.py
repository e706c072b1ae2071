"""The cache of a multi-model container, against a container that is a few lines of Python."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from sagemaker_emulator.hosting.multi_model import MODEL_OVERHEAD_BYTES, ModelCache, ModelLoadError


class FakeContainer:
    """Loads when told to; ``gate`` holds loads back."""

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.models: set[str] = set()
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked_to_load = asyncio.Event()
        self.unloaded = asyncio.Event()
        self.answers_unload = True

    async def load_model(self, model_name: str, url: str) -> tuple[int, str]:
        self.calls.append("load")
        self.asked_to_load.set()
        await self.gate.wait()
        if not (Path(url) / "model").exists():
            return 500, "no model file"
        if len(self.models) >= self.capacity:
            return 507, "out of memory"
        self.models.add(model_name)
        return 200, ""

    async def unload_model(self, model_name: str) -> tuple[int, str]:
        self.calls.append("unload")
        if not self.answers_unload:
            raise ConnectionError("the container hung up")
        self.models.discard(model_name)
        self.unloaded.set()
        return 200, ""


def unpack(folder: Path, *, has_model: bool) -> None:
    folder.mkdir(parents=True)
    if has_model:
        (folder / "model").write_bytes(b"\0" * 100)


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


class Setup:
    """A cache whose archives are made up: ``<n>.tar.gz`` unpacks to n bytes."""

    def __init__(self, folder: Path, *, models: int = 1000, disk_bytes: int = 10**9, keeps_models: bool = True) -> None:
        self.container = FakeContainer()
        self.fetched: list[str] = []
        self.metrics: Counter[str] = Counter()
        self.cache = ModelCache(
            self.container,
            self._fetch,
            folder,
            memory_budget_bytes=models * (MODEL_OVERHEAD_BYTES + 100),
            disk_budget_bytes=disk_bytes,
            keeps_models=keeps_models,
            observe=lambda name, value: self.metrics.update({name: 1}),
        )

    async def _fetch(self, target_model: str, folder: Path) -> None:
        self.fetched.append(target_model)
        if target_model == "missing":
            raise LookupError("no such archive")
        unpack(folder, has_model=target_model != "empty")

    async def use(self, *target_models: str) -> None:
        for target_model in target_models:
            async with self.cache.use(target_model) as model:
                assert model.model_name in self.container.models


async def test_least_recently_used_is_unloaded_first_and_comes_back_from_disk(tmp_path: Path) -> None:
    setup = Setup(tmp_path, models=2)
    await setup.use("a", "b", "a", "c")
    assert setup.cache.loaded_model_count == 2
    await setup.use("a")
    assert setup.container.calls == ["load", "load", "unload", "load"]
    await setup.use("b")
    assert setup.fetched == ["a", "b", "c"]
    assert setup.metrics["ModelDownloadingTime"] == 3
    assert setup.metrics["ModelLoadingTime"] == 4
    assert setup.cache.memory_utilization_percent == 100


async def test_one_load_for_all_who_wait(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.container.gate.clear()
    waiting = [asyncio.create_task(setup.use("a")) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    # One of them gives up: the others still get the model.
    waiting[0].cancel()
    setup.container.gate.set()
    await asyncio.gather(*waiting[1:])
    assert setup.container.calls == ["load"]
    assert setup.metrics["ModelCacheHit"] == 20


async def test_model_in_use_is_not_unloaded(tmp_path: Path) -> None:
    setup = Setup(tmp_path, models=1)
    async with setup.cache.use("a") as used:
        other = asyncio.create_task(setup.use("b"))
        done, _ = await asyncio.wait([other], timeout=0.1)
        assert not done
        assert setup.container.models == {used.model_name}
    await other
    assert setup.container.calls == ["load", "unload", "load"]


async def test_cancelled_waiters_leave_the_model_free_to_unload(tmp_path: Path) -> None:
    setup = Setup(tmp_path, models=1)
    setup.container.gate.clear()
    waiting = asyncio.create_task(setup.use("a"))
    await setup.container.asked_to_load.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    setup.container.gate.set()
    await setup.use("b")
    assert setup.container.calls == ["load", "unload", "load"]


async def test_container_out_of_memory_is_given_room_until_nothing_is_left_to_unload(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.container.capacity = 2
    await setup.use("a", "b", "c")
    assert setup.container.calls == ["load", "load", "load", "unload", "load"]
    setup.container.capacity = 0
    with pytest.raises(ModelLoadError) as caught:
        await setup.use("d")
    assert caught.value.status == 507
    assert setup.cache.loaded_model_count == 0
    assert setup.cache.memory_utilization_percent == 0


async def test_failed_loads_count_nothing_and_are_tried_again(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    for _ in range(2):
        with pytest.raises(LookupError):
            await setup.use("missing")
        with pytest.raises(ModelLoadError):
            await setup.use("empty")
    assert setup.fetched == ["missing", "empty", "missing"]
    assert setup.cache.memory_utilization_percent == 0
    await setup.use("a")


async def test_unload_without_an_answer_frees_the_memory_all_the_same(tmp_path: Path) -> None:
    setup = Setup(tmp_path, models=1)
    await setup.use("a")
    setup.container.answers_unload = False
    with pytest.raises(ConnectionError):
        await setup.use("b")
    assert setup.cache.memory_utilization_percent == 0
    setup.container.answers_unload = True
    await setup.use("b")


async def test_disk_is_trimmed_of_models_that_are_not_loaded(tmp_path: Path) -> None:
    setup = Setup(tmp_path, models=1, disk_bytes=250)
    await setup.use("a", "b", "c", "d")
    assert setup.cache.disk_bytes <= 250
    assert len(entries(tmp_path)) == 2
    await setup.use("a")
    assert setup.fetched == ["a", "b", "c", "d", "a"]


async def test_disabled_cache_keeps_nothing(tmp_path: Path) -> None:
    setup = Setup(tmp_path, keeps_models=False)
    await setup.use("a")
    await setup.container.unloaded.wait()
    assert setup.cache.loaded_model_count == 0
    await asyncio.gather(*(setup.use("a") for _ in range(5)))
    assert setup.fetched.count("a") >= 2
    assert setup.cache.memory_utilization_percent <= 100


async def test_many_models_in_turn_under_load(tmp_path: Path) -> None:
    setup = Setup(tmp_path, models=3)
    names = [str(number) for number in range(8)]
    await asyncio.gather(*(setup.use(*names[start:], *names[:start]) for start in range(8)))
    assert setup.cache.loaded_model_count <= 3
    assert len(setup.container.models) == setup.cache.loaded_model_count

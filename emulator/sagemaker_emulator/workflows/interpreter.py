"""Runs the states of a state machine: input and output processing, retries, catchers, branches and maps.

https://states-language.net/spec.html
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sagemaker_emulator.workflows import choice_rules, paths, templates
from sagemaker_emulator.workflows.failures import RUNTIME, StateFailure

if TYPE_CHECKING:
    from sagemaker_emulator.clock import Clock
    from sagemaker_emulator.workflows.history import Track
    from sagemaker_emulator.workflows.task import TaskRunner

# "Quotas related to state machine executions": the input or output of a state.
_LARGEST_PAYLOAD_BYTES = 262_144
_ALL_AT_ONCE = 0
# "Map state": with MaxConcurrency 0 an inline map runs up to 40 iterations at a time.
_MOST_ITERATIONS = 40


class Interpreter:
    """Runs one execution's states.

    Args:
        clock: The time.
        tasks: Runs the work of Task states.
    """

    def __init__(self, clock: Clock, tasks: TaskRunner) -> None:
        self._clock = clock
        self._tasks = tasks
        self._kinds: dict[str, Callable[..., Awaitable[tuple[Any, str | None]]]] = {
            "Pass": self._pass,
            "Task": self._task,
            "Choice": self._choice,
            "Wait": self._wait,
            "Parallel": self._parallel,
            "Map": self._map,
        }

    async def run(self, machine: dict[str, Any], value: Any, context: dict[str, Any], track: Track) -> Any:
        """Run a state machine, or a branch, from its first state to its end.

        Args:
            machine: ``StartAt`` and ``States``, checked.
            value: Its input.
            context: The context object; this run's states are entered into a copy.
            track: Where its events go.

        Returns:
            Its output.

        Raises:
            StateFailure: A state failed and nothing caught it.
        """
        name: str | None = machine["StartAt"]
        while name is not None:
            state = machine["States"][name]
            entered = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
            inside = {**context, "State": {"Name": name, "EnteredTime": entered, "RetryCount": 0}}
            track.add(f"{state['Type']}StateEntered", name=name, input=value)
            try:
                value, next_name = await self._state(state, value, inside, track)
                _check_size(value)
            except StateFailure as failure:
                failure.state_name = failure.state_name or name
                raise
            track.add(f"{state['Type']}StateExited", name=name, output=value)
            name = next_name
        return value

    async def _state(
        self, state: dict[str, Any], value: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        if state["Type"] == "Fail":
            raise _fail_of(state, value, context)
        given = _filtered(state, "InputPath", value, context)
        if state["Type"] == "Succeed":
            return _filtered(state, "OutputPath", given, context), None
        return await self._kinds[state["Type"]](state, value, given, context, track)

    async def _pass(
        self, state: dict[str, Any], value: Any, given: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        del track
        result = state["Result"] if "Result" in state else _with_parameters(state, given, context)
        return _finished(state, value, result, context)

    async def _choice(
        self, state: dict[str, Any], value: Any, given: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        del value, track
        target = next((rule["Next"] for rule in state["Choices"] if choice_rules.matches(rule, given, context)), None)
        target = target or state.get("Default")
        if target is None:
            raise StateFailure("States.NoChoiceMatched", "No choice rule matched, and there is no Default.")
        return _filtered(state, "OutputPath", given, context), target

    async def _wait(
        self, state: dict[str, Any], value: Any, given: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        del value, track
        moment = _moment_of(state, given, context, self._clock.now())
        await self._clock.sleep_until(moment)
        return _filtered(state, "OutputPath", given, context), state.get("Next")

    async def _task(
        self, state: dict[str, Any], value: Any, given: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        async def attempt(now: dict[str, Any]) -> Any:
            parameters = _with_parameters(state, given, now)
            seconds = state.get("TimeoutSeconds")
            if path := state.get("TimeoutSecondsPath"):
                seconds = templates.reference(path, given, now, "TimeoutSecondsPath")
            return await self._tasks.run(state["Resource"], parameters, seconds, track)

        return await self._guarded(state, value, context, attempt)

    async def _parallel(
        self, state: dict[str, Any], value: Any, given: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        async def attempt(now: dict[str, Any]) -> Any:
            branch_input = _with_parameters(state, given, now)
            track.add("ParallelStateStarted")
            try:
                results = await _together(
                    [
                        lambda branch=branch: self.run(branch, branch_input, now, track.branch())  # type: ignore[misc]
                        for branch in state["Branches"]
                    ],
                    _ALL_AT_ONCE,
                )
            except StateFailure:
                track.add("ParallelStateFailed")
                raise
            track.add("ParallelStateSucceeded")
            return results

        return await self._guarded(state, value, context, attempt)

    async def _map(
        self, state: dict[str, Any], value: Any, given: Any, context: dict[str, Any], track: Track
    ) -> tuple[Any, str | None]:
        name = context["State"]["Name"]
        processor = state.get("ItemProcessor") or state["Iterator"]
        selector = state.get("ItemSelector", state.get("Parameters"))

        async def iterate(index: int, item: Any, now: dict[str, Any]) -> Any:
            inside = {**now, "Map": {"Item": {"Index": index, "Value": item}}}
            own = track.branch()
            own.add("MapIterationStarted", name=name, index=index)
            try:
                item_input = item if selector is None else templates.fill_in(selector, given, inside)
                result = await self.run(processor, item_input, inside, own)
            except StateFailure:
                own.add("MapIterationFailed", name=name, index=index)
                raise
            except asyncio.CancelledError:
                own.add("MapIterationAborted", name=name, index=index)
                raise
            own.add("MapIterationSucceeded", name=name, index=index)
            return result

        async def attempt(now: dict[str, Any]) -> Any:
            items = templates.reference(state.get("ItemsPath", "$"), given, now, "ItemsPath")
            if not isinstance(items, list):
                raise StateFailure(
                    RUNTIME, f"ItemsPath of '{name}' does not select an array: {json.dumps(items)[:200]}"
                )
            most = state.get("MaxConcurrency", _ALL_AT_ONCE)
            if path := state.get("MaxConcurrencyPath"):
                most = templates.reference(path, given, now, "MaxConcurrencyPath")
            track.add("MapStateStarted", length=len(items))
            try:
                results = await _together(
                    [
                        lambda index=index, item=item: iterate(index, item, now)  # type: ignore[misc]
                        for index, item in enumerate(items)
                    ],
                    min(most or _MOST_ITERATIONS, _MOST_ITERATIONS),
                )
            except StateFailure:
                track.add("MapStateFailed")
                raise
            track.add("MapStateSucceeded")
            return results

        return await self._guarded(state, value, context, attempt)

    async def _guarded(
        self,
        state: dict[str, Any],
        value: Any,
        context: dict[str, Any],
        attempt: Callable[[dict[str, Any]], Awaitable[Any]],
    ) -> tuple[Any, str | None]:
        """Run a state's work under its retriers and catchers."""
        retries = [0] * len(state.get("Retry", []))
        while True:
            now = {**context, "State": {**context["State"], "RetryCount": sum(retries)}}
            try:
                return _finished(state, value, await attempt(now), now)
            except StateFailure as failure:
                if (seconds := _retry_seconds(state, failure, retries)) is not None:
                    await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))
                    continue
                for catcher in state.get("Catch", []):
                    if failure.matches(catcher["ErrorEquals"]):
                        output = _with_result(catcher, value, failure.output)
                        return output, catcher["Next"]
                raise


def _retry_seconds(state: dict[str, Any], failure: StateFailure, retries: list[int]) -> float | None:
    """Return how long to wait before the next attempt, or None when there is none; counts it."""
    for index, retrier in enumerate(state.get("Retry", [])):
        if not failure.matches(retrier["ErrorEquals"]):
            continue
        if retries[index] >= retrier.get("MaxAttempts", 3):
            return None
        seconds = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retries[index]
        seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
        retries[index] += 1
        if retrier.get("JitterStrategy") == "FULL":
            seconds = random.uniform(0, seconds)  # noqa: S311 - spreads attempts, guards nothing
        return float(seconds)
    return None


async def _together(runs: Sequence[Callable[[], Awaitable[Any]]], most: int) -> list[Any]:
    """Return the results of all, in order; the first failure ends the others and is raised."""
    semaphore = asyncio.Semaphore(most or len(runs) or 1)

    async def one(run: Callable[[], Awaitable[Any]]) -> Any:
        async with semaphore:
            return await run()

    tasks = [asyncio.create_task(one(run)) for run in runs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _filtered(state: dict[str, Any], field: str, value: Any, context: dict[str, Any]) -> Any:
    path = state.get(field, "$")
    return {} if path is None else templates.reference(path, value, context, field)


def _with_parameters(state: dict[str, Any], given: Any, context: dict[str, Any]) -> Any:
    return templates.fill_in(state["Parameters"], given, context) if "Parameters" in state else given


def _finished(state: dict[str, Any], value: Any, result: Any, context: dict[str, Any]) -> tuple[Any, str | None]:
    if "ResultSelector" in state:
        result = templates.fill_in(state["ResultSelector"], result, context)
    output = _with_result(state, value, result)
    return _filtered(state, "OutputPath", output, context), state.get("Next")


def _with_result(state: dict[str, Any], value: Any, result: Any) -> Any:
    path = state.get("ResultPath", "$")
    if path is None:
        return value
    try:
        return paths.put(path, value, result)
    except paths.PathError as error:
        raise StateFailure("States.ResultPathMatchFailure", str(error)) from error


def _fail_of(state: dict[str, Any], value: Any, context: dict[str, Any]) -> StateFailure:
    texts = {field: state.get(field, "") for field in ("Error", "Cause")}
    for field in texts:
        if expression := state.get(f"{field}Path"):
            texts[field] = templates.fill_in({"text.$": expression}, value, context)["text"]
            if not isinstance(texts[field], str):
                raise StateFailure(RUNTIME, f"{field}Path {expression!r} does not select a text")
    return StateFailure(texts["Error"], texts["Cause"])


def _moment_of(state: dict[str, Any], given: Any, context: dict[str, Any], now: datetime) -> datetime:
    field = next(name for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath") if name in state)
    value = templates.reference(state[field], given, context, field) if field.endswith("Path") else state[field]
    try:
        if field.startswith("Seconds"):
            return now + timedelta(seconds=float(value))
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise StateFailure(RUNTIME, f"{field} of a Wait state is {value!r}: {error}") from error


def _check_size(value: Any) -> None:
    if len(json.dumps(value).encode()) > _LARGEST_PAYLOAD_BYTES:
        raise StateFailure(
            "States.DataLimitExceeded",
            f"The state returned a result with a size exceeding the maximum number of bytes service limit "
            f"({_LARGEST_PAYLOAD_BYTES}).",
        )

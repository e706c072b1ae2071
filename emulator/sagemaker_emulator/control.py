"""The emulator's own endpoints under ``/_emulator/``, which no AWS service has.

- ``GET /_emulator/health``: pid, version, whether everything is up again, how many operations are implemented.
- ``GET /_emulator/authorizations``: the latest calls evaluated against IAM policies (with ``--auth``).
- ``GET``, ``POST``, ``DELETE /_emulator/faults``: answer a share of calls as a throttled AWS does, for testing clients.
- ``GET``, ``POST /_emulator/clock``: the emulator's time; set it ahead and what is due by then happens at once.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sagemaker_emulator import operations
from sagemaker_emulator.auth import Authorizations
from sagemaker_emulator.clock import Clock
from sagemaker_emulator.protocol import Answer
from sagemaker_emulator.store import Store

PREFIX = "/_emulator/"
_CLOCK = "clock"
_LONGEST_ADVANCE_SECONDS = 366 * 86_400


@dataclass(frozen=True)
class FaultPlan:
    """Which calls to throttle.

    Attributes:
        throttle_share: The share of calls, 0 to 1, drawn by a seeded generator.
        seed: The generator's seed: the same calls in the same order fail the same way.
        operations: Only these operations, such as ``CreateTrainingJob`` or ``PutObject``; empty for all of them.
        count: Throttle at most that many calls; 0 for no limit.
    """

    throttle_share: float = 0.0
    seed: int = 0
    operations: tuple[str, ...] = ()
    count: int = 0


class Faults:
    """Decides for each call whether it is throttled."""

    def __init__(self) -> None:
        self.plan = FaultPlan()
        self.throttled = 0
        self._random = random.Random(0)  # noqa: S311 - reproducible, not secret

    def set(self, plan: FaultPlan) -> None:
        """Replace the plan and start its sequence anew."""
        self.plan = plan
        self.throttled = 0
        self._random.seed(plan.seed)

    def throttles(self, operation: str) -> bool:
        """Return whether this call is to be throttled, and count it."""
        plan = self.plan
        if not plan.throttle_share or (plan.operations and operation not in plan.operations):
            return False
        if (plan.count and self.throttled >= plan.count) or self._random.random() >= plan.throttle_share:
            return False
        self.throttled += 1
        return True


class Control:
    """Answers the emulator's own endpoints.

    Args:
        version: The emulator's version.
        authorizations: The evaluated calls.
        faults: What throttles.
        clock: The emulator's time.
        store: Keeps how far the clock is ahead: time does not go back when the emulator is started again.
    """

    def __init__(
        self, version: str, authorizations: Authorizations, faults: Faults, clock: Clock, store: Store
    ) -> None:
        self.is_ready = False
        self._version = version
        self._authorizations = authorizations
        self._faults = faults
        self._clock = clock
        self._store = store
        clock.advance((store.get(_CLOCK, "", _CLOCK) or {}).get("AheadSeconds", 0.0))

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answer a request to ``/_emulator/...``."""
        match method, path.removeprefix(PREFIX):
            case "GET", "health":
                return _json(200, self._health())
            case "GET", "authorizations":
                return _json(200, {"authorizations": self._authorizations.as_dicts()})
            case "GET", "faults":
                return _json(200, {**asdict(self._faults.plan), "throttled": self._faults.throttled})
            case "POST", "faults":
                return self._set_faults(body)
            case "DELETE", "faults":
                self._faults.set(FaultPlan())
                return _json(200, asdict(self._faults.plan))
            case "GET", "clock":
                return _json(200, self._time())
            case "POST", "clock":
                return self._advance_clock(body)
        return _json(404, {"message": f"There is no {method} {path}; see sagemaker_emulator.control"})

    def _health(self) -> dict[str, Any]:
        implemented = operations.implemented()
        return {
            "status": "ready" if self.is_ready else "starting",
            "pid": os.getpid(),
            "version": self._version,
            "operations": sum(len(names) for names in implemented.values()),
        }

    def _set_faults(self, body: bytes) -> Answer:
        try:
            given = json.loads(body)
            plan = FaultPlan(**{**given, "operations": tuple(given.get("operations", ()))})
            _check(plan)
        except (ValueError, TypeError, AttributeError) as error:
            message = f"Bad fault plan: {error}; wanted: throttle_share (0 to 1), seed, operations, count"
            return _json(400, {"message": message})
        self._faults.set(plan)
        return _json(200, asdict(plan))

    def _advance_clock(self, body: bytes) -> Answer:
        try:
            self._clock.advance(_advance_seconds(**json.loads(body)))
        except (ValueError, TypeError) as error:
            message = f"Bad clock: {error}; wanted: advance_seconds (0 to {_LONGEST_ADVANCE_SECONDS})"
            return _json(400, {"message": message})
        self._store.put(_CLOCK, "", _CLOCK, {"AheadSeconds": self._clock.ahead_seconds})
        return _json(200, self._time())

    def _time(self) -> dict[str, Any]:
        return {"now": self._clock.now().isoformat(), "ahead_seconds": self._clock.ahead_seconds}


def _check(plan: FaultPlan) -> None:
    if not isinstance(plan.throttle_share, int | float) or not 0 <= plan.throttle_share <= 1:
        raise ValueError(f"throttle_share is {plan.throttle_share!r}")
    if not isinstance(plan.count, int) or plan.count < 0:
        raise ValueError(f"count is {plan.count!r}")
    names: Sequence[Any] = plan.operations
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"operations is {names!r}")


def _advance_seconds(advance_seconds: Any = None, **unknown: Any) -> float:
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    if not isinstance(advance_seconds, int | float) or not 0 <= advance_seconds <= _LONGEST_ADVANCE_SECONDS:
        raise ValueError(f"advance_seconds is {advance_seconds!r}")
    return advance_seconds


def _json(status: int, document: dict[str, Any]) -> Answer:
    return Answer(status, [(b"content-type", b"application/json")], json.dumps(document).encode())

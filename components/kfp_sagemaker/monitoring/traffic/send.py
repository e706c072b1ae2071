"""Replays rows to an endpoint at a rate, as often as asked, with the declared drift.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import DataError, ThresholdError
from kfp_sagemaker.aws.s3 import open_lines
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints import rows as row_formats
from kfp_sagemaker.endpoints.hosting import REAL_TIME
from kfp_sagemaker.endpoints.invocation_sender import Answer, Request, Sender
from kfp_sagemaker.endpoints.invoke import Tally
from kfp_sagemaker.monitoring.traffic.drift import Drift
from kfp_sagemaker.monitoring.traffic.plan import Plan

_SHOWN_ERRORS = 5
# Rows of an S3 object are kept to be sent again; more of them are read anew each round.
_MAX_KEPT_ROWS = 100_000


class Sent(NamedTuple):
    """The component's outputs."""

    sent_count: int
    failed_count: int
    started_at: str
    ended_at: str
    drifted_columns: list[str]


def run(
    session: Session,
    plan: Plan,
    *,
    log_metric: Callable[[str, float], None] = lambda name, value: None,
    timing: Timing = REAL_TIME,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sink: Callable[[str], None] = print_line,
) -> Sent:
    """Send the traffic.

    Args:
        session: The step's session.
        plan: From ``plan.build``.
        log_metric: Takes each figure.
        timing: Clock, sleep and chance.
        clock: The time of day, for the window that an analysis then looks at.
        sink: Takes the lines of the step's log.

    Raises:
        DataError: The object has no rows, or a row does not fit the declared drift.
        ThresholdError: More rows failed than allowed.
        ResourceMissingError: No such endpoint, or S3 object.
    """
    source = _Source(session, plan)
    drift = source.drift
    started = clock().replace(microsecond=0)
    start = timing.now()
    tally = Tally()
    for answer in _answers(session, plan, source, timing, start):
        tally.add(answer)
    figures = tally.metrics(timing.now() - start)
    for name, value in figures.items():
        log_metric(name, value)
    # A window is half open: the second the last answer came in belongs to it.
    ended = clock().replace(microsecond=0) + timedelta(seconds=1)
    changed = f", with drift of {', '.join(drift.column_names)}" if drift.changes else ""
    sink(
        f"endpoint {plan.invocation.endpoint_name}: {tally.row_count:,} rows sent, {tally.failed_count:,} failed, "
        f"{figures['rows_per_second']:.1f} rows/s{changed}"
    )
    _check_failures(plan, tally)
    return Sent(tally.row_count, tally.failed_count, _iso(started), _iso(ended), drift.column_names)


class _Source:
    """The rows, round after round, as they are sent."""

    def __init__(self, session: Session, plan: Plan) -> None:
        self._session = session
        self._plan = plan
        names: list[str] = list(plan.column_names)
        if plan.has_header:
            head = next(self._lines(), "")
            names = next(csv.reader([head]), [])
            if len(set(names)) < len(names) or not names:
                raise DataError(f"{plan.input_s3_uri}: its header {head!r} does not name each column once")
        try:
            self.drift = Drift(plan.changes, names, plan.seed)
        except ValueError as error:
            raise DataError(f"{plan.input_s3_uri or 'rows'}: {error}") from None

    def rows(self) -> Iterator[Any]:
        """Rows without end, or once where neither a number nor a time is given."""
        kept: list[Any] | None = []
        while True:
            count = 0
            for count, row in enumerate(self._round(), start=1):
                if kept is not None and len(kept) < _MAX_KEPT_ROWS:
                    kept.append(row)
                elif kept is not None:
                    kept = None
                yield self._drifted(row, count)
            if not count:
                raise DataError(f"{self._plan.input_s3_uri}: there are no rows")
            if not (self._plan.row_count or self._plan.duration_seconds):
                return
            while kept:
                for number, row in enumerate(kept, start=1):
                    yield self._drifted(row, number)

    def _round(self) -> Iterable[Any]:
        if self._plan.rows:
            return self._plan.rows
        lines = (line for line in self._lines() if line.strip())
        return islice(lines, 1, None) if self._plan.has_header else lines

    def _lines(self) -> Iterator[str]:
        return open_lines(self._session, self._plan.input_s3_uri)

    def _drifted(self, row: Any, number: int) -> Any:
        """The row, changed where drift is declared; a row that is not changed is sent as it was given."""
        if not self.drift.changes:
            return row
        try:
            return self.drift.apply(_values(row, self._plan.invocation.content_type))
        except ValueError as error:
            place = f"{self._plan.input_s3_uri}, row {number}" if self._plan.input_s3_uri else f"rows[{number - 1}]"
            raise DataError(f"{place}: {error}") from None


def _values(row: Any, content_type: str) -> Any:
    """A row as a list or dict of its values."""
    if isinstance(row, str):
        if content_type == row_formats.CSV:
            return next(csv.reader([row]), [])
        try:
            row = json.loads(row)
        except json.JSONDecodeError as error:
            raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(row, list | tuple | Mapping):
        raise ValueError(f"it is {row!r} and not a row of values")  # noqa: TRY004 - one kind of error for a bad row
    return row


def _requests(plan: Plan, source: _Source, timing: Timing, start: float) -> Iterator[Request]:
    """The requests in order, each batch to every target model, until rows or time are used up."""
    rows = source.rows()
    sent = 0
    per_request = plan.invocation.rows_per_request
    while not plan.duration_seconds or timing.now() - start < plan.duration_seconds:
        left = plan.row_count - sent if plan.row_count else per_request
        batch = list(islice(rows, min(per_request, left)))
        if not batch:
            return
        for target in plan.invocation.target_models:
            yield Request(sent, target, batch)
        sent += len(batch)


def _answers(session: Session, plan: Plan, source: _Source, timing: Timing, start: float) -> Iterator[Answer]:
    client = session.client("sagemaker-runtime")
    # botocore's own retries know nothing of a model that is loading; the sender does.
    client.meta.events.unregister("needs-retry.sagemaker-runtime", unique_id="retry-config-sagemaker-runtime")
    sender = Sender(client, plan.invocation, timing)
    waiting: deque[Future[Answer]] = deque()
    pool = ThreadPoolExecutor(plan.invocation.max_concurrency, "traffic")
    try:
        for request in _requests(plan, source, timing, start):
            waiting.append(pool.submit(sender.send, request))
            # Nothing is prepared far ahead, or the end of the duration would find a queue.
            if len(waiting) >= plan.invocation.max_concurrency:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _check_failures(plan: Plan, tally: Tally) -> None:
    failed_percent = 100 * tally.failed_count / max(tally.row_count, 1)
    if failed_percent <= plan.invocation.max_failed_percent:
        return
    shown = [f"  - {count:,} times: {error}" for error, count in tally.errors.most_common(_SHOWN_ERRORS)]
    raise ThresholdError(
        f"endpoint {plan.invocation.endpoint_name}: {tally.failed_count:,} of {tally.row_count:,} rows failed "
        f"({failed_percent:.3g} %, allowed {plan.invocation.max_failed_percent:g} %):\n" + "\n".join(shown)
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Send rows to an endpoint: concurrently, with the answers in the order of the input, and count what became of them.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import json
import math
import tempfile
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import InputError, ThresholdError
from kfp_sagemaker.aws.s3 import open_lines, parse_uri
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.endpoints.hosting import REAL_TIME
from kfp_sagemaker.endpoints.invocation_plan import MAX_RETURNED_BYTES, MAX_RETURNED_PREDICTIONS, Plan
from kfp_sagemaker.endpoints.invocation_sender import Answer, Request, Sender

# Requests prepared ahead, as a multiple of those in flight: keeps workers busy while one slow answer holds the order.
_WINDOW = 4
_SHOWN_ERRORS = 5


class Invoked(NamedTuple):
    """The component's outputs."""

    predictions_s3_uri: str
    predictions: list[dict[str, Any]]
    invocation_count: int
    failed_count: int


@dataclass
class Tally:
    """Counts over all answers; its size grows by eight bytes a request."""

    latencies_ms: array[float] = field(default_factory=lambda: array("d"))
    row_count: int = 0
    failed_count: int = 0
    request_count: int = 0
    retry_count: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_failures: dict[str, str] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        self.request_count += 1
        self.retry_count += answer.attempts - 1
        self.row_count += len(answer.records)
        if not answer.error:
            self.latencies_ms.append(answer.latency_ms)
        for record in answer.records:
            if "error" in record:
                self.failed_count += 1
                self.errors[record["error"]] += 1
                target = f" and target model {record['target_model']}" if record.get("target_model") else ""
                self.first_failures.setdefault(record["error"], f"row {record['index']}{target}")

    def metrics(self, elapsed_seconds: float) -> dict[str, float]:
        """The figures, with latencies of the answered requests."""
        ordered = sorted(self.latencies_ms)
        elapsed = max(elapsed_seconds, 1e-9)
        figures = {
            "invocation_count": self.row_count,
            "failed_count": self.failed_count,
            "request_count": self.request_count,
            "retry_count": self.retry_count,
            "requests_per_second": self.request_count / elapsed,
            "rows_per_second": self.row_count / elapsed,
        }
        if ordered:
            figures |= {f"latency_p{percent}_ms": percentile(ordered, percent) for percent in (50, 90, 99)}
            figures["latency_max_ms"] = ordered[-1]
        return {name: round(value, 3) for name, value in figures.items()}


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of an ascending sequence do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def run(
    session: Session,
    plan: Plan,
    *,
    log_metric: Callable[[str, float], None] = lambda name, value: None,
    timing: Timing = REAL_TIME,
    sink: Callable[[str], None] = print_line,
) -> Invoked:
    """Send everything, write the predictions, report the figures.

    Args:
        session: The step's session.
        plan: From ``invocation_plan.build``.
        log_metric: Takes each figure.
        timing: Clock, sleep and chance.
        sink: Takes the lines of the step's log.

    Raises:
        ThresholdError: More rows failed than allowed.
        InputError: The S3 object has no rows, or the predictions are too large to return without ``output_s3_uri``.
        ResourceMissingError: No such endpoint, or S3 object.
    """
    tally = Tally()
    returned: list[dict[str, Any]] = []
    returned_bytes = 0
    start = timing.now()
    with tempfile.TemporaryFile() as spool:
        for answer in _answers(session, plan, timing):
            tally.add(answer)
            for record in answer.records:
                line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
                returned_bytes += len(line)
                spool.write(line)
                if tally.row_count <= MAX_RETURNED_PREDICTIONS and returned_bytes <= MAX_RETURNED_BYTES:
                    returned.append(record)
        elapsed = timing.now() - start
        if not tally.row_count:
            raise InputError([f"input_s3_uri is {plan.input_s3_uri!r}, must be an object with rows"], "invoke_endpoint")
        _upload(session, plan.output_s3_uri, spool)
    figures = tally.metrics(elapsed)
    for name, value in figures.items():
        log_metric(name, value)
    sink(_summary(plan, figures, elapsed))
    _check_failures(plan, tally)
    complete = len(returned) == tally.row_count
    if not complete and not plan.output_s3_uri:
        problem = f"output_s3_uri is '', must be given: a step does not return {returned_bytes:,} bytes of predictions"
        raise InputError([problem], "invoke_endpoint")
    return Invoked(plan.output_s3_uri, returned if complete else [], tally.row_count, tally.failed_count)


def requests(plan: Plan, rows: Callable[[], Iterable[Any]]) -> Iterator[Request]:
    """The requests in order: one target model after another, and the rows in theirs.

    Args:
        plan: What to send.
        rows: Gives the rows anew for each target model, so that none have to be kept.
    """
    if plan.target_model_pairing == "row":
        for index, (row, target) in enumerate(zip(rows(), plan.target_models, strict=True)):
            yield Request(index, target, [row])
        return
    for target in plan.target_models:
        iterator = iter(rows())
        index = 0
        while batch := list(islice(iterator, plan.rows_per_request)):
            yield Request(index, target, batch)
            index += len(batch)


def _answers(session: Session, plan: Plan, timing: Timing) -> Iterator[Answer]:
    """All answers, in the order of the requests; holds a bounded number of them."""
    client = session.client("sagemaker-runtime")
    # botocore's own retries know nothing of a model that is loading, and would hide the pauses in the latency.
    client.meta.events.unregister("needs-retry.sagemaker-runtime", unique_id="retry-config-sagemaker-runtime")
    sender = Sender(client, plan, timing)
    pool = ThreadPoolExecutor(plan.max_concurrency, "invoke")
    waiting: deque[Future[Answer]] = deque()
    try:
        for request in requests(plan, lambda: _rows(session, plan)):
            waiting.append(pool.submit(sender.send, request))
            if len(waiting) >= plan.max_concurrency * _WINDOW:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _rows(session: Session, plan: Plan) -> Iterable[Any]:
    if plan.rows:
        return plan.rows
    return (line for line in open_lines(session, plan.input_s3_uri) if line.strip())


def _upload(session: Session, uri: str, spool: BinaryIO) -> None:
    if not uri:
        return
    spool.seek(0)
    bucket, key = parse_uri(uri)
    with aws_errors(f"writing the predictions to {uri}"):
        session.client("s3").upload_fileobj(spool, bucket, key, ExtraArgs={"ContentType": "application/jsonlines"})


def _summary(plan: Plan, figures: dict[str, float], elapsed_seconds: float) -> str:
    models = len(set(plan.target_models)) if plan.target_models != [""] else 0
    text = f"endpoint {plan.endpoint_name}: {figures['invocation_count']:,.0f} rows"
    text += f" to {models} target model{'s' if models != 1 else ''}" if models else ""
    text += f" in {elapsed_seconds:.1f} s, {figures['failed_count']:,.0f} failed, {figures['retry_count']:,.0f} retries"
    if "latency_p50_ms" in figures:
        text += "".join(f", {name} {figures[f'latency_{name}_ms']:.1f} ms" for name in ("p50", "p90", "p99", "max"))
    return text + (f"; predictions in {plan.output_s3_uri}" if plan.output_s3_uri else "")


def _check_failures(plan: Plan, tally: Tally) -> None:
    failed_percent = 100 * tally.failed_count / tally.row_count
    if failed_percent <= plan.max_failed_percent:
        return
    shown = [
        f"  - {count:,} times, first for {tally.first_failures[error]}: {error}"
        for error, count in tally.errors.most_common(_SHOWN_ERRORS)
    ]
    if len(tally.errors) > _SHOWN_ERRORS:
        shown.append(f"  - and {len(tally.errors) - _SHOWN_ERRORS} other errors")
    where = f"; each is in {plan.output_s3_uri}" if plan.output_s3_uri else ""
    raise ThresholdError(
        f"endpoint {plan.endpoint_name}: {tally.failed_count:,} of {tally.row_count:,} rows failed "
        f"({failed_percent:.3g} %, allowed {plan.max_failed_percent:g} %){where}:\n" + "\n".join(shown)
    )

"""What an endpoint captured: where, how much, and some of it decoded.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from kfp_sagemaker.aws.engine import Timing, print_line
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.s3 import S3Object, open_lines
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.endpoints.hosting import REAL_TIME
from kfp_sagemaker.monitoring import window as windows
from kfp_sagemaker.monitoring.window import CapturePlace, Window

MAX_SAMPLES = 100
_SHOWN_CHARACTERS = 400
_CONCURRENCY = 8
_FIRST_INTERVAL_SECONDS = 0.5
_INTERVAL_GROWTH = 1.5
_MAX_INTERVAL_SECONDS = 20.0
_CUSTOM_TARGET = "TargetModel="


class Listed(NamedTuple):
    """The component's outputs."""

    captured_s3_uri: str
    file_count: int
    record_count: int
    byte_count: int
    samples: list[dict[str, Any]]
    table: dict[str, Any]


@dataclass(frozen=True)
class Query:
    """What to list, checked. ``window`` gives the window anew at each look: it may end now."""

    endpoint_name: str
    captured_s3_uri: str
    variant_name: str
    target_model: str
    window: Callable[[], Window]
    expected_records: int
    max_wait_seconds: float
    sample_count: int


@dataclass
class _Found:
    """The captured records of a window."""

    files: list[S3Object] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by hour folder and target model
    samples: list[dict[str, Any]] = field(default_factory=list)


def build_query(
    *,
    endpoint_name: str = "",
    captured_s3_uri: str = "",
    variant_name: str = "",
    target_model: str = "",
    start_time: str = "",
    end_time: str = "",
    window_seconds: float = 3600,
    expected_records: int = 0,
    max_wait_seconds: float = 600,
    sample_count: int = 3,
    clock: Callable[[], datetime] = windows.utc_now,
) -> Query:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("list_captured_data")
    windows.check_place(endpoint_name, captured_s3_uri, problems)
    problems.name("variant_name", variant_name)
    problems.between("expected_records", expected_records, 0)
    problems.between("max_wait_seconds", max_wait_seconds, 0)
    problems.between("sample_count", sample_count, 0, MAX_SAMPLES)

    def window() -> Window:
        return windows.build(
            start_time=start_time, end_time=end_time, window_seconds=window_seconds, problems=problems, clock=clock
        )

    window()
    problems.raise_if_any()
    return Query(
        endpoint_name,
        captured_s3_uri,
        variant_name,
        target_model,
        window,
        int(expected_records),
        max_wait_seconds,
        int(sample_count),
    )


def run(
    session: Session, query: Query, *, timing: Timing = REAL_TIME, sink: Callable[[str], None] = print_line
) -> Listed:
    """List it, waiting until as much is there as is expected.

    Args:
        session: The step's session.
        query: From :func:`build_query`.
        timing: Clock and sleep.
        sink: Takes the lines of the step's log.

    Raises:
        DataError: Less was captured than expected, or a file is not captured data.
        ResourceMissingError: No such endpoint.
    """
    place = windows.find_place(session, query.endpoint_name, query.captured_s3_uri)
    deadline = timing.now() + query.max_wait_seconds
    interval = _FIRST_INTERVAL_SECONDS
    while True:
        window = query.window()
        found = _look(session, place, query, window)
        count = found.counts.total()
        if count >= query.expected_records:
            break
        if timing.now() >= deadline:
            raise DataError(
                f"endpoint {place.endpoint_name}: {count:,} records captured from {window}, {query.expected_records:,} "
                f"expected; looked below {place.uri} for {query.max_wait_seconds:g} s. SageMaker writes them some "
                "minutes late: raise max_wait_seconds, or look at the sampling percentage"
            )
        sink(f"endpoint {place.endpoint_name}: {count:,} of {query.expected_records:,} records captured so far")
        timing.sleep(min(interval, max(deadline - timing.now(), 0.0)))
        interval = min(interval * _INTERVAL_GROWTH, _MAX_INTERVAL_SECONDS)
    size = sum(item.size for item in found.files)
    sink(f"{place.uri}: {count:,} records in {len(found.files):,} files, {size:,} bytes, from {window}")
    for sample in found.samples:
        sink(f"  {json.dumps(sample, ensure_ascii=False)}")
    rows = [[hour, target, number] for (hour, target), number in sorted(found.counts.items())]
    table = {"columns": ["variant and hour (UTC)", "target model", "records"], "rows": rows}
    return Listed(place.uri, len(found.files), count, size, found.samples, table)


def _look(session: Session, place: CapturePlace, query: Query, window: Window) -> _Found:
    found = _Found()
    files = list(windows.list_files(session, place, window, query.variant_name))
    with ThreadPoolExecutor(_CONCURRENCY, "captured") as pool:
        read = pool.map(lambda item: list(_records(session, item, query, window)), files)
        for item, records in zip(files, read, strict=True):
            if not records:
                continue
            found.files.append(item)
            folder = item.uri.removeprefix(place.uri + "/").rpartition("/")[0]
            for record, target in records:
                found.counts[folder, target] += 1
                if len(found.samples) < query.sample_count:
                    found.samples.append(_decoded(record, target, item.uri))
    return found


def _records(session: Session, item: S3Object, query: Query, window: Window) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The records of a file that lie in the window, with their target models."""
    for number, line in enumerate(open_lines(session, item.uri), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            metadata = record["eventMetadata"]
            moment = datetime.fromisoformat(metadata["inferenceTime"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{item.uri}, line {number} is not a captured invocation: {type(error).__name__}: {error}"
            ) from None
        target = target_model_of(metadata)
        # inferenceTime has whole seconds: the second a window begins in belongs to it.
        in_window = window.start - timedelta(seconds=1) < moment < window.end
        if in_window and query.target_model in ("", target):
            yield record, target


def target_model_of(metadata: Mapping[str, Any]) -> str:
    """The target model of a captured invocation: as the emulator says it, or as the caller said it to AWS."""
    if metadata.get("targetModel"):
        return str(metadata["targetModel"])
    given = metadata.get("customAttributes") or []
    for text in given if isinstance(given, list) else [given]:
        for part in str(text).split(";"):
            if part.strip().startswith(_CUSTOM_TARGET):
                return part.strip().removeprefix(_CUSTOM_TARGET)
    return ""


def _decoded(record: Mapping[str, Any], target: str, uri: str) -> dict[str, Any]:
    captured = record.get("captureData") or {}
    sample = {
        "inference_time": record["eventMetadata"]["inferenceTime"],
        "input": _text(captured.get("endpointInput")),
        "output": _text(captured.get("endpointOutput")),
        "s3_uri": uri,
    }
    return sample | ({"target_model": target} if target else {})


def _text(part: Mapping[str, Any] | None) -> str:
    """What was sent or answered, readable and not too long."""
    if not part:
        return ""
    text = str(part.get("data", ""))
    if part.get("encoding") == "BASE64":
        try:
            text = base64.b64decode(text, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return f"{len(text) * 3 // 4:,} bytes of {part.get('observedContentType', 'data')}"
    text = text.strip()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"

"""A window of time over captured data: which folders and files belong to it.

SageMaker writes captured invocations to ``DESTINATION/ENDPOINT/VARIANT/yyyy/mm/dd/hh/NAME.jsonl``, the hour in UTC.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_sagemaker.aws.errors import DataError, ResourceMissingError
from kfp_sagemaker.aws.s3 import S3Object, join_uri, list_objects, parse_uri
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.endpoints import hosting

_HOUR = timedelta(hours=1)
_FILE_TIME = timedelta(minutes=10)
_PLACE = re.compile(r"(?P<variant>[^/]+)/(?P<hour>\d{4}/\d\d/\d\d/\d\d)/[^/]+$")
_MAX_DAYS = 366


def utc_now() -> datetime:
    """The present time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Window:
    """A time from ``start`` to, but not including, ``end``; in UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{iso(self.start)} to {iso(self.end)}"


def iso(moment: datetime) -> str:
    """The moment in ISO 8601, such as ``2026-01-31T12:00:00Z``."""
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if moment.microsecond else "%Y-%m-%dT%H:%M:%SZ")


def parse_time(argument: str, text: str, problems: Problems) -> datetime | None:
    """Read a time argument; a time without zone is in UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        problems.add(argument, text, "a time in ISO 8601 such as 2026-01-31T12:00:00Z")
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def build(
    *,
    start_time: str,
    end_time: str,
    window_seconds: float,
    problems: Problems,
    clock: Callable[[], datetime] = utc_now,
) -> Window:
    """The window that the arguments of a component mean.

    Args:
        start_time: Its start; empty for ``window_seconds`` before the end.
        end_time: Its end; empty for now.
        window_seconds: Its length where no start is given.
        problems: Takes everything that is wrong.
        clock: Says what time it is.
    """
    problems.between("window_seconds", window_seconds, 1, _MAX_DAYS * 86400)
    start, end = parse_time("start_time", start_time, problems), parse_time("end_time", end_time, problems)
    end = end or clock()
    start = start or end - timedelta(seconds=float(window_seconds or 1))
    if start >= end:
        problems.add("start_time", start_time, f"before the window's end, which is {iso(end)}")
    elif end - start > timedelta(days=_MAX_DAYS):
        problems.add("start_time", start_time, f"at most {_MAX_DAYS} days before the window's end, which is {iso(end)}")
    return Window(start, end)


@dataclass(frozen=True)
class CapturePlace:
    """Where the captured data of an endpoint lies: the prefix above its variants."""

    uri: str
    endpoint_name: str


def check_place(endpoint_name: str, captured_s3_uri: str, problems: Problems) -> None:
    """One of the two arguments says where the data is."""
    problems.name("endpoint_name", endpoint_name)
    problems.s3_uri("captured_s3_uri", captured_s3_uri)
    if not endpoint_name and not captured_s3_uri:
        problems.add("endpoint_name", endpoint_name, "given, or captured_s3_uri")


def place_name(endpoint_name: str, captured_s3_uri: str) -> str:
    """The endpoint's name: given, or the last part of the place."""
    return endpoint_name or captured_s3_uri.rstrip("/").rpartition("/")[2]


def find_place(session: Session, endpoint_name: str, captured_s3_uri: str) -> CapturePlace:
    """Ask the endpoint where it captures, unless that is given: then the endpoint may be gone already.

    Args:
        session: The step's session.
        endpoint_name: The endpoint; may be empty when the place is given.
        captured_s3_uri: The prefix above the variants, such as ``s3://bucket/capture/my-endpoint``; may be empty.

    Raises:
        ResourceMissingError: There is no such endpoint.
        DataError: It captures nothing.
    """
    if captured_s3_uri:
        return CapturePlace(captured_s3_uri.rstrip("/"), place_name(endpoint_name, captured_s3_uri))
    description = hosting.describe_endpoint(session, endpoint_name)
    if description is None:
        raise ResourceMissingError(
            f"endpoint {endpoint_name} does not exist in {session.region}; what a deleted endpoint captured is found "
            "with captured_s3_uri, such as s3://bucket/capture/ENDPOINT",
            operation="DescribeEndpoint",
        )
    capture = description.get("DataCaptureConfig") or {}
    if not capture.get("DestinationS3Uri"):
        raise DataError(
            f"endpoint {endpoint_name} captures no data: deploy it with data_capture, {{'destination_s3_uri': ...}}"
        )
    return CapturePlace(join_uri(capture["DestinationS3Uri"], endpoint_name), endpoint_name)


def list_files(session: Session, place: CapturePlace, window: Window, variant_name: str = "") -> Iterator[S3Object]:
    """The files whose hour touches the window, by variant and hour.

    Args:
        session: The step's session.
        place: Where the data is.
        window: The window.
        variant_name: A variant; empty for all.
    """
    # A file lies in the hour of its first invocation, and takes more of them for some minutes.
    first = (window.start.astimezone(UTC) - _FILE_TIME).replace(minute=0, second=0, microsecond=0)
    # An invocation is filed under the hour in which it was answered, which may be the one after.
    last = (window.end - timedelta(microseconds=1)).astimezone(UTC).replace(minute=0, second=0, microsecond=0) + _HOUR
    for variant in [variant_name] if variant_name else _variants(session, place):
        for day in range((last.date() - first.date()).days + 1):
            prefix = join_uri(place.uri, variant, (first + timedelta(days=day)).strftime("%Y/%m/%d")) + "/"
            for item in list_objects(session, prefix):
                found = _PLACE.search(item.key)
                if found and first <= _hour(found["hour"]) <= last:
                    yield item


def _variants(session: Session, place: CapturePlace) -> list[str]:
    """The folders below the place."""
    bucket, prefix = parse_uri(place.uri + "/")
    pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return [
        item["Prefix"].removesuffix("/").rpartition("/")[2] for page in pages for item in page.get("CommonPrefixes", ())
    ]


def _hour(text: str) -> datetime:
    return datetime.strptime(text, "%Y/%m/%d/%H").replace(tzinfo=UTC)

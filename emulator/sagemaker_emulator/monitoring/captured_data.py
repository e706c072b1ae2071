"""Which captured data of an endpoint lies in a window of time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_emulator.hosting.data_capture import FILE_SECONDS, hour_path, variant_uri
from sagemaker_emulator.monitoring.processing_request import CapturedHour
from sagemaker_emulator.monitoring.window import Window
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.s3_transfer import TransferError

_FILE_TIME = re.compile(r"(?:.*/)?(\d\d)-(\d\d)-(\d{3})-[^/]*")


def captured_hours(s3: Any, destination_s3_uri: str, endpoint_name: str, window: Window) -> list[CapturedHour]:
    """Return the hours, of all variants, that hold captured data of a window; blocks.

    An hour at the window's edge is returned whole, as on AWS: the container takes what lies between its start and end.

    Args:
        s3: The client of the monitoring job's role.
        destination_s3_uri: Where the endpoint's data is captured to.
        endpoint_name: The endpoint.
        window: The analysed time.

    Raises:
        TransferError: The destination may not be listed.
    """
    return [
        CapturedHour(uri, f"{endpoint_name}/{variant_name}/{hour_path(hour)}")
        for variant_name in _variants(s3, s3_transfer.join_uri(destination_s3_uri, endpoint_name))
        for hour in window.hours()
        if _holds_data(
            s3,
            uri := s3_transfer.join_uri(variant_uri(destination_s3_uri, endpoint_name, variant_name), hour_path(hour)),
            hour,
            window,
        )
    ]


def _variants(s3: Any, endpoint_s3_uri: str) -> list[str]:
    # From S3, not from the endpoint: an update may have replaced a variant since.
    bucket, prefix = s3_transfer.parse_uri(f"{endpoint_s3_uri}/")
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        folders = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ())]
    except (ClientError, BotoCoreError) as error:
        raise TransferError(
            f"Unable to list objects under {endpoint_s3_uri}/ ({s3_transfer.describe_error(error)})"
        ) from error
    return [folder.removeprefix(prefix).rstrip("/") for folder in folders]


def _holds_data(s3: Any, hour_s3_uri: str, hour: datetime, window: Window) -> bool:
    for item in s3_transfer.list_objects(s3, f"{hour_s3_uri}/"):
        if not (match := _FILE_TIME.fullmatch(item.key)):
            return True  # not written by us: the container has to look into it
        minute, second, millisecond = (int(part) for part in match.groups())
        opened_at = hour + timedelta(minutes=minute, seconds=second, milliseconds=millisecond)
        # The name is the time of a file's first line; its last may be as much later as a file is open.
        if window.start - timedelta(seconds=FILE_SECONDS) <= opened_at < window.end:
            return True
    return False

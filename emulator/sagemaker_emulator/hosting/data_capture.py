"""Data capture: what an endpoint was asked and what it answered, as JSON lines in S3.

Keys are ``{DestinationS3Uri}/{endpoint}/{variant}/yyyy/mm/dd/hh/mm-ss-fff-{uuid}.jsonl``, named after the first
invocation of the file. AWS captures nothing that names the target model of a multi-model endpoint; here it is
``eventMetadata.targetModel``.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import logging
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_emulator.hosting.invocation import Answer, EndpointAddress, Invocation
from sagemaker_emulator.runtime import s3_transfer
from sagemaker_emulator.runtime.s3_transfer import TransferError

if TYPE_CHECKING:
    from sagemaker_emulator.app import App

FILE_SECONDS = 2.0
"""How long a file stays open; AWS takes a minute or two, which is long on a laptop."""
FILE_BYTES = 4 * 2**20
"""At what size a file is closed before that."""
_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
# Made once: json.dumps makes one at each call that asks for other than the default separators.
_to_json = json.JSONEncoder(separators=(",", ":")).encode

logger = logging.getLogger(__name__)


def is_enabled(config: dict[str, Any]) -> bool:
    """Return whether an endpoint configuration captures data; ``EnableCapture`` is true unless it says otherwise."""
    capture: dict[str, Any] = config.get("DataCaptureConfig", {})
    return bool(capture) and bool(capture.get("EnableCapture", True))


@dataclass(eq=False)
class _OpenFile:
    """Captured invocations that are not in S3 yet.

    Attributes:
        variant_name: Whose they are.
        opened_at: When the first was answered.
        lines: One each.
        size_bytes: Of all of them.
        timer: Closes the file when its time is over.
    """

    variant_name: str
    opened_at: datetime
    lines: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    timer: asyncio.Task[None] | None = None


class DataCapture:
    """Captures the invocations of one endpoint under one configuration.

    Args:
        app: The application.
        address: The endpoint.
        capture_config: ``DataCaptureConfig`` of its configuration.
        role_arn: Who writes to the destination: the model's execution role.
        chooser: Draws the sample.
    """

    def __init__(
        self,
        app: App,
        address: EndpointAddress,
        capture_config: dict[str, Any],
        role_arn: str,
        chooser: random.Random,
    ) -> None:
        self._app = app
        self._address = address
        self._role_arn = role_arn
        self._chooser = chooser
        self._destination: str = capture_config["DestinationS3Uri"]
        self._kms_key_id: str = capture_config.get("KmsKeyId", "")
        self._sampled_share = capture_config["InitialSamplingPercentage"] / 100
        modes = {option["CaptureMode"] for option in capture_config["CaptureOptions"]}
        self._captures_input = bool(modes & {"Input", "InputAndOutput"})
        self._captures_output = bool(modes & {"Output", "InputAndOutput"})
        headers = capture_config.get("CaptureContentTypeHeader", {})
        self._encodings = {
            **{_media_type(name): "JSON" for name in headers.get("JsonContentTypes", ())},
            **{_media_type(name): "CSV" for name in headers.get("CsvContentTypes", ())},
        }
        self._open: dict[str, _OpenFile] = {}
        self._uploads: set[asyncio.Task[None]] = set()

    def record(self, address: EndpointAddress, invocation: Invocation, answer: Answer) -> None:
        """Capture an answered invocation if it is in the sample; what ``LiveEndpoint.after_invocation`` calls."""
        del address
        if self._sampled_share < 1 and self._chooser.random() >= self._sampled_share:
            return
        now = self._app.clock.now()
        line = self._line(invocation, answer, now)
        file = self._open.get(answer.variant_name)
        if file is not None and _hour(file.opened_at) != _hour(now):
            self._close(file)
            file = None
        if file is None:
            file = self._open[answer.variant_name] = _OpenFile(answer.variant_name, now)
            file.timer = asyncio.create_task(self._close_in_time(file))
        file.lines.append(line)
        file.size_bytes += len(line)
        if file.size_bytes >= FILE_BYTES:
            self._close(file)

    async def flush(self) -> None:
        """Close the open files and wait until all are in S3, or are given up."""
        for file in list(self._open.values()):
            self._close(file)
        while self._uploads:
            await asyncio.wait(set(self._uploads))

    async def _close_in_time(self, file: _OpenFile) -> None:
        await self._app.clock.sleep(FILE_SECONDS)
        file.timer = None
        self._close(file)

    def _close(self, file: _OpenFile) -> None:
        if self._open.get(file.variant_name) is file:
            del self._open[file.variant_name]
        if file.timer is not None:
            file.timer.cancel()
        upload = asyncio.create_task(asyncio.to_thread(self._upload, file))
        self._uploads.add(upload)
        upload.add_done_callback(self._uploads.discard)

    def _upload(self, file: _OpenFile) -> None:
        moment = file.opened_at
        name = f"{moment:%M-%S}-{moment.microsecond // 1000:03}-{uuid.uuid4()}.jsonl"
        uri = s3_transfer.join_uri(
            variant_uri(self._destination, self._address.name, file.variant_name), hour_path(moment), name
        )
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms_key_id} if self._kms_key_id else {}
        try:
            bucket, key = s3_transfer.parse_uri(uri)
            s3 = self._app.aws.client("s3", self._address.region, self._role_arn)
            s3.put_object(
                Bucket=bucket, Key=key, Body=b"".join(file.lines), ContentType="application/jsonlines", **encryption
            )
        except (ClientError, BotoCoreError, PermissionError, TransferError) as error:
            # As on AWS the endpoint serves on, and its invocations know nothing of it.
            logger.warning(
                "Endpoint %s: %d captured invocations are lost, they cannot be written to %s: %s",
                self._address.name, len(file.lines), uri, error,
            )  # fmt: skip

    def _line(self, invocation: Invocation, answer: Answer, now: datetime) -> bytes:
        data: dict[str, Any] = {}
        if self._captures_input:
            data["endpointInput"] = self._captured("INPUT", invocation.content_type, invocation.body)
        if self._captures_output:
            data["endpointOutput"] = self._captured("OUTPUT", answer.content_type, answer.body)
        metadata: dict[str, Any] = {}
        if custom_attributes := invocation.headers.get(_CUSTOM_ATTRIBUTES):
            metadata["customAttributes"] = [custom_attributes]
        metadata["eventId"] = str(uuid.uuid4())
        if invocation.inference_id:
            metadata["inferenceId"] = invocation.inference_id
        if invocation.target_model:
            metadata["targetModel"] = invocation.target_model
        metadata["inferenceTime"] = f"{now.isoformat()[:19]}Z"
        event = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
        return _to_json(event).encode() + b"\n"

    def _captured(self, mode: str, content_type: str, body: bytes) -> dict[str, str]:
        encoding = self._encodings.get(_media_type(content_type), "BASE64")
        if encoding != "BASE64":
            try:
                text = body.decode()
            except UnicodeDecodeError:
                encoding = "BASE64"
        if encoding == "BASE64":
            text = base64.b64encode(body).decode()
        return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def variant_uri(destination_s3_uri: str, endpoint_name: str, variant_name: str) -> str:
    """Return the prefix below which the hours of a variant's captured data lie."""
    return s3_transfer.join_uri(destination_s3_uri, endpoint_name, variant_name)


def hour_path(moment: datetime) -> str:
    """Return the folders of an hour: ``yyyy/mm/dd/hh``."""
    return f"{moment:%Y/%m/%d/%H}"


def _hour(moment: datetime) -> int:
    return moment.toordinal() * 24 + moment.hour


@functools.lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()

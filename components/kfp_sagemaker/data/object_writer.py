"""An S3 object written piece by piece, that exists only once it is complete.

API: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from typing import Any

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.s3 import parse_uri

# S3 takes parts of 5 MiB to 5 GiB and at most 10,000 of them. Parts grow, so that no object is too large for them and a
# small one needs little memory: 8 MiB parts, growing, reach 440 GB.
MIN_PART_BYTES = 8 << 20
_PARTS_OF_ONE_SIZE = 1000


class ObjectWriter:
    """Writes one object: as one request while it is small, as a multipart upload beyond.

    One part is sent while the next one fills, so that at most two are in memory.

    Args:
        client: The S3 client.
        uri: Where to.
        executor: Sends the parts.
        part_bytes: Size of the first parts.
        request: Further parameters of ``PutObject`` and ``CreateMultipartUpload``, such as ``Tagging``.
    """

    def __init__(
        self, client: Any, uri: str, *, executor: Executor, part_bytes: int, request: Mapping[str, Any]
    ) -> None:
        self.uri = uri
        self._client = client
        self._executor = executor
        self._first_part_bytes = max(part_bytes, MIN_PART_BYTES)
        self._request = dict(request)
        bucket, key = parse_uri(uri)
        self._target = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload: Future[str] | None = None
        self._parts: list[Future[dict[str, Any]]] = []

    def write(self, data: bytes) -> None:
        """Append data."""
        self._buffer += data
        if len(self._buffer) >= self._part_bytes:
            self._send_part()

    def flush(self) -> None:
        """Send everything of a multipart upload, so that only the completion is left."""
        if self._upload and self._buffer:
            self._send_part()
        for part in self._parts:
            part.result()

    def complete(self) -> None:
        """Make the object exist."""
        self.flush()
        with aws_errors(f"writing {self.uri}"):
            if not self._upload:
                self._client.put_object(**self._target, Body=bytes(self._buffer), **self._request)
                return
            parts = [part.result() for part in self._parts]
            self._client.complete_multipart_upload(
                **self._target, UploadId=self._upload.result(), MultipartUpload={"Parts": parts}
            )
            self._upload = None

    def abort(self) -> None:
        """Discard what was sent; nothing remains, and nothing is billed."""
        for part in self._parts:
            if not part.cancel():
                part.exception()
        if self._upload and not self._upload.cancel() and not self._upload.exception():
            with aws_errors(f"discarding the upload of {self.uri}"):
                self._client.abort_multipart_upload(**self._target, UploadId=self._upload.result())
        self._upload = None

    @property
    def _part_bytes(self) -> int:
        return self._first_part_bytes * (1 + len(self._parts) // _PARTS_OF_ONE_SIZE)

    def _send_part(self) -> None:
        if self._upload is None:
            # On a thread, where no SIGTERM can come between the upload's beginning and the note of its id.
            self._upload = self._executor.submit(self._begin_upload)
        upload_id = self._upload.result()
        if self._parts:
            self._parts[-1].result()
        self._parts.append(self._executor.submit(self._send, upload_id, len(self._parts) + 1, bytes(self._buffer)))
        self._buffer.clear()

    def _begin_upload(self) -> str:
        with aws_errors(f"writing {self.uri}"):
            return str(self._client.create_multipart_upload(**self._target, **self._request)["UploadId"])

    def _send(self, upload_id: str, number: int, body: bytes) -> dict[str, Any]:
        with aws_errors(f"writing part {number} of {self.uri}"):
            answer = self._client.upload_part(**self._target, UploadId=upload_id, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

"""Pipe input mode: a channel is a named pipe ``<channel>_<epoch>`` that streams the objects, one pipe an epoch.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagemaker_emulator.clock import Clock
from sagemaker_emulator.jobs.channels import InputFile
from sagemaker_emulator.runtime import s3_transfer

LOGGER = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_CHUNK_BYTES = 256 * 1024
_RECORD_IO_MAGIC = 0xCED7230A


@dataclass(frozen=True)
class PipeChannel:
    """What one host reads from a channel.

    Attributes:
        name: The channel.
        chunks: Makes the bytes of one epoch anew; blocks.
    """

    name: str
    chunks: Callable[[], Iterator[bytes]]


def object_chunks(s3: Any, files: Sequence[InputFile], *, gzip: bool, record_io: bool) -> Iterator[bytes]:
    """Yield the content of objects one after another, decompressed and wrapped as the channel asks.

    Raises:
        s3_transfer.TransferError: An object cannot be read.
    """
    for file in files:
        content = s3_transfer.read_object(s3, file.source.uri)
        if gzip:
            content = zlib.decompress(content, wbits=31)
        yield record_io_record(content) if record_io else content


def manifest_chunks(s3: Any, manifest_uri: str, attribute_names: Sequence[str]) -> Iterator[bytes]:
    """Yield an augmented manifest as RecordIO: for each line its attributes, ``*-ref`` ones as the object they name.

    Raises:
        s3_transfer.TransferError: The manifest or an object cannot be read, or a line lacks an attribute.
    """
    for number, line in enumerate(s3_transfer.read_lines(s3, manifest_uri), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            values = [entry[name] for name in attribute_names]
        except (ValueError, KeyError, TypeError) as error:
            raise s3_transfer.TransferError(
                f"Line {number} of {manifest_uri} is not a JSON object with {', '.join(attribute_names)} ({error!r})"
            ) from error
        for name, value in zip(attribute_names, values, strict=True):
            if name.endswith("-ref"):
                yield record_io_record(s3_transfer.read_object(s3, value))
            else:
                yield record_io_record(value.encode() if isinstance(value, str) else json.dumps(value).encode())


def record_io_record(content: bytes) -> bytes:
    """Return a RecordIO record: magic number, length, content, padding to four bytes."""
    return struct.pack("<II", _RECORD_IO_MAGIC, len(content)) + content + b"\0" * (-len(content) % 4)


class PipeFeeder:
    """Serves the pipes of one channel on one host until it is closed.

    The pipe of the next epoch is there before the present one ends, because algorithms open it at once.

    Args:
        channel: What to serve.
        folder: The container's ``input/data``.
        clock: Paces the waiting for a reader.
    """

    def __init__(self, channel: PipeChannel, folder: Path, clock: Clock) -> None:
        self._channel = channel
        self._folder = folder
        self._clock = clock
        os.mkfifo(self._path(0))
        self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Stop serving."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{self._channel.name}_{epoch}"

    async def _serve(self) -> None:
        epoch = 0
        while True:
            descriptor = await self._open(self._path(epoch))
            try:
                os.mkfifo(self._path(epoch + 1))
                chunks = self._channel.chunks()
                while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                    await self._write(descriptor, chunk)
            except BrokenPipeError:
                pass  # the reader has seen enough of this epoch
            except (s3_transfer.TransferError, zlib.error):
                LOGGER.exception("Cannot stream channel %s any further", self._channel.name)
                return
            finally:
                os.close(descriptor)
            epoch += 1

    async def _open(self, path: Path) -> int:
        while True:
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it yet
                    raise
            await self._clock.sleep(_POLL_SECONDS)

    async def _write(self, descriptor: int, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(descriptor, view[:_CHUNK_BYTES]) :]
                continue
            await self._clock.sleep(_POLL_SECONDS / 10)

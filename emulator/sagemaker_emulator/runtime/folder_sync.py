"""Keep S3 up to date with a folder a container writes to: checkpoints, and outputs uploaded continuously."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import stat
from pathlib import Path
from typing import Any

from sagemaker_emulator.clock import Clock
from sagemaker_emulator.runtime import s3_transfer

LOGGER = logging.getLogger(__name__)

SYNC_SECONDS = 2.0


class FolderSync:
    """Uploads files that are new or changed, again and again until closed.

    A file counts as changed when its size or modification time is not what it was at the last upload, so one that is
    still being written is uploaded again; the last pass runs after the container has ended.

    Args:
        s3: The client of the job's role.
        folder: The folder.
        uri: The prefix its files go under.
        clock: Paces the passes.
        kms_key_id: The KMS key to encrypt with.
    """

    def __init__(self, s3: Any, folder: Path, uri: str, clock: Clock, kms_key_id: str = "") -> None:
        self._s3 = s3
        self._folder = folder
        self._uri = uri
        self._clock = clock
        self._kms_key_id = kms_key_id
        self._uploaded = self._state()
        self._task = asyncio.create_task(self._repeat())

    async def close(self) -> None:
        """Upload what is left.

        Raises:
            s3_transfer.TransferError: S3 refused a file.
        """
        self._task.cancel()
        await asyncio.wait([self._task])
        await asyncio.to_thread(self._pass)

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep(SYNC_SECONDS)
            try:
                await asyncio.to_thread(self._pass)
            except s3_transfer.TransferError as error:
                LOGGER.warning("Will try again: %s", error)

    def _pass(self) -> None:
        for path, state in self._state().items():
            if self._uploaded.get(path) != state:
                s3_transfer.upload_file(
                    self._s3,
                    path,
                    s3_transfer.join_uri(self._uri, path.relative_to(self._folder).as_posix()),
                    self._kms_key_id,
                )
                self._uploaded[path] = state

    def _state(self) -> dict[Path, tuple[int, int]]:
        state = {}
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # the container may remove it at any moment
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    state[path] = (status.st_size, status.st_mtime_ns)
        return state

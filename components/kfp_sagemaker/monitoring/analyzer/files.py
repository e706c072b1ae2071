"""The files of a dataset and pieces of them, local or on S3, opened as streams and unpacked on the way."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session

GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class DataFile:
    """One file of the dataset, or a piece of one. Plain data, which another process can open as well.

    Attributes:
        name: Path or S3 URI.
        size: In bytes.
        begin: Where the piece begins: a byte of text, where a line begins; a row of Parquet.
        end: Where the next piece begins; None is the end of the file.
        first_line: The number of the line at ``begin``, from 1.
    """

    name: str
    size: int
    begin: int = 0
    end: int | None = None
    first_line: int = 1

    @property
    def is_on_s3(self) -> bool:
        """Whether its name is an S3 URI."""
        return self.name.startswith("s3://")

    @property
    def is_piece(self) -> bool:
        """Whether it is less than a whole file."""
        return self.begin > 0 or self.end is not None

    def open_raw(self, session: Callable[[], Session]) -> BinaryIO:
        """The bytes as they are stored, those of the piece only."""
        if self.is_on_s3:
            return cast(BinaryIO, _ChunkStream(s3.read_chunks(session(), self.name, self.begin, self.end)))
        if self.is_piece:
            return cast(BinaryIO, _ChunkStream(_read_range(Path(self.name), self.begin, self.end)))
        return cast(BinaryIO, Path(self.name).open("rb", buffering=0))

    @contextmanager
    def open(self, session: Callable[[], Session]) -> Iterator[BinaryIO]:
        """The content, unpacked when it is gzip (whatever it is called).

        Args:
            session: Opens the session for S3.

        Raises:
            DataError: While reading: the gzip stream is cut off or damaged.
        """
        with self.open_raw(session) as raw:
            buffered = io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES)
            if self.is_piece or buffered.peek(2)[:2] != GZIP_MAGIC:
                yield buffered
                return
            unpacked = gzip.GzipFile(fileobj=buffered)
            try:
                yield cast(BinaryIO, unpacked)
            except EOFError as error:
                raise DataError(f"{self.name}: the gzip stream is cut off: the file was not written whole") from error
            except (gzip.BadGzipFile, zlib.error) as error:
                raise DataError(f"{self.name}: the gzip stream is damaged: {error}") from error

    @contextmanager
    def local(self, session: Callable[[], Session]) -> Iterator[Path]:
        """The unpacked content of the whole file as a local file, for readers that jump about in it."""
        with replace(self, begin=0, end=None).open(session) as stream:
            if not self.is_on_s3 and not isinstance(stream, gzip.GzipFile):
                yield Path(self.name)
                return
            with tempfile.NamedTemporaryFile(suffix=Path(self.name).name) as copy:
                shutil.copyfileobj(stream, copy, _BUFFER_BYTES)
                copy.flush()
                yield Path(copy.name)


def find_files(sources: Sequence[str], session: Callable[[], Session]) -> list[DataFile]:
    """Every file of the sources, in the order of the sources and of their names.

    Empty files, and names that begin with ``.`` or ``_`` (``_SUCCESS``, ``.crc``), are left out, as Spark does.

    Args:
        sources: Files, folders or S3 URIs.
        session: Opens the session; called only when there is an S3 URI.

    Raises:
        DataError: A source does not exist.
    """
    files: list[DataFile] = []
    for source in sources:
        files += _on_s3(session(), source) if source.startswith("s3://") else _in_folder(source)
    return files


def read_text(location: str, session: Callable[[], Session]) -> str:
    """A small file as text, local or on S3.

    Raises:
        DataError: It does not exist or is not UTF-8.
    """
    try:
        if location.startswith("s3://"):
            return s3.read_text(session(), location)
        return Path(location).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{location} does not exist") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{location} is not UTF-8 text: {error}") from error


def _in_folder(source: str) -> list[DataFile]:
    root = Path(source)
    if root.is_file():
        return [_local(root)] if root.stat().st_size else []
    if not root.is_dir():
        raise DataError(f"dataset_source {source} does not exist")
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return [_local(path) for path in paths if _is_data(str(path.relative_to(root))) and path.stat().st_size]


def _local(path: Path) -> DataFile:
    return DataFile(str(path), path.stat().st_size)


def _read_range(path: Path, begin: int, end: int | None) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as stream:
        stream.seek(begin)
        position = begin
        while chunk := stream.read(_BUFFER_BYTES if end is None else min(_BUFFER_BYTES, end - position)):
            position += len(chunk)
            yield chunk


def _on_s3(session: Session, source: str) -> list[DataFile]:
    prefix = s3.parse_uri(source)[1]
    found = [each for each in s3.list_objects(session, source) if each.size and _belongs(each.key, prefix)]
    return [DataFile(each.uri, each.size) for each in sorted(found, key=lambda each: each.key)]


def _belongs(key: str, prefix: str) -> bool:
    """Whether a key is the object meant, or below the folder meant: ``data`` is not ``database/x.csv``."""
    rest = key[len(prefix) :]
    return not rest or ((not prefix or prefix.endswith("/") or rest.startswith("/")) and _is_data(rest.strip("/")))


def _is_data(relative: str) -> bool:
    return bool(relative) and not any(part.startswith((".", "_")) for part in relative.split("/"))


class _ChunkStream(io.RawIOBase):
    """A stream over chunks that arrive one after another."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

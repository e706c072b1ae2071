"""Large files cut into pieces of whole lines, for several machines to work on.

Where a line of CSV begins cannot be told from the middle of a file: a line break may stand between double quotes. So
each stretch of bytes is looked at first, by whoever is free: how many quotes and line breaks it has, and where its
first line would begin if the stretch began outside quotes, and if inside. Put in order, this gives the exact beginning
of a line in each stretch, and its number, which messages name. It costs another read, at the speed of counting bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO

import numpy as np

from kfp_sagemaker.monitoring.analyzer.files import GZIP_MAGIC, DataFile

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Stretch:
    """What some bytes of a file tell of its lines.

    Attributes:
        begin: The first byte.
        line_breaks: In it, those between quotes too.
        has_odd_quotes: Whether the bytes after it are inside quotes when its own beginning is outside.
        first_lines: Where its first line begins, and how many line breaks of the stretch are before; when its beginning
            is outside quotes, and when it is inside. None when none begins.
        is_gzip: The file is packed, and can only be read from its beginning.
    """

    begin: int
    line_breaks: int
    has_odd_quotes: bool
    first_lines: tuple[tuple[int, int] | None, tuple[int, int] | None]
    is_gzip: bool = False


def stretches_of(file: DataFile, size: int) -> Iterator[DataFile]:
    """A file in stretches of so many bytes, to be looked at."""
    for begin in range(0, file.size, size):
        yield replace(file, begin=begin, end=min(begin + size, file.size))


def look_at(stream: BinaryIO, begin: int, *, quoted: bool) -> Stretch:
    """Look at a stretch.

    Args:
        stream: Its bytes.
        begin: Where in the file it begins.
        quoted: Whether a line break between double quotes is part of the line, as in CSV.
    """
    position, breaks, quotes, is_gzip = begin, 0, 0, False
    first: list[tuple[int, int] | None] = [None, None]
    while chunk := stream.read(_CHUNK_BYTES):
        is_gzip = is_gzip or (position == 0 and chunk.startswith(GZIP_MAGIC))
        for inside in (0, 1) if quoted else (0,):
            if first[inside] is None:
                at = _line_break(chunk, is_inside=(inside + quotes) % 2 == 1, quoted=quoted)
                if at >= 0:
                    first[inside] = (position + at + 1, breaks + chunk.count(b"\n", 0, at + 1))
        breaks += chunk.count(b"\n")
        quotes += chunk.count(b'"') if quoted else 0
        position += len(chunk)
    return Stretch(begin, breaks, quotes % 2 == 1, (first[0], first[1]), is_gzip)


def cut(file: DataFile, stretches: Sequence[Stretch]) -> list[DataFile]:
    """Cut a file at the first line of each stretch.

    Args:
        file: The whole file.
        stretches: All of it, in order.

    Returns:
        Pieces of whole lines; the file itself when it cannot be cut.
    """
    if stretches[0].is_gzip:
        return [file]
    starts, line_breaks, is_inside = [(0, 1)], 0, False
    for stretch in stretches:
        found = stretch.first_lines[is_inside]
        if stretch.begin and found is not None and found[0] < file.size:
            starts.append((found[0], line_breaks + found[1] + 1))
        line_breaks += stretch.line_breaks
        is_inside ^= stretch.has_odd_quotes
    if len(starts) == 1:
        return [file]
    ends = [begin for begin, _ in starts[1:]] + [file.size]
    return [
        replace(file, size=end - begin, begin=begin, end=end, first_line=line)
        for (begin, line), end in zip(starts, ends, strict=True)
    ]


def cut_rows(file: DataFile, rows: int, size: int) -> list[DataFile]:
    """Cut a Parquet file into pieces of about so many bytes, by its rows."""
    count = max(1, min(rows, -(-file.size // size)))
    bounds = [rows * at // count for at in range(count + 1)]
    return [replace(file, size=file.size // count, begin=begin, end=end) for begin, end in pairwise(bounds)]


def grouped(pieces: Sequence[DataFile], size: int) -> list[list[DataFile]]:
    """Neighbours together, as many as make up so many bytes."""
    groups: list[list[DataFile]] = []
    room = 0
    for piece in pieces:
        if not groups or piece.size > room:
            groups.append([])
            room = size
        groups[-1].append(piece)
        room -= piece.size
    return groups


def _line_break(chunk: bytes, *, is_inside: bool, quoted: bool) -> int:
    """Where the first line break outside quotes is; -1 when there is none."""
    if not quoted or b'"' not in chunk:
        return -1 if is_inside else chunk.find(b"\n")
    values = np.frombuffer(chunk, np.uint8)
    is_outside = np.logical_xor.accumulate(values == ord('"')) == is_inside
    found = np.flatnonzero((values == ord("\n")) & is_outside)
    return int(found[0]) if len(found) else -1

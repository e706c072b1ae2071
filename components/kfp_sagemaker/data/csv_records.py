"""CSV cut into records as bytes: a record is kept as it was written, whatever its encoding and dialect.

A newline inside a quoted field belongs to the record (RFC 4180, section 2.6). Blank lines between records are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from kfp_sagemaker.aws.errors import DataError

# Longer than any sensible record: a quote that is never closed must not collect the rest of the data in memory.
MAX_RECORD_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP_WINDOW_BITS = 31
_QUOTE = ord('"')
_DELIMITERS = frozenset(b",;\t|")


def records(pieces: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Cut CSV into records.

    Args:
        pieces: The data, cut anywhere.
        source: Where it comes from, for messages.

    Yields:
        Each record with its line end; the last one gets one when it has none.

    Raises:
        DataError: If a record is longer than 16 MiB, most often because of a quote that is not closed, or if the data
            ends inside quotes.
    """
    open_record: list[bytes] = []
    open_bytes = 0
    started_at = 0
    inside = False
    for number, line in enumerate(_lines(pieces, source), start=1):
        if inside or b'"' in line:
            inside = _ends_inside_quotes(line, inside)
        if not inside and not open_record:
            if not line.isspace():
                yield line
            continue
        if not open_record:
            started_at = number
        open_record.append(line)
        open_bytes += len(line)
        if not inside:
            yield b"".join(open_record)
            open_record, open_bytes = [], 0
        elif open_bytes > MAX_RECORD_BYTES:
            break
    if open_record:
        raise DataError(f"{source}: the quote opened in the record at line {started_at} is never closed")


def decompressed(pieces: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Decompress gzip data of one or several members, a bounded piece at a time.

    Args:
        pieces: The compressed data, cut anywhere.
        source: Where it comes from, for messages.

    Yields:
        The data.

    Raises:
        DataError: If it is not gzip or ends early.
    """
    decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if decompressor.eof:
                    decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
                yield decompressor.decompress(rest, _PIECE_BYTES)
                rest = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
    except zlib.error as error:
        raise DataError(f"{source}: ends in .gz but is not gzip data ({error})") from error
    # A bounded call may leave output behind although all input is consumed.
    while not decompressor.eof:
        tail = decompressor.decompress(b"", _PIECE_BYTES)
        if not tail:
            raise DataError(f"{source}: the gzip data ends early")
        yield tail


def _lines(pieces: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Lines with their ends; the last one gets one when it has none."""
    rest: list[bytes] = []
    rest_bytes = 0
    first = True
    for piece in pieces:
        *complete, last = piece.split(b"\n")
        for line in complete:
            if rest:
                line = b"".join([*rest, line])
                rest, rest_bytes = [], 0
            if first:
                line, first = line.removeprefix(_BYTE_ORDER_MARK), False
            yield line + b"\n"
        if last:
            rest.append(last)
            rest_bytes += len(last)
            if rest_bytes > MAX_RECORD_BYTES:
                raise DataError(f"{source}: a line is longer than {MAX_RECORD_BYTES >> 20} MiB; is this CSV?")
    if rest:
        line = b"".join(rest)
        yield (line.removeprefix(_BYTE_ORDER_MARK) if first else line) + b"\n"


def _ends_inside_quotes(line: bytes, inside: bool) -> bool:
    """Whether a quoted field goes on after this line. A quote inside an unquoted field is just a character."""
    position = 0
    while (quote := line.find(b'"', position)) >= 0:
        position = quote + 1
        if not inside:
            inside = quote == 0 or line[quote - 1] in _DELIMITERS
        elif line[position] == _QUOTE:  # every line ends in a newline, so there is a next byte
            position += 1
        else:
            inside = False
    return inside

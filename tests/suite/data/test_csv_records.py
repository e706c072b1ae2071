from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.data.csv_records import MAX_RECORD_BYTES, decompressed, records


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a,b\nc,d\n", [b"a,b\n", b"c,d\n"]),
        (b"a,b\nc,d", [b"a,b\n", b"c,d\n"]),
        (b"a,b\r\nc,d\r\n", [b"a,b\r\n", b"c,d\r\n"]),
        (b"a\n\n \r\nb\n\n", [b"a\n", b"b\n"]),
        (b'1,"x\ny"\n2,z\n', [b'1,"x\ny"\n', b"2,z\n"]),
        (b'1,"x\r\n\r\ny"\r\n2,z\n', [b'1,"x\r\n\r\ny"\r\n', b"2,z\n"]),
        (b'"say ""hi""\n",1\n2\n', [b'"say ""hi""\n",1\n', b"2\n"]),
        (b'""\n"""\n"""\n3\n', [b'""\n', b'"""\n"""\n', b"3\n"]),
        (b'5" pipe,1\n6" pipe,2\n', [b'5" pipe,1\n', b'6" pipe,2\n']),
        (b'a;"x\ny";b\n', [b'a;"x\ny";b\n']),
        (b"\xef\xbb\xbfa,b\n1,2\n", [b"a,b\n", b"1,2\n"]),
        (b"caf\xe9,1\n", [b"caf\xe9,1\n"]),
    ],
)
def test_records_keep_their_bytes(data: bytes, expected: list[bytes], size: int) -> None:
    assert list(records(cut(data, size), "x")) == expected


CELL = st.text(st.sampled_from('ab",;\n\r 1'), max_size=6)


@given(st.lists(st.lists(CELL, min_size=2, max_size=4), max_size=12), st.integers(1, 20))
def test_records_are_the_rows_the_csv_module_reads(rows: list[list[str]], size: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    cut_records = list(records(cut(text.getvalue().encode(), size), "x"))
    read = [next(csv.reader(io.StringIO(record.decode(), newline=""))) for record in cut_records]
    assert read == rows


def test_an_unclosed_quote_is_told_with_its_line() -> None:
    with pytest.raises(DataError, match="s3://b/x: the quote opened in the record at line 2 is never closed"):
        list(records([b'1,2\n3,"4\n5,6\n'], "s3://b/x"))


def test_an_unclosed_quote_does_not_collect_the_rest_in_memory() -> None:
    line = b"x" * 1023 + b"\n"
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'"'
        while True:
            taken += len(line)
            yield line

    with pytest.raises(DataError, match="line 1 is never closed"):
        list(records(endless(), "x"))
    assert taken < 2 * MAX_RECORD_BYTES


def test_a_line_without_end_is_refused() -> None:
    pieces = (b"x" * (1 << 20) for _ in range(1000))
    with pytest.raises(DataError, match="longer than 16 MiB"):
        list(records(pieces, "x"))


@pytest.mark.parametrize("size", [1, 5, 100000])
def test_gzip_of_several_members_is_decompressed(size: int) -> None:
    data = gzip.compress(b"a\n" * 10) + gzip.compress(b"b\n" * 10)
    assert b"".join(decompressed(cut(data, size), "x")) == b"a\n" * 10 + b"b\n" * 10


def test_decompression_yields_bounded_pieces() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    sizes = [len(piece) for piece in decompressed([bomb], "x")]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= 1 << 20


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"a,b\n", "is not gzip data"), (gzip.compress(b"a\n" * 1000, mtime=0)[:-12], "ends early"), (b"", "ends early")],
)
def test_broken_gzip_is_told(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(decompressed([data] if data else [], "s3://b/x.gz"))

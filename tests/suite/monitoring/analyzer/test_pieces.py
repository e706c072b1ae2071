"""Cutting a file: wherever it is cut, each piece is whole lines and nothing is lost."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.monitoring.analyzer.blocks import line_breaks
from kfp_sagemaker.monitoring.analyzer.files import DataFile
from kfp_sagemaker.monitoring.analyzer.pieces import cut, cut_rows, grouped, look_at, stretches_of

FIELDS = st.one_of(st.text(alphabet="ab1é", max_size=5), st.text(alphabet='a,\n"', max_size=6))


def no_session() -> Session:
    pytest.fail("no session is needed")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=30), st.integers(1, 60), st.booleans())
def test_pieces_are_whole_lines_and_make_up_the_file(rows: list[tuple[str, str]], size: int, quoted: bool) -> None:
    def written(field: str) -> str:
        special = set(field) & set(',\n"')
        return '"' + field.replace('"', '""') + '"' if special and quoted else field.translate({10: 32, 34: 32})

    content = "".join(f"{written(a)},{written(b)}\n" for a, b in rows).encode()
    with tempfile.NamedTemporaryFile() as stored:
        Path(stored.name).write_bytes(content)
        file = DataFile(stored.name, len(content))
        looked_at = []
        for stretch in stretches_of(file, size):
            with stretch.open(no_session) as stream:
                looked_at.append(look_at(stream, stretch.begin, quoted=quoted))
        pieces = cut(file, looked_at) if looked_at else []
        contents = []
        for piece in pieces:
            with piece.open(no_session) as stream:
                contents.append(stream.read())

    assert b"".join(contents) == content
    starts = {0, *(np.flatnonzero(line_breaks(content)) + 1).tolist()}
    for piece, text in zip(pieces, contents, strict=True):
        assert text.endswith(b"\n")
        assert piece.size == len(text)
        assert piece.first_line == content[: piece.begin].count(b"\n") + 1
        assert piece.begin in starts
    cut_within = {(start - 1) // size for start in starts if 0 < start < len(content)} - {0}
    assert len(pieces) == (1 + len(cut_within) if content else 0)


def test_a_packed_file_is_not_cut() -> None:
    file = DataFile("data.csv", 10)
    head = look_at(io.BytesIO(b"\x1f\x8b\n\n\n"), 0, quoted=True)
    tail = look_at(io.BytesIO(b"a\nb\nc"), 5, quoted=True)
    assert cut(file, [head, tail]) == [file]


def test_rows_are_shared_out_and_small_files_put_together() -> None:
    pieces = cut_rows(DataFile("data.parquet", 1_000), 10, 300)
    assert [(piece.begin, piece.end) for piece in pieces] == [(0, 2), (2, 5), (5, 7), (7, 10)]
    assert cut_rows(DataFile("data.parquet", 1_000), 0, 300) == [DataFile("data.parquet", 1_000, 0, 0)]
    small = [DataFile(str(size), size) for size in (40, 50, 20, 500, 1)]
    assert [[file.size for file in group] for group in grouped(small, 100)] == [[40, 50], [20], [500], [1]]

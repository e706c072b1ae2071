"""CSV: headers, and blocks of lines parsed into tables with types that widen where the data asks for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer.blocks import Block, count_bytes, line_breaks, separators
from kfp_sagemaker.monitoring.analyzer.literals import FRACTIONAL

_INFERENCE_BYTES = 1 << 20


def split_header(block: Block) -> tuple[list[str], Block]:
    """The names in the first line of a file, and the rest of its first block.

    Raises:
        DataError: A name is there twice, or there is none.
    """
    breaks = np.flatnonzero(line_breaks(block.content))
    end = int(breaks[0]) + 1 if len(breaks) else len(block.content)
    head = Block(block.file, block.content[:end], block.first_line)
    head.check_encoding()
    names = _fields(head)
    if not any(name.strip() for name in names):
        raise DataError(f"{block.file} line 1: the header is empty; is the file headerless (csv_no_header)?")
    names = [name.strip() or f"_c{at}" for at, name in enumerate(names)]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise DataError(f"{block.file} line 1: the header names {', '.join(map(repr, repeated[:5]))} more than once")
    return names, Block(block.file, block.content[end:], block.first_line + head.content.count(b"\n"))


def count_fields(block: Block) -> int:
    """How many fields the first line that is not blank has."""
    breaks = np.flatnonzero(line_breaks(block.content))
    start = 0
    for end in [*breaks.tolist(), len(block.content)]:
        line = block.content[start : end + 1]
        if line.strip():
            return int(separators(line).sum()) + 1
        start = end + 1
    return 0


class CsvParser:
    """Parses the blocks of all files of a dataset. Threads may share it: what it learns only changes the way taken.

    Args:
        names: Of the columns.
        expected_types: The inferred type the baseline has for some of them: it decides what they are first taken for.
    """

    def __init__(self, names: Sequence[str], expected_types: dict[str, str]) -> None:
        self.names = list(names)
        self.expected_types = expected_types
        self._schema: dict[str, Any] | None = None
        self._fractions: set[str] = set()

    def parse(self, block: Block) -> pl.DataFrame:
        """The rows of a block.

        Args:
            block: Whole lines, without a header.

        Raises:
            DataError: A line has more or fewer fields than there are columns, is not UTF-8 or is badly quoted.
        """
        content = block.content if block.content.endswith(b"\n") else block.content + b"\n"
        if not self._has_all_separators(content):
            content = self._check_lines(block, content)
        if content.isspace() or not content:
            return pl.DataFrame(schema=dict.fromkeys(self.names, pl.String))
        schema = self._schema or self._first_schema(content)
        try:
            quote = '"' if b'"' in content else None
            frame = pl.read_csv(content, has_header=False, schema=schema, quote_char=quote)
        except pl.exceptions.PolarsError:
            self._check_lines(block, content)
            frame = self._parse_as_text(Block(block.file, content, block.first_line), schema)
        if self._schema is None:
            self._schema = schema
        frame = self._with_whole_numbers(frame, content, schema)
        if b'"' in content and b'""' in content:  # a quoted empty value is as missing as an unquoted one
            frame = frame.with_columns(pl.col(pl.String).replace("", None))
        return frame

    def _first_schema(self, content: bytes) -> dict[str, Any]:
        """Types of the beginning of the data, or the baseline's."""
        end = content.rfind(b"\n", 0, _INFERENCE_BYTES) + 1 or len(content)
        if content.count(b'"', 0, end) % 2:
            end = len(content)
        try:
            inferred = list(pl.read_csv(content[:end], has_header=False, infer_schema_length=None).dtypes)
        except pl.exceptions.PolarsError:
            inferred = []
        if len(inferred) != len(self.names):  # what is wrong is found when the whole block is parsed
            inferred = [pl.String()] * len(self.names)
        taken_for = {"Integral": pl.Int64, "Fractional": pl.Float64}
        schema: dict[str, Any] = {}
        for name, kind in zip(self.names, inferred, strict=True):
            known = taken_for.get(self.expected_types.get(name, ""))
            schema[name] = (known or kind) if kind in (pl.Int64, pl.Float64) else pl.String
        return schema

    def _parse_as_text(self, block: Block, schema: dict[str, Any]) -> pl.DataFrame:
        """Take everything as text first; a column stays text when it is not what it was taken for."""
        block.check_encoding()
        try:
            frame = pl.read_csv(block.content, has_header=False, schema=dict.fromkeys(schema, pl.String))
        except pl.exceptions.PolarsError as error:
            reason = str(error).split("\n", 1)[0]
            last = block.first_line + block.content.count(b"\n")
            raise DataError(f"{block.file} lines {block.first_line} to {last}: not valid CSV: {reason}") from error
        columns = []
        widened = dict(schema)
        for column in frame:
            kind = schema[column.name]
            if kind == pl.String:
                columns.append(column)
                continue
            stripped = column.str.strip_chars()
            typed = stripped.cast(kind, strict=False)
            if typed.null_count() == column.null_count():
                columns.append(typed)
            else:
                columns.append(column)
                widened[column.name] = pl.String
        self._schema = widened
        return pl.DataFrame(columns)

    def _with_whole_numbers(self, frame: pl.DataFrame, content: bytes, schema: dict[str, Any]) -> pl.DataFrame:
        """Take columns of floats for what is written: 1, 2 and NaN are whole numbers, 1.0 and 2.0 are not.

        A column is looked at until a fraction was found in it, and only when all its values are whole.
        """
        doubtful = [
            column.name
            for column in frame
            if column.dtype == pl.Float64 and column.name not in self._fractions and _is_whole(column)
        ]
        if doubtful:
            everything = pl.read_csv(content, has_header=False, schema=dict.fromkeys(schema, pl.String))
            written = everything.select(pl.col(doubtful).str.strip_chars())
            whole = [column.name for column in written if not column.str.contains(FRACTIONAL).any()]
            self._fractions |= set(doubtful) - set(whole)
            frame = frame.with_columns(everything.select(whole))
        self._fractions |= {column.name for column in frame if column.dtype == pl.Float64}
        return frame

    def _has_all_separators(self, content: bytes) -> bool:
        """Whether there are as many commas as the lines need, so that none is short unless another is too long.

        Polars refuses long lines, and fills short ones up without a word.
        """
        if b'"' in content:
            return False
        width = len(self.names)
        if width == 1:
            return True
        breaks, commas = count_bytes(content, b"\n", b",")
        return commas == breaks * (width - 1)

    def _check_lines(self, block: Block, content: bytes) -> bytes:
        """Look at each line: the content without blank ones, once every line is known to have a field a column."""
        width = len(self.names)
        ends = np.flatnonzero(line_breaks(content))
        if not len(ends) or ends[-1] != len(content) - 1:
            raise DataError(
                f"{block.file} line {block.first_line}: a double quote opened here or below is never closed"
            )
        fields = np.diff(np.searchsorted(np.flatnonzero(separators(content)), ends), prepend=0) + 1
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (np.frombuffer(content, np.uint8)[starts] == ord("\r")))
        wrong = np.flatnonzero((fields != width) & ~blank)
        if len(wrong):
            row = int(wrong[0])
            line, found = block.line_at(int(starts[row])), int(fields[row])
            raise DataError(
                f"{block.file} line {line}: {found} field{'s' if found != 1 else ''} where {width} columns are "
                f"expected: {_excerpt(content[starts[row] : ends[row]])}"
            )
        if width > 1 and blank.any():
            kept = np.flatnonzero(~blank)
            content = b"".join(content[starts[row] : ends[row] + 1] for row in kept.tolist())
        return content


def _is_whole(column: pl.Series) -> bool:
    values = column.head(1_000).to_numpy()
    if np.any(values != np.floor(values), where=np.isfinite(values)):
        return False
    values = column.to_numpy()
    return not np.any(values != np.floor(values), where=np.isfinite(values))


def _fields(head: Block) -> list[str]:
    text = head.content.decode("utf-8")
    try:
        return next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
    except csv.Error as error:
        raise DataError(f"{head.file} line {head.first_line}: the header is not valid CSV: {error}") from error


def _excerpt(line: bytes) -> str:
    text = line[:80].decode("utf-8", errors="replace").strip()
    return repr(text + ("…" if len(line) > 80 else ""))

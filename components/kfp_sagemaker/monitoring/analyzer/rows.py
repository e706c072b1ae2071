"""Tables from rows that Python has in hand: parsed JSON, and what record preprocessors return."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer.blocks import Block
from kfp_sagemaker.monitoring.analyzer.literals import FRACTIONAL

NameColumns = Callable[[int], list[str]]


def frame_of_rows(rows: Sequence[Mapping[str, Any]], where: Callable[[int], str]) -> pl.DataFrame:
    """A table of flat rows; a column is numbers when all its values are, else text.

    Args:
        rows: By column name; a column a row lacks is missing there.
        where: Says, for messages, where row N comes from.

    Raises:
        DataError: A value is a list or an object.
    """
    columns: dict[str, list[Any]] = {}
    for at, row in enumerate(rows):
        for name, value in row.items():
            if isinstance(value, (dict, list, tuple, set, bytes)):
                kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
                raise DataError(
                    f"{where(at)}: {name!r} is {kind}: the analyzer takes flat rows; use a record preprocessor"
                )
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * at
            elif len(column) < at:
                column.extend([None] * (at - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([None] * (len(rows) - len(column)))
    return pl.DataFrame([_series(name, values) for name, values in columns.items()])


def parse_json_lines(block: Block, integral: Collection[str] = ()) -> pl.DataFrame:
    """The rows of a block of JSON lines.

    Args:
        block: Whole lines.
        integral: Columns expected to hold whole numbers: how many of them do is counted when not all do.

    Raises:
        DataError: A line is not a JSON object, or is not flat.
    """
    try:
        frame = pl.read_ndjson(block.content, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        pass
    else:
        if not any(kind.is_nested() or (kind.is_float() and name in integral) for name, kind in frame.schema.items()):
            return frame
    block.check_encoding()
    rows, lines = [], []
    for number, line in enumerate(block.content.split(b"\n"), block.first_line):
        if line.strip():
            rows.append(parse_json_object(line, block.file, number))
            lines.append(number)
    return frame_of_rows(rows, lambda at: f"{block.file} line {lines[at]}")


def parse_json_object(line: bytes | str, file: str, number: int) -> dict[str, Any]:
    """One line as a JSON object.

    Raises:
        DataError: It is none.
    """
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DataError(f"{file} line {number}: not valid JSON: {error}") from error
    except RecursionError as error:
        raise DataError(f"{file} line {number}: JSON nested too deeply") from error
    if not isinstance(value, dict):
        raise DataError(f"{file} line {number}: a JSON object is expected, not {type(value).__name__}")
    return value


def _series(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None and value != ""}
    if kinds <= {int, float}:
        return _numbers(name, [None if value == "" else value for value in values], kinds)
    texts = pl.Series(name, [_text(value) for value in values], dtype=pl.String)
    # What a script split from CSV is text that may all be numbers.
    present = len(texts) - texts.null_count()
    stripped = texts.str.strip_chars()
    for kind in (pl.Int64, pl.Float64):
        typed = stripped.cast(kind, strict=False)
        if present and len(typed) - typed.null_count() == present:
            # Whole numbers and "NaN" are no fractions: what is written decides, see ``profiling``.
            return typed if kind == pl.Int64 or stripped.str.contains(FRACTIONAL).any() else texts
    return texts


def _numbers(name: str, values: list[Any], kinds: set[type]) -> pl.Series:
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {int}:
        try:
            return pl.Series(name, values, dtype=pl.Int64)
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    if float in kinds and int in kinds:
        # As text, so that each value keeps the type it is written with.
        return pl.Series(name, [None if value is None else repr(value) for value in values], dtype=pl.String)
    return pl.Series(name, values, dtype=pl.Float64)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)

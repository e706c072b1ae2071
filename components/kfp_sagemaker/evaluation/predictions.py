"""Predictions beside the truth: what a transform job or an endpoint answered, and the label of each row.

Formats: https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from kfp_sagemaker.aws.errors import DataError

Lines = Callable[[], Iterable[str]]
# What batch transform appends to the name of its input.
OUTPUT_SUFFIX = ".out"


class Row(NamedTuple):
    """One row: its label, and what the model answered (a number, text, a list, or a JSON object)."""

    truth: str
    prediction: Any


def pair(truth: Mapping[str, Lines], predictions: Mapping[str, Lines]) -> Iterator[Row]:
    """Every row of the truth with its prediction.

    Args:
        truth: Files by name: CSV without header, the label first.
        predictions: Files by name: ``NAME.out`` for the truth's ``NAME``; a single file belongs to a single one
            whatever its name.

    Yields:
        The rows, file by file.

    Raises:
        DataError: A file has no counterpart, or the two have different numbers of rows.
    """
    if not truth:
        raise DataError("the truth holds no file")
    if len(truth) == len(predictions) == 1:
        found = [*zip(truth, predictions, strict=True)]
    else:
        missing = [name for name in truth if name + OUTPUT_SUFFIX not in predictions]
        if missing:
            there = ", ".join(sorted(predictions)) or "none"
            raise DataError(f"no predictions for {', '.join(missing)}: expected NAME{OUTPUT_SUFFIX}, found {there}")
        found = [(name, name + OUTPUT_SUFFIX) for name in truth]
    nothing = object()
    for true_name, predicted_name in found:
        labels = (label(line) for line in truth[true_name]() if line.strip())
        answers = parse_all(predictions[predicted_name](), predicted_name)
        for number, (one, other) in enumerate(zip_longest(labels, answers, fillvalue=nothing), start=1):
            if one is nothing or other is nothing:
                short, long = (true_name, predicted_name) if one is nothing else (predicted_name, true_name)
                raise DataError(
                    f"{short} ends before row {number} of {long}: every row needs one prediction. A transform job "
                    "gives that with split_type Line and assemble_with Line, on data without a header"
                )
            yield Row(str(one), other)


def invoked(lines: Iterable[str], name: str) -> Iterator[Row]:
    """The rows of what ``invoke_endpoint`` wrote with ``label_first``.

    Raises:
        DataError: A row failed, or has no label.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = json.loads(line)
            if "label" not in record or record.get("error"):
                reason = record.get("error") or "it has no label"
                raise DataError(f"{name}, line {number} cannot be evaluated: {reason}")
            yield Row(clean(record["label"]), record["prediction"])


def label(line: str) -> str:
    """The label of a line of CSV: its first value."""
    return clean(next(csv.reader([line]))[0])


def clean(value: Any) -> str:
    """A label as text, the same for 1, 1.0, "1.0" and "1.0e+00"."""
    text = str(value).strip()
    number = as_number(text)
    if number is not None and number == int(number):
        return str(int(number))
    return text


def as_number(value: Any) -> float | None:
    """The finite number that a value is or spells; None for anything else."""
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def parse_all(lines: Iterable[str], name: str) -> Iterator[Any]:
    """The predictions of a file: CSV, JSON lines, or the built-in algorithms' ``{"predictions": [...]}``.

    Args:
        lines: The file.
        name: Its name, for messages.

    Yields:
        One prediction each: a number, text, a list or a JSON object.

    Raises:
        DataError: A line is no valid JSON.
    """
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if text[0] not in "{[":
            values = [_number_or_text(cell) for cell in next(csv.reader([text]))]
            yield values[0] if len(values) == 1 else values
            continue
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{name}, line {number} begins like JSON and is none: {error}") from error
        several = value.get("predictions") if isinstance(value, dict) else None
        if isinstance(several, list):
            yield from several
        else:
            yield value


def _number_or_text(cell: str) -> float | str:
    number = as_number(cell)
    return cell.strip() if number is None else number

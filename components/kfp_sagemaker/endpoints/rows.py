"""Rows on their way into a request body, and predictions out of an answer.

Formats: https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from kfp_sagemaker.aws.values import normalise

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
# Content types in which several rows can share a request.
BATCHABLE = (CSV, JSON, JSON_LINES)


def encode(row: Any, content_type: str) -> str:
    """One row as it is sent.

    Args:
        row: A string, which is sent as it is; a list of values or a single one; for JSON also a dict.
        content_type: What it is sent as.

    Raises:
        ValueError: The row does not fit the content type; says what does.
    """
    if isinstance(row, str):
        return row.rstrip("\r\n")
    row = normalise(row)
    if content_type in (JSON, JSON_LINES):
        return json.dumps(row, separators=(",", ":"))
    if content_type == CSV and not isinstance(row, dict) and row is not None:
        target = io.StringIO()
        csv.writer(target, lineterminator="").writerow(row if isinstance(row, list) else [row])
        return target.getvalue()
    allowed = "a string or a list of values" if content_type == CSV else "a string"
    raise ValueError(f"{allowed}, because content_type is {content_type}")


def split_label(row: Any, content_type: str) -> tuple[Any, Any]:
    """Take the first value off a row.

    Returns:
        The value and the row without it.

    Raises:
        ValueError: The row has no first value, or nothing after it.
    """
    if isinstance(row, str) and content_type in (JSON, JSON_LINES):
        row = json.loads(row)
    if isinstance(row, str):
        label, comma, rest = row.partition(",")
        if comma:
            return _number_or_text(label), rest
    elif isinstance(row, list) and len(row) > 1:
        return normalise(row[0]), row[1:]
    raise ValueError("a list or CSV line of a label and at least one more value, because label_first is true")


def join(rows: Sequence[str], content_type: str) -> bytes:
    """The body of a request for encoded rows: lines, or for several rows of JSON a JSON list."""
    if content_type == JSON and len(rows) > 1:
        return f"[{','.join(rows)}]".encode()
    return "\n".join(rows).encode()


def decode(body: bytes, content_type: str, count: int) -> list[Any]:
    """The predictions of an answer, one for each of ``count`` rows.

    Numbers become numbers, CSV with several values a list. JSON may be a list with an entry a row, or the built-in
    algorithms' ``{"predictions": [...]}``. With one row, an answer of any other form is the prediction itself.

    Raises:
        ValueError: The answer has another number of predictions than there were rows.
    """
    text = body.decode("utf-8", "replace").strip()
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        return _decode_json(text, count)
    lines = text.splitlines()
    if kind in (JSON_LINES, "application/x-jsonlines"):
        return _expect([_json_or_text(line) for line in lines], count, text)
    if kind == CSV or kind.startswith("text/"):
        values = lines
        if len(lines) == 1 and count > 1:  # some containers answer all rows on one line
            values = text.split(",")
        if len(values) != count and count == 1:
            return [text]
        return _expect([_csv_values(line) for line in values], count, text)
    return _expect([text], count, text)


def _decode_json(text: str, count: int) -> list[Any]:
    answer = _json_or_text(text)
    found = answer.get("predictions") if isinstance(answer, dict) and len(answer) == 1 else answer
    if isinstance(found, list) and len(found) == count:
        return found
    return _expect([answer], count, text)


def _expect(predictions: list[Any], count: int, text: str) -> list[Any]:
    if len(predictions) != count:
        shown = text if len(text) <= 200 else f"{text[:200]}..."
        raise ValueError(
            f"the answer has {len(predictions)} predictions for {count} rows; set rows_per_request to 1 where the "
            f"container does not answer a row each: {shown!r}"
        )
    return predictions


def _csv_values(line: str) -> Any:
    values = [_number_or_text(value) for value in next(csv.reader([line]), [])]
    return values[0] if len(values) == 1 else values


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _number_or_text(value: str) -> Any:
    try:
        number = float(value)
    except ValueError:
        return value.strip()
    return normalise(number) if math.isfinite(number) else value.strip()  # JSON has no NaN

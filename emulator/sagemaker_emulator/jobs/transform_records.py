"""The records of a batch transform: cut from objects, packed into payloads, filtered and joined with their predictions.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sagemaker_emulator.jobs.json_path import JsonPath, JsonPathError

INPUT_KEY = "SageMakerInput"
OUTPUT_KEY = "SageMakerOutput"


class RecordError(ValueError):
    """A record is too large, malformed, or does not fit its prediction; the message is for the job's data log."""


class RecordFormat(Enum):
    """How records are written."""

    CSV = "text/csv"
    JSON_LINES = "application/jsonlines"
    JSON = "application/json"


def record_format(content_type: str, *, is_split: bool) -> RecordFormat | None:
    """Return the format of a content type; JSON that is split into lines is JSON Lines."""
    media_type = content_type.split(";")[0].strip().lower()
    if media_type == "application/json" and is_split:
        return RecordFormat.JSON_LINES
    return next((each for each in RecordFormat if each.value == media_type), None)


def pack(lines: Iterator[bytes], *, max_payload_bytes: int, single_record: bool) -> Iterator[list[bytes]]:
    """Yield groups of lines: one each, or as many as fit into a payload; empty lines are skipped.

    Args:
        lines: The lines, without their ends.
        max_payload_bytes: The largest payload; 0 for no limit.
        single_record: Whether every line is a payload of its own.

    Raises:
        RecordError: A line alone is larger than a payload.
    """
    group: list[bytes] = []
    size = 0
    for line in lines:
        if not line:
            continue
        if max_payload_bytes and len(line) > max_payload_bytes:
            raise RecordError(
                f"Maximum payload exceeded: a record of {len(line)} bytes is larger than MaxPayloadInMB allows "
                f"({max_payload_bytes} bytes)"
            )
        if group and (single_record or (max_payload_bytes and size + len(line) + 1 > max_payload_bytes)):
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line) + 1
    if group:
        yield group


@dataclass(frozen=True)
class DataProcessing:
    """What happens to records on their way to the model and back.

    Attributes:
        input_filter: What of a record the model gets.
        output_filter: What of a prediction, or of the joined record, is stored.
        joins_input: Whether the prediction is joined with its record.
        input_format: The format of the records; None when they are opaque.
        is_split: Whether a payload holds lines.
    """

    input_filter: JsonPath
    output_filter: JsonPath
    joins_input: bool
    input_format: RecordFormat | None
    is_split: bool

    def request_body(self, records: Sequence[bytes]) -> bytes:
        """Return the payload of some records.

        Raises:
            RecordError: A record cannot be read or has nothing the filter selects.
        """
        if self.input_filter.is_identity:
            return b"\n".join(records)
        file_format = self._require_format("InputFilter")
        return b"\n".join(_write(file_format, self._select(self.input_filter, each)) for each in self._parsed(records))

    def result(self, records: Sequence[bytes], body: bytes, content_type: str) -> bytes:
        """Return what is stored for an answer of the model, without a last line end.

        Args:
            records: The records of the payload.
            body: The model's answer.
            content_type: Its format.

        Raises:
            RecordError: The answer cannot be read, or its records are not as many as the payload's.
        """
        if self.output_filter.is_identity and not self.joins_input:
            return body
        output_format = record_format(content_type, is_split=self.is_split)
        if output_format is None:
            answered = (
                repr(content_type) if content_type else "without a Content-Type, and TransformOutput has no Accept"
            )
            raise RecordError(
                f"OutputFilter and JoinSource need CSV, JSON Lines or JSON; the model answered {answered}"
            )
        outputs = _read_all(output_format, _cut(output_format, body))
        if self.joins_input:
            if output_format is not self._require_format("JoinSource"):
                raise RecordError(
                    f"JoinSource needs predictions in the format of the input; the model answered {content_type!r}"
                )
            inputs = self._parsed(records)
            if len(inputs) != len(outputs):
                raise RecordError(
                    f"Cannot join: the model answered {len(outputs)} records to {len(inputs)}; they must be as many"
                )
            outputs = [_join(output_format, each, output) for each, output in zip(inputs, outputs, strict=True)]
        return b"\n".join(_write(output_format, self._select(self.output_filter, output)) for output in outputs)

    def _parsed(self, records: Sequence[bytes]) -> list[Any]:
        file_format = self._require_format("DataProcessing")
        lines = records if self.is_split else [line for each in records for line in _cut(file_format, each)]
        return _read_all(file_format, lines)

    def _require_format(self, member: str) -> RecordFormat:
        if self.input_format is None:
            raise RecordError(f"{member} needs a ContentType of CSV, JSON Lines or JSON")
        return self.input_format

    @staticmethod
    def _select(path: JsonPath, record: Any) -> Any:
        try:
            return path.select(record)
        except JsonPathError as error:
            raise RecordError(str(error)) from error


def _cut(file_format: RecordFormat, content: bytes) -> list[bytes]:
    if file_format is RecordFormat.JSON:
        return [content]
    return [line for line in content.splitlines() if line.strip()]


def _read_all(file_format: RecordFormat, lines: Sequence[bytes]) -> list[Any]:
    return [_read(file_format, line) for line in lines]


def _read(file_format: RecordFormat, line: bytes) -> Any:
    try:
        text = line.decode()
        if file_format is RecordFormat.CSV:
            return next(csv.reader([text]), [])
        return json.loads(text)
    except (ValueError, csv.Error) as error:
        raise RecordError(f"A record is not valid {file_format.value}: {line[:100]!r} ({error})") from error


def _write(file_format: RecordFormat, value: Any) -> bytes:
    if file_format is not RecordFormat.CSV:
        return json.dumps(value).encode()
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(value if isinstance(value, list) else [value])
    return row.getvalue().encode()


def _join(file_format: RecordFormat, record: Any, output: Any) -> Any:
    if file_format is RecordFormat.CSV:
        return [*record, *output]
    if isinstance(record, dict):
        return {**record, OUTPUT_KEY: output}
    return {INPUT_KEY: record, OUTPUT_KEY: output}

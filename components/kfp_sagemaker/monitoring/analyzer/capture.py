"""SageMaker's captured data: each line an invocation, its request and its answer merged into rows."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer.blocks import Block
from kfp_sagemaker.monitoring.analyzer.options import DatasetFormat
from kfp_sagemaker.monitoring.analyzer.records import CapturedData
from kfp_sagemaker.monitoring.analyzer.rows import NameColumns, frame_of_rows, parse_json_object
from kfp_sagemaker.monitoring.analyzer.scripts import RecordPreprocessor

# Documented envelopes of several rows in one JSON body.
_ENVELOPES = ("instances", "predictions")

# A row: the named values, and those that only have a place.
Row = tuple[dict[str, Any], list[Any]]


@dataclass
class CaptureReader:
    """Reads captured lines.

    Args:
        format: Which sides, and in which order.
        name_columns: Names for rows of N values without names.
        target_model: Leave out the lines of other models; empty means none.
        start_time: Leave out what was captured before.
        end_time: Leave out what was captured at or after.
        preprocessor: Makes the rows of a line, instead of the merging done here.
        warn: Takes what was left out and why.
        note_width: Takes how many values without names the first row has, and where it stands.
    """

    format: DatasetFormat
    name_columns: NameColumns
    target_model: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    preprocessor: RecordPreprocessor | None = None
    warn: Callable[[str], None] = field(default=lambda _: None)
    note_width: Callable[[int, str], None] = field(default=lambda _, __: None)
    _width: int = field(default=-1, init=False)

    def parse(self, block: Block) -> pl.DataFrame:
        """The rows of a block of captured lines.

        Raises:
            DataError: A line is no captured invocation, or its sides do not fit together.
        """
        block.check_encoding()
        rows: list[Row] = []
        lines: list[int] = []
        texts = block.content.split(b"\n")
        for number, text in enumerate(texts, block.first_line):
            if not text.strip():
                continue
            try:
                record = parse_json_object(text, block.file, number)
            except DataError:
                if number - block.first_line == len(texts) - 1:  # no line break at its end
                    self.warn(
                        f"{block.file} line {number} is left out: it ends in the middle, it is still being written"
                    )
                    continue
                raise
            where = f"{block.file} line {number}"
            made = self.rows_of(record, where)
            self.check_width(made, where)
            rows += made
            lines += [number] * len(made)
        return frame_of_rows(self.named(rows), lambda at: f"{block.file} line {lines[at]}")

    def check_width(self, rows: list[Row], where: str) -> None:
        """Raise a DataError when rows have more or fewer values without a name than those before."""
        for _, values in rows:
            if self._width < 0:
                self._width = len(values)
                self.note_width(self._width, where)
            if len(values) != self._width:
                raise other_width(len(values), where, self._width)

    def named(self, rows: list[Row]) -> list[Mapping[str, Any]]:
        """Rows with a name for every value."""
        names: dict[int, list[str]] = {}
        named: list[Mapping[str, Any]] = []
        for members, values in rows:
            if values and len(values) not in names:
                names[len(values)] = self.name_columns(len(values))
            named.append(dict(zip(names[len(values)], values, strict=True)) | members if values else members)
        return named

    def rows_of(self, record: dict[str, Any], where: str) -> list[Row]:
        """The rows of one captured line; none when it is filtered out."""
        metadata = record.get("eventMetadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        if not self._is_wanted(metadata, where):
            return []
        if self.preprocessor is not None:
            captured = CapturedData(record)
            made = self.preprocessor.rows(captured, where)
            if made is not None:
                return [_places(row) for row in made]
            record = captured.as_dict()
        sides = record.get("captureData")
        if not isinstance(sides, dict):
            raise DataError(f"{where}: no captureData: is this SageMaker's captured data (sagemakerCaptureJson)?")
        order = ["endpointOutput", "endpointInput"]
        if self.format.output_columns_position == "END":
            order.reverse()
        present = [side for side in order if side in self.format.capture_index_names and sides.get(side)]
        return _merge([(side, _decode(sides[side], f"{where}: {side}")) for side in present], where)

    def _is_wanted(self, metadata: dict[str, Any], where: str) -> bool:
        if self.target_model and target_model_of(metadata) != self.target_model:
            return False
        if self.start_time is None and self.end_time is None:
            return True
        try:
            moment = datetime.fromisoformat(str(metadata["inferenceTime"]))
        except (KeyError, ValueError) as error:
            raise DataError(f"{where}: eventMetadata has no readable inferenceTime to select by: {error}") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        after_start = self.start_time is None or moment >= self.start_time
        return after_start and (self.end_time is None or moment < self.end_time)


def other_width(width: int, where: str, usual: int) -> DataError:
    """The error of a row with more or fewer values without a name than other rows."""
    return DataError(
        f"{where}: {width} values where other lines have {usual}: values without names are told apart by their place "
        "only"
    )


def target_model_of(metadata: Mapping[str, Any]) -> str:
    """The target model of a captured line: ``targetModel``, or a custom attribute ``TargetModel=NAME``; or empty.

    AWS captures no target model, so its callers say it in the custom attributes, of which several may stand in one
    string, separated by commas or semicolons.
    """
    if metadata.get("targetModel"):
        return str(metadata["targetModel"])
    attributes = metadata.get("customAttributes") or []
    for attribute in [attributes] if isinstance(attributes, str) else attributes:
        for part in str(attribute).replace(";", ",").split(","):
            name, _, value = part.partition("=")
            if name.strip().lower().replace("_", "").replace("-", "") == "targetmodel":
                return value.strip()
    return ""


def _places(row: dict[str, Any]) -> Row:
    """A preprocessor's row: keys that are all numbers (``str(i).zfill(20)``) are places, others are names."""
    if all(key.isdigit() for key in row):
        return {}, [row[key] for key in sorted(row, key=int)]
    return row, []


def _decode(side: Any, where: str) -> list[Row]:
    """The rows of one side."""
    if not isinstance(side, dict):
        raise DataError(f"{where} is not an object")
    encoding, data = str(side.get("encoding", "")).upper(), side.get("data")
    content_type = str(side.get("observedContentType") or "").split(";")[0].strip().lower()
    if encoding == "BASE64":
        try:
            data = base64.b64decode(str(data), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"{where} of content type {content_type or 'unknown'} is no text in BASE64 ({error}); the analyzer "
                "takes CSV and JSON: make rows of it with a record preprocessor"
            ) from error
        encoding = "JSON" if "json" in content_type else "CSV" if content_type in ("text/csv", "text/plain", "") else ""
    if encoding == "CSV":
        return _csv_rows(str(data), where)
    if encoding == "JSON":
        return _json_rows(data, where)
    raise DataError(
        f"{where} has encoding {side.get('encoding')!r} and content type {content_type!r}; the analyzer takes CSV and "
        "JSON: make rows of it with a record preprocessor"
    )


def _csv_rows(data: str, where: str) -> list[Row]:
    if '"' not in data:
        return [({}, line.split(",")) for line in data.splitlines() if line.strip()]
    try:
        return [({}, list(row)) for row in csv.reader(io.StringIO(data, newline=""), strict=True) if row]
    except csv.Error as error:
        raise DataError(f"{where} is not valid CSV: {error}") from error


def _json_rows(data: Any, where: str) -> list[Row]:
    if isinstance(data, str):
        try:
            values = [json.loads(data)]
        except ValueError:
            try:
                values = [json.loads(line) for line in data.splitlines() if line.strip()]
            except ValueError as error:
                raise DataError(f"{where} is not valid JSON: {error}") from error
    else:
        values = [data]
    return [row for value in values for row in _rows_in(value)]


def _rows_in(value: Any) -> list[Row]:
    """The rows of a JSON value: an object, an array of values, or an array of rows."""
    if isinstance(value, dict):
        if (
            len(value) == 1
            and isinstance(inner := next(iter(value.values())), list)
            and next(iter(value)) in _ENVELOPES
        ):
            return [row for item in inner for row in _rows_in(item)]
        return [(value, [])]
    if isinstance(value, list):
        if value and all(isinstance(item, (dict, list)) for item in value):
            return [row for item in value for row in _rows_in(item)]
        return [({}, value)]
    return [({}, [value])]


def _merge(sides: list[tuple[str, list[Row]]], where: str) -> list[Row]:
    """Rows of the sides next to each other, as the container merges them."""
    sides = [(name, rows) for name, rows in sides if rows]
    if not sides:
        return []
    most = max(len(rows) for _, rows in sides)
    merged: list[Row] = [({}, []) for _ in range(most)]
    for name, rows in sides:
        if len(rows) == 1 < most and not rows[0][0] and len(rows[0][1]) == most:
            rows = [({}, [value]) for value in rows[0][1]]  # "0.1,0.7" answers two rows on one line
        if len(rows) != most:
            counts = " and ".join(f"{len(each)} in {side}" for side, each in sides)
            raise DataError(f"{where}: the numbers of rows do not agree: {counts}")
        for (members, values), (more_members, more_values) in zip(merged, rows, strict=True):
            for key, value in more_members.items():
                members[key if key not in members else f"{name}.{key}"] = value
            values += more_values
    return merged

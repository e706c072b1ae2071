"""Record preprocessors on data that was not captured: each line of CSV or JSON is a record's endpoint input."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kfp_sagemaker.monitoring.analyzer.blocks import Block, line_breaks
from kfp_sagemaker.monitoring.analyzer.capture import CaptureReader
from kfp_sagemaker.monitoring.analyzer.options import DatasetFormat
from kfp_sagemaker.monitoring.analyzer.rows import NameColumns, frame_of_rows
from kfp_sagemaker.monitoring.analyzer.scripts import RecordPreprocessor


def preprocess_csv(block: Block, preprocessor: RecordPreprocessor, name_columns: NameColumns) -> pl.DataFrame:
    """Rows the script makes of each line of CSV."""
    block.check_encoding()
    ends = np.flatnonzero(line_breaks(block.content)).tolist()
    starts = [0, *(end + 1 for end in ends)]
    lines = [block.content[start:end] for start, end in zip(starts, [*ends, len(block.content)], strict=True)]
    return _preprocess(block, lines, "CSV", "text/csv", preprocessor, name_columns)


def preprocess_json(block: Block, preprocessor: RecordPreprocessor, name_columns: NameColumns) -> pl.DataFrame:
    """Rows the script makes of each JSON line."""
    block.check_encoding()
    lines = block.content.split(b"\n")
    return _preprocess(block, lines, "JSON", "application/json", preprocessor, name_columns)


def _preprocess(
    block: Block,
    lines: list[bytes],
    encoding: str,
    content_type: str,
    preprocessor: RecordPreprocessor,
    name_columns: NameColumns,
) -> pl.DataFrame:
    reader = CaptureReader(DatasetFormat("sagemakerCaptureJson", header=False), name_columns, preprocessor=preprocessor)
    rows: list[Any] = []
    numbers: list[int] = []
    number = block.first_line
    for line in lines:
        if line.strip():
            data = line.decode("utf-8").rstrip("\r")
            side = {"observedContentType": content_type, "mode": "INPUT", "data": data, "encoding": encoding}
            made = reader.rows_of({"captureData": {"endpointInput": side}}, f"{block.file} line {number}")
            reader.check_width(made, f"{block.file} line {number}")
            rows += made
            numbers += [number] * len(made)
        number += 1 + line.count(b"\n")
    return frame_of_rows(reader.named(rows), lambda at: f"{block.file} line {numbers[at]}")

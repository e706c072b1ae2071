"""From the options to the profile of the dataset: files, blocks, tables, and threads to work on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.monitoring.analyzer.baseline import Baseline
from kfp_sagemaker.monitoring.analyzer.blocks import Block, read_blocks
from kfp_sagemaker.monitoring.analyzer.capture import CaptureReader
from kfp_sagemaker.monitoring.analyzer.csv_blocks import CsvParser, count_fields, split_header
from kfp_sagemaker.monitoring.analyzer.files import DataFile, find_files, read_text
from kfp_sagemaker.monitoring.analyzer.options import Options
from kfp_sagemaker.monitoring.analyzer.profile import Profile
from kfp_sagemaker.monitoring.analyzer.profiling import profile_frame
from kfp_sagemaker.monitoring.analyzer.rows import parse_json_lines
from kfp_sagemaker.monitoring.analyzer.scripts import RecordPreprocessor
from kfp_sagemaker.monitoring.analyzer.text_records import preprocess_csv, preprocess_json

_MOST_THREADS = 8
_CELLS_OF_A_BATCH = 4_000_000

# Makes a table of a piece of the dataset; run by one of the threads.
Parse = Callable[[], pl.DataFrame]


@dataclass
class Dataset:
    """The data of an analysis.

    Attributes:
        options: What to read.
        baseline: Gives columns without names theirs, and says what they are first taken for.
        session: Opens the session for S3.
        warnings: What was left out, and why; grows while reading.
    """

    options: Options
    baseline: Baseline | None
    session: Callable[[], Session]
    warnings: list[str] = field(default_factory=list)

    def profile(self) -> Profile:
        """Read everything once.

        Raises:
            DataError: The data cannot be read; names file and line.
        """
        files = find_files(self.options.dataset_sources, self.session)
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        whole = Profile()
        waiting: deque[Future[Profile]] = deque()
        with ThreadPoolExecutor(threads, "analyzer") as executor:
            try:
                for number, parse in enumerate(self._pieces(files)):
                    waiting.append(executor.submit(_profile_piece, parse, number))
                    # One piece more than threads: the next is read while they work, and no more is in memory.
                    if len(waiting) > threads:
                        whole.merge(waiting.popleft().result())
                while waiting:
                    whole.merge(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()
        return whole

    def _pieces(self, files: list[DataFile]) -> Iterator[Parse]:
        name = self.options.format.name
        preprocessor = self._preprocessor()
        if name == "csv":
            return self._csv(files, preprocessor)
        if name == "json":
            return self._json(files, preprocessor)
        if name == "parquet":
            return self._parquet(files, preprocessor)
        return self._capture(files, preprocessor)

    def _preprocessor(self) -> RecordPreprocessor | None:
        location = self.options.record_preprocessor
        return RecordPreprocessor(read_text(location, self.session), location) if location else None

    def _csv(self, files: list[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        parser: CsvParser | None = None
        first_file = ""
        for file in files:
            own: CsvParser | None = None
            for block in _blocks(file, quoted=True):
                if own is None:
                    block, names = self._csv_names(block)
                    if not names:
                        continue
                    if parser is None:
                        parser, first_file = CsvParser(names, self._expected_types()), file.name
                    own = parser if names == parser.names else _same_columns(parser, names, file.name, first_file)
                if preprocessor is None:
                    yield partial(own.parse, block)
                else:
                    yield partial(preprocess_csv, block, preprocessor, self.name_columns)

    def _csv_names(self, block: Block) -> tuple[Block, list[str]]:
        if self.options.format.header:
            names, rest = split_header(block)
            return rest, names
        width = count_fields(block)
        return block, self.name_columns(width) if width else []

    def _json(self, files: list[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        integral = {name for name, kind in self._expected_types().items() if kind == "Integral"}
        for file in files:
            for block in _blocks(file, quoted=False):
                if preprocessor is None:
                    yield partial(parse_json_lines, block, integral)
                else:
                    yield partial(preprocess_json, block, preprocessor, self.name_columns)

    def _capture(self, files: list[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        options = self.options
        reader = CaptureReader(
            options.format,
            self.name_columns,
            options.target_model,
            options.start_time,
            options.end_time,
            preprocessor,
            self.warnings.append,
        )
        for file in files:
            for block in _blocks(file, quoted=False):
                yield partial(reader.parse, block)

    def _parquet(self, files: list[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        if preprocessor is not None:
            raise DataError(
                "a record preprocessor takes records of text: CSV, JSON lines or captured data, not Parquet"
            )
        columns: list[str] = []
        for file in files:
            with file.local() as path:
                try:
                    scan = pl.scan_parquet(path)
                    names = scan.collect_schema().names()
                    if columns and set(names) != set(columns):
                        raise DataError(_other_columns(file.name, names, files[0].name, columns))
                    columns = columns or names
                    rows = max(1_000, min(262_144, _CELLS_OF_A_BATCH // max(1, len(names))))
                    for batch in scan.collect_batches(chunk_size=rows, maintain_order=True):
                        yield partial(_itself, batch)
                except pl.exceptions.PolarsError as error:
                    raise DataError(f"{file.name} is not a readable Parquet file: {error}") from error

    def name_columns(self, count: int) -> list[str]:
        """Names for N columns without: the baseline's when it has as many, else ``_c0``, ``_c1``, ..."""
        known = list(self.baseline.features) if self.baseline is not None else []
        return known if len(known) == count else [f"_c{at}" for at in range(count)]

    def _expected_types(self) -> dict[str, str]:
        if self.baseline is None:
            return {}
        return {name: feature.inferred_type for name, feature in self.baseline.features.items()}


def _profile_piece(parse: Parse, number: int) -> Profile:
    return profile_frame(parse(), seed=number)


def _itself(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def _blocks(file: DataFile, *, quoted: bool) -> Iterator[Block]:
    with file.open() as stream:
        yield from read_blocks(stream, file.name, quoted=quoted)


def _same_columns(parser: CsvParser, names: list[str], file: str, first_file: str) -> CsvParser:
    """A parser for a file whose header has the same names in another order."""
    if set(names) != set(parser.names):
        raise DataError(_other_columns(file, names, first_file, parser.names))
    return CsvParser(names, parser.expected_types)


def _other_columns(file: str, names: list[str], first_file: str, columns: list[str]) -> str:
    def listed(values: list[str]) -> str:
        return ", ".join(map(repr, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")

    if len(names) != len(columns) and all(name.startswith("_c") for name in names):
        return f"{file} line 1: {len(names)} columns, but {first_file} has {len(columns)}"
    missing = [name for name in columns if name not in set(names)]
    extra = [name for name in names if name not in set(columns)]
    parts = [f"lacks {listed(missing)}"] if missing else []
    parts += [f"has {listed(extra)} besides"] if extra else []
    return f"{file} line 1: other columns than in {first_file}: it {' and '.join(parts)}"

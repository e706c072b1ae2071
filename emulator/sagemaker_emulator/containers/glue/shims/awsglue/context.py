"""``GlueContext``: a Spark session, and dynamic frames from and to S3."""

from __future__ import annotations

import logging
from typing import Any

from pyspark.sql import SparkSession, SQLContext

from sagemaker_emulator.containers.glue.dynamic_frame import DynamicFrame

_FORMATS = {"csv", "json", "orc", "parquet"}
# Glue's options of csv, and Spark's.
_CSV = {"withHeader": "header", "separator": "sep", "quoteChar": "quote", "escaper": "escape", "multiline": "multiLine"}


class GlueContext(SQLContext):
    """Glue's way into Spark.

    Args:
        sparkContext: The Spark context.
    """

    def __init__(self, sparkContext: Any, **options: Any) -> None:  # noqa: N803 - Glue's name
        del options
        session = SparkSession(sparkContext)
        super().__init__(sparkContext, session)
        self.spark_session = session
        self.create_dynamic_frame = _Readers(session)
        self.write_dynamic_frame = _Writers()

    def get_logger(self) -> logging.Logger:
        """Return a logger with ``info``, ``warn`` and ``error``."""
        return logging.getLogger("GlueLogger")

    def create_dynamic_frame_from_options(self, *args: Any, **named: Any) -> DynamicFrame:
        """Read from S3."""
        return self.create_dynamic_frame.from_options(*args, **named)

    def write_dynamic_frame_from_options(self, *args: Any, **named: Any) -> DynamicFrame:
        """Write to S3."""
        return self.write_dynamic_frame.from_options(*args, **named)


class _Readers:
    def __init__(self, session: Any) -> None:
        self._session = session

    def from_options(
        self,
        connection_type: str,
        connection_options: dict[str, Any],
        format: str,
        format_options: dict[str, Any] | None = None,
        transformation_ctx: str = "",
    ) -> DynamicFrame:
        _check(connection_type, format)
        reader = self._session.read.format(format).options(**_options(format, format_options))
        if format == "csv":
            reader = reader.option("inferSchema", "true")
        return DynamicFrame(reader.load(list(connection_options["paths"])), name=transformation_ctx)

    def from_catalog(self, *args: Any, **named: Any) -> Any:
        raise NotImplementedError("sagemaker-emulator has no tables behind its Data Catalog: use from_options with S3")


class _Writers:
    def from_options(
        self,
        frame: DynamicFrame,
        connection_type: str,
        connection_options: dict[str, Any],
        format: str,
        format_options: dict[str, Any] | None = None,
        transformation_ctx: str = "",
    ) -> DynamicFrame:
        del transformation_ctx
        _check(connection_type, format)
        writer = frame.toDF().write.format(format).mode("append")
        if format == "csv":
            writer = writer.option("header", "true")
        if keys := connection_options.get("partitionKeys"):
            writer = writer.partitionBy(*keys)
        writer.options(**_options(format, format_options)).save(connection_options["path"])
        return frame

    def from_catalog(self, *args: Any, **named: Any) -> Any:
        raise NotImplementedError("sagemaker-emulator has no tables behind its Data Catalog: use from_options with S3")


def _check(connection_type: str, format: str) -> None:
    if connection_type != "s3" or format not in _FORMATS:
        raise NotImplementedError(
            f"sagemaker-emulator's dynamic frames read and write s3 as {', '.join(sorted(_FORMATS))}, not "
            f"{connection_type} as {format}; use Spark's own readers"
        )


def _options(format: str, options: dict[str, Any] | None) -> dict[str, Any]:
    if format != "csv":
        return dict(options or {})
    return {_CSV.get(name, name): value for name, value in (options or {}).items() if name != "optimizePerformance"}

"""``DynamicFrame``: a Spark data frame with Glue's names for the common operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn


class DynamicFrame:
    """A frame; its columns have one type each, since it is a Spark data frame underneath.

    Args:
        frame: The Spark data frame.
        glue_ctx: Not used; Glue asks for it.
        name: Its name.
    """

    def __init__(self, frame: Any, glue_ctx: Any = None, name: str = "") -> None:
        del glue_ctx
        self._frame = frame
        self.name = name

    @classmethod
    def fromDF(cls, dataframe: Any, glue_ctx: Any, name: str) -> DynamicFrame:  # noqa: N802 - Glue's name
        """Make one of a Spark data frame."""
        return cls(dataframe, glue_ctx, name)

    def toDF(self) -> Any:  # noqa: N802 - Glue's name
        """Return the Spark data frame."""
        return self._frame

    def count(self) -> int:
        """Return the number of records."""
        return int(self._frame.count())

    def schema(self) -> Any:
        """Return the schema."""
        return self._frame.schema

    def printSchema(self) -> None:  # noqa: N802 - Glue's name
        """Print the schema."""
        self._frame.printSchema()

    def show(self, num_rows: int = 20) -> None:
        """Print records."""
        self._frame.show(num_rows)

    def repartition(self, num_partitions: int, **options: Any) -> DynamicFrame:
        """Return it in so many partitions."""
        return DynamicFrame(self._frame.repartition(num_partitions))

    def select_fields(self, paths: Sequence[str], **options: Any) -> DynamicFrame:
        """Return some of its fields."""
        return DynamicFrame(self._frame.select(*paths))

    def drop_fields(self, paths: Sequence[str], **options: Any) -> DynamicFrame:
        """Return it without some fields."""
        return DynamicFrame(self._frame.drop(*paths))

    def rename_field(self, oldName: str, newName: str, **options: Any) -> DynamicFrame:  # noqa: N803 - Glue's names
        """Return it with a field renamed."""
        return DynamicFrame(self._frame.withColumnRenamed(oldName, newName))

    def apply_mapping(self, mappings: Sequence[Sequence[str]], **options: Any) -> DynamicFrame:
        """Return the mapped fields, each ``(name, type, new name, new type)``."""
        from pyspark.sql.functions import col

        columns = [col(source).cast(_spark_type(kind)).alias(target) for source, _, target, kind in mappings]
        return DynamicFrame(self._frame.select(*columns))

    def filter(self, f: Callable[[Any], bool], **options: Any) -> DynamicFrame:
        """Return the records a function is true for."""
        return DynamicFrame(self._frame.rdd.filter(f).toDF(self._frame.schema))

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"sagemaker-emulator does not implement DynamicFrame.{name}: use toDF() and Spark's own")


def _spark_type(kind: str) -> str:
    return {"long": "bigint", "short": "smallint", "byte": "tinyint"}.get(kind, kind)

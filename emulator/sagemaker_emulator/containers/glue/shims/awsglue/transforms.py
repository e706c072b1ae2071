"""The transforms that have a method on ``DynamicFrame``; Glue's others are not there."""

from __future__ import annotations

from typing import Any

__all__ = ["ApplyMapping", "DropFields", "Filter", "RenameField", "SelectFields"]


class _Transform:
    method = ""

    @classmethod
    def apply(cls, frame: Any, *args: Any, **named: Any) -> Any:
        """Apply it to a frame."""
        return getattr(frame, cls.method)(*args, **named)


class ApplyMapping(_Transform):
    """Select, rename and cast fields."""

    method = "apply_mapping"


class DropFields(_Transform):
    """Leave fields out."""

    method = "drop_fields"


class Filter(_Transform):
    """Keep the records a function is true for."""

    method = "filter"


class RenameField(_Transform):
    """Rename a field."""

    method = "rename_field"


class SelectFields(_Transform):
    """Keep fields."""

    method = "select_fields"

"""``Job``: its bookmarks, which the emulator does not keep; a run that asks for them is refused before it starts."""

from __future__ import annotations

from typing import Any


class Job:
    """The run.

    Args:
        glue_context: Glue's context.
    """

    def __init__(self, glue_context: Any) -> None:
        self.glue_context = glue_context

    def init(self, job_name: str, args: dict[str, Any] | None = None) -> None:
        """Begin: there is no bookmark to read."""

    def commit(self) -> None:
        """End: there is no bookmark to write."""

"""Changes that say what they are, and that a dry run only says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """Makes changes, or says which it would make.

    Args:
        say: Takes a line for each change.
        dry_run: Whether nothing is to be changed.
    """

    def __init__(self, say: Callable[[str], None], *, dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self.count = 0
        self._say = say

    def make(self, description: str, change: Callable[[], T]) -> T | None:
        """Make a change.

        Args:
            description: What it does, as an order: ``create role x``. Never a secret.
            change: Does it.

        Returns:
            What it returned; None in a dry run.
        """
        self.count += 1
        self._say(f"would {description}" if self.dry_run else description)
        return None if self.dry_run else change()

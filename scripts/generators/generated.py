"""What a generator hands back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Generated:
    """A file as it ought to be.

    Attributes:
        path: Where it is checked in.
        text: Its content.
    """

    path: Path
    text: str

"""A measured figure, and the line it is printed as."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: What was measured, in snake_case.
        value: The number, measured in this run.
        unit: Of the value, such as ``s`` or ``requests/s``.
        target: What it ought to be, such as ``<= 4``; empty when nothing is asked of it.
        holds: Whether it is.
    """

    name: str
    value: float
    unit: str
    target: str | float
    holds: bool

    def to_json(self) -> str:
        """The figure as one line of JSON, to five significant digits."""
        value = self.value if isinstance(self.value, int) else float(f"{self.value:.5g}")
        return json.dumps(asdict(self) | {"value": value, "holds": bool(self.holds)})

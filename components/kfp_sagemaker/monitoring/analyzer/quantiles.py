"""KLL quantile sketches of numbers, fed a batch at a time.

Apache DataSketches keeps, compacts and merges the sketch; what is done here is to thin a batch out before it gets
there. The library takes about 150 ns a value, most of them spent compacting its lowest level. A batch sorted by
numpy (15 ns a value) needs no compaction: every 2^h-th of its values, from a random offset on, is what h rounds of
compaction would leave, each of weight 2^h, with a rank error below 2^h for the whole batch. Those values are handed
to the library as a serialized sketch whose only filled level is h, and merged.
"""

from __future__ import annotations

import struct
from typing import Any

import datasketches  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

K = 2048
# Of Deequ's sketches, and written into statistics.json: the capacity of a level is K * C^depth there.
C = 0.64
# The layout of a serialized sketch, from the library's kll_sketch_impl.hpp.
_SERIAL_VERSION, _FAMILY, _M = 1, 15, 8
_PREAMBLE_INTS = 5
_DEPTH_AT, _STARTS_AT = 18, 20

_Sketch: Any = vars(datasketches)["kll_doubles_sketch"]  # typed nowhere

FloatArray = NDArray[np.float64]


class QuantileSketch:
    """A mergeable sketch of the distribution of numbers; exact up to ``K`` of them."""

    def __init__(self) -> None:
        self._sketch: Any = _Sketch(K)

    @property
    def count(self) -> int:
        """How many numbers it has seen."""
        return int(self._sketch.n)

    def add_sorted(self, values: FloatArray, random: np.random.Generator) -> None:
        """Add a batch.

        Args:
            values: Finite numbers, in ascending order.
            random: Where the offset comes from.
        """
        if len(values) <= K:
            self._sketch.update(values)
            return
        level = (len(values) // K).bit_length()
        step = 1 << level
        whole = len(values) - len(values) % step
        thinned = np.ascontiguousarray(values[int(random.integers(step)) : whole : step])
        self._sketch.merge(_sketch_of_level(level, thinned, values))
        self._sketch.update(values[whole:])

    def merge(self, other: QuantileSketch) -> None:
        """Take in another sketch."""
        self._sketch.merge(other._sketch)

    def levels(self) -> list[list[float]]:
        """The values kept, ascending; those of ``levels()[i]`` stand for 2^i each."""
        # Not by iterating over the sketch: the library counts the weights wrongly when the lowest level is empty.
        if self.count <= 1:
            return [[float(self._sketch.get_min_value())]] if self.count else []
        content = self.to_bytes()
        depth = content[_DEPTH_AT]
        starts = struct.unpack_from(f"<{depth}I", content, _STARTS_AT)
        items = np.frombuffer(content, np.float64, offset=_STARTS_AT + 4 * depth + 16)  # after the extremes
        ends = [start - starts[0] for start in starts[1:]] + [len(items)]
        begins = [start - starts[0] for start in starts]
        return [np.sort(items[begin:end]).tolist() for begin, end in zip(begins, ends, strict=True)]

    def to_bytes(self) -> bytes:
        """The sketch in DataSketches' own binary format."""
        return bytes(self._sketch.serialize())

    @classmethod
    def from_bytes(cls, content: bytes) -> QuantileSketch:
        """Read what :meth:`to_bytes` wrote."""
        sketch = cls()
        sketch._sketch = _Sketch.deserialize(content)
        return sketch


def _sketch_of_level(level: int, items: FloatArray, batch: FloatArray) -> Any:
    """A sketch that holds nothing but items of one level, through the library's binary format."""
    levels = level + 1
    capacity = sum(max(_M, round(K * (2 / 3) ** (levels - at - 1))) for at in range(levels))
    start = capacity - len(items)
    head = struct.pack(
        "<BBBBHBBQHBB",
        _PREAMBLE_INTS,
        _SERIAL_VERSION,
        _FAMILY,
        0,
        K,
        _M,
        0,
        len(items) << level,
        K,
        levels,
        0,
    )
    # All levels below are empty: they start where the filled one does.
    bounds = struct.pack(f"<{levels}I", *[start] * levels) + struct.pack("<dd", batch[0], batch[-1])
    return _Sketch.deserialize(head + bounds + items.tobytes())

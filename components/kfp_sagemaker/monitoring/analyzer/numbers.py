"""What is known of the numbers of a column."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import numpy as np

from kfp_sagemaker.monitoring.analyzer.quantiles import FloatArray, QuantileSketch


@dataclass
class Numbers:
    """Moments, extremes and distribution of finite numbers; mergeable.

    Attributes:
        count: How many.
        mean: Of them, 0 when there are none.
        squares: Sum of the squared differences from the mean, merged as Chan, Golub and LeVeque do it.
        minimum: Infinite when there are none.
        maximum: Negatively infinite when there are none.
        sketch: Of their distribution.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    sketch: QuantileSketch = field(default_factory=QuantileSketch)

    @classmethod
    def of(cls, values: FloatArray, random: np.random.Generator) -> Numbers:
        """Summarise the finite ones of some numbers; sorts the array it is given in place."""
        values.sort()
        if len(values) and not (math.isfinite(values[0]) and math.isfinite(values[-1])):  # NaN is last
            values = values[values.searchsorted(-math.inf, "right") : values.searchsorted(math.inf, "left")]
        if not len(values):
            return cls()
        with np.errstate(over="ignore"):
            mean = float(values.mean())
            if not math.isfinite(mean):  # the sum left the range of floats
                mean = float((values / len(values)).sum())
            differences = values - mean
            # Not a dot product: for short vectors the threads that BLAS starts cost twenty times what they save.
            squares = float(np.square(differences, out=differences).sum())
        summary = cls(len(values), mean, squares, float(values[0]), float(values[-1]))
        summary.sketch.add_sorted(values, random)
        return summary

    @property
    def total(self) -> float:
        """Their sum."""
        return _in_range(self.mean * self.count)

    @property
    def standard_deviation(self) -> float:
        """Of the population, as Deequ computes it."""
        return math.sqrt(_in_range(self.squares / self.count)) if self.count else 0.0

    def merge(self, other: Numbers) -> None:
        """Take in another summary."""
        if not other.count:
            return
        count = self.count + other.count
        difference = other.mean - self.mean
        self.mean += difference * (other.count / count)
        self.squares += other.squares + difference * difference * (self.count * (other.count / count))
        self.count = count
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.sketch.merge(other.sketch)


def _in_range(value: float) -> float:
    """A number, or the float nearest to it: JSON has no infinity."""
    return max(-sys.float_info.max, min(sys.float_info.max, value))

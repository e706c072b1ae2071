"""Distances between distributions, by the formulas Deequ publishes (``Distance.scala``).

That the closed container uses exactly these is inferred: it is built on Deequ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kfp_sagemaker.monitoring.analyzer.quantiles import FloatArray

# c(alpha) of the two-sample Kolmogorov-Smirnov test at alpha = 0.003.
_C_ALPHA = 1.8
_FEWEST_CATEGORIES = 2
# Yates, Moore and McCabe: at most 20 % of the expected counts below 5. Cochran, for two categories: none below 10.
_YATES_COUNT, _YATES_SHARE, _COCHRAN_COUNT = 5.0, 0.2, 10.0


@dataclass(frozen=True, eq=False)
class Distribution:
    """The distribution of a feature: of numbers, or of categories.

    Attributes:
        values: Numbers, ascending; empty for categories.
        ranks: How many numbers are at most each of ``values``.
        counts: By category; may list the most frequent only.
        total: How many values there are in all.
    """

    values: FloatArray = field(default_factory=lambda: np.empty(0))
    ranks: FloatArray = field(default_factory=lambda: np.empty(0))
    counts: Mapping[str, int] = field(default_factory=dict)
    total: int = 0

    @classmethod
    def of_levels(cls, levels: Sequence[Sequence[float]]) -> Distribution:
        """Of the items of a KLL sketch: those of ``levels[i]`` stand for 2^i numbers each."""
        values = np.concatenate([np.asarray(level, np.float64) for level in levels])
        weights = np.concatenate([np.full(len(level), 2.0**at) for at, level in enumerate(levels)])
        return cls._of_weights(values, weights)

    @classmethod
    def of_buckets(cls, buckets: Sequence[Mapping[str, Any]]) -> Distribution:
        """Of a histogram, known at the upper bounds of its buckets only."""
        values = np.array([float(bucket["upper_bound"]) for bucket in buckets])
        return cls._of_weights(values, np.array([float(bucket["count"]) for bucket in buckets]))

    @classmethod
    def _of_weights(cls, values: FloatArray, weights: FloatArray) -> Distribution:
        order = np.argsort(values, kind="stable")
        ranks = np.cumsum(weights[order])
        return cls(values[order], ranks, total=int(ranks[-1]) if len(ranks) else 0)

    @property
    def is_numerical(self) -> bool:
        """Whether it is one of numbers."""
        return bool(len(self.values))

    def shares_at(self, points: FloatArray) -> FloatArray:
        """The share of the numbers that is at most each of some points."""
        at = np.searchsorted(self.values, points, side="right")
        shares: FloatArray = np.concatenate(([0.0], self.ranks))[at] / self.ranks[-1]
        return shares


def numerical_distance(current: Distribution, baseline: Distribution, *, is_robust: bool) -> float:
    """The largest difference of the two cumulative distributions, at every value either sketch kept."""
    points = np.concatenate((current.values, baseline.values))
    simple = float(np.abs(current.shares_at(points) - baseline.shares_at(points)).max())
    return _corrected(simple, current.ranks[-1], baseline.ranks[-1]) if is_robust else simple


def categorical_distance(current: Distribution, baseline: Distribution, *, is_robust: bool) -> float:
    """The largest difference of the shares of a category."""
    categories = current.counts.keys() | baseline.counts.keys()
    simple = max(
        abs(current.counts.get(each, 0) / current.total - baseline.counts.get(each, 0) / baseline.total)
        for each in categories
    )
    return _corrected(simple, current.total, baseline.total) if is_robust else simple


def chi_squared_p_value(current: Distribution, baseline: Distribution) -> float:
    """How probable counts as far from the baseline's shares are by chance.

    Small categories are joined first, the smallest with the next, until the test is valid. Categories the baseline
    lacks are left to the check of the domain, as in Deequ. NaN when fewer than two categories remain.
    """
    known = sum(count for value, count in current.counts.items() if value in baseline.counts)
    listed = sum(baseline.counts.values())
    if not known or not listed:
        return 0.0
    cells = sorted(
        (count / listed * known, float(current.counts.get(value, 0))) for value, count in baseline.counts.items()
    )
    cells = _joined(cells)
    if len(cells) < _FEWEST_CATEGORIES:
        return math.nan
    statistic = sum((observed - expected) ** 2 / expected for expected, observed in cells)
    return _chi_squared_survival(statistic, len(cells) - 1)


def _joined(cells: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Cells of (expected, observed), ascending, the smallest joined with the next until few enough are small."""
    while len(cells) >= _FEWEST_CATEGORIES:
        is_small_table = len(cells) == _FEWEST_CATEGORIES
        least = _COCHRAN_COUNT if is_small_table else _YATES_COUNT
        allowed = 0 if is_small_table else int(_YATES_SHARE * len(cells))
        if sum(expected < least for expected, _ in cells) <= allowed:
            break
        (expected, observed), (next_expected, next_observed), *rest = cells
        cells = sorted([(expected + next_expected, observed + next_observed), *rest])
    return cells


def _corrected(simple: float, count: float, other_count: float) -> float:
    """What remains of a distance after what samples of these sizes differ by anyway."""
    return max(0.0, simple - _C_ALPHA * math.sqrt((count + other_count) / (count * other_count)))


def _chi_squared_survival(statistic: float, degrees: int) -> float:
    """The probability of a larger statistic: the upper regularized incomplete gamma function.

    By its series below the mean and by its continued fraction (Lentz) above, as usual; the analyzer's image has no
    scipy.
    """
    a, x = degrees / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        at = a
        while abs(term) > abs(total) * 1e-15:
            at += 1
            term *= x / at
            total += term
        return max(0.0, 1.0 - total * scale)
    b = x + 1 - a
    c, d = 1e300, 1 / b
    fraction = d
    for step in range(1, 100_000):
        numerator = -step * (step - a)
        b += 2
        d = 1 / (numerator * d + b)
        c = b + numerator / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return min(1.0, scale * fraction)

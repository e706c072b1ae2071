"""How often each value of a text column occurs, in bounded memory.

Values are counted by a 64-bit hash, which numpy sorts several times faster than a hash table of strings is filled.
Up to ``limit`` distinct values the counts are exact (two values share a hash once in 10^9 columns of 100,000). Beyond,
the smallest hashes are kept: their share of the range of hashes estimates how many there are (the K minimum values
sketch, error below 1 % from 16,384 hashes on), and the most frequent values found so far are counted on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

HASH_SPACE = 2.0**64
# So many values of a batch, the most frequent, are kept as text.
CANDIDATES = 4096
LONGEST_TEXT = 256

HashArray = NDArray[np.uint64]
CountArray = NDArray[np.int64]


@dataclass
class Categories:
    """Counts by value; mergeable.

    Attributes:
        hashes: Of the values counted, ascending.
        counts: Of each hash.
        texts: The value behind a hash, for the most frequent ones.
        limit: How many hashes are counted at most.
        threshold: Every hash below it that was ever seen is among ``hashes``; 2^64 - 1 as long as all are.
    """

    limit: int
    hashes: HashArray = field(default_factory=lambda: np.empty(0, np.uint64))
    counts: CountArray = field(default_factory=lambda: np.empty(0, np.int64))
    texts: dict[int, str] = field(default_factory=dict)
    threshold: int = 2**64 - 1
    _ranked: list[tuple[str, int]] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, values: pl.Series, limit: int) -> tuple[Categories, pl.Series]:
        """Count the values of a batch.

        Args:
            values: Strings, none of them null.
            limit: How many distinct values are counted exactly.

        Returns:
            The counts, and the distinct values in the order of their hashes.
        """
        hashed = values.hash().to_numpy()
        order = _order(hashed)
        hashed = hashed[order]
        starts = _run_starts(hashed)
        counts = np.diff(starts, append=len(hashed))
        distinct = values.gather(order[starts])
        summary = cls(limit, hashed[starts], counts)
        common = _most_frequent(counts, CANDIDATES)
        texts = _shorten(distinct.gather(common))
        summary.texts = dict(zip(summary.hashes[common].tolist(), texts.to_list(), strict=True))
        summary._bound()
        return summary, distinct

    @classmethod
    def of_counts(cls, counts: dict[str, int], limit: int) -> Categories:
        """From values that are counted already."""
        values = pl.Series(list(counts), dtype=pl.String)
        summary, distinct = cls.of(values, limit)
        if summary.is_exact:
            summary.counts = np.array([counts[value] for value in distinct.to_list()], np.int64)
        return summary

    @property
    def is_exact(self) -> bool:
        """Whether every distinct value is counted."""
        return self.threshold == 2**64 - 1

    @property
    def distinct_count(self) -> int:
        """How many distinct values there are; an estimate when the limit was passed."""
        if self.is_exact:
            return len(self.hashes)
        below = int(np.searchsorted(self.hashes, np.uint64(self.threshold)))
        return max(len(self.hashes), round(below / (self.threshold / HASH_SPACE)))

    def most_frequent(self, limit: int) -> list[tuple[str, int]]:
        """The values that occur most, with their counts: descending, then by value."""
        if self._ranked is None:
            known = np.fromiter(self.texts, np.uint64, len(self.texts))
            counts = self.counts[np.searchsorted(self.hashes, known)].tolist()
            self._ranked = sorted(zip(self.texts.values(), counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
        return self._ranked[:limit]

    def merge(self, other: Categories) -> None:
        """Take in another summary."""
        self._ranked = None
        hashes = np.concatenate((self.hashes, other.hashes))
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        starts = _run_starts(hashes)
        counts = np.concatenate((self.counts, other.counts))[order]
        self.hashes = hashes[starts]
        self.counts = np.add.reduceat(counts, starts) if len(starts) else counts
        self.texts |= other.texts
        self.threshold = min(self.threshold, other.threshold)
        self._bound()

    def _bound(self) -> None:
        """Keep what the limits allow: the most frequent texts, the smallest hashes."""
        if len(self.texts) > 2 * CANDIDATES:
            known = np.sort(np.fromiter(self.texts, np.uint64, len(self.texts)))
            counts = self.counts[np.searchsorted(self.hashes, known)]
            kept = known[_most_frequent(counts, CANDIDATES)].tolist()
            self.texts = {value: self.texts[value] for value in kept}
        if len(self.hashes) <= self.limit and self.is_exact:
            return
        if len(self.hashes) > self.limit:
            self.threshold = min(self.threshold, int(self.hashes[self.limit]))
        keep = self.hashes < np.uint64(self.threshold)
        keep |= np.isin(self.hashes, np.fromiter(self.texts, np.uint64, len(self.texts)))
        self.hashes, self.counts = self.hashes[keep], self.counts[keep]


def _order(hashed: HashArray) -> NDArray[np.int64]:
    """What sorts hashes: positions put in place of their lowest bits are sorted along, which takes half as long."""
    bits = np.uint64(max(1, len(hashed) - 1).bit_length())
    packed = hashed >> bits << bits | np.arange(len(hashed), dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    ordered = hashed[order]
    if np.any(ordered[1:] < ordered[:-1]):  # two differ in the lowest bits only: about once in 10^4 blocks
        return np.argsort(hashed)
    return order


def _run_starts(ordered: HashArray) -> NDArray[np.int64]:
    """Where each run of equal hashes begins."""
    if not len(ordered):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


def _most_frequent(counts: CountArray, limit: int) -> NDArray[np.int64]:
    """Positions of the largest counts, the first of equal ones."""
    if len(counts) <= limit:
        return np.arange(len(counts))
    return np.sort(np.argsort(-counts, kind="stable")[:limit])


def _shorten(values: pl.Series) -> pl.Series:
    long = values.str.len_bytes() > 4 * LONGEST_TEXT
    if not long.any():
        return values
    return pl.select(pl.when(long).then(values.str.slice(0, LONGEST_TEXT) + "…").otherwise(values)).to_series()

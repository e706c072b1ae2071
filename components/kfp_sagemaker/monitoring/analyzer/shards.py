"""Profiles as bytes, to be merged elsewhere: arrays in numpy's own format, sketches in DataSketches'. No pickles."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import polars as pl

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer.categories import Categories
from kfp_sagemaker.monitoring.analyzer.numbers import Numbers
from kfp_sagemaker.monitoring.analyzer.profile import ColumnProfile, Profile
from kfp_sagemaker.monitoring.analyzer.quantiles import QuantileSketch

_FORMAT = 1
_COUNTS = ("missing", "not_finite", "integral", "fractional", "text")


def to_bytes(profile: Profile) -> bytes:
    """A profile as bytes."""
    arrays: dict[str, Any] = {}
    columns = []
    for at, (name, column) in enumerate(profile.columns.items()):
        members: dict[str, Any] = {"name": name} | {count: getattr(column, count) for count in _COUNTS}
        for kind in ("numbers", "numbers_in_text"):
            numbers: Numbers = getattr(column, kind)
            if numbers.count:
                members[kind] = [numbers.count, numbers.mean, numbers.squares, numbers.minimum, numbers.maximum]
                arrays[f"{kind}{at}"] = np.frombuffer(numbers.sketch.to_bytes(), np.uint8)
        if column.categories is not None:
            kept = column.categories
            members["categories"] = {
                "limit": kept.limit,
                "threshold": kept.threshold,
                "texts": list(kept.texts.items()),
            }
            arrays[f"hashes{at}"], arrays[f"counts{at}"] = kept.hashes, kept.counts
        columns.append(members)
    # Hashes of polars agree within a version only.
    head = {"format": _FORMAT, "polars": pl.__version__, "rows": profile.rows, "columns": columns}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


def from_bytes(content: bytes) -> Profile:
    """Read what :func:`to_bytes` wrote.

    Raises:
        DataError: It is something else, or of another version of the analyzer or of polars.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            if (head["format"], head["polars"]) != (_FORMAT, pl.__version__):
                raise DataError(
                    f"a share was profiled with format {head['format']} and polars {head['polars']}, this instance has "
                    f"{_FORMAT} and {pl.__version__}: run the same image on every instance"
                )
            columns = {members["name"]: _column(members, at, arrays) for at, members in enumerate(head["columns"])}
            return Profile(head["rows"], columns)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"a share of the analysis is damaged: {error!r}") from error


def _column(members: dict[str, Any], at: int, arrays: Any) -> ColumnProfile:
    column = ColumnProfile(**{count: members[count] for count in _COUNTS})
    for kind in ("numbers", "numbers_in_text"):
        if kind in members:
            sketch = QuantileSketch.from_bytes(arrays[f"{kind}{at}"].tobytes())
            count, mean, squares, minimum, maximum = members[kind]
            setattr(column, kind, Numbers(count, mean, squares, minimum, maximum, sketch))
    if "categories" in members:
        kept = members["categories"]
        column.categories = Categories(
            kept["limit"],
            arrays[f"hashes{at}"].astype(np.uint64),
            arrays[f"counts{at}"].astype(np.int64),
            {int(key): text for key, text in kept["texts"]},
            kept["threshold"],
        )
    return column

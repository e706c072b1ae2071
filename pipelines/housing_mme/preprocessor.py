"""Turns raw houses into the ten numbers the regressor learns from; runs inside SageMaker's scikit-learn container.

The container runs this file twice over: as a training script (``main``), and behind its web server, which calls
``model_fn``, ``input_fn``, ``predict_fn`` and ``output_fn``. A row is

    [price,] year_built, square_feet, bedrooms, bathrooms, lot_acres, garage_spaces, front_porch, deck

where the price, the label, is there when the training data are transformed and missing when a house is to be priced.
A label comes out first again. Front porch and deck (``y`` or ``n``) become two numbers each; a missing number becomes
the median. Nothing is scaled: linear-learner normalises by itself, and so any location's preprocessor fits them all.
"""

from __future__ import annotations  # the container has an older Python

import argparse
import csv
import io
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

NUMBERS = ["year_built", "square_feet", "bedrooms", "bathrooms", "lot_acres", "garage_spaces"]
YES_NO = ["front_porch", "deck"]
FEATURE_COUNT = len(NUMBERS) + len(YES_NO)
MODEL_FILE = "preprocessor.joblib"


def read_houses(text: str) -> tuple[np.ndarray | None, np.ndarray]:
    """Read CSV rows.

    Returns:
        The labels, None when the rows have none, and the features.
    """
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    widths = {len(row) for row in rows}
    if not widths <= {FEATURE_COUNT} and not widths <= {FEATURE_COUNT + 1}:
        raise ValueError(
            f"a house has {FEATURE_COUNT} values, or {FEATURE_COUNT + 1} with its price first; got {sorted(widths)}"
        )
    has_label = widths == {FEATURE_COUNT + 1}
    labels = np.array([float(row[0]) for row in rows]) if has_label else None
    features = np.empty((len(rows), FEATURE_COUNT), dtype=object)
    for index, row in enumerate(rows):
        values = row[1:] if has_label else row
        features[index, : len(NUMBERS)] = [
            float(value) if value.strip() else np.nan for value in values[: len(NUMBERS)]
        ]
        features[index, len(NUMBERS) :] = [value.strip() for value in values[len(NUMBERS) :]]
    return labels, features


def make_transformer() -> ColumnTransformer:
    """Make the transformer: medians for missing numbers, two columns for each yes-or-no."""
    numbers = list(range(len(NUMBERS)))
    yes_no = list(range(len(NUMBERS), FEATURE_COUNT))
    categories: Any = [["n", "y"]] * len(YES_NO)
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore")
    return ColumnTransformer(
        [("numbers", SimpleImputer(strategy="median"), numbers), ("yes_no", one_hot, yes_no)], sparse_threshold=0
    )


def model_fn(model_dir: str) -> ColumnTransformer:
    """Load the fitted transformer."""
    return joblib.load(Path(model_dir) / MODEL_FILE)


def input_fn(input_data: str | bytes, content_type: str) -> tuple[np.ndarray | None, np.ndarray]:
    """Read a request."""
    if content_type.partition(";")[0].strip() != "text/csv":
        raise ValueError(f"content type {content_type!r} is not supported: send text/csv")
    return read_houses(input_data.decode() if isinstance(input_data, bytes) else input_data)


def predict_fn(houses: tuple[np.ndarray | None, np.ndarray], transformer: ColumnTransformer) -> np.ndarray:
    """Transform the features; put the label first again when there is one."""
    labels, features = houses
    numbers: Any = transformer.transform(features)
    return numbers if labels is None else np.column_stack([labels, numbers])


def output_fn(prediction: np.ndarray, accept: str) -> tuple[str, str]:
    """Answer as CSV whatever is asked for, because linear-learner comes next in the pipeline and reads it."""
    lines = [",".join(f"{value:.10g}" for value in row) for row in prediction]
    return "\n".join(lines), "text/csv"


def main() -> None:
    """Fit the transformer on every CSV file of the train channel."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=Path, default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR"))
    arguments, _ = parser.parse_known_args()
    text = "".join(path.read_text() for path in sorted(arguments.train.rglob("*.csv")))
    _, features = read_houses(text)
    joblib.dump(make_transformer().fit(features), arguments.model_dir / MODEL_FILE)
    print(f"fitted on {len(features)} houses")


if __name__ == "__main__":
    main()

"""A script-mode training script and its serving functions, as a user of the scikit-learn container writes them."""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fit-intercept", type=int, default=1)
    arguments, _ = parser.parse_known_args()
    table = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"]) / "train.csv", delimiter=",")
    model = LinearRegression(fit_intercept=bool(arguments.fit_intercept)).fit(table[:, 1:], table[:, 0])
    print(f"train:r2={model.score(table[:, 1:], table[:, 0]):.4f}")
    joblib.dump(model, Path(os.environ["SM_MODEL_DIR"]) / "model.joblib")


def model_fn(model_dir):
    return joblib.load(Path(model_dir) / "model.joblib")

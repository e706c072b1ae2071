"""A training image of one's own: a scikit-learn model behind SageMaker's two words, ``train`` and ``serve``.

SageMaker starts the image with one of them as its argument. Training finds hyperparameters and channels below
``/opt/ml/input`` and leaves its model in ``/opt/ml/model``; serving finds the model there and answers ``GET /ping`` and
``POST /invocations``.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

# The embedded AWS says another folder and port where it has no container around the program.
ROOT = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
HOST = os.environ.get("SAGEMAKER_BIND_TO_HOST", "0.0.0.0")  # noqa: S104 - SageMaker asks from outside of the container
MODEL = "model.joblib"


def train() -> None:
    """Fit a model on the channel ``train``; say how good it is on ``validation``."""
    given = json.loads((ROOT / "input/config/hyperparameters.json").read_text())
    model = HistGradientBoostingClassifier(
        max_iter=int(given.get("max_iter", 100)),
        learning_rate=float(given.get("learning_rate", 0.1)),
        max_leaf_nodes=int(given.get("max_leaf_nodes", 31)),
        random_state=int(given.get("seed", 0)),
    )
    rows = channel("train")
    model.fit(rows[:, 1:], rows[:, 0])
    held_out = channel("validation")
    auc = roc_auc_score(held_out[:, 0], model.predict_proba(held_out[:, 1:])[:, 1])
    # metric_definitions of flow.yaml find this line.
    print(f"validation-auc={auc:.6f}", flush=True)
    joblib.dump(model, ROOT / "model" / MODEL)


def channel(name: str) -> Any:
    """A channel's rows: CSV without header, the label first."""
    files = sorted((ROOT / "input/data" / name).rglob("*.csv"))
    return np.vstack([np.loadtxt(file, delimiter=",", ndmin=2) for file in files])


class Handler(BaseHTTPRequestHandler):
    """Answers rows of CSV with the probability of the positive class, a line each."""

    model: Any = None

    def do_GET(self) -> None:
        """``/ping``: the model is loaded before the port is open."""
        self._answer(200 if self.path == "/ping" else 404, "")

    def do_POST(self) -> None:
        """``/invocations``."""
        lines = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode().splitlines()
        try:
            rows = np.array([[float(value) for value in line.split(",")] for line in lines if line])
            scores = self.model.predict_proba(rows)[:, 1]
        except ValueError as error:
            self._answer(400, f"{error}\n")
            return
        self._answer(200, "".join(f"{score}\n" for score in scores))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Leave pings out of the log."""


def serve() -> None:
    """Serve the model until the container is stopped."""
    make_server().serve_forever()


def make_server() -> ThreadingHTTPServer:
    """A server with the model loaded."""
    Handler.model = joblib.load(ROOT / "model" / MODEL)
    return ThreadingHTTPServer((HOST, PORT), Handler)


def main(verb: str) -> int:
    """Do what SageMaker asks for; returns the exit code."""
    try:
        {"train": train, "serve": serve}[verb]()
    except Exception as error:
        # What SageMaker shows as the failure's reason.
        (ROOT / "output").mkdir(parents=True, exist_ok=True)
        (ROOT / "output/failure").write_text(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

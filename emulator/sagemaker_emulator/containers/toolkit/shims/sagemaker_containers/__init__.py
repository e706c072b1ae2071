"""The part of sagemaker-containers that user scripts import."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace


def training_env() -> SimpleNamespace:
    """The content of ``SM_TRAINING_ENV`` as attributes."""
    return SimpleNamespace(**json.loads(os.environ["SM_TRAINING_ENV"]))

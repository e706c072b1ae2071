"""What the container knows about itself."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

from sagemaker_emulator.containers.contract import Folders

model_dir = str(Folders.from_environment().model)


class TrainingEnv(SimpleNamespace):
    """The content of ``SM_TRAINING_ENV`` as attributes."""

    def __init__(self) -> None:
        super().__init__(**json.loads(os.environ["SM_TRAINING_ENV"]))


class ServingEnv(SimpleNamespace):
    """The serving container's settings as attributes."""

    def __init__(self) -> None:
        super().__init__(
            model_dir=model_dir,
            module_name=os.environ.get("SAGEMAKER_PROGRAM", "").removesuffix(".py"),
            module_dir=os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", ""),
            default_accept=os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json"),
            current_host=os.environ.get("SM_CURRENT_HOST", "algo-1"),
        )

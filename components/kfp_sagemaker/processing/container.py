"""Inside a SageMaker processing container: where its folders are, and the message it leaves at its end.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_ROOT = "/opt/ml"
# DescribeProcessingJob, ExitMessage: up to 1 KB.
_LONGEST_MESSAGE = 1024


def base_dir(environment: Mapping[str, str]) -> Path:
    """Where the container's folders are: ``SAGEMAKER_BASE_DIR``, or ``/opt/ml``."""
    return Path(environment.get("SAGEMAKER_BASE_DIR") or _ROOT)


def relocated(path: str, root: Path) -> str:
    """A path of the contract, such as ``/opt/ml/processing/input``, below the container's actual root."""
    if path == _ROOT or path.startswith(f"{_ROOT}/"):
        return str(root / path[len(_ROOT) + 1 :])
    return path.removeprefix("file://")


def write_message(text: str, environment: Mapping[str, str]) -> None:
    """Leave the exit message where SageMaker reads it; on a machine without the container's folders, nowhere."""
    root = base_dir(environment)
    if not root.is_dir() or not os.access(root, os.W_OK):
        return
    (root / "output").mkdir(exist_ok=True)
    (root / "output/message").write_text(text[:_LONGEST_MESSAGE], encoding="utf-8")

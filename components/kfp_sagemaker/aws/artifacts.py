"""What a step leaves for lineage and the Kubeflow UI: a small file in the pipeline root, and metadata about AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

# The description of a job repeats what may hold a secret; the pipeline root is read by more people than the job is.
_PRIVATE_MEMBERS = frozenset({"Environment", "HyperParameters", "ResponseMetadata"})


class Artifact(Protocol):
    """The part of ``kfp.dsl.Artifact`` the suite touches; ``uri`` is never assigned, the launcher refuses that."""

    path: str
    metadata: dict[str, Any]


def record(artifact: Artifact, document: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write a description as the artifact's file and set the artifact's metadata.

    Args:
        artifact: An output artifact of the step.
        document: What AWS says of the resource; members that may hold secrets are left out.
        metadata: References and figures, shown in the UI.
    """
    public = {key: value for key, value in document.items() if key not in _PRIVATE_MEMBERS}
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(public, indent=2, default=str) + "\n", encoding="utf-8")
    artifact.metadata.update(metadata)

"""Overlays as a user edits them, in a folder of their own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted(path.name for path in (MANIFESTS / "overlays").iterdir())


def edited_overlay(name: str, folder: Path, *, with_options: bool = False, without: Collection[str] = ()) -> Path:
    """Copy the manifests and fill in the key, as the overlay says it has to be done.

    Args:
        name: The overlay.
        folder: Where the copy is made.
        with_options: Also turn on all that is offered in comments.
        without: Options that stay off.

    Returns:
        The copied overlay's folder.
    """
    overlay = shutil.copytree(MANIFESTS, folder / "manifests") / "overlays" / name
    if with_options:
        kustomization = overlay / "kustomization.yaml"
        lines = [
            line
            for line in kustomization.read_text().splitlines()
            if not any(line == f"#   - ../../components/{option}" for option in without)
        ]
        kustomization.write_text(re.sub(r"^# ( *- |components)", r"\1", "\n".join(lines) + "\n", flags=re.MULTILINE))
    if name == "static-secret":
        (overlay / "aws.env").write_text("AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=key\n")
    return overlay

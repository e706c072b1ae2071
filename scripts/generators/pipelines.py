"""Each pipeline compiled to the ``pipeline.yaml`` beside its source, by what ``kfp-sagemaker compile`` calls."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from scripts.generators.generated import ROOT, Generated


def generate() -> Iterable[Generated]:
    """Compile every pipeline, with the published step image whatever the environment says."""
    os.environ.pop("KFP_SAGEMAKER_IMAGE", None)
    from kfp_sagemaker.cli.catalogue import list_pipelines

    for pipeline in list_pipelines(ROOT / "pipelines"):
        path = pipeline.source.with_name("pipeline.yaml")
        with tempfile.TemporaryDirectory() as folder:
            compiled = Path(folder) / "pipeline.yaml"
            pipeline.compile(compiled)
            yield Generated(path, _settled(path, compiled.read_text(encoding="utf-8")))


def _settled(path: Path, text: str) -> str:
    """The text checked in, where the new one differs only in its comments.

    kfp lists the parameters once more in comments, and writes a default that is a dict in another order each time.
    """
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    same = text == present or _documents(text) == _documents(present)
    return present if same else text


def _documents(text: str) -> list[Any]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))

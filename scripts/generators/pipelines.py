"""Each ``pipelines/<name>/pipeline.py`` compiled to the ``pipeline.yaml`` beside it, as ``kfp-sagemaker compile`` does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scripts.generators.generated import ROOT, Generated


def generate() -> Iterable[Generated]:
    """Compile every pipeline, with the published step image whatever the environment says."""
    os.environ.pop("KFP_SAGEMAKER_IMAGE", None)
    from kfp_sagemaker.cli.catalogue import list_pipelines

    for pipeline in list_pipelines(ROOT / "pipelines"):
        with tempfile.TemporaryDirectory() as folder:
            compiled = Path(folder) / "pipeline.yaml"
            pipeline.compile(compiled)
            yield Generated(pipeline.source.with_name("pipeline.yaml"), compiled.read_text(encoding="utf-8"))

"""Each ``pipelines/<name>/pipeline.py`` compiled to the ``pipeline.yaml`` beside it."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scripts.generators.generated import ROOT, Generated


def generate() -> Iterable[Generated]:
    """Compile every pipeline, with the published step image whatever the environment says."""
    os.environ.pop("KFP_SAGEMAKER_IMAGE", None)
    for source in sorted((ROOT / "pipelines").glob("*/pipeline.py")):
        yield Generated(source.with_name("pipeline.yaml"), _compile(source))


def _compile(source: Path) -> str:
    from kfp import compiler
    from kfp.dsl.graph_component import GraphComponent

    module = importlib.import_module(f"pipelines.{source.parent.name}.pipeline")
    found = [value for value in vars(module).values() if isinstance(value, GraphComponent)]
    if len(found) != 1:
        raise ValueError(f"{source}: expected one @dsl.pipeline, found {len(found)}")
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(found[0], str(compiled))
        return compiled.read_text(encoding="utf-8")

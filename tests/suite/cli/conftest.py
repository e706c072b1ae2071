"""A small compiled pipeline that needs no AWS."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kfp_sagemaker.cli.catalogue import PipelineFolder
from kfp_sagemaker.cli.pipeline_file import PipelineFile


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    """The toy pipeline in a project of its own, compiled."""
    path = tmp_path_factory.mktemp("project") / "pipelines" / "toy"
    path.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("toy") / "pipeline.py", path)
    folder = PipelineFolder(path)
    folder.compile(folder.compiled)
    return folder


@pytest.fixture(scope="session")
def toy(toy_folder: PipelineFolder) -> PipelineFile:
    """The compiled toy pipeline."""
    return PipelineFile(toy_folder.compiled)

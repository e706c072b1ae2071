"""The pipelines of a project: folders below its ``pipelines/``, each with a ``pipeline.py`` and the compiled YAML."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.cli.cluster_options import ClusterOptions, apply

FOLDER = "pipelines"
CLONE_SECONDS = 60


@dataclass(frozen=True)
class LocalSettings:
    """What a run on the embedded AWS uses in place of the pipeline's defaults, from ``local.yaml``.

    Attributes:
        parameters: Parameters of the pipeline.
        multi_model_memory_mb: Memory for the models of a multi-model endpoint; 0 takes the instance type's.
        auth_parameters: Further parameters with ``--auth``.
    """

    parameters: dict[str, Any]
    multi_model_memory_mb: int = 0
    auth_parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineFolder:
    """A pipeline's folder."""

    path: Path

    @property
    def name(self) -> str:
        """The name it goes by on the command line."""
        return self.path.name

    @property
    def source(self) -> Path:
        """The Python file."""
        return self.path / "pipeline.py"

    @property
    def compiled(self) -> Path:
        """The compiled pipeline."""
        return self.path / "pipeline.yaml"

    def newer_sources(self) -> list[str]:
        """Names of Python files changed after the pipeline was compiled; a fresh clone writes all in one moment."""
        compiled = self.compiled.stat().st_mtime + CLONE_SECONDS
        return sorted(path.name for path in self.path.glob("*.py") if path.stat().st_mtime > compiled)

    def local_settings(self) -> LocalSettings:
        """The settings for the embedded AWS; empty when there are none."""
        path = self.path / "local.yaml"
        if not path.exists():
            return LocalSettings({})
        content = yaml.safe_load(path.read_text()) or {}
        known = [each.name for each in fields(LocalSettings)]
        if unknown := content.keys() - set(known):
            raise ConfigurationError(f"{path}: unknown {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return LocalSettings(**{"parameters": {}, **{name: value for name, value in content.items() if value}})

    def compile(self, target: Path, options: ClusterOptions | None = None) -> None:
        """Compile the pipeline that ``pipeline.py`` defines.

        Args:
            target: The YAML file to write.
            options: How it is to run on a cluster; None for what the checked-in files have.

        Raises:
            ConfigurationError: The file defines no pipeline, or several.
        """
        from kfp import compiler
        from kfp.dsl.graph_component import GraphComponent

        module_name = f"_kfp_sagemaker_pipeline_{self.name}"
        spec = importlib.util.spec_from_file_location(module_name, self.source)
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"{self.source} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # kfp reads the source of components through their module
        spec.loader.exec_module(module)
        found = [value for value in vars(module).values() if isinstance(value, GraphComponent)]
        if len(found) != 1:
            raise ConfigurationError(f"{self.source} defines {len(found)} functions with @dsl.pipeline, must be one")
        compiler.Compiler().compile(found[0], str(target))
        target.write_text(_with_sorted_comments(target.read_text()))
        apply(target, options or ClusterOptions())


def _with_sorted_comments(text: str) -> str:
    """kfp lists the defaults in comments too, and there a dict comes in another order in each process."""

    def rewritten(match: re.Match[str]) -> str:
        return f"{match[1]}{_sorted_deeply(ast.literal_eval(match[2]))}{match[3]}"

    return re.sub(r"^(# .*\[Default: )(\{.*\}|\[.*\])(\])$", rewritten, text, flags=re.MULTILINE)


def _sorted_deeply(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted_deeply(item) for key, item in sorted(value.items())}
    return [_sorted_deeply(item) for item in value] if isinstance(value, list) else value


def find_pipelines_dir(given: Path | None, start: Path) -> Path:
    """The folder of pipelines: the given one, or the nearest ``pipelines/`` upward.

    Raises:
        ConfigurationError: There is none.
    """
    if given is not None:
        if not given.is_dir():
            raise ConfigurationError(f"--pipelines-dir {given} is no folder")
        return given
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    raise ConfigurationError(f"no {FOLDER}/ folder in {start} or above it: change there, or give --pipelines-dir")


def list_pipelines(pipelines_dir: Path) -> list[PipelineFolder]:
    """The pipelines in a folder, by name."""
    return [PipelineFolder(path.parent) for path in sorted(pipelines_dir.glob("*/pipeline.py"))]


def find_pipeline(pipelines_dir: Path, name: str) -> PipelineFolder:
    """A pipeline by name; hyphens and underscores are the same.

    Raises:
        ConfigurationError: There is none of that name.
    """
    pipelines = list_pipelines(pipelines_dir)
    for pipeline in pipelines:
        if pipeline.name.replace("-", "_") == name.replace("-", "_"):
            return pipeline
    names = ", ".join(pipeline.name for pipeline in pipelines) or "none"
    raise ConfigurationError(f"no pipeline {name} in {pipelines_dir}; there are: {names}")

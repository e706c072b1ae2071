"""What the tests of the analyzer share: running it on small files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.monitoring.analyzer import analysis
from kfp_sagemaker.monitoring.analyzer.options import Options, Result

Analyze = Callable[..., Result]


@pytest.fixture
def analyze(tmp_path: Path) -> Analyze:
    """Writes files of text or bytes and analyses them, silently; each report in a folder of its own."""
    count = 0

    def run(files: Mapping[str, str | bytes] | str | bytes, dataset_format: Any = "csv", **options: Any) -> Result:
        nonlocal count
        count += 1
        folder = tmp_path / f"data{count}"
        folder.mkdir()
        for name, content in ({"data": files} if isinstance(files, (str, bytes)) else files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        given = {"output_path": str(tmp_path / f"report{count}"), "log": lambda line: None} | options
        return analysis.run(Options(dataset_sources=[str(folder)], dataset_format=dataset_format, **given))

    return run


@pytest.fixture
def against(analyze: Analyze) -> Callable[[Result], dict[str, str]]:
    """The options that compare with the reports of another analysis."""

    def options(baseline: Result) -> dict[str, str]:
        return {
            "baseline_statistics": baseline.output_files["statistics"],
            "baseline_constraints": baseline.output_files["constraints"],
        }

    return options


def feature(result: Result, name: str) -> dict[str, Any]:
    """The statistics of one feature."""
    found: dict[str, Any] = next(each for each in result.statistics["features"] if each["name"] == name)
    return found


def checks(result: Result) -> set[tuple[str, str]]:
    """Feature and check of every violation."""
    return {(each.feature_name, each.constraint_check_type) for each in result.violations}

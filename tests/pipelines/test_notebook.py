"""The notebook's code is what a person copies: it must be whole and its pipeline must compile."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "housing_mme.ipynb"


def cells() -> list[str]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_it_holds_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("source", cells())
def test_a_cell_is_python(source: str) -> None:
    ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!"))))


def test_the_composed_pipeline_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [cell for cell in cells() if "@dsl.pipeline" in cell]
    monkeypatch.chdir(tmp_path)

    exec(compile(source, "cell", "exec", dont_inherit=True), {"__name__": "cell"})  # noqa: S102 - our own notebook

    assert "deploy-endpoint" in (tmp_path / "train_and_serve.yaml").read_text()

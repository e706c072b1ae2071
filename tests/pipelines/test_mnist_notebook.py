"""The notebook of the digits pipeline, executed from top to bottom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.pipelines.conftest import PIPELINES

NOTEBOOK = PIPELINES.parent / "notebooks" / "mnist_kmeans.ipynb"


def read() -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return notebook


def output_of(notebook: Any, text: str) -> str:
    """What the cell that contains a text printed or answered."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
    outputs = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(outputs)


def test_it_is_kept_without_outputs() -> None:
    assert all(not cell.outputs and not cell.execution_count for cell in read().cells if cell.cell_type == "code")


def test_it_names_no_place_of_somebodys_machine() -> None:
    sources = "\n".join(cell.source for cell in read().cells)
    assert not [word for word in ("/home/", "/Users/", "/work/", "127.0.0.1") if word in sources]


@pytest.mark.xdist_group("end_to_end")
@pytest.mark.timeout(400)
# ipykernel and its ZeroMQ context leave sockets to the interpreter's end.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    for name, value in {
        "RUNS_DIR": str(tmp_path / "runs"),
        "MAX_JOBS": "3",
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("KFP_HOST", "BUCKET", "ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    notebook = read()
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )

    client.execute(env=dict(os.environ))

    assert output_of(notebook, 'print("best:"').count("[") == 4
    assert "closest_cluster" in output_of(notebook, "invoke_endpoint(")
    assert "Nothing submitted" in output_of(notebook, "KFP_HOST")
    assert "stopped" in output_of(notebook, '"stop", run.name')
    assert "cluster 9:" in output_of(notebook, "report-clusters")
    (run,) = (tmp_path / "runs").glob("mnist-kmeans-*")
    assert not (run / "aws").exists()

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.cli import report
from kfp_sagemaker.cli.pipeline_file import PipelineFile
from kfp_sagemaker.cli.run_state import RunState
from kfp_sagemaker.html_report import HtmlReport, new_figure


@pytest.fixture
def state(toy: PipelineFile) -> RunState:
    return RunState(toy, {"count": 2})


def run_step(state: RunState, step: str, *, exit_code: int = 0, log: Path | str = "x.log", **more: Any) -> None:
    component = step.rpartition("/")[2]
    state.apply({"event": "started", "step": step, "component": component, "time": state.started, "log": str(log)})
    finished = {"event": "finished", "step": step, "time": state.started + 2, "exit_code": exit_code}
    state.apply(finished | {"outputs": {}, "artifacts": {}} | more)


def written(state: RunState, tmp_path: Path, *, succeeded: bool = True) -> str:
    state.apply({"event": "ended", "succeeded": succeeded, "error": "" if succeeded else "no <disk> left"})
    return report.write(state, "toy-1", "the embedded AWS", tmp_path / "report.html").read_text()


def chart() -> Any:
    figure, axes = new_figure()
    axes.plot([0, 1], [1, 2])
    axes.fill_between([0, 1], [0, 1], [1, 2])
    return figure


def test_a_page_of_a_step_becomes_part_of_the_report(state: RunState, tmp_path: Path) -> None:
    page = HtmlReport("Sum").add_text("How", "By <adding>.").add_figure("Chart", chart())
    path = page.write(tmp_path / "page")
    table = {"columns": ["towns"], "rows": [["only in the table"]]}
    run_step(state, "total", outputs={"table": table}, artifacts={"page": {"uri": str(path), "metadata": {}}})

    html = written(state, tmp_path)
    assert "<h2>Add up: How</h2>" in html
    assert "By &lt;adding&gt;." in html
    assert "only in the table" not in html  # its page says it
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_a_page_of_another_kind_is_framed(state: RunState, tmp_path: Path) -> None:
    (tmp_path / "page").write_text('<!DOCTYPE html><p class="x">theirs</p>')
    run_step(state, "total", artifacts={"page": {"uri": str(tmp_path / "page"), "metadata": {}}})

    assert '<iframe sandbox srcdoc="&lt;!DOCTYPE html&gt;&lt;p class=&quot;x&quot;&gt;theirs' in written(
        state, tmp_path
    )


def test_a_table_without_a_page_is_shown(state: RunState, tmp_path: Path) -> None:
    run_step(state, "total", outputs={"table": {"columns": ["towns"], "rows": [["Chicago"]]}})

    html = written(state, tmp_path)
    assert "<h2>Add up</h2>" in html
    assert "Chicago" in html


def test_a_failed_run_leads_with_the_error(state: RunState, tmp_path: Path) -> None:
    (tmp_path / "work.log").write_text("Traceback (most recent call last):\n  File\nValueError: <bad>\n")
    run_step(state, "for-loop-2-iteration-0/work", exit_code=1, log=tmp_path / "work.log")

    html = written(state, tmp_path, succeeded=False)
    assert "<h1>toy failed in" in html
    assert html.index("ValueError: &lt;bad&gt;") < html.index("Steps and their times")
    assert "no &lt;disk&gt; left" not in html  # the step's own error says more


def test_an_error_of_no_step_is_shown(state: RunState, tmp_path: Path) -> None:
    assert "no &lt;disk&gt; left" in written(state, tmp_path, succeeded=False)


def test_parameters_are_listed_with_whole_numbers(state: RunState, tmp_path: Path) -> None:
    html = written(state, tmp_path)

    rows = dict(re.findall(r"<tr><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td></tr>", html))
    assert (rows["count"], rows["enough"]) == ("2", "2")

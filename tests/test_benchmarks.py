"""What runs the benchmarks; what they measure is asserted nowhere."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import pytest

from benchmarks import __main__ as runner
from benchmarks.figures import Figure


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups in place of those of the names: one that measures, one that breaks off."""
    good, bad = ModuleType("good"), ModuleType("bad")
    good.measure = lambda: [Figure("speed", 12.3456789, "requests/s", ">= 10", True)]  # type: ignore[attr-defined]

    def breaks_off() -> list[Figure]:
        raise RuntimeError("no emulator")

    bad.measure = breaks_off  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "benchmarks.bench_step_start", good)
    monkeypatch.setitem(sys.modules, "benchmarks.bench_publish", bad)


@pytest.mark.usefixtures("groups")
def test_a_figure_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["step_start"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "name": "speed",
        "value": 12.346,
        "unit": "requests/s",
        "target": ">= 10",
        "holds": True,
    }


@pytest.mark.usefixtures("groups")
def test_a_group_that_breaks_off_fails_the_run_and_the_others_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["publish", "step_start"]) == 1
    shown = capsys.readouterr()
    assert '"speed"' in shown.out
    assert "publish could not be measured" in shown.err
    assert "no emulator" in shown.err


def test_an_unknown_group_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["nothing"]) == 2
    shown = capsys.readouterr().err
    assert "no such group: nothing" in shown
    assert "step_start" in shown


def test_a_figure_of_numpy_is_plain_json() -> None:
    np = pytest.importorskip("numpy")
    line = json.loads(Figure("x", np.float64(1.0), "s", 4, np.bool_(True)).to_json())
    assert line == {"name": "x", "value": 1.0, "unit": "s", "target": 4, "holds": True}

"""Gates: which metrics let a change pass, and how far the others are from it."""

from __future__ import annotations

import math

import pytest

from kfp_sagemaker.aws.errors import ThresholdError
from kfp_sagemaker.flow import gates
from kfp_sagemaker.flow.definition import Gate
from kfp_sagemaker.flow.result import GateKind


@pytest.mark.parametrize(
    ("metric", "kind", "limit", "value", "main", "missed_by"),
    [
        ("auc", "at_least", 0.8, 0.8, None, None),
        ("auc", "at_least", 0.8, 0.75, None, 0.05),
        ("rmse", "at_most", 2.0, 2.5, None, 0.5),
        ("rmse", "at_most", 2.0, 1.0, None, None),
        ("auc", "no_worse_than_main_by", 0.02, 0.89, 0.9, None),
        ("auc", "no_worse_than_main_by", 0.02, 0.85, 0.9, 0.03),
        ("rmse", "no_worse_than_main_by", 0.1, 2.3, 2.0, 0.2),
        ("rmse", "no_worse_than_main_by", 0.1, 1.0, 2.0, None),
        ("auc", "no_worse_than_main_by", 0.02, 0.1, None, None),
    ],
)
def test_a_gate_says_by_how_much_it_is_missed(
    metric: str, kind: GateKind, limit: float, value: float, main: float | None, missed_by: float | None
) -> None:
    found = gates.evaluate([Gate(metric, kind, limit)], {metric: value}, None if main is None else {metric: main})[0]
    assert (found.passed, found.missed_by) == (missed_by is None, missed_by and pytest.approx(missed_by))
    # The bound that other engines are given says the same.
    bound_kind, bound = gates.absolute(Gate(metric, kind, limit), None if main is None else {metric: main})
    fits = bound is None or (value >= bound if bound_kind == "at_least" else value <= bound)
    assert fits == found.passed


@pytest.mark.parametrize("metrics", [{}, {"auc": math.nan}])
def test_a_metric_without_a_value_misses_its_gate(metrics: dict[str, float]) -> None:
    found = gates.evaluate([Gate("auc", "at_least", 0.5)], metrics, None)
    assert gates.missed(found) == ["auc has no value: the evaluation did not give this metric"]


def test_the_step_fails_with_every_missed_gate(capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        {"metric": "auc", "kind": "at_least", "limit": 0.9},
        {"metric": "f1", "kind": "at_least", "limit": 0.1},
        {"metric": "log_loss", "kind": "no_worse_than_main_by", "limit": 0.1},
    ]
    with pytest.raises(ThresholdError) as raised:
        gates.check(asked, {"auc": 0.8, "f1": 0.5, "log_loss": 0.7}, {"log_loss": 0.5})
    assert str(raised.value).splitlines() == [
        "2 of 3 gates missed:",
        "auc 0.8 must be at least 0.9, missed by 0.1",
        "log_loss 0.7 may be worse than main's 0.5 by 0.1 at most, missed by 0.1",
    ]
    assert "passed: f1 0.5 must be at least 0.1" in capsys.readouterr().out

"""The report about a run: what people read on the pull request."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.flow import cost, report
from kfp_sagemaker.flow.result import CurvePoint, GateResult, Job
from tests.suite.flow.results import RESULT, changed


@pytest.fixture
def prices() -> cost.PriceTable:
    return cost.load()


def rows(text: str, first: str) -> list[str]:
    """The cells of the first table row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} "))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_good_run_is_held_against_main(prices: cost.PriceTable) -> None:
    text = report.render([RESULT], prices, build_url="https://build/7")
    assert text.startswith("## ✅ churn: every gate passed\n")
    assert "commit `abcdef1` · branch more-trees · engine stepfunctions · 1 min 30 s · [run](https://run/1)" in text
    assert "main (`0123456`)" in text
    assert rows(text, "auc")[1:] == ["0.9", "0.88", "+0.02 (+2.3 %) better"]
    assert rows(text, "log_loss")[1:] == ["0.3", "0.25", "+0.05 (+20 %) worse"]
    assert "[Build](https://build/7)" in text
    assert "is an estimate" in text
    assert report.succeeded(RESULT)


def test_costs_are_billable_seconds_times_price(prices: cost.PriceTable) -> None:
    text = report.render([RESULT], prices)
    assert rows(text, "training")[4:6] == ["1 h 00 min", "0.2300 USD"], "an hour of two ml.m5.large"
    assert rows(text, "transform")[5] == "reused"
    assert rows(text, "glue")[5] == "0.0550 USD", "0.44 for each of 450 s times one DPU"
    assert rows(text, "tuning")[5] == "no price"
    assert rows(text, "**all**")[5] == "**0.2850 USD**"
    assert "not in the sum: ml.x9.large" in text


def test_a_missed_gate_says_which_and_by_how_much(prices: cost.PriceTable) -> None:
    gate = GateResult("auc", "at_least", 0.95, 0.9, 0.88, passed=False, missed_by=0.05)
    result = changed(status="Failed", gates=[gate, *RESULT.gates], failure_reason="gates missed")
    text = report.render([result], prices)
    assert text.startswith("## ❌ churn: 1 of 3 gates missed\n")
    assert "- **auc 0.9 must be at least 0.95, missed by 0.05**" in text
    assert "| auc | at least 0.95 | 0.9 | ❌ missed | 0.05 |" in text
    assert not report.succeeded(result)
    assert report.headline(result) == "1 of 3 gates missed: auc 0.9 must be at least 0.95, missed by 0.05"


def test_a_failure_is_shown_as_it_is_and_nothing_it_says_is_markup(prices: cost.PriceTable) -> None:
    reason = "training job x failed\nReason: ```boom``` <b>@team</b>"
    nothing = [GateResult("auc", "at_least", 0.8, None, None, passed=False, missed_by=None)]
    text = report.render([changed(status="Failed", gates=nothing, metrics={}, failure_reason=reason)], prices)
    assert "missed" not in text
    assert text.startswith("## ❌ churn: failed: training job x failed\n")
    assert f"````\n{reason}\n````" in text
    branch = report.render([changed(branch="a|b @team <img> [x](y)")], prices)
    assert "branch a\\|b &#64;team &lt;img&gt; \\[x\\](y)" in branch


def test_a_first_run_has_nothing_to_be_compared_with(prices: cost.PriceTable) -> None:
    text = report.render([changed(main_metrics={}, main_commit="", gates=[])], prices)
    assert "The main branch has no metrics of this flow yet." in text
    assert "succeeded; it has no gates" in text


def test_several_flows_share_a_report_that_fits_a_comment(prices: cost.PriceTable) -> None:
    two = report.render([RESULT, changed(flow="housing")], prices, problems=["there is no x.json"])
    assert two.count("\n---\n") == 2
    assert "## ❌ A flow has no result" in two
    jobs = [Job("training", f"job-{number:050}", "Completed", "ml.m5.large", 1, 60) for number in range(2000)]
    assert len(report.render([changed(jobs=jobs)], prices)) <= report.MAX_CHARACTERS


def test_curves_are_drawn_in_text(prices: cost.PriceTable) -> None:
    assert report.sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert report.sparkline([5, 5]) == "▄▄"
    assert report.sparkline([1, float("nan")]) == "▄"
    assert len(report.sparkline(range(1000))) == 40
    points = [CurvePoint("validation:auc", "", step, 0.5 + step / 10) for step in (2, 0, 1)]
    text = report.render([changed(learning_curve=points)], prices)
    assert rows(text, "validation:auc")[1:] == ["▁▅█", "0.5 → 0.7", "3 values"]


def test_a_price_table_of_ones_own_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text('{region: eu-west-1, as_of: "2026-01-01", currency: EUR, instance_hour: {ml.m5.large: 36}}')
    assert cost.load(path).of(Job("training", "j", "Completed", "ml.m5.large", 1, 100)) == 1
    path.write_text("{region: eu-west-1, instance_hour: {ml.m5.larg: -1}}")
    with pytest.raises(InputError) as caught:
        cost.load(path)
    named = [problem.partition(" ")[0] for problem in caught.value.problems]
    assert named == ["as_of", "currency", "instance_hour", "instance_hour.ml.m5.larg"]


def test_a_result_without_gates_may_not_hide_a_failure() -> None:
    assert not report.succeeded(changed(status="Failed", gates=[]))

"""The HTML report: what it says, in which order, and that it needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from kfp_sagemaker.monitoring.analyzer.options import Result
from tests.suite.monitoring.analyzer.conftest import Analyze

RANDOM = np.random.default_rng(9)


def page(result: Result) -> str:
    return Path(result.output_files["report"]).read_text(encoding="utf-8")


def table(shift: float = 0.0, plan: str = "basic") -> str:
    rows = "".join(f"{RANDOM.normal(shift):.3f},{at % 60},{plan if at % 2 else 'pro'}\n" for at in range(600))
    return "score,age,plan\n" + rows


def test_a_baseline_has_one_row_a_feature(analyze: Analyze) -> None:
    html = page(analyze(table()))
    assert html.count("<strong>") == 3
    assert html.count('aria-label="distribution"') == 3
    assert "violation" not in html


def test_violations_come_first_and_so_do_their_features(analyze: Analyze, against: Any) -> None:
    html = page(analyze(table(shift=3, plan="gold"), **against(analyze(table()))))
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings[:2] == ["3 violations of 2 features", "Features"]
    assert re.findall(r"<strong>(.*?)</strong>", html) == ["score", "plan", "age"]
    assert "gold: 0.0% in the baseline, 50.0% now" in html


def test_no_violations_is_said(analyze: Analyze, against: Any) -> None:
    assert "The data meets every constraint" in page(analyze(table(), **against(analyze(table()))))


def test_the_page_stands_alone_and_escapes_what_it_shows(analyze: Analyze, against: Any) -> None:
    names = '"<script>alert(1)</script>",b\n'
    baseline = analyze(names + "<i>,1\n<i>,2\n")
    html = page(analyze(names + "<img src=x>,1\n<i>,9\n", **against(baseline), endpoint_name="<e>"))
    assert "<script" not in html
    assert "<img" not in html
    assert "<i>" not in html
    assert not re.search(r"<[^>]*(src|href)=|url\(|https?://(?!www\.w3\.org)", html)


def test_a_wide_table_is_drawn_in_part(analyze: Analyze) -> None:
    names = ",".join(f"c{at}" for at in range(700))
    html = page(analyze(f"{names}\n{','.join(['1'] * 700)}\n"))
    assert "Features: the first 500 of 700" in html
    assert html.count('aria-label="distribution"') == 500

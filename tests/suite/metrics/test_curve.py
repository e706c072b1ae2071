"""Curves: the CSV and back, what belongs into a chart, and how much of it."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.metrics.curve import Curve, charts, curves_of, read_csv, starts, time_unit, write_csv
from kfp_sagemaker.metrics.learning_curves import save_picture
from kfp_sagemaker.metrics.training_metrics import Series


def series(name: str, values: list[float]) -> Series:
    made = Series(name)
    made.timestamps.extend(1_700_000_000.0 + 10 * number for number in range(len(values)))
    made.values.extend(values)
    return made


@pytest.mark.parametrize("jobs", [["one"], ["one", "two"]])
def test_what_is_written_is_read(jobs: list[str]) -> None:
    target = io.StringIO()
    several = len(jobs) > 1
    metrics = [series('loss, "quoted"\nlined', [0.1, 1e-300]), series("größe", [math.pi])]
    assert write_csv(target, dict.fromkeys(jobs, metrics), with_job_column=several) == 3 * len(jobs)
    columns = read_csv(target.getvalue())
    assert columns["timestamp"][0] == "2023-11-14T22:13:20Z"
    curves = curves_of(columns)
    assert {curve.job_name for curve in curves} == ({"one", "two"} if several else {""})
    assert [list(curve.values) for curve in curves[:2]] == [[0.1, 1e-300], [math.pi]]
    assert curves[0].metric_name == 'loss, "quoted"\nlined'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column timestamp, metric_name, value"),
        ("<html>", "no file of training metrics"),
        ("timestamp,metric_name,value\n2026-01-01T00:00:00Z,loss", "line 2 has 2 columns and not 3: is the file whole"),
        ("timestamp,metric_name,value\n2026-01-01T00:00:00Z,loss,low", "line 2: value 'low' is no number"),
        ("timestamp,metric_name,value\nyesterday,loss,1", "timestamp 'yesterday'"),
    ],
)
def test_what_is_no_such_file_is_said(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        curves_of(read_csv(text))


def test_data_sets_share_a_chart_and_jobs_have_a_line_each() -> None:
    one = [Curve(name, "", [0.0], [1.0]) for name in ("train:loss", "validation:loss", "loss:x", "epochs")]
    assert [(chart.title, [label for label, _ in chart.lines]) for chart in charts(one)] == [
        ("epochs", ["epochs"]),
        ("loss", ["train", "validation"]),
        ("loss:x", ["loss:x"]),
    ]
    two = [Curve("train:loss", job, [start], [1.0]) for job, start in (("a", 5.0), ("b", 9.0))]
    assert [(chart.title, [label for label, _ in chart.lines]) for chart in charts(two)] == [("train:loss", ["a", "b"])]
    assert starts(two) == {"a": 5.0, "b": 9.0}


def test_a_long_curve_keeps_its_ends_and_its_peaks() -> None:
    values = [0.0] * 100_000
    values[54_321] = 7.0
    points = Curve("loss", "", list(range(100_000)), values).elapsed(0.0)
    assert len(points) <= 1002
    assert (54_321, 7.0) in points
    assert points[0] == (0, 0.0)
    assert points[-1] == (99_999, 0.0)
    assert points == sorted(points)


def test_time_is_shown_in_a_unit_that_fits() -> None:
    assert [time_unit(seconds) for seconds in (100, 200, 4 * 3600)] == [
        ("seconds", 1.0),
        ("minutes", 60.0),
        ("hours", 3600.0),
    ]


def test_a_picture_stands_by_itself(tmp_path: Path) -> None:
    curves = [Curve("train:größe 大小", "", [0.0, 10.0], [1.0, 0.5])]
    save_picture(curves, tmp_path / "curves.svg")
    svg = (tmp_path / "curves.svg").read_text()
    assert "größe 大小" in svg
    assert "var(--" not in svg
    save_picture([Curve("loss", "", [0.0, 10.0], [1.0, 0.5])], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

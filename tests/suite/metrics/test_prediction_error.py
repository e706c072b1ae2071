from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import InputError, ThresholdError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.metrics import prediction_error
from sagemaker_emulator.emulator import Emulator


def line(model: str, label: float | None, prediction: Any, **more: Any) -> str:
    record = {"target_model": f"{model}/{model}.tar.gz", "prediction": prediction, **more}
    return json.dumps(record if label is None else record | {"label": label})


@pytest.mark.parametrize(
    ("prediction", "number"),
    [
        (1.5, 1.5),
        ("1.5\n", 1.5),
        ({"score": 2}, 2.0),
        ({"predictions": [{"score": 3.5}]}, 3.5),
        ([4], 4.0),
        ([[5.0]], 5.0),
        ({"predicted_value": "6"}, 6.0),
    ],
)
def test_a_prediction_is_a_number_however_it_is_wrapped(prediction: Any, number: float) -> None:
    assert prediction_error.as_number(prediction) == number


@pytest.mark.parametrize("prediction", [None, "cheap", [1, 2], [], {"label": 1}, {}])
def test_what_is_no_number_is_refused(prediction: Any) -> None:
    with pytest.raises(InputError, match="is not a number"):
        prediction_error.as_number(prediction)


def test_errors_are_relative_to_the_truth_and_by_model() -> None:
    models = prediction_error.group_by_model(
        [
            line("A", 100, 110),
            line("A", 200, 180),
            "",
            line("B", -50, -50),
            line("B", 0, 3),
            line("B", 1, None, error="x"),
        ]
    )

    assert models.keys() == {"A", "B"}
    assert models["A"].percent() == pytest.approx(10)
    assert models["B"].percent() == 0  # a true value of 0 has no relative error
    assert models["B"].missing_count == 1


def test_a_line_without_label_says_how_to_get_one() -> None:
    with pytest.raises(InputError, match="line 2 has no label: invoke the endpoint with label_first"):
        prediction_error.group_by_model([line("A", 1, 1), line("A", None, 1)])


@pytest.mark.parametrize("lines", [[], [line("A", 0, 1)], [line("A", 1, None, error="timeout")]])
def test_nothing_to_compare_is_an_error(lines: list[str]) -> None:
    with pytest.raises(InputError, match="no labelled prediction"):
        prediction_error.group_by_model(lines)


@pytest.fixture
def session(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    return open_session("us-east-1")


@pytest.fixture
def compare(
    session: Session, emulator: Emulator, unique_name: str, tmp_path: Path
) -> Callable[..., tuple[Any, dict[str, float]]]:
    """Compares two files of predictions in S3; returns the result and the logged metrics."""
    emulator.client("s3").create_bucket(Bucket=unique_name)
    uris = [f"s3://{unique_name}/{name}.jsonl" for name in ("a", "b")]
    s3.write_text(session, uris[0], "\n".join([line("Chicago_IL", 100, 102), line("Chicago_IL", 100, 98)]))
    s3.write_text(session, uris[1], line("Houston_TX", 200, "190"))
    metrics: dict[str, float] = {}

    def run(**options: Any) -> tuple[Any, dict[str, float]]:
        arguments = {"max_error_percent": 0.0, "examples_per_model": 1, "title": "Prices"} | options
        result = prediction_error.compare(
            session, uris, report_path=str(tmp_path / "report.html"), log_metric=metrics.__setitem__, **arguments
        )
        return result, metrics

    return run


def test_the_table_the_metrics_and_the_page(
    compare: Callable[..., tuple[Any, dict[str, float]]], tmp_path: Path
) -> None:
    result, metrics = compare()

    assert result.table["rows"] == [
        ["Chicago_IL", 2, "2.00 %", "102 (100)"],
        ["Houston_TX", 1, "5.00 %", "190 (200)"],
    ]
    assert result.worst_error_percent == pytest.approx(5)
    assert metrics["error_percent/Chicago_IL"] == pytest.approx(2)
    assert metrics["worst_error_percent"] == pytest.approx(5)
    page = (tmp_path / "report.html").read_text()
    assert "<h1>Prices</h1>" in page
    assert "5.00 %" in page
    assert "<svg" in page


def test_too_great_an_error_fails_the_step_after_the_report_is_written(
    compare: Callable[..., tuple[Any, dict[str, float]]], tmp_path: Path
) -> None:
    with pytest.raises(ThresholdError, match=r"above max_error_percent = 3 %: Houston_TX 5.00 %\."):
        compare(max_error_percent=3)

    assert "Houston_TX" in (tmp_path / "report.html").read_text()

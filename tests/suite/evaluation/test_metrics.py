"""The metrics, against figures worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.evaluation.metrics import Evaluation, evaluate
from kfp_sagemaker.evaluation.options import BINARY, METRICS, MULTICLASS, REGRESSION, Options
from kfp_sagemaker.evaluation.predictions import Row, pair, parse_all

TRUTH = ["1", "1", "0", "0"]
# At 0.5: one positive found, one missed, one false alarm. Of the four pairs of a positive and a negative, two are in
# the right order.
SCORES = [0.9, 0.4, 0.6, 0.1]


def of(truth: list[str], predictions: list[Any], problem_type: str = BINARY, **options: Any) -> Evaluation:
    rows = [Row(true, prediction) for true, prediction in zip(truth, predictions, strict=True)]
    return evaluate(rows, Options(problem_type=problem_type, **options))


def test_scores_of_two_classes() -> None:
    found = of(TRUTH, SCORES)
    assert found.metrics.keys() == set(METRICS[BINARY])
    assert found.confusion == [[1, 1], [1, 1]]
    assert found.metrics["accuracy"] == found.metrics["precision"] == found.metrics["recall"] == 0.5
    assert found.metrics["auc"] == 0.75
    assert found.metrics["log_loss"] == pytest.approx(0.5108, abs=1e-3)
    assert found.roc[0][:2] == (0, 0)
    assert found.roc[-1][:2] == (1, 1)
    assert max(point[2] for point in found.roc) == 0.9, "no infinity, which JSON does not have"


def test_a_threshold_of_ones_own_decides_otherwise() -> None:
    assert of(TRUTH, SCORES, threshold=0.3).confusion == [[1, 1], [0, 2]]


@pytest.mark.parametrize(
    "predictions",
    [
        [[1 - score, score] for score in SCORES],
        [{"score": score, "predicted_label": int(score >= 0.5)} for score in SCORES],
        [{"predictions": [{"score": score}]} for score in SCORES],
        [{"probabilities": [1 - score, score]} for score in SCORES],
    ],
)
def test_every_form_of_scores_says_the_same(predictions: list[Any]) -> None:
    assert of(TRUTH, predictions).metrics == pytest.approx(of(TRUTH, SCORES).metrics)


def test_the_models_own_label_counts_until_a_threshold_is_given() -> None:
    predictions = [{"score": score, "predicted_label": int(score >= 0.05)} for score in SCORES]
    assert of(TRUTH, predictions).confusion == [[0, 2], [0, 2]]
    assert of(TRUTH, predictions, threshold=0.5).confusion == [[1, 1], [1, 1]]


@pytest.mark.parametrize(("truth", "positive"), [(TRUTH, "1"), (["yes", "yes", "no", "no"], "yes")])
def test_decisions_have_no_curve(truth: list[str], positive: str) -> None:
    predictions: list[Any] = [1, 0, 1, 0] if positive == "1" else ["yes", "no", "yes", "no"]
    found = of(truth, predictions, positive_label=positive)
    assert found.confusion == [[1, 1], [1, 1]]
    assert "auc" not in found.metrics
    assert found.roc == []
    assert any("auc" in note for note in found.notes)


def test_probabilities_of_several_classes() -> None:
    predictions = [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]]
    found = of(["0", "1", "2", "2"], predictions, MULTICLASS)
    assert found.metrics.keys() == set(METRICS[MULTICLASS])
    assert found.classes == ["0", "1", "2"]
    assert found.confusion == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert found.metrics["accuracy"] == 0.75
    assert found.metrics["recall_macro"] == pytest.approx((1 + 1 + 0.5) / 3)
    named = of(["cat", "1", "fox", "fox"], predictions, MULTICLASS, class_names=["cat", "dog", "fox"])
    assert named.classes == ["cat", "dog", "fox"]
    assert named.metrics == found.metrics


def test_classes_without_probabilities() -> None:
    found = of(["0", "1", "2"], [0.0, 2.0, 2.0], MULTICLASS)
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)
    assert "log_loss" not in found.metrics


def test_regression() -> None:
    found = of(["10", "20", "40"], [12, [18.0], {"score": 44}], REGRESSION)
    assert found.metrics.keys() == set(METRICS[REGRESSION])
    assert found.metrics["mae"] == pytest.approx(8 / 3)
    assert found.metrics["rmse"] == pytest.approx((24 / 3) ** 0.5)
    assert found.metrics["mape_percent"] == pytest.approx((20 + 10 + 10) / 3)
    constant = of(["0", "0"], [1, 2], REGRESSION)
    assert "r2" not in constant.metrics
    assert "mape_percent" not in constant.metrics


@pytest.mark.parametrize(
    ("truth", "predictions", "problem_type", "message"),
    [
        ([], [], BINARY, "no row to evaluate"),
        (["no", "yes"], [0.1, 0.9], BINARY, "positive_label is '1', which no row of the truth has; .* no, yes"),
        (["0", "1", "2"], [0, 1, 2], BINARY, "the truth has 3 labels: 0, 1, 2"),
        (["0", "1"], [[0.1, 0.2, 0.7], [1, 0, 0]], BINARY, "row 1: .* 3 scores; .* multiclass_classification"),
        (["0", "1"], [0.1, {"mean": 3}], BINARY, "row 2: the prediction {'mean': 3} is none of"),
        (["1", "x"], [1, 2], REGRESSION, "row 2: the label 'x' is not a number"),
        (["1", "2"], [1, "nan"], REGRESSION, "row 2: the prediction 'nan' is not a number"),
    ],
)
def test_what_does_not_fit_is_named(truth: list[str], predictions: list[Any], problem_type: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        of(truth, predictions, problem_type)


def test_lines_of_every_kind() -> None:
    lines = [
        "0.25",
        "yes",
        "0.1,0.9",
        "[0.1, 0.9]",
        '{"score": 1}',
        "",
        '{"predictions": [{"score": 2}, {"score": 3}]}',
    ]
    expected = [0.25, "yes", [0.1, 0.9], [0.1, 0.9], {"score": 1}, {"score": 2}, {"score": 3}]
    assert list(parse_all(lines, "file")) == expected
    with pytest.raises(DataError, match="file, line 2 begins like JSON"):
        list(parse_all(["1", "{"], "file"))


def test_files_are_paired_by_name_and_rows_by_number() -> None:
    truth = {"a.csv": lambda: ["1.0,5,6", "0,7,8"], "b/c.csv": lambda: ["yes,1"]}
    answers = {"b/c.csv.out": lambda: ["0.7"], "a.csv.out": lambda: ["0.9", "0.2"]}
    assert list(pair(truth, answers)) == [Row("1", 0.9), Row("0", 0.2), Row("yes", 0.7)]
    with pytest.raises(DataError, match=r"no predictions for b/c.csv: .* found a.csv.out"):
        list(pair(truth, {"a.csv.out": answers["a.csv.out"]}))
    with pytest.raises(DataError, match=r"p.out ends before row 2 of a.csv"):
        list(pair({"a.csv": truth["a.csv"]}, {"p.out": lambda: ["0.9"]}))

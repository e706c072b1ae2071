"""The program: the contract of a processing container, in a folder that stands for ``/opt/ml``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kfp_sagemaker.evaluation.__main__ import main


@pytest.fixture
def container(tmp_path: Path) -> Path:
    for name, text in {"truth/t.csv": "1,5\n0,6\n1,7\n", "predictions/t.csv.out": "0.8\n0.3\n0.4\n"}.items():
        path = tmp_path / "processing/input" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


def run(container: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and message."""
    code = main(arguments, {"SAGEMAKER_BASE_DIR": str(container)})
    return code, (container / "output/message").read_text()


def test_it_writes_metrics_for_gates_registry_and_people(container: Path) -> None:
    code, message = run(container, "--problem-type", "binary_classification", "--title", "Churn")
    assert code == 0
    assert message.startswith("3 rows, accuracy 0.66667, auc 1,")
    output = container / "processing/output"
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["row_count"], metrics["auc"], metrics["recall"]) == (3, 1, 0.5)
    registry = json.loads((output / "evaluation.json").read_text())["binary_classification_metrics"]
    assert registry["confusion_matrix"] == {"0": {"0": 1, "1": 0}, "1": {"0": 1, "1": 1}}
    assert registry["auc"] == {"value": 1.0, "standard_deviation": "NaN"}
    assert registry["receiver_operating_characteristic_curve"]["true_positive_rates"][-1] == 1
    page = (output / "report.html").read_text()
    assert "<h1>Churn</h1>" in page
    assert page.count("<svg") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Failed: evaluation: 1 invalid argument:\n  - the following arguments are required: --problem-type"),
        (("--problem-type", "regresion"), "invalid choice: 'regresion'"),
        (("--problem-type", "regression", "--threshold", "2"), "threshold is 2.0, must be a number from 0 to 1"),
        (("--problem-type", "regression", "--truth", "/opt/ml/none"), "Failed: there is no file in"),
        (("--problem-type", "binary_classification", "--positive-label", "yes"), "positive_label is 'yes'"),
    ],
)
def test_a_failure_is_told_in_the_exit_message(
    container: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, written = run(container, *arguments)
    assert code == 1
    assert message in written
    assert message.removeprefix("Failed: ") in capsys.readouterr().err
    assert not (container / "processing/output").exists()

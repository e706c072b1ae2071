"""The files an evaluation leaves.

=================== ===================================================================================================
``metrics.json``    ``{"metric": value}``: what gates read
``evaluation.json`` the same with confusion matrix and curves, as the SageMaker Model Registry shows model quality
``report.html``     a page for people
=================== ===================================================================================================

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html
"""

from __future__ import annotations

import json
from typing import Any

from kfp_sagemaker.evaluation.metrics import Evaluation
from kfp_sagemaker.evaluation.options import REGRESSION

METRICS_FILE, EVALUATION_FILE, REPORT_FILE = "metrics.json", "evaluation.json", "report.html"


def metrics_document(evaluation: Evaluation) -> str:
    """The text of ``metrics.json``."""
    return json.dumps(evaluation.metrics, indent=2, sort_keys=True) + "\n"


def registry_document(evaluation: Evaluation) -> str:
    """The text of ``evaluation.json``."""
    figures: dict[str, Any] = {
        name: {"value": value, "standard_deviation": "NaN"} for name, value in evaluation.metrics.items()
    }
    if evaluation.problem_type != REGRESSION:
        figures["confusion_matrix"] = {
            true: dict(zip(evaluation.classes, counts, strict=True))
            for true, counts in zip(evaluation.classes, evaluation.confusion, strict=True)
        }
    if evaluation.roc:
        figures["receiver_operating_characteristic_curve"] = {
            "false_positive_rates": [point[0] for point in evaluation.roc],
            "true_positive_rates": [point[1] for point in evaluation.roc],
        }
        figures["precision_recall_curve"] = {
            "precisions": [point[0] for point in evaluation.precision_recall],
            "recalls": [point[1] for point in evaluation.precision_recall],
        }
    section = f"{evaluation.problem_type}_metrics"
    return json.dumps({section: figures, "version": 0.0}, indent=2) + "\n"


def summary(evaluation: Evaluation) -> str:
    """The metrics on one line, for logs."""
    rows = f"{evaluation.metrics['row_count']:,.0f} rows"
    rest = [f"{name} {value:.5g}" for name, value in sorted(evaluation.metrics.items()) if name != "row_count"]
    return ", ".join([rows, *rest])

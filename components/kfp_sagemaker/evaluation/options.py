"""What an evaluation is asked for. Plain data: nothing here needs scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_sagemaker.aws.validation import Problems

REGRESSION, BINARY, MULTICLASS = "regression", "binary_classification", "multiclass_classification"
PROBLEM_TYPES = (REGRESSION, BINARY, MULTICLASS)

# SageMaker Autopilot's names, in snake case: developer guide, "Autopilot metrics".
METRICS: dict[str, tuple[str, ...]] = {
    REGRESSION: ("row_count", "mae", "mape_percent", "median_absolute_error", "mse", "r2", "rmse"),
    BINARY: (
        "row_count",
        "accuracy",
        "auc",
        "average_precision",
        "balanced_accuracy",
        "f1",
        "log_loss",
        "precision",
        "recall",
    ),
    MULTICLASS: (
        "row_count",
        "accuracy",
        "auc",
        "balanced_accuracy",
        "f1_macro",
        "log_loss",
        "precision_macro",
        "recall_macro",
    ),
}
"""The metrics of each problem type. One the data cannot give (an AUC without scores) is left out."""
# Without a threshold of its own, a score that is at least this means the positive class.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """How predictions and truth are read.

    Attributes:
        problem_type: One of ``PROBLEM_TYPES``.
        threshold: Binary: the least score of the positive class; 0 takes the model's own label where it gives one,
            else 0.5.
        positive_label: Binary: the label of the positive class in the truth.
        class_names: Multiclass: the class of each position of a list of probabilities; empty means 0, 1, 2, ...
    """

    problem_type: str
    threshold: float = 0.0
    positive_label: str = "1"
    class_names: Sequence[str] = ()

    def check(self, problems: Problems) -> None:
        """Record what is wrong."""
        problems.required("problem_type", self.problem_type)
        problems.one_of("problem_type", self.problem_type, PROBLEM_TYPES)
        problems.between("threshold", self.threshold, 0, 1)
        if self.threshold and self.problem_type != BINARY:
            problems.add("threshold", self.threshold, f"left out, because problem_type is {self.problem_type}")
        if self.problem_type == BINARY:
            problems.required("positive_label", self.positive_label)
        names = self.class_names
        if not isinstance(names, list | tuple) or len(set(map(str, names))) != len(names):
            problems.add("class_names", names, "a list of different names")
        elif names and self.problem_type != MULTICLASS:
            problems.add("class_names", names, f"left out, because problem_type is {self.problem_type}")

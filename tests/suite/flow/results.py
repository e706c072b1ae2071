"""A run of a flow, ended, for the tests of what is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kfp_sagemaker.flow.result import FlowResult, GateResult, Job

COMMIT = "abcdef1" + "0" * 33
RESULT = FlowResult(
    flow="churn",
    commit=COMMIT,
    branch="more-trees",
    engine="stepfunctions",
    run_id="run-1",
    started_at="2026-01-01T12:00:00+00:00",
    ended_at="2026-01-01T12:01:30+00:00",
    status="Succeeded",
    metrics={"auc": 0.9, "log_loss": 0.3, "row_count": 100},
    main_metrics={"auc": 0.88, "log_loss": 0.25, "row_count": 100},
    main_commit="0123456" + "0" * 33,
    gates=[
        GateResult("auc", "at_least", 0.8, 0.9, 0.88, passed=True, missed_by=None),
        GateResult("auc", "no_worse_than_main_by", 0.01, 0.9, 0.88, passed=True, missed_by=None),
    ],
    jobs=[
        Job("glue", "clean", "SUCCEEDED", dpu_seconds=450),
        Job("training", "train", "Completed", "ml.m5.large", 2, 3600, url="https://job", logs_url="https://log"),
        Job("transform", "predict", "Completed", "ml.m5.large", 1, 60, reused=True),
        Job("tuning", "tune", "Completed", "ml.x9.large", 1, 60),
    ],
    links={"run": "https://run/1"},
    model_data_url="s3://bucket/model.tar.gz",
)


def changed(**fields: Any) -> FlowResult:
    """The run with other fields."""
    return replace(RESULT, **fields)

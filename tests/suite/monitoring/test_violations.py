"""Judging violations: what counts, what is allowed, what is expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_sagemaker.aws.errors import DataError, InputError, ResourceMissingError, ThresholdError
from kfp_sagemaker.monitoring.quality.component import check_violations
from tests.suite.conftest import Account


def violation(feature: str, check: str = "baseline_drift_check") -> dict[str, str]:
    return {"feature_name": feature, "constraint_check_type": check, "description": f"{feature} <drifted>"}


FOUND = [violation("a"), violation("a", "data_type_check"), violation("b", "completeness_check")]


class Check:
    """Runs the component on a violations report."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.report = dsl.HTML(uri=str(folder / "report.html"))
        self.metrics = dsl.Metrics(uri=str(folder / "metrics"))

    def __call__(self, content: Any = None, **arguments: Any) -> Any:
        text = (
            content if isinstance(content, str) else json.dumps({"violations": FOUND if content is None else content})
        )
        uri = self.account.put("reports/constraint_violations.json", text)
        given = {"violations_s3_uri": uri, "region": "us-east-1", **arguments}
        return check_violations.python_func(report=self.report, metrics=self.metrics, **given)

    @property
    def page(self) -> str:
        return Path(self.report.path).read_text()


@pytest.fixture
def check(account: Account, tmp_path: Path) -> Check:
    return Check(account, tmp_path)


def test_violations_fail_the_step_and_are_shown_first(check: Check) -> None:
    with pytest.raises(ThresholdError, match=r"json: 3 violations of 2 features, 0 allowed:\n  - a: baseline_drift"):
        check()
    assert "a &lt;drifted&gt;" in check.page
    assert check.metrics.metadata["violation_count"] == 3
    assert check.metrics.metadata["baseline_drift_check"] == 1
    assert check.metrics.metadata["violated_feature_count"] == 2


@pytest.mark.parametrize(
    ("arguments", "count", "features"),
    [
        ({"allowed_violations": 3}, 3, ["a", "b"]),
        ({"checks": ["completeness_check"], "allowed_violations": 1}, 1, ["b"]),
        ({"checks": ["extra_column_check"]}, 0, []),
        ({"ignored_features": ["a"], "allowed_violations": 1}, 1, ["b"]),
        ({"expected_features": ["b", "a"]}, 3, ["a", "b"]),
        ({"expected_features": ["a"], "ignored_features": ["b"]}, 2, ["a"]),
        ({"violations_s3_uri": ""}, 0, []),
    ],
)
def test_what_counts_and_is_allowed_passes(
    check: Check, arguments: dict[str, Any], count: int, features: list[str]
) -> None:
    checked = check(**arguments)
    assert (checked.violation_count, checked.violated_features) == (count, features)
    assert len(checked.table["rows"]) == count


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (["a"], "did not expect violations of b"),
        (["a", "b", "c"], "expected violations of c, and there are none"),
        (["c"], "expected violations of c, and there are none; did not expect violations of a, b"),
    ],
)
def test_a_rehearsal_wants_exactly_what_was_declared(check: Check, expected: list[str], message: str) -> None:
    with pytest.raises(ThresholdError, match=message):
        check(expected_features=expected)


def test_nothing_found_is_as_it_should_be(check: Check) -> None:
    assert check([]).violation_count == 0
    assert "As it should be." in check.page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no report of an analysis: it has no 'violations'"),
        ('{"violations": [{"feature_name": "a"}]}', "violation 1 lacks feature_name, constraint_check_type or desc"),
    ],
)
def test_what_is_no_report_is_refused(check: Check, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check(content)


def test_a_report_that_is_not_there_is_named(check: Check, account: Account) -> None:
    with pytest.raises(ResourceMissingError, match="nothing-here"):
        check(violations_s3_uri=account.uri("nothing-here.json"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"checks": ["drift"]}, "checks[0] is 'drift', must be one of data_type_check"),
        ({"expected_features": ["a"], "allowed_violations": 1}, "allowed_violations is 1, must be 0"),
        ({"expected_features": ["a"], "ignored_features": ["a"]}, "ignored_features is ['a']"),
    ],
)
def test_wrong_arguments_are_named(check: Check, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        check(**arguments)
    assert problem in caught.value.problems[0]

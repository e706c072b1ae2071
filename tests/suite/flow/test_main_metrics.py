from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.flow import main_metrics
from kfp_sagemaker.flow.result import FlowResult
from tests.suite.conftest import Account


@pytest.fixture
def session(account: Account) -> Session:
    del account
    return open_session("us-east-1")


def run(commit: str, minute: int, auc: float = 0.9, branch: str = "main", **more: Any) -> FlowResult:
    time = f"2026-01-01T12:{minute:02}:00+00:00"
    given = {"metrics": {"auc": auc}, "started_at": time, "ended_at": time, "status": "Succeeded", **more}
    return FlowResult(flow="churn", commit=commit, branch=branch, engine="local", run_id=f"run-{commit}", **given)


def test_a_commit_keeps_its_metrics_and_main_its_newest(account: Account, session: Session) -> None:
    prefix = account.uri("flows")
    assert main_metrics.read_main(session, prefix, "churn") is None

    assert main_metrics.write(session, prefix, run("a" * 40, 1, 0.9)) == [
        account.uri(f"flows/flow-metrics/churn/commits/{'a' * 40}.json"),
        account.uri("flows/flow-metrics/churn/main.json"),
    ]
    assert main_metrics.write(session, prefix, run("a" * 40, 1, 0.1)) == [], "a commit's metrics do not change"
    assert len(main_metrics.write(session, prefix, run("c" * 40, 3, 0.7))) == 2
    assert len(main_metrics.write(session, prefix, run("b" * 40, 2, 0.8))) == 1, "an older build that ends later"
    assert len(main_metrics.write(session, prefix, run("d" * 40, 4, 0.2, branch="feature"))) == 1

    newest = main_metrics.read_main(session, prefix, "churn")
    assert newest is not None
    assert (newest.commit, newest.metrics) == ("c" * 40, {"auc": 0.7})
    of_commit = main_metrics.read_commit(session, prefix, "churn", "d" * 40)
    assert of_commit is not None
    assert (of_commit.branch, of_commit.metrics, of_commit.run_id) == ("feature", {"auc": 0.2}, f"run-{'d' * 40}")


def test_a_run_without_metrics_leaves_nothing(account: Account, session: Session) -> None:
    assert main_metrics.write(session, account.uri("flows"), run("e" * 40, 1, metrics={})) == []
    assert main_metrics.read_main(session, account.uri("flows"), "churn") is None


def test_of_builds_that_end_at_once_the_newest_is_kept(account: Account, session: Session) -> None:
    prefix = account.uri("flows")
    session.client("s3")
    with ThreadPoolExecutor(8) as pool:
        runs = [run(f"{minute:040}", minute, minute / 100) for minute in range(16)]
        list(pool.map(lambda each: main_metrics.write(session, prefix, each), reversed(runs[::2] + runs[1::2])))
    newest = main_metrics.read_main(session, prefix, "churn")
    assert newest is not None
    assert newest.metrics == {"auc": 0.15}


def test_an_object_that_is_something_else_is_named(account: Account, session: Session) -> None:
    uri = account.put("flows/flow-metrics/churn/main.json", '{"auc": 0.5}')
    with pytest.raises(DataError, match=rf"{uri} does not hold the metrics of a commit: KeyError"):
        main_metrics.read_main(session, account.uri("flows"), "churn")

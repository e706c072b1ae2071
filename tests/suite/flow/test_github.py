"""The verdict on GitHub, whose API is a server of the test's own that checks what it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.cli.flow_report import report_command
from kfp_sagemaker.flow import build
from kfp_sagemaker.flow.github import GitHub, GitHubError, find_token
from kfp_sagemaker.flow.result import GateResult
from tests.suite.conftest import Account
from tests.suite.flow.github_server import REPOSITORY, TOKEN, Server
from tests.suite.flow.results import COMMIT, RESULT, changed


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def github(server: Server) -> GitHub:
    return GitHub(TOKEN, server.url, sleep=server.slept.append)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(report_command, arguments, env={"GITHUB_TOKEN": TOKEN, **environment})


def test_a_build_comments_once_and_then_updates(server: Server, tmp_path: Path) -> None:
    codebuild = {
        "CODEBUILD_BUILD_ID": "project:1",
        "CODEBUILD_SOURCE_REPO_URL": f"https://github.com/{REPOSITORY}.git",
        "CODEBUILD_WEBHOOK_TRIGGER": "pr/7",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": COMMIT,
        "CODEBUILD_BUILD_URL": "https://build/1",
        "GITHUB_API_URL": server.url,
    }
    server.comments.append({"id": 1, "body": "> <!-- kfp-sagemaker flow report: default --> quoted"})
    missed = changed(gates=[GateResult("auc", "at_least", 0.95, 0.9, None, passed=False, missed_by=0.05)])
    for result in (missed, RESULT):
        path = result.write(tmp_path)
        output = tmp_path / "out/report.md"
        done = run(str(path), "-o", str(output), "--github", **codebuild)
        assert done.exit_code == 0, done.output
        assert TOKEN not in done.output
        assert output.read_text() == server.comments[1]["body"].partition("\n")[2]
    assert len(server.comments) == 2
    assert server.comments[1]["body"].startswith("<!-- kfp-sagemaker flow report: default -->\n## ✅ churn: every gate")
    assert [(status["sha"], status["state"], status["context"]) for status in server.statuses] == [
        (COMMIT, "failure", "kfp-sagemaker/churn"),
        (COMMIT, "success", "kfp-sagemaker/churn"),
    ]
    assert server.statuses[0]["description"] == "1 of 1 gates missed: auc 0.9 must be at least 0.95, missed by 0.05"
    assert server.statuses[0]["target_url"] == "https://build/1"


def test_without_github_only_the_file_is_written(server: Server, tmp_path: Path) -> None:
    done = run(str(RESULT.write(tmp_path)), "-o", str(tmp_path / "report.md"), GITHUB_API_URL=server.url)
    assert done.exit_code == 0
    assert done.output.startswith("churn: every gate passed\nWrote ")
    assert (tmp_path / "report.md").read_text().startswith("## ✅ churn")
    assert server.asked == []


def test_a_run_without_result_is_reported_and_fails(server: Server, tmp_path: Path) -> None:
    given = ("--github", "--repository", REPOSITORY, "--pull-request", "7", "--commit", COMMIT, "--api-url", server.url)
    done = run(str(tmp_path / "none.json"), "-o", str(tmp_path / "report.md"), *given)
    assert done.exit_code == 1
    assert "A flow has no result" in server.comments[0]["body"]
    assert [(status["state"], status["context"]) for status in server.statuses] == [("error", "kfp-sagemaker")]


def test_the_comment_is_found_on_later_pages(server: Server, github: GitHub) -> None:
    server.page_size = 2
    server.comments += [{"id": number, "body": "hello"} for number in range(4)] + [{"id": 9, "body": "MARK\nold"}]
    assert github.put_comment(REPOSITORY, 7, "MARK", "new") == ""
    assert server.comments[-1]["body"] == "MARK\nnew"
    assert [method for method, _, _ in server.asked] == ["GET", "GET", "GET", "PATCH"]


def test_what_passes_is_tried_again(server: Server, github: GitHub) -> None:
    server.failures = [(502, {}), (403, {"Retry-After": "7"}), (429, {"X-RateLimit-Remaining": "0"})]
    github.set_status(REPOSITORY, COMMIT, state="success", context="c", description="x" * 200)
    assert [len(status["description"]) for status in server.statuses] == [140]
    assert server.slept == [1, 7, 4]
    server.failures = [(503, {})] * 5
    with pytest.raises(GitHubError, match=r"answered POST .* with 503: not now \(5 attempts\)"):
        github.set_status(REPOSITORY, COMMIT, state="success", context="c", description="")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ((403, {}), r"with 403: not now. The token needs pull_requests: write and statuses: write"),
        ((429, {"Retry-After": "3600"}), r"with 429: not now \(1 attempts\)"),
        ((301, {"Location": "https://elsewhere"}), r"has moved to https://elsewhere"),
    ],
)
def test_what_does_not_pass_says_what_to_do(
    server: Server, github: GitHub, failure: tuple[int, dict[str, str]], message: str
) -> None:
    server.failures = [failure]
    with pytest.raises(GitHubError, match=message) as caught:
        github.set_status(REPOSITORY, COMMIT, state="success", context="c", description="")
    assert TOKEN not in str(caught.value)


def test_a_wrong_token_and_a_closed_door_are_told_without_the_token(server: Server, tmp_path: Path) -> None:
    with pytest.raises(GitHubError, match=r"with 401: Bad credentials\. The token is not valid"):
        GitHub("wrong", server.url).put_comment(REPOSITORY, 7, "M", "")
    with pytest.raises(GitHubError, match=r"cannot be reached at http://127\.0\.0\.1:1/") as caught:
        GitHub(TOKEN, "http://127.0.0.1:1", sleep=lambda seconds: None).put_comment(REPOSITORY, 7, "M", "")
    assert TOKEN not in repr(caught.value)
    assert (
        "no repository" in run(str(RESULT.write(tmp_path)), "-o", str(tmp_path / "r.md"), "--github").exception.args[0]
    )  # type: ignore[union-attr]


def test_a_token_comes_from_the_environment_or_a_secret(account: Account) -> None:
    def session() -> Any:
        return open_session("us-east-1")

    secrets = account.emulator.client("secretsmanager")
    secrets.create_secret(Name=f"{account.name}-plain", SecretString=f"{TOKEN}\n")
    secrets.create_secret(Name=f"{account.name}-object", SecretString=json.dumps({"token": TOKEN}))
    secrets.create_secret(Name=f"{account.name}-other", SecretString=json.dumps({"password": "hunter2"}))
    assert find_token({"GITHUB_TOKEN": TOKEN}, "", session) == TOKEN
    assert (
        find_token({}, f"{account.name}-plain", session) == find_token({}, f"{account.name}-object", session) == TOKEN
    )
    with pytest.raises(ConfigurationError, match="must hold the token") as caught:
        find_token({}, f"{account.name}-other", session)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="set GITHUB_TOKEN, or name a secret"):
        find_token({}, "", session)


def test_github_actions_names_the_head_and_not_the_trial_merge(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": COMMIT}}}))
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "5",
        "GITHUB_SHA": "f" * 40,
        "GITHUB_SERVER_URL": "https://git.example.com",
        "GITHUB_API_URL": "https://git.example.com/api/v3",
    }
    assert build.detect(environment) == build.Build(
        REPOSITORY, 7, COMMIT, f"https://git.example.com/{REPOSITORY}/actions/runs/5", "https://git.example.com/api/v3"
    )
    assert build.detect({**environment, "GITHUB_EVENT_PATH": "/none"}).commit == "f" * 40
    enterprise = {"CODEBUILD_BUILD_ID": "b", "CODEBUILD_SOURCE_REPO_URL": f"https://git.example.com/{REPOSITORY}"}
    assert build.detect(enterprise).api_url == "https://git.example.com/api/v3"
    assert build.detect({}) == build.Build()

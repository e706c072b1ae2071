"""Which pull request a build is for, as CodeBuild and GitHub Actions say it in the environment.

CodeBuild: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
GitHub Actions: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_sagemaker.flow.github import PUBLIC_API_URL

_CODEBUILD_PULL_REQUEST = re.compile(r"pr/(\d+)")
_REPOSITORY_URL = re.compile(r"https://(?:[^@/]*@)?(?P<host>[^/]+)/(?P<repository>[^/]+/[^/]+?)(?:\.git)?/?")


@dataclass(frozen=True)
class Build:
    """A build.

    Attributes:
        repository: ``owner/name``; empty where it is not known.
        pull_request: Number of the pull request; 0 when the build is for none.
        commit: The commit to set a status on: of a pull request its head, not a trial merge.
        url: The build's page; may be empty.
        api_url: Base address of GitHub's API.
    """

    repository: str = ""
    pull_request: int = 0
    commit: str = ""
    url: str = ""
    api_url: str = PUBLIC_API_URL


def detect(environ: Mapping[str, str]) -> Build:
    """The build this process is a part of; everything empty outside of one.

    Args:
        environ: The environment.
    """
    if "CODEBUILD_BUILD_ID" in environ:
        return _codebuild(environ)
    if environ.get("GITHUB_ACTIONS") == "true":
        return _actions(environ)
    return Build(api_url=environ.get("GITHUB_API_URL") or PUBLIC_API_URL)


def _codebuild(environ: Mapping[str, str]) -> Build:
    where = _REPOSITORY_URL.fullmatch(environ.get("CODEBUILD_SOURCE_REPO_URL", ""))
    trigger = environ.get("CODEBUILD_WEBHOOK_TRIGGER") or environ.get("CODEBUILD_SOURCE_VERSION", "")
    number = _CODEBUILD_PULL_REQUEST.fullmatch(trigger)
    host = where["host"] if where else "github.com"
    return Build(
        repository=where["repository"] if where else "",
        pull_request=int(number[1]) if number else 0,
        commit=environ.get("CODEBUILD_RESOLVED_SOURCE_VERSION", ""),
        url=environ.get("CODEBUILD_BUILD_URL", ""),
        api_url=environ.get("GITHUB_API_URL") or _api_url(host),
    )


def _actions(environ: Mapping[str, str]) -> Build:
    event: dict[str, Any] = {}
    path = Path(environ.get("GITHUB_EVENT_PATH", ""))
    if path.is_file():
        event = json.loads(path.read_text(encoding="utf-8"))
    pull_request = event.get("pull_request") or {}
    repository, run_id = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    return Build(
        repository=repository,
        pull_request=int(pull_request.get("number") or 0),
        # GITHUB_SHA of a pull request is the trial merge with its base, which nobody looks at.
        commit=str((pull_request.get("head") or {}).get("sha") or environ.get("GITHUB_SHA", "")),
        url=f"{server}/{repository}/actions/runs/{run_id}" if repository and run_id else "",
        api_url=environ.get("GITHUB_API_URL") or PUBLIC_API_URL,
    )


def _api_url(host: str) -> str:
    return PUBLIC_API_URL if host == "github.com" else f"https://{host}/api/v3"

"""The verdict on GitHub: one comment that is kept up to date, and a commit's status.

API: https://docs.github.com/en/rest/issues/comments and https://docs.github.com/en/rest/commits/statuses

A token needs ``pull_requests: write`` and ``statuses: write`` of the repository. It travels in a header only: no
message, exception or address holds it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from requests.auth import AuthBase

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.errors import ConfigurationError, KfpSagemakerError
from kfp_sagemaker.aws.session import Session

PUBLIC_API_URL = "https://api.github.com"
TOKEN_VARIABLE = "GITHUB_TOKEN"  # noqa: S105 - the variable's name
_API_VERSION = "2022-11-28"
_TIMEOUT_SECONDS = 30
_MAX_ATTEMPTS = 5
_LONGEST_PAUSE_SECONDS = 60.0
_PAGE = 100
# The reference: "description: A short description of the status", 140 characters.
_MAX_DESCRIPTION = 140
_T = TypeVar("_T")
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


class GitHubError(KfpSagemakerError):
    """GitHub refused, or could not be reached."""


class _PassingError(Exception):
    """What may succeed a little later.

    Args:
        reason: What happened.
        pause_seconds: How long GitHub wants to be left alone; 0 where it does not say.
    """

    def __init__(self, reason: str, pause_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause_seconds = pause_seconds


@dataclass(frozen=True, repr=False)
class _Token(AuthBase):
    """The token as a header; being an ``auth``, it also keeps requests from reading ~/.netrc."""

    value: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.value}"
        return request


class GitHub:
    """GitHub's REST API, as far as the report needs it.

    Args:
        token: A token; never shown.
        api_url: Base address; GitHub Enterprise's is ``https://HOST/api/v3``.
        sleep: Pauses between attempts.
    """

    def __init__(
        self, token: str, api_url: str = PUBLIC_API_URL, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._auth = _Token(token)
        self._api_url = api_url.rstrip("/")
        self._sleep = sleep

    def put_comment(self, repository: str, pull_request: int, marker: str, body: str) -> str:
        """Write a comment on a pull request, or replace the one an earlier call wrote.

        Args:
            repository: ``owner/name``.
            pull_request: Its number.
            marker: Opens the comment, unseen, and tells it from others.
            body: Markdown.

        Returns:
            The comment's page.

        Raises:
            GitHubError: GitHub refused, or could not be reached.
        """

        def attempt() -> str:
            # A comment whose answer got lost is found by the next attempt, and not written twice.
            comment = self._find_comment(repository, pull_request, marker)
            if comment:
                path, method = f"/repos/{repository}/issues/comments/{comment['id']}", "PATCH"
            else:
                path, method = f"/repos/{repository}/issues/{pull_request}/comments", "POST"
            written = self._call(method, self._api_url + path, {"body": f"{marker}\n{body}"}).json()
            return str(written.get("html_url", ""))

        return self._with_retries(attempt)

    def set_status(
        self, repository: str, commit: str, *, state: str, context: str, description: str, target_url: str = ""
    ) -> None:
        """Set a commit's status.

        Args:
            repository: ``owner/name``.
            commit: The full SHA.
            state: ``success``, ``failure``, ``error`` or ``pending``.
            context: Tells it from other statuses of the commit.
            description: A few words; cut at 140 characters.
            target_url: Where a click leads; may be empty.

        Raises:
            GitHubError: GitHub refused, or could not be reached.
        """
        content = {"state": state, "context": context, "description": _shortened(description)}
        if target_url:
            content["target_url"] = target_url
        url = f"{self._api_url}/repos/{repository}/statuses/{commit}"
        self._with_retries(lambda: self._call("POST", url, content))

    def _find_comment(self, repository: str, pull_request: int, marker: str) -> Mapping[str, Any] | None:
        url = f"{self._api_url}/repos/{repository}/issues/{pull_request}/comments?per_page={_PAGE}"
        while url:
            answer = self._call("GET", url)
            for comment in answer.json():
                # Quoted in somebody else's comment it stands elsewhere.
                if str(comment.get("body", "")).startswith(marker):
                    return dict(comment)
            url = answer.links.get("next", {}).get("url", "")
            if url and not url.startswith(self._api_url + "/"):
                raise GitHubError(f"GitHub's next page is at {url}, which is not below {self._api_url}")
        return None

    def _with_retries(self, attempt: Callable[[], _T]) -> _T:
        pause = 1.0
        for number in range(1, _MAX_ATTEMPTS + 1):
            try:
                return attempt()
            except _PassingError as error:
                if number == _MAX_ATTEMPTS or error.pause_seconds > _LONGEST_PAUSE_SECONDS:
                    raise GitHubError(f"{error.reason} ({number} attempts)") from None
                self._sleep(max(pause, error.pause_seconds))
                pause *= 2
        raise AssertionError  # the last attempt returns or raises

    def _call(self, method: str, url: str, content: Mapping[str, Any] | None = None) -> requests.Response:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _API_VERSION}
        try:
            answer = requests.request(
                method,
                url,
                json=content,
                headers=headers,
                auth=self._auth,
                timeout=_TIMEOUT_SECONDS,
                # A repository that was renamed answers with a redirect, and requests makes a GET of a POST.
                allow_redirects=method == "GET",
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _PassingError(f"GitHub cannot be reached at {url}: {type(error).__name__}") from None
        if answer.ok and not answer.is_redirect:
            return answer
        message = f"GitHub answered {method} {url} with {answer.status_code}: {_message(answer)}"
        pause = _pause_seconds(answer)
        if answer.status_code in _TRANSIENT or pause is not None:
            raise _PassingError(message, pause or 0.0)
        raise GitHubError(message + _advice(answer))


def find_token(environ: Mapping[str, str], secret_id: str, open_session: Callable[[], Session]) -> str:
    """The token: from Secrets Manager when a secret is named, else from ``GITHUB_TOKEN``.

    Args:
        environ: The environment.
        secret_id: Name or ARN of a secret whose string is the token, or a JSON object with ``token``; may be empty.
        open_session: Opens a session when it is needed.

    Raises:
        ConfigurationError: There is none.
        AwsCallError: Secrets Manager refused.
    """
    if not secret_id:
        token = environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise ConfigurationError(f"no token for GitHub: set {TOKEN_VARIABLE}, or name a secret with --token-secret")
        return token
    with aws_errors(f"reading secret {secret_id}"):
        answer = open_session().client("secretsmanager").get_secret_value(SecretId=secret_id)
    text = str(answer.get("SecretString") or "").strip()
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("token", ""))
        except ValueError:
            text = ""
    if not text:
        raise ConfigurationError(f'secret {secret_id} must hold the token, or a JSON object such as {{"token": "..."}}')
    return text


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("message", ""))[:500]
    except (ValueError, AttributeError):
        return answer.reason or ""


def _advice(answer: requests.Response) -> str:
    if answer.status_code == 401:
        return ". The token is not valid, or expired"
    if answer.status_code in (403, 404):
        return ". The token needs pull_requests: write and statuses: write of that repository"
    if answer.is_redirect:
        return f". The repository has moved to {answer.headers.get('Location', '?')}: name the new one"
    return ""


def _pause_seconds(answer: requests.Response) -> float | None:
    """How long a limit on the rate lasts; ``None`` when there is none."""
    if answer.status_code not in (403, 429):
        return None
    if "Retry-After" in answer.headers:
        return float(answer.headers["Retry-After"])
    if answer.headers.get("X-RateLimit-Remaining") == "0":
        return max(float(answer.headers.get("X-RateLimit-Reset", 0)) - time.time(), 0.0)
    return None


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_DESCRIPTION else f"{line[: _MAX_DESCRIPTION - 1]}…"

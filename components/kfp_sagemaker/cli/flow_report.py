"""``kfp-sagemaker flow report``: the verdict on a change, for people and for GitHub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from kfp_sagemaker.aws.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from kfp_sagemaker.flow.build import Build
    from kfp_sagemaker.flow.github import GitHub
    from kfp_sagemaker.flow.result import FlowResult

CONSOLE = Console(highlight=False, markup=False, emoji=False)
# Opens the comment; GitHub does not show it.
MARKER = "<!-- kfp-sagemaker flow report: {key} -->"


@click.command("report")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULT_JSON...")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("flow-report.md"),
    show_default=True,
    help="File to write the Markdown to.",
)
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Price table, in place of the list prices of us-east-1 that come with the package.",
)
@click.option(
    "--github", "is_posted", is_flag=True, help="Comment on the pull request and set the commit's status as well."
)
@click.option("--repository", metavar="OWNER/NAME", default="", help="By default that of the build.")
@click.option("--pull-request", type=int, default=0, help="Its number; by default that of the build.")
@click.option("--commit", metavar="SHA", default="", help="To set the status on; by default that of the build.")
@click.option("--api-url", default="", help="Of GitHub Enterprise: https://HOST/api/v3. Default: GITHUB_API_URL.")
@click.option(
    "--token-secret",
    metavar="SECRET_ID",
    default="",
    help="Name or ARN of a secret in Secrets Manager that holds the token. Default: the variable GITHUB_TOKEN.",
)
@click.option(
    "--key", default="default", show_default=True, help="Tells this comment and status from those of other builds."
)
def report_command(
    results: tuple[Path, ...],
    output: Path,
    prices: Path | None,
    is_posted: bool,
    repository: str,
    pull_request: int,
    commit: str,
    api_url: str,
    token_secret: str,
    key: str,
) -> None:
    """Report how runs of flows came out: metrics against main, gates, jobs, cost, learning curve.

    RESULT_JSON is the flow-result.json of a run, or the run's folder. Writes Markdown; with --github it becomes the one
    comment on the pull request that every later report replaces, and each flow sets a status on the commit. Inside
    CodeBuild and GitHub Actions the pull request is known; elsewhere name it.

    Ends with 1 when a flow has no result, which is reported too.
    """
    from kfp_sagemaker.flow import build, cost, report
    from kfp_sagemaker.flow import result as flow_result

    table = cost.load(prices)
    where = build.detect(os.environ)
    where = build.Build(
        repository=repository or where.repository,
        pull_request=pull_request or where.pull_request,
        commit=commit or where.commit,
        url=where.url,
        api_url=api_url or where.api_url,
    )
    found: list[FlowResult] = []
    problems: list[str] = []
    for path in results:
        try:
            found.append(flow_result.read(path))
        except InputError as error:
            problems += error.problems
    text = report.render(found, table, build_url=where.url, problems=problems)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    for result in found:
        CONSOLE.print(f"{result.flow}: {report.headline(result)}", soft_wrap=True)
    CONSOLE.print(f"Wrote {output}", soft_wrap=True)
    if is_posted:
        _post(where, found, problems, text, token_secret, key)
    if problems:
        raise InputError(problems, "flow report")


def _post(
    where: Build, found: Sequence[FlowResult], problems: Sequence[str], text: str, token_secret: str, key: str
) -> None:
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.flow import github

    if not where.repository:
        raise ConfigurationError("no repository to report to: give --repository OWNER/NAME")
    token = github.find_token(os.environ, token_secret, open_session)
    api = github.GitHub(token, where.api_url)
    if where.pull_request:
        page = api.put_comment(where.repository, where.pull_request, MARKER.format(key=key), text)
        CONSOLE.print(f"Commented on pull request {where.pull_request}: {page}", soft_wrap=True)
    else:
        CONSOLE.print("No pull request to comment on.")
    _set_statuses(api, where, found, problems, key)


def _set_statuses(api: GitHub, where: Build, found: Sequence[FlowResult], problems: Sequence[str], key: str) -> None:
    from kfp_sagemaker.flow import report

    prefix = "kfp-sagemaker" if key == "default" else f"kfp-sagemaker/{key}"
    for result in found:
        state = "success" if report.succeeded(result) else "failure"
        api.set_status(
            where.repository,
            where.commit or result.commit,
            state=state,
            context=f"{prefix}/{result.flow}",
            description=report.headline(result),
            target_url=where.url or next(iter(result.links.values()), ""),
        )
        CONSOLE.print(f"Set status {prefix}/{result.flow} to {state}.")
    if problems and where.commit:
        api.set_status(
            where.repository,
            where.commit,
            state="error",
            context=prefix,
            description=problems[0],
            target_url=where.url,
        )
        CONSOLE.print(f"Set status {prefix} to error.")

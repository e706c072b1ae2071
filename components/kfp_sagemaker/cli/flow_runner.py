"""Runs a training flow: its place, its engine, its gates, its result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kfp_sagemaker.access.documents import Place
from kfp_sagemaker.aws.errors import ConfigurationError, JobError, KfpSagemakerError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.cli import account, emulator, flow_engines, git
from kfp_sagemaker.cli.launch import environment_of
from kfp_sagemaker.cli.run import new_run_id
from kfp_sagemaker.flow import execution_role, gates, loading, main_metrics, outcome, plan, requests, sources
from kfp_sagemaker.flow.definition import Flow, Glue
from kfp_sagemaker.flow.plan import Plan, Setting
from kfp_sagemaker.flow.requests import Request
from kfp_sagemaker.flow.result import FlowResult

CONSOLE = Console(highlight=False)
DEFAULT_LOCAL_REGION = "us-east-1"
STATE_FOLDER = "embedded-aws"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Options:
    """What the command line says about a run."""

    file: Path
    engine: str
    on_aws: bool
    yes: bool
    commit: str
    branch: str
    main_branch: str
    run_dir: Path | None
    host: str
    experiment: str
    service_account: str
    token_file: Path | None
    namespace: str

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run_dir or Path()


@contextmanager
def _aws(flow: Flow, options: Options) -> Iterator[Session]:
    """The account, the embedded AWS that runs already, or one that is started and stopped here."""
    if options.on_aws or options.engine == "kubeflow":
        yield open_session(flow.region)
        return
    if urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in _LOOPBACK:
        yield open_session(flow.region or os.environ.get("AWS_REGION", "") or DEFAULT_LOCAL_REGION)
        return
    state = options.folder.parent / STATE_FOLDER
    state.mkdir(parents=True, exist_ok=True)
    with CONSOLE.status("Starting the embedded AWS"):
        aws = emulator.start(
            state,
            options.folder.parent / f"{STATE_FOLDER}.log",
            auth=False,
            multi_model_memory_mb=0,
            outlives_parent=False,
        )
    try:
        with environment_of({**aws.environment, "AWS_REGION": flow.region or DEFAULT_LOCAL_REGION}):
            yield open_session()
    finally:
        aws.stop()


def run_file(options: Options) -> FlowResult:
    """Run the flow in a file, write its result and print it.

    Args:
        options: What the command line says.

    Returns:
        How it came out.

    Raises:
        FlowFileError: The file is wrong.
        ConfigurationError: The surroundings are incomplete.
    """
    flow = loading.load(options.file, engine=options.engine)
    folder = options.file.resolve().parent
    options = replace(
        options,
        commit=options.commit or git.head_commit(folder),
        branch=options.branch or git.branch(folder),
        run_dir=(options.run_dir or Path("runs") / new_run_id(flow.name)).resolve(),
    )
    with _aws(flow, options) as session:
        result = run(flow, options, session)
    show(result, result.write(options.folder))
    return result


def run(flow: Flow, options: Options, session: Session) -> FlowResult:
    """Run a flow to its end.

    Args:
        flow: The flow.
        options: How.
        session: Where.

    Returns:
        How it came out; a failure of the run is a result too.
    """
    started_at = datetime.now(UTC).replace(microsecond=0)
    bucket = flow.bucket or account.default_bucket(session)
    is_local = not session.console_url("/")
    if options.on_aws and not options.yes:
        _ask(flow, session, bucket)
    role_arn = account.prepare(session, bucket, flow.roles.sagemaker, is_local=is_local)
    metrics_s3_uri = "/".join(filter(None, ["s3:/", bucket, flow.prefix]))
    main = main_metrics.read_main(session, metrics_s3_uri, flow.name) if flow.gates else None
    from kfp_sagemaker._component import ANALYZER_IMAGE

    setting = Setting(
        bucket=bucket,
        region=session.region,
        role_arn=role_arn,
        glue_role_arn=_glue_role(flow, session, bucket, is_local=is_local),
        commit=options.commit,
        engine=options.engine,
        analyzer_image=ANALYZER_IMAGE,
        main_metrics=main.metrics if main else None,
    )
    made = plan.build(flow, setting)
    built = requests.build(made, session)
    sources.upload(session, made.uploads)
    CONSOLE.print(f"[bold]{flow.name}[/bold] with {options.engine}  [dim]{made.run_id}[/dim]\n", soft_wrap=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    links: dict[str, str] = {}
    reason = ""
    try:
        links, reason = _engine(made, built, options, session, is_local=is_local)
    except ConfigurationError:
        raise
    except JobError as error:
        reason = ": ".join(filter(None, [error.summary, error.reason]))
    except KfpSagemakerError as error:
        reason = str(error)
    result = _result(made, built, options, session, started_at, reason, links)
    result = replace(result, main_commit=main.commit if main else "")
    main_metrics.write(session, metrics_s3_uri, result, main_branch=options.main_branch)
    return result


def _glue_role(flow: Flow, session: Session, bucket: str, *, is_local: bool) -> str:
    """The role of the flow's Glue job; empty where it has none that is made of a script."""
    if flow.roles.glue or not (isinstance(flow.preprocessing, Glue) and flow.preprocessing.script):
        return flow.roles.glue
    place = Place(session.account_id, bucket, "", session.partition, session.region)
    return flow_engines.put_role(
        session,
        execution_role.GLUE_ROLE_NAME,
        execution_role.glue_trust(place),
        execution_role.glue_policy(place),
        purpose="Assumed by Glue for the flows of kfp-sagemaker",
        is_local=is_local,
    )


def _ask(flow: Flow, session: Session, bucket: str) -> None:
    """Show what will be paid for, and ask."""
    training, evaluation, deployment = flow.training, flow.evaluation, flow.deployment
    resources = training.resources
    jobs = training.tuning.max_jobs if training.tuning else 1
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row("account", f"{session.account_id}, {session.region}")
    table.add_row("bucket", bucket)
    if flow.preprocessing is not None:
        table.add_row("preprocessing", type(flow.preprocessing).__name__.lower())
    table.add_row("training", f"{jobs} x {resources.instance_count} {resources.instance_type}")
    table.add_row("at most", f"{resources.max_runtime_seconds} seconds each")
    if evaluation:
        table.add_row("evaluation", f"{evaluation.instance_count} {evaluation.instance_type}")
    if deployment:
        endpoint = f"{deployment.endpoint_name}, {deployment.instance_count} {deployment.instance_type}, until deleted"
        table.add_row("endpoint", endpoint)
    CONSOLE.print("This creates in AWS, and AWS charges for it:\n")
    CONSOLE.print(table)
    CONSOLE.print()
    if not click.confirm("Go ahead?"):
        raise click.Abort


def _engine(
    made: Plan, built: list[Request], options: Options, session: Session, *, is_local: bool
) -> tuple[dict[str, str], str]:
    """Run it; links to look at and, when it failed, why."""
    if options.engine == "stepfunctions":
        return flow_engines.run_stepfunctions(made, built, session, CONSOLE, is_local=is_local)
    if options.engine == "kubeflow":
        return flow_engines.run_kubeflow(
            made,
            CONSOLE,
            host=options.host,
            experiment=options.experiment,
            service_account=options.service_account,
            namespace=options.namespace,
            token_file=options.token_file,
        )
    return flow_engines.run_locally(made, options.folder, session, CONSOLE)


def _result(
    made: Plan,
    built: list[Request],
    options: Options,
    session: Session,
    started_at: datetime,
    reason: str,
    links: dict[str, str],
) -> FlowResult:
    metrics = outcome.metrics(session, made.evaluation_s3_uri)
    main = made.setting.main_metrics
    results = gates.evaluate(made.flow.gates, metrics, main)
    missed = gates.missed(results)
    if missed and metrics:
        reason = "\n".join(missed)  # the engine says the same, wrapped in its own words
    training = outcome.training_description(session, built)
    return FlowResult(
        flow=made.flow.name,
        commit=options.commit,
        branch=options.branch,
        engine=options.engine,
        run_id=made.run_id,
        started_at=outcome.iso(started_at),
        ended_at=outcome.iso(datetime.now(UTC)),
        status="Failed" if reason else "Succeeded",
        failure_reason=reason,
        metrics=metrics,
        main_metrics=dict(main or {}),
        gates=results,
        jobs=outcome.jobs(session, built, started_at),
        links=links,
        learning_curve=outcome.learning_curve(session, training),
        model_data_url=training.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
    )


def show(result: FlowResult, path: Path) -> None:
    """Print how a run came out: metrics, gates, jobs, and where the result is."""
    for name, value in sorted(result.metrics.items()):
        main = result.main_metrics.get(name)
        compared = "" if main is None else f"  [dim]main {main:.6g}, {value - main:+.3g}[/dim]"
        CONSOLE.print(f"  {name:<24} {value:.6g}{compared}", soft_wrap=True)
    for gate in result.gates if result.metrics else ():
        mark = "[green]passed[/green]" if gate.passed else "[red]missed[/red]"
        CONSOLE.print(f"Gate {mark}  {gates.sentence(gate)}", soft_wrap=True)
    for job in result.jobs:
        reused = ", reused" if job.reused else ""
        CONSOLE.print(
            f"  [dim]{job.kind:<11}{job.name}  {job.status}, {job.billable_seconds} s{reused}[/dim]", soft_wrap=True
        )
    if result.failure_reason and not (result.metrics and gates.missed(result.gates)):
        CONSOLE.print(f"[red]{escape(result.failure_reason)}[/red]", soft_wrap=True)
    for label, url in result.links.items():
        CONSOLE.print(f"{label}  {url}", soft_wrap=True)
    CONSOLE.print(f"Result  {path}", soft_wrap=True)
    CONSOLE.print("[green]Succeeded[/green]" if result.status == "Succeeded" else "[red]Failed[/red]")

"""The three engines a flow runs with: kfp.local, Kubeflow Pipelines, Step Functions.

Each returns links to look at and, when the run failed, why.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from kfp_sagemaker.access import documents
from kfp_sagemaker.access.changes import Changes
from kfp_sagemaker.access.iam import Iam
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.cli import account
from kfp_sagemaker.cli.pipeline_file import PipelineFile
from kfp_sagemaker.cli.run import Run, execute, show_outcome
from kfp_sagemaker.flow import execution_role, executions, outcome, state_machine
from kfp_sagemaker.flow.plan import Plan
from kfp_sagemaker.flow.requests import Request

PIPELINE_FILE = "pipeline.yaml"
Ended = tuple[dict[str, str], str]


def run_locally(plan: Plan, run_dir: Path, session: Session, console: Console) -> Ended:
    """Run the flow's pipeline under kfp.local, its jobs where the session's are.

    Args:
        plan: The flow's plan.
        run_dir: Folder of logs and outputs.
        session: For the region; the steps take everything else from the environment.
        console: Shows the progress.
    """
    compiled = run_dir / PIPELINE_FILE
    _compile(plan, compiled)
    run = Run(plan.run_id, run_dir, "", {"AWS_REGION": session.region})
    state = execute(PipelineFile(compiled), {}, run, console)
    show_outcome(state, run, console)
    if state.succeeded:
        return {}, ""
    failed = state.failed_steps()
    reason = f"step {failed[0].title}: {failed[0].error_text()}" if failed else state.error
    return {}, reason or ("cancelled" if state.is_cancelled else "the run failed")


def run_kubeflow(
    plan: Plan,
    console: Console,
    *,
    host: str,
    experiment: str,
    service_account: str,
    namespace: str,
    token_file: Path | None,
) -> Ended:
    """Start the flow's pipeline in Kubeflow and follow it to its end.

    Args:
        plan: The flow's plan.
        console: Shows the progress.
        host: Address of Kubeflow Pipelines.
        experiment: The experiment; made when it is missing.
        service_account: Of the run's pods; empty for Kubeflow's own.
        namespace: The namespace; empty for Kubeflow's own.
        token_file: File with a bearer token.
    """
    from kfp_sagemaker.cli.submit import connect, follow

    client = connect(host, namespace, token_file)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / PIPELINE_FILE
        _compile(plan, compiled)
        made = client.create_experiment(experiment, namespace=namespace or None)
        started = client.run_pipeline(
            experiment_id=made.experiment_id,
            job_name=f"{plan.flow.name} {plan.setting.commit[:12]} {time.strftime('%Y-%m-%d %H:%M:%S')}",
            pipeline_package_path=str(compiled),
            params={},
            service_account=service_account or None,
        )
    links = {"Kubeflow run": f"{host.rstrip('/')}/#/runs/details/{started.run_id}"}
    console.print(f"Run  {links['Kubeflow run']}", soft_wrap=True)
    succeeded = follow(client, started.run_id, console)
    return links, "" if succeeded else "the run in Kubeflow failed; see its page"


def run_stepfunctions(
    plan: Plan, requests: Sequence[Request], session: Session, console: Console, *, is_local: bool
) -> Ended:
    """Run the flow's state machine.

    Args:
        plan: The flow's plan.
        requests: Its requests.
        session: Where.
        console: Takes a line a state.
        is_local: Whether this is the embedded AWS, where a role works at once.
    """
    role_arn = plan.flow.roles.step_functions or _put_role(plan, requests, session, is_local=is_local)
    definition = state_machine.definition(plan, requests, outcome.next_attempts(session, requests))
    machine = executions.put_state_machine(session, plan.flow.name, definition, role_arn, plan.flow.tags)
    name = f"{plan.run_id}-{plan.digest}"
    ended = executions.run(session, machine, name, sink=lambda line: console.print(escape(line), soft_wrap=True))
    return ({"Step Functions execution": ended.console_url} if ended.console_url else {}), ""


def _put_role(plan: Plan, requests: Sequence[Request], session: Session, *, is_local: bool) -> str:
    """The state machine's own role, brought to what this flow calls."""
    place = documents.Place(session.account_id, plan.setting.bucket, "", session.partition, session.region)
    return put_role(
        session,
        execution_role.role_name(plan.flow.name),
        execution_role.trust(place),
        execution_role.policy(place, plan, requests),
        purpose=f"Assumed by Step Functions for the flow {plan.flow.name}",
        is_local=is_local,
    )


def put_role(
    session: Session,
    name: str,
    trust: documents.Document,
    policy: documents.Document,
    *,
    purpose: str,
    is_local: bool,
) -> str:
    """Make sure of a role, and wait until AWS knows one that is new.

    Args:
        session: The account.
        name: Name of the role.
        trust: Who may assume it.
        policy: What it may do.
        purpose: Its description.
        is_local: Whether this is the embedded AWS, where a role works at once.

    Returns:
        Its ARN.
    """
    iam = Iam(session, Changes(lambda line: None))
    existed = account.find_role(session, name)
    arn = iam.put_role(name, trust, purpose)
    iam.put_role_policy(name, account.POLICY_NAME, policy)
    if not existed and not is_local:
        time.sleep(account.ROLE_PROPAGATION_SECONDS)
    return arn


def _compile(plan: Plan, target: Path) -> None:
    from kfp_sagemaker.cli.flow_pipeline import compile_flow

    target.parent.mkdir(parents=True, exist_ok=True)
    compile_flow(plan, target)

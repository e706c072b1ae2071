"""``kfp-sagemaker doctor``: looks at everything a run in Kubeflow needs, a line each, with the fix."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from kfp_sagemaker.aws.errors import KfpSagemakerError

if TYPE_CHECKING:
    from kfp_sagemaker.access.documents import Place
    from kfp_sagemaker.aws.session import Session

CONSOLE = Console(highlight=False, soft_wrap=True)
# Since this version SecretAsEnv of kubernetes_executor_config.proto has `optional`; the driver of older ones refuses a
# pipeline that says it: https://github.com/kubeflow/pipelines/issues/12495
MINIMUM_KFP_VERSION = (2, 15)
_PROBE = "kfp-sagemaker-doctor"


@dataclass(frozen=True)
class Finding:
    """What a look at something found.

    Attributes:
        name: What was looked at.
        is_fine: Whether it is as it ought to be.
        text: What there is; the trouble when it is not fine.
        fix: What to do then.
    """

    name: str
    is_fine: bool
    text: str
    fix: str = ""


@click.command("doctor")
@click.option("--bucket", default="", help="Bucket of data and models. By default kfp-sagemaker-ACCOUNT-REGION.")
@click.option("--prefix", default="", help="What the keys in it start with.")
@click.option("--region", default="", help="AWS region; by default AWS_REGION or your profile's.")
@click.option("--role-arn", default="", help="Of SageMaker's jobs; by default kfp-sagemaker-execution.")
@click.option("--namespace", "-n", default="", help="Look at the Secret there, too.")
@click.option("--secret-name", default="aws-secret", show_default=True, help="The Secret.")
@click.option("--context", default="", help="Context of your kubeconfig; by default the present one.")
@click.option("--host", default="", envvar="KF_PIPELINES_ENDPOINT", help="Look at Kubeflow Pipelines there, too.")
def doctor_command(
    bucket: str, prefix: str, region: str, role_arn: str, namespace: str, secret_name: str, context: str, host: str
) -> None:
    """Look at what a run needs: identity, rights, bucket, role, Secret, Kubeflow. Ends with 1 when something lacks."""
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.cli.credentials import place_of

    findings: list[Finding] = []

    def look(name: str, fix: str, check: Callable[[], str]) -> bool:
        """Print and keep one finding; an error is its text."""
        try:
            finding = Finding(name, True, check())
        except KfpSagemakerError as error:
            finding = Finding(name, False, " ".join(str(error).split()), fix)
        findings.append(finding)
        mark = "[green]✓[/green]" if finding.is_fine else "[red]✗[/red]"
        CONSOLE.print(
            f"{mark} {finding.name:<12}{escape(finding.text)}" + (f"  -> {fix}" if not finding.is_fine else "")
        )
        return finding.is_fine

    session = open_session(region)
    if look("identity", "set AWS_ACCESS_KEY_ID or AWS_PROFILE", lambda: _identity(session)):
        place = place_of(session, bucket, prefix)
        role_arn = role_arn or place.execution_role_arn
        create = "kfp-sagemaker credentials create"
        look("bucket", f"aws s3 mb s3://{place.bucket}, and --prefix as in {create}", lambda: _bucket(session, place))
        look("role", create, lambda: _role(session, role_arn))
        look("rights", create, lambda: _rights(session, place, role_arn))
    if namespace:
        fix = f"kfp-sagemaker credentials create --mode secret -n {namespace}"
        look("secret", fix, lambda: _secret(namespace, secret_name, context))
    if host:
        look("kubeflow", "--host is the address in your browser, up to #", lambda: _kubeflow(host))
    sys.exit(0 if all(finding.is_fine for finding in findings) else 1)


class _FoundError(KfpSagemakerError):
    """What a look found to be wrong."""


def _identity(session: Session) -> str:
    from kfp_sagemaker.aws.session import aws_errors

    with aws_errors("identity"):
        return f"{session.client('sts').get_caller_identity()['Arn']} in {session.region}"


def _bucket(session: Session, place: Place) -> str:
    from kfp_sagemaker.aws import s3

    uri = s3.join_uri(f"s3://{place.bucket}", place.prefix, _PROBE)
    s3.write_text(session, uri, "written by kfp-sagemaker doctor, may be deleted\n")
    s3.read_text(session, uri)
    return f"{place.bucket} is there, and {uri} can be written"


def _role(session: Session, role_arn: str) -> str:
    """That the role is there and trusts SageMaker."""
    from kfp_sagemaker.aws.session import aws_errors

    name = role_arn.rpartition("/")[2]
    with aws_errors(f"role {name}"):
        trust = session.client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    services = [statement.get("Principal", {}).get("Service", []) for statement in trust["Statement"]]
    if not any("sagemaker.amazonaws.com" in ([each] if isinstance(each, str) else each) for each in services):
        raise _FoundError(f"{role_arn} does not trust sagemaker.amazonaws.com")
    return f"{role_arn} can be assumed by SageMaker"


def _rights(session: Session, place: Place, role_arn: str) -> str:
    """Ask IAM to simulate everything that steps ought to be allowed, for who we are."""
    from kfp_sagemaker.access import needs, simulation

    caller = simulation.caller_of(session)
    if caller.endswith(":root"):
        return "the account's root may do anything; use a user or role with less"
    decisions = simulation.simulate(session, caller, needs.of_steps(place, None, role_arn), place)
    refused = sorted({each.need.action for each in decisions if not each.is_allowed})
    if refused:
        raise _FoundError(f"{caller} lacks {', '.join(refused)}: see kfp-sagemaker permissions check")
    return f"all {len(decisions)} rights of a step, by IAM's simulation"


def _secret(namespace: str, name: str, context: str) -> str:
    from kfp_sagemaker.access.changes import Changes
    from kfp_sagemaker.access.cluster import KEY_ID, Cluster, secret_problems
    from kfp_sagemaker.access.iam import masked

    cluster = Cluster(namespace, Changes(CONSOLE.print), context=context)
    if not cluster.may("get", "secrets", name):
        raise _FoundError(f"you may not read Secret {name} in namespace {namespace}, so it was not looked at")
    values = cluster.secret(name)
    if values is None:
        raise _FoundError(f"there is no Secret {name} in namespace {namespace}")
    if problems := secret_problems(values):
        raise _FoundError(f"Secret {name} in namespace {namespace}: {'; '.join(problems)}")
    return f"{name} in namespace {namespace} is well-formed and holds key {masked(values[KEY_ID])}"


def _kubeflow(host: str) -> str:
    import json
    import urllib.request

    url = f"{host.rstrip('/')}/apis/v2beta1/healthz"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the address the user gave
            health = json.load(answer)
    except (OSError, ValueError) as error:
        raise _FoundError(f"no answer of Kubeflow Pipelines' v2 API at {url}: {error}") from None
    version = str(health.get("tag_name") or "")
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match and (int(match[1]), int(match[2])) < MINIMUM_KFP_VERSION:
        wanted = ".".join(map(str, MINIMUM_KFP_VERSION))
        raise _FoundError(
            f"Kubeflow Pipelines {version} is too old: {wanted} or later knows optional Secrets; compile for it with "
            "--credentials irsa or pod-identity, which name no Secret"
        )
    return f"Kubeflow Pipelines {version or '(of unknown version)'} answers at {host}"

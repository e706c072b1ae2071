"""``kfp-sagemaker credentials``: gives the pods of a Kubeflow namespace their rights on AWS."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from kfp_sagemaker.access.credentials import Credentials
    from kfp_sagemaker.access.documents import Place
    from kfp_sagemaker.aws.session import Session

CONSOLE = Console(highlight=False, soft_wrap=True)
MODES = ("secret", "irsa", "pod-identity")


@click.group("credentials")
def credentials_group() -> None:
    """Give the pods of a Kubeflow namespace their rights on AWS, look at them, renew or remove them.

    You need administrator's rights in IAM for it, and access to the namespace; the pods get the least they need. What
    is there already is kept, so that each command may be repeated. No secret is ever printed.
    """


_PLACE_OPTIONS = (
    click.option("--bucket", default="", help="Bucket of data and models. By default kfp-sagemaker-ACCOUNT-REGION."),
    click.option("--prefix", default="", help="What the keys in it start with that the pods may use. By default all."),
    click.option("--region", default="", help="AWS region; by default AWS_REGION or your profile's."),
    click.option("--namespace", "-n", default="kubeflow-user-example-com", show_default=True, help="Of the runs."),
    click.option("--service-account", default="default-editor", show_default=True, help="Of the runs."),
    click.option("--oidc-issuer", default="", help="For irsa, in place of --cluster: the OpenID Connect issuer."),
)
_TARGET_OPTIONS = (
    click.option("--mode", type=click.Choice(MODES), required=True, help="A key in a Secret, or a role by either way."),
    *_PLACE_OPTIONS,
    click.option("--cluster", default="", help="For irsa and pod-identity: the name of the EKS cluster."),
    click.option("--secret-name", default="aws-secret", show_default=True, help="For mode secret."),
    click.option("--context", default="", help="Context of your kubeconfig; by default the present one."),
)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Only print what would be done.")


def _with(options: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(**arguments: Any) -> Any:
            return function(**arguments)

        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@credentials_group.command("create")
@_with(_TARGET_OPTIONS)
@_dry_run_option
def create_command(dry_run: bool, **options: Any) -> None:
    """Make user or role, policies, SageMaker's role, and what gives the pods the rights; or bring them up to date."""
    credentials, changes = _credentials(dry_run, options)
    role_arn = credentials.create()
    if not changes.count:
        CONSOLE.print("Everything is as it ought to be.")
    CONSOLE.print(f"role_arn of the pipelines: {role_arn}")


@credentials_group.command("show")
@_with(_TARGET_OPTIONS)
def show_command(**options: Any) -> None:
    """Show what there is, without any secret."""
    credentials, _ = _credentials(False, options)
    for name, value in credentials.show().items():
        CONSOLE.print(f"{name:<28}{value}")


@credentials_group.command("rotate")
@_with(_TARGET_OPTIONS)
@_dry_run_option
def rotate_command(dry_run: bool, **options: Any) -> None:
    """Put a new key in the Secret, and delete the old one once the new one works."""
    credentials, _ = _credentials(dry_run, options)
    credentials.rotate()


@credentials_group.command("delete")
@_with(_TARGET_OPTIONS)
@click.option("--with-execution-role", is_flag=True, help="Also SageMaker's role, which other namespaces may use.")
@_dry_run_option
def delete_command(dry_run: bool, with_execution_role: bool, **options: Any) -> None:
    """Delete what create made; bucket and objects stay."""
    credentials, changes = _credentials(dry_run, options)
    credentials.delete(with_execution_role=with_execution_role)
    if not changes.count:
        CONSOLE.print("Nothing to delete.")


@credentials_group.command("documents")
@_with(_PLACE_OPTIONS)
@click.option("--account", default="", help="Account number; by default that of your credentials.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("iam"), help="Folder to write."
)
def documents_command(account: str, output: Path, namespace: str, service_account: str, **options: str) -> None:
    """Write the IAM policies and trusts as JSON files, to create them by other means."""
    from kfp_sagemaker.access.documents import all_documents, to_json
    from kfp_sagemaker.aws.session import open_session

    place = place_of(open_session(options["region"]), options["bucket"], options["prefix"], account_id=account)
    issuer = options["oidc_issuer"] or f"https://oidc.eks.{place.region}.amazonaws.com/id/YOUR_CLUSTER"
    output.mkdir(parents=True, exist_ok=True)
    for name, document in all_documents(place, issuer, namespace, service_account).items():
        (output / f"{name}.json").write_text(to_json(document))
        CONSOLE.print(f"Wrote {output / name}.json")


def place_of(session: Session, bucket: str, prefix: str, *, account_id: str = "") -> Place:
    """Where the documents are for; account and bucket by default the session's."""
    from kfp_sagemaker.access.documents import Place

    account_id = account_id or session.account_id
    bucket = bucket or f"kfp-sagemaker-{account_id}-{session.region}"
    return Place(account_id, bucket, prefix, session.partition, session.region)


def _credentials(dry_run: bool, options: dict[str, Any]) -> tuple[Credentials, Any]:
    from kfp_sagemaker.access.changes import Changes
    from kfp_sagemaker.access.cluster import Cluster
    from kfp_sagemaker.access.credentials import Credentials, Target
    from kfp_sagemaker.aws.session import open_session

    session = open_session(options["region"])
    target = Target(
        mode=options["mode"],
        place=place_of(session, options["bucket"], options["prefix"]),
        namespace=options["namespace"],
        service_account=options["service_account"],
        secret_name=options["secret_name"],
        cluster_name=options["cluster"],
        oidc_issuer=options["oidc_issuer"],
    )
    changes = Changes(CONSOLE.print, dry_run=dry_run)
    cluster = Cluster(target.namespace, changes, context=options["context"])
    return Credentials(session, cluster, target, changes), changes

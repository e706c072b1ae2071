"""Whether a role can use an S3 prefix, asked before anything that costs is started.

IAM is asked, because a step cannot become the role that SageMaker's jobs run as. The step's own access is tried out.

API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from botocore.exceptions import ClientError

from kfp_sagemaker.access import needs, simulation
from kfp_sagemaker.aws import run_context, s3
from kfp_sagemaker.aws.call_errors import ACCESS_DENIED, aws_errors, error_code, is_missing
from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import AccessDeniedError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems

_OBJECT_ACTIONS = ("s3:GetObject", "s3:PutObject")
_BUCKET_ACTIONS = ("s3:ListBucket",)
_PROBE = "kfp-sagemaker-access-probe"


class Verified(NamedTuple):
    """What the step returns."""

    s3_uri: str
    role_was_asked: bool


def verify(session: Session, *, role_arn: str, s3_uri: str, sink: Callable[[str], None] = print_line) -> Verified:
    """Try the step's own access, and ask IAM about the role's.

    Args:
        session: The step's session.
        role_arn: The role; empty asks about none.
        s3_uri: A bucket, or a prefix in one.
        sink: Takes the lines of the step's log.

    Raises:
        AccessDeniedError: The step or the role may not do something; names the actions.
        ResourceMissingError: There is no such bucket or role.
    """
    problems = Problems("verify_bucket_access")
    problems.role_arn("role_arn", role_arn)
    problems.required("s3_uri", s3_uri)
    problems.s3_uri("s3_uri", s3_uri)
    problems.raise_if_any()
    # A probe of the run's own: two runs do not disturb each other.
    probe = s3.join_uri(s3_uri, f"{_PROBE}-{run_context.current().run_id or 'local'}")
    s3.write_text(session, probe, "This shows that it can be written.\n")
    s3.read_text(session, probe)
    sink(f"this step can write and read {s3_uri}")
    asked = bool(role_arn) and _ask(session, role_arn, s3_uri, sink)
    return Verified(s3_uri, asked)


def _ask(session: Session, role_arn: str, s3_uri: str, sink: Callable[[str], None]) -> bool:
    bucket, prefix = s3.parse_uri(s3_uri)
    arn = f"arn:{session.partition}:s3:::{bucket}"
    objects = f"{arn}/{prefix.rstrip('/')}/*" if prefix.strip("/") else f"{arn}/*"
    policy = _bucket_policy(session, bucket)
    asked = [*needs.of_actions(_OBJECT_ACTIONS, [objects]), *needs.of_actions(_BUCKET_ACTIONS, [arn])]
    try:
        decisions = simulation.simulate(session, role_arn, asked, resource_policy=policy)
    except AccessDeniedError as error:
        sink(f"whether {role_arn} can use {s3_uri} is not known, because this step may not ask IAM: {error}")
        return False
    denied = [
        f"{each.need.action} on {each.need.resource} ({each.decision}: {each.reason})"
        for each in decisions
        if not each.is_allowed
    ]
    if denied:
        raise AccessDeniedError(
            f"{role_arn} may not use {s3_uri}: {', '.join(denied)}. Add the actions to its policy",
            operation="SimulatePrincipalPolicy",
        )
    sink(f"{role_arn} can write, read and list {s3_uri}")
    return True


def _bucket_policy(session: Session, bucket: str) -> str:
    """The bucket's policy, which may allow what the role's does not; empty without one, or without the right to see."""
    with aws_errors(f"reading the policy of bucket {bucket}"):
        try:
            return str(session.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
        except ClientError as error:
            if error_code(error) in {"NoSuchBucketPolicy", *ACCESS_DENIED} or is_missing(error):
                return ""
            raise

"""The bucket and the role a run needs, in the embedded AWS or in an account of yours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.session import Session, aws_errors

ROLE_NAME = "kfp-sagemaker-execution"
POLICY_NAME = "kfp-sagemaker-run"
# "IAM: eventual consistency": SageMaker does not see a role made a moment ago.
ROLE_PROPAGATION_SECONDS = 15.0


def default_bucket(session: Session) -> str:
    """The bucket used when none is named: one an account and region."""
    return f"kfp-sagemaker-{session.account_id}-{session.region}"


def bucket_exists(session: Session, bucket: str) -> bool:
    """Whether the bucket exists and is ours to use."""
    s3 = session.client("s3")
    with aws_errors(f"bucket {bucket}"):
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("404", "NoSuchBucket"):
                return False
            raise
    return True


def create_bucket(session: Session, bucket: str) -> None:
    """Create a private bucket in the session's region."""
    s3 = session.client("s3")
    # us-east-1 is the one region that must not be named.
    where = (
        {} if session.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": session.region}}
    )
    with aws_errors(f"bucket {bucket}"):
        s3.create_bucket(Bucket=bucket, **where)
        s3.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration=dict.fromkeys(
                ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
            ),
        )


def find_role(session: Session, name: str = ROLE_NAME) -> str:
    """ARN of the role, empty when there is none."""
    iam = session.client("iam")
    with aws_errors(f"role {name}"):
        try:
            return str(iam.get_role(RoleName=name)["Role"]["Arn"])
        except iam.exceptions.NoSuchEntityException:
            return ""


def create_role(session: Session, name: str = ROLE_NAME) -> str:
    """Create the role SageMaker assumes for jobs and endpoints; it may do nothing until ``allow_bucket``."""
    iam = session.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    with aws_errors(f"role {name}"):
        answer = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description="Assumed by SageMaker for the jobs and endpoints of kfp-sagemaker",
        )
    return str(answer["Role"]["Arn"])


def allow_bucket(session: Session, bucket: str, name: str = ROLE_NAME) -> None:
    """Let the role use the bucket, write logs and metrics and pull images; replaces what it was allowed before."""
    with aws_errors(f"role {name}"):
        session.client("iam").put_role_policy(
            RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(role_policy(session.partition, bucket))
        )


def role_policy(partition: str, bucket: str) -> dict[str, Any]:
    """What a job or endpoint of a run has to be allowed."""

    def allow(actions: list[str], *resources: str) -> dict[str, Any]:
        return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}

    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            allow(["s3:ListBucket", "s3:GetBucketLocation"], arn),
            allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{arn}/*"),
            allow(
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                f"arn:{partition}:logs:*:*:log-group:/aws/sagemaker/*",
            ),
            allow(["cloudwatch:PutMetricData"], "*"),
            allow(["ecr:GetAuthorizationToken"], "*"),
            allow(
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                f"arn:{partition}:ecr:*:*:repository/*",
            ),
        ],
    }


def prepare(
    session: Session,
    bucket: str,
    role_arn: str,
    *,
    is_local: bool,
    role_name: str = ROLE_NAME,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Make sure of bucket and role.

    Args:
        session: AWS session.
        bucket: The bucket; made when it does not exist.
        role_arn: A role to use as it is; empty makes ours, or lets it use the bucket too.
        is_local: Whether this is the embedded AWS, where a role works at once.
        role_name: Name of our role.
        sleep: Waits.

    Returns:
        ARN of the role.
    """
    if not bucket_exists(session, bucket):
        create_bucket(session, bucket)
    if role_arn:
        return role_arn
    existing = find_role(session, role_name)
    arn = existing or create_role(session, role_name)
    allow_bucket(session, bucket, role_name)
    if not existing and not is_local:
        sleep(ROLE_PROPAGATION_SECONDS)
    return arn

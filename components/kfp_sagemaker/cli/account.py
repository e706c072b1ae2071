"""The bucket and the role a run needs, in the embedded AWS or in an account of yours."""

from __future__ import annotations

import time
from collections.abc import Callable

from botocore.exceptions import ClientError

from kfp_sagemaker.access import documents
from kfp_sagemaker.access.changes import Changes
from kfp_sagemaker.access.iam import Iam
from kfp_sagemaker.access.permissions import MODEL_ACCESS_BOUNDARY_NAME
from kfp_sagemaker.aws.session import Session, aws_errors

ROLE_NAME = documents.EXECUTION_ROLE_NAME
LOCAL_USER_NAME = "kfp-sagemaker-steps"
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


def put_role(session: Session, place: documents.Place, name: str = ROLE_NAME) -> str:
    """Make sure of the role SageMaker assumes for jobs and endpoints, and of what it may do; returns its ARN."""
    iam = Iam(session, Changes(lambda line: None))
    purpose = "Assumed by SageMaker for the jobs and endpoints of kfp-sagemaker"
    arn = iam.put_role(name, documents.execution_trust(place), purpose)
    iam.put_role_policy(name, POLICY_NAME, documents.execution_policy(place))
    return arn


def use_pod_policies(session: Session, place: documents.Place) -> dict[str, str]:
    """Make a user of the embedded AWS that may do what the steps of a cluster may do, and nothing else.

    Args:
        session: As the embedded AWS's root.
        place: Where the run works.

    Returns:
        The environment with the user's key.
    """
    iam = Iam(session, Changes(lambda line: None))
    iam.put_policy(MODEL_ACCESS_BOUNDARY_NAME, documents.model_access_boundary(place))
    iam.put_user(LOCAL_USER_NAME)
    for topic, document in documents.pod_policies(place).items():
        name = documents.pod_policy_name(LOCAL_USER_NAME, topic)
        iam.attach("user", LOCAL_USER_NAME, {name: iam.put_policy(name, document)})
    key = iam.create_key(LOCAL_USER_NAME) or {}
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def prepare(
    session: Session,
    bucket: str,
    role_arn: str,
    *,
    is_local: bool,
    prefix: str = "",
    role_name: str = ROLE_NAME,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Make sure of bucket and role.

    Args:
        session: AWS session.
        bucket: The bucket; made when it does not exist.
        role_arn: A role to use as it is; empty makes ours, or lets it use the bucket too.
        is_local: Whether this is the embedded AWS, where a role works at once.
        prefix: What the keys start with that our role may use; empty for the whole bucket.
        role_name: Name of our role.
        sleep: Waits.

    Returns:
        ARN of the role.
    """
    if not bucket_exists(session, bucket):
        create_bucket(session, bucket)
    if role_arn:
        return role_arn
    place = documents.Place(session.account_id, bucket, prefix, session.partition)
    existing = find_role(session, role_name)
    arn = put_role(session, place, role_name)
    if not existing and not is_local:
        sleep(ROLE_PROPAGATION_SECONDS)
    return arn

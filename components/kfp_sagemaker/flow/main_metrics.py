"""What commits came to: a flow's metrics kept in S3, one object a commit and one for the newest of the main branch.

::

    {prefix}/flow-metrics/{flow}/commits/{commit}.json     written once: a commit's metrics do not change
    {prefix}/flow-metrics/{flow}/main.json                 the newest run of the main branch; never replaced by an older

Two builds that end at once do not lose each other's: writes are conditional.

API: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.aws.call_errors import aws_errors, error_code
from kfp_sagemaker.aws.errors import AwsCallError, DataError, ResourceMissingError
from kfp_sagemaker.aws.s3 import join_uri, parse_uri, read_text
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.flow.result import FlowResult

FOLDER = "flow-metrics"
# Another write came first: of the object as it was read, or at the same moment.
_LOST_RACE = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_MAX_ATTEMPTS = 10


@dataclass(frozen=True, kw_only=True)
class CommitMetrics:
    """The metrics of a commit.

    Attributes:
        flow: The flow's name.
        commit: The commit.
        branch: The branch it was run for; may be empty.
        run_id: The run that gave them.
        started_at: When that run started, ISO 8601 in UTC: what newer means.
        metrics: Value by name.
    """

    flow: str
    commit: str
    branch: str = ""
    run_id: str = ""
    started_at: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def commit_uri(prefix_s3_uri: str, flow: str, commit: str) -> str:
    """Where the metrics of a commit are."""
    return join_uri(prefix_s3_uri, FOLDER, flow, "commits", f"{commit}.json")


def main_uri(prefix_s3_uri: str, flow: str) -> str:
    """Where the newest metrics of the main branch are."""
    return join_uri(prefix_s3_uri, FOLDER, flow, "main.json")


def read_main(session: Session, prefix_s3_uri: str, flow: str) -> CommitMetrics | None:
    """The newest metrics of the main branch; ``None`` before its first run.

    Args:
        session: AWS session.
        prefix_s3_uri: S3 prefix that the flow's metrics are kept below.
        flow: The flow's name.

    Raises:
        DataError: The object is not one of these.
        AwsCallError: S3 refused.
    """
    return _read(session, main_uri(prefix_s3_uri, flow))


def read_commit(session: Session, prefix_s3_uri: str, flow: str, commit: str) -> CommitMetrics | None:
    """The metrics of a commit; ``None`` when it has none yet. See :func:`read_main`."""
    return _read(session, commit_uri(prefix_s3_uri, flow, commit))


def write(session: Session, prefix_s3_uri: str, result: FlowResult, *, main_branch: str = "main") -> list[str]:
    """Keep the metrics of a run that ended.

    A run without metrics leaves nothing. On the main branch the metrics count for later comparisons when no newer run
    has written its own, also where a gate was missed: what is merged is what the next change is held against.

    Args:
        session: AWS session.
        prefix_s3_uri: S3 prefix to keep them below.
        result: The run.
        main_branch: Name of the main branch.

    Returns:
        S3 URIs of what was written; empty when everything was there.

    Raises:
        AwsCallError: S3 refused, or others write without end.
    """
    if not result.metrics or not result.commit:
        return []
    found = CommitMetrics(
        flow=result.flow,
        commit=result.commit,
        branch=result.branch,
        run_id=result.run_id,
        started_at=result.started_at,
        metrics=dict(result.metrics),
    )
    written = []
    own = commit_uri(prefix_s3_uri, result.flow, result.commit)
    if _put(session, own, found, IfNoneMatch="*"):
        written.append(own)
    if result.branch == main_branch and _replace_main(session, main_uri(prefix_s3_uri, result.flow), found):
        written.append(main_uri(prefix_s3_uri, result.flow))
    return written


def _replace_main(session: Session, uri: str, found: CommitMetrics) -> bool:
    """Write the object unless it is newer; whoever comes between makes it look again."""
    bucket, key = parse_uri(uri)
    for _ in range(_MAX_ATTEMPTS):
        condition = {"IfNoneMatch": "*"}
        try:
            with aws_errors(f"reading {uri}"):
                answer = session.client("s3").get_object(Bucket=bucket, Key=key)
                held = _parse(answer["Body"].read().decode("utf-8"), uri)
            if held.started_at >= found.started_at:
                return False
            condition = {"IfMatch": answer["ETag"]}
        except ResourceMissingError:
            pass
        if _put(session, uri, found, **condition):
            return True
    raise AwsCallError(f"writing {uri}: other builds wrote it {_MAX_ATTEMPTS} times meanwhile", operation="PutObject")


def _put(session: Session, uri: str, found: CommitMetrics, **condition: str) -> bool:
    """Write an object on a condition; False when it does not hold."""
    bucket, key = parse_uri(uri)
    body = (json.dumps(asdict(found), indent=2, sort_keys=True) + "\n").encode()
    with aws_errors(f"writing {uri}"):
        try:
            session.client("s3").put_object(
                Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition
            )
        except ClientError as error:
            if error_code(error) in _LOST_RACE:
                return False
            raise
    return True


def _read(session: Session, uri: str) -> CommitMetrics | None:
    try:
        return _parse(read_text(session, uri), uri)
    except ResourceMissingError:
        return None


def _parse(text: str, uri: str) -> CommitMetrics:
    try:
        content: dict[str, Any] = json.loads(text)
        return CommitMetrics(**{name: content[name] for name in CommitMetrics.__dataclass_fields__})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{uri} does not hold the metrics of a commit: {type(error).__name__}: {error}") from error

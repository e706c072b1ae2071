"""Presigned S3 URLs: an object for whoever has the URL, for a while, and no longer than the credentials that signed it.

A presigned URL is a secret: it belongs into an object or a message to somebody, never into a log, an artifact or an
error. See https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kfp_sagemaker.aws.call_errors import aws_errors
from kfp_sagemaker.aws.s3 import parse_uri
from kfp_sagemaker.aws.session import Session

# Signature version 4 allows no more, see the page above.
MAX_EXPIRES_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class PresignedUrl:
    """A presigned URL and how long it is good.

    Attributes:
        url: The URL; it does not show in the object's text.
        expires_at: When it ends, UTC.
        warnings: Why that may be sooner than asked for; empty when it is not.
    """

    url: str = field(repr=False)
    expires_at: datetime
    warnings: tuple[str, ...] = ()


def presign_get(session: Session, uri: str, expires_seconds: int, *, now: datetime | None = None) -> PresignedUrl:
    """Make a URL that reads an object.

    Args:
        session: The session whose credentials sign, and which must be allowed to read the object.
        uri: The object, ``s3://bucket/key``.
        expires_seconds: For how long, at most ``MAX_EXPIRES_SECONDS``; less when the credentials end before.
        now: The time of signing, UTC; None asks the clock.

    Returns:
        The URL; nothing is sent to AWS for it.
    """
    bucket, key = parse_uri(uri)
    moment = now or datetime.now(UTC)
    warnings = []
    is_temporary, credentials_end = session.credentials_end()
    seconds = min(expires_seconds, MAX_EXPIRES_SECONDS)
    if credentials_end is not None and credentials_end < moment + timedelta(seconds=seconds):
        seconds = max(1, int((credentials_end - moment).total_seconds()))
        warnings.append(
            f"the URL ends at {credentials_end:%Y-%m-%d %H:%M:%S} UTC with the temporary credentials that sign it, "
            f"after {seconds:,} of the {expires_seconds:,} seconds asked for; sign with longer-lived ones (the role's "
            "maximum session duration, or a user's key) for a longer one"
        )
    elif is_temporary and credentials_end is None:
        warnings.append(
            "the credentials that sign the URL are temporary and do not say when they end: the URL ends with them, "
            f"if that is before the {seconds:,} seconds asked for"
        )
    with aws_errors(f"presigning {uri}"):
        url = session.client("s3").generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
        )
    return PresignedUrl(url, moment + timedelta(seconds=seconds), tuple(warnings))

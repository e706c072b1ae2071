"""How long a presigned URL is good: no longer than the credentials that sign it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.aws.presigned_url import MAX_EXPIRES_SECONDS, PresignedUrl, presign_get
from kfp_sagemaker.aws.session import open_session


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")


def seconds(url: PresignedUrl) -> int:
    query = parse_qs(urlsplit(url.url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    return int(query["X-Amz-Expires"][0])


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1"])
def test_a_users_key_signs_for_up_to_seven_days(region: str) -> None:
    session = open_session(region)
    for asked, given in ((7200, 7200), (10**9, MAX_EXPIRES_SECONDS)):
        url = presign_get(session, "s3://bucket/a key/größe.csv", asked)
        assert (seconds(url), url.warnings) == (given, ())
        assert "X-Amz-Signature" not in repr(url)


@pytest.mark.usefixtures("key")
def test_temporary_credentials_end_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    unknown = presign_get(open_session("us-east-1"), "s3://bucket/key", 7200, now=now)
    assert seconds(unknown) == 7200
    assert "do not say when they end" in unknown.warnings[0]

    end = (now + timedelta(hours=1)).replace(microsecond=0)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    session = open_session("us-east-1")
    short = presign_get(session, "s3://bucket/key", 7200, now=now)
    assert 3590 <= seconds(short) <= 3600
    assert abs((short.expires_at - end).total_seconds()) <= 1
    assert f"ends at {end:%Y-%m-%d %H:%M:%S} UTC with the temporary credentials" in short.warnings[0]
    assert presign_get(session, "s3://bucket/key", 600, now=now).warnings == ()


def test_without_credentials_there_is_no_url() -> None:
    with pytest.raises(ConfigurationError, match="no AWS credentials"):
        presign_get(open_session("us-east-1"), "s3://bucket/key", 60)

"""Parquet on S3, of which polars fetches what it needs: the footer, and the row groups asked for."""

from __future__ import annotations

import time

import polars as pl

from kfp_sagemaker.aws.session import Session

# Polars asks for keys again after this; the session renews those that expire.
_KEYS_SECONDS = 900


def scan_s3_parquet(uri: str, session: Session) -> pl.LazyFrame:
    """A Parquet file on S3, not read yet.

    Args:
        uri: The object.
        session: Whose region, endpoint and credentials polars takes.
    """

    def keys() -> tuple[dict[str, str], int | None]:
        access_key, secret_key, token = session.signing_keys()
        named = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key, "aws_session_token": token}
        return {name: value for name, value in named.items() if value}, int(time.time()) + _KEYS_SECONDS

    options = {
        "aws_endpoint_url": str(session.client("s3").meta.endpoint_url),
        "aws_region": session.region,
        "aws_allow_http": "true",  # the embedded AWS; the scheme is the endpoint's
    }
    return pl.scan_parquet(uri, storage_options=options, credential_provider=keys)

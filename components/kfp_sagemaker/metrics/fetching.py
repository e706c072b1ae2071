"""Exported training metrics in a notebook or on a laptop: a file behind a URL, without any AWS identity.

import kfp_sagemaker.metrics

frame = kfp_sagemaker.metrics.fetch("https://...")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfp_sagemaker.aws.errors import ConfigurationError, DataError, InputError, ResourceMissingError
from kfp_sagemaker.metrics.curve import read_csv
from kfp_sagemaker.metrics.download import download, is_url

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_URL_KEY = "pre_url.txt"


def fetch(url: str = "", *, bucket: str = "", url_key: str = DEFAULT_URL_KEY, region: str = "") -> pd.DataFrame:
    """Fetch the training metrics that ``export_training_metrics`` exported.

    Args:
        url: The presigned URL, from whoever exported them; needs no AWS credentials. Empty reads it from ``bucket``.
        bucket: S3 bucket that holds the URL, in place of the URL itself; needs credentials that may read that object.
        url_key: Key of the object that holds the URL.
        region: AWS region of the bucket; empty takes the environment's.

    Returns:
        A row a point: ``timestamp`` (UTC), ``metric_name``, ``value``; of a tuning job ``training_job_name`` too.

    Raises:
        ConfigurationError: pandas is not installed, or there are no credentials to read ``bucket`` with.
        InputError: Neither or both of ``url`` and ``bucket`` are given.
        AwsCallError: The URL has expired, or S3 refuses it; says who can renew it.
        DataError: The file behind it holds no training metrics.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "kfp_sagemaker.metrics.fetch returns a pandas DataFrame, and pandas is not installed: "
            "pip install 'kfp-sagemaker[notebook]', or use kfp-sagemaker metrics fetch, which needs none"
        ) from error
    columns = read_csv(fetch_text(url, bucket=bucket, url_key=url_key, region=region))
    data: dict[str, Any] = {**columns, "timestamp": pd.to_datetime(columns["timestamp"], utc=True, format="ISO8601")}
    return pd.DataFrame(data)


def fetch_text(url: str = "", *, bucket: str = "", url_key: str = DEFAULT_URL_KEY, region: str = "") -> str:
    """The exported CSV as text; arguments and errors as of :func:`fetch`, without pandas."""
    if bool(url) == bool(bucket):
        raise InputError(["url, bucket: give one of them"], "metrics fetch")
    return download(url or _read_url(bucket, url_key, region))


def _read_url(bucket: str, url_key: str, region: str) -> str:
    from kfp_sagemaker.aws import s3
    from kfp_sagemaker.aws.session import open_session

    uri = f"s3://{bucket}/{url_key}"
    try:
        url = s3.read_text(open_session(region), uri).strip()
    except ResourceMissingError as error:
        raise ResourceMissingError(
            f"{error} (export_training_metrics writes it: run that step, or give its url_key)",
            operation=error.operation,
            code=error.code,
        ) from error
    if not is_url(url):
        raise DataError(f"{uri} does not hold a URL: export_training_metrics writes one there")
    return url

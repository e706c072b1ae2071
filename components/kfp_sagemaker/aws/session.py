"""The step's AWS session: region, credentials, clients, and botocore's errors in words a person can act on.

Clients come from botocore directly, which starts faster than boto3 and gives the same objects; only S3's gets boto3's
managed transfers (``upload_file``, ``copy``), and only when somebody asks for it.
"""

from __future__ import annotations

import difflib
import os
import threading
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    DeferredRefreshableCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError
from botocore.utils import parse_timestamp

from kfp_sagemaker._version import __version__
from kfp_sagemaker.aws.call_errors import EXPIRED, aws_errors
from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.aws.validation import Problems

if TYPE_CHECKING:
    from botocore.credentials import DeferredRefreshableCredentials as Credentials

__all__ = ["Session", "aws_errors", "open_session"]

# AWS General Reference, "AWS Management Console": where each partition's console lives. The isolated ones publish none.
_CONSOLE_HOSTS = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "{region}.console.amazonaws-us-gov.com",
    "aws-eusc": "{region}.console.amazonaws-eusc.eu",
}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_ATTEMPTS = 10
# Connections are opened as they are needed, so a roomy pool costs nothing and never throttles concurrent work.
_MAX_POOL_CONNECTIONS = 128
_ROLE_SESSION_SECONDS = 3600


class Session:
    """Region, partition and clients of one step.

    Made by :func:`open_session`. Creates no client until asked; clients are cached per service and may be used from
    several threads.

    Attributes:
        region: The AWS region, such as ``us-east-1``.
        partition: ``aws``, ``aws-cn``, ``aws-us-gov`` ...
        dns_suffix: The partition's domain, such as ``amazonaws.com``.
    """

    def __init__(self, core: botocore.session.Session, region: str, partition: str, dns_suffix: str) -> None:
        self.region = region
        self.partition = partition
        self.dns_suffix = dns_suffix
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_timestamp)
        self._core = core
        self._clients: dict[str, Any] = {}
        self._lock = threading.RLock()

    def assume(self, role_arn: str, role_session_name: str) -> Session:
        """A session as a role, which this one's identity assumes on first use and again before its credentials end.

        Args:
            role_arn: The role.
            role_session_name: Name of the role's session, by which CloudTrail tells its calls.

        Raises:
            ConfigurationError: If there are no credentials to assume it with.
        """
        core = _assuming(self._core, self.region, role_arn, role_session_name)
        return Session(core, self.region, self.partition, self.dns_suffix)

    def client(self, service: str) -> Any:
        """The client of a service, made on first use.

        Args:
            service: botocore's name of the service, such as ``sagemaker`` or ``s3``.

        Returns:
            A client that retries throttled and failed calls ten times with a growing delay (``AWS_RETRY_MODE=adaptive``
            adds a client-side rate limit).

        Raises:
            ConfigurationError: If there are no AWS credentials.
        """
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._create_client(service)
            return self._clients[service]

    def signing_keys(self) -> tuple[str, str, str]:
        """Access key, secret key and token (or empty) in force now, for a library that makes its own calls.

        Raises:
            ConfigurationError: If there are no AWS credentials.
        """
        self.client("s3")  # says so when there are none
        keys: Any = self._core.get_credentials()
        with aws_errors("reading the credentials"):
            frozen = keys.get_frozen_credentials()
        return frozen.access_key, frozen.secret_key, frozen.token or ""

    @cached_property
    def account_id(self) -> str:
        """The account the credentials belong to, asked for once."""
        with aws_errors("the account of the credentials"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def credentials_end(self) -> tuple[bool, datetime | None]:
        """Whether the credentials are temporary, and when they end (UTC); None when they do not say.

        Raises:
            ConfigurationError: If there are none, or they cannot be fetched.
        """
        with aws_errors("the credentials"):
            credentials: Any = self._core.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            # Fetches them, or renews those about to end. botocore keeps the time to itself.
            is_temporary = credentials.get_frozen_credentials().token is not None
            end: datetime | None = getattr(credentials, "_expiry_time", None)
        return is_temporary, end.astimezone(UTC) if end else None

    def console_url(self, path: str) -> str:
        """Address of a page of the AWS console.

        Args:
            path: What follows the host, such as ``/sagemaker/home#/jobs/NAME``.

        Returns:
            The address; empty where there is no console: on the embedded AWS and in isolated partitions.
        """
        endpoint = os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER") or os.environ.get("AWS_ENDPOINT_URL") or ""
        host = _CONSOLE_HOSTS.get(self.partition)
        if host is None or urlsplit(endpoint).hostname in _LOOPBACK:
            return ""
        return f"https://{host.format(region=self.region)}{path}"

    def _create_client(self, service: str) -> Any:
        with aws_errors(f"opening the {service} client"):
            if self._core.get_credentials() is None:
                raise ConfigurationError(
                    "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in Kubeflow from a "
                    "Secret, with kubernetes.use_secret_as_env), or give the pod's service account an IAM role"
                )
            adaptive = self._core.get_config_variable("retry_mode") == "adaptive"
            config = Config(
                retries={"mode": "adaptive" if adaptive else "standard", "total_max_attempts": _MAX_ATTEMPTS},
                max_pool_connections=_MAX_POOL_CONNECTIONS,
                connect_timeout=10,
                tcp_keepalive=True,
                user_agent_extra=f"kfp-sagemaker/{__version__}",
            )
            maker: Any = self._core.create_client
            if service == "s3":
                import boto3

                # Or URLs are presigned with version 2 in us-east-1, which AWS is phasing out.
                config = config.merge(Config(signature_version="s3v4"))
                maker = boto3.Session(botocore_session=self._core).client
            client = maker(service, self.region, config=config)
            client.meta.events.register_last("needs-retry", partial(_renew_expired, self._core))
            return client


def open_session(region: str = "", assume_role_arn: str = "") -> Session:
    """Open the step's session. Nothing is sent to AWS yet.

    Args:
        region: The region; empty takes ``AWS_REGION``, then ``AWS_DEFAULT_REGION``, then the profile's.
        assume_role_arn: A role to work as; its credentials are fetched on first use and renewed before they end, so
            that a step may outlive them. Empty works as the identity the environment gives.

    Returns:
        The session.

    Raises:
        ConfigurationError: If no region is set, the region is not one of AWS's, or the profile does not exist.
        InputError: If ``assume_role_arn`` is not the ARN of a role.
    """
    problems = Problems("session")
    problems.role_arn("assume_role_arn", assume_role_arn)
    problems.raise_if_any()
    core = botocore.session.get_session()
    with aws_errors("reading the AWS configuration"):
        region = region or os.environ.get("AWS_REGION", "") or core.get_config_variable("region") or ""
        if not region:
            raise ConfigurationError("no AWS region is set: give the step a region, or set AWS_REGION")
        partition, dns_suffix = _partition_of(core, region)
        if assume_role_arn:
            core = _assuming(core, region, assume_role_arn, "kfp-sagemaker")
    return Session(core, region, partition, dns_suffix)


def _renew_expired(core: botocore.session.Session, request_dict: Any, response: Any, **event: Any) -> float | None:
    """Renew temporary credentials that AWS says have expired, and have the call made again, once.

    botocore renews them by the local clock, minutes before their end. Where that clock is slow or stood still, AWS is
    the first to know.
    """
    code = response[1].get("Error", {}).get("Code", "") if response is not None else ""
    credentials: Any = core.get_credentials()
    is_renewable = isinstance(credentials, RefreshableCredentials)
    if code not in EXPIRED or not is_renewable or request_dict["context"].get("kfp_sagemaker_renewed"):
        return None
    request_dict["context"]["kfp_sagemaker_renewed"] = True
    # In the past by the local clock too, so that signing the call once more fetches new ones.
    credentials._expiry_time = datetime.now(UTC) - timedelta(seconds=1)  # pyright: ignore[reportAttributeAccessIssue]
    return 0.0


class _NoCache(dict[str, Any]):
    """Keeps nothing: whoever asks for new credentials is not to be given the former ones."""

    def __setitem__(self, key: str, value: Any) -> None:
        pass


def _parse_timestamp(value: Any) -> datetime:
    """A time of AWS's in UTC; botocore's own way puts it into this machine's zone, which takes ten times as long."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment: datetime = parse_timestamp(value)
    return moment


def _partition_of(core: botocore.session.Session, region: str) -> tuple[str, str]:
    """Partition and domain of a region, from botocore's own table."""
    known: list[str] = []
    for partition in core.get_data("partitions")["partitions"]:
        regions = [name for name in partition["regions"] if not name.endswith("-global")]
        if region in regions:
            return partition["id"], partition["outputs"]["dnsSuffix"]
        known += regions
    close = difflib.get_close_matches(region, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "such as us-east-1"
    raise ConfigurationError(
        f"unknown AWS region {region!r}: {hint} (a region newer than this image needs a newer boto3)"
    )


class _AssumedRole(CredentialProvider):
    """Hands a botocore session the self-renewing credentials of a role."""

    METHOD = "assume-role"
    CANONICAL_NAME = "kfp-sagemaker-assume-role"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        """The role's credentials, not fetched before they are used."""
        return self._credentials


def _assuming(
    source: botocore.session.Session, region: str, role_arn: str, session_name: str
) -> botocore.session.Session:
    source_credentials = source.get_credentials()
    if source_credentials is None:
        raise ConfigurationError(
            f"no AWS credentials found to assume {role_arn} with: set AWS_ACCESS_KEY_ID, or use IRSA"
        )
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(source.create_client, region_name=region),
        source_credentials=source_credentials,
        role_arn=role_arn,
        cache=_NoCache(),
        extra_args={"RoleSessionName": session_name, "DurationSeconds": _ROLE_SESSION_SECONDS},
    )
    credentials = DeferredRefreshableCredentials(method=_AssumedRole.METHOD, refresh_using=fetcher.fetch_credentials)
    core = botocore.session.get_session()
    core.get_component("credential_provider").insert_before("env", _AssumedRole(credentials))
    return core

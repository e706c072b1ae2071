"""How the emulator itself reaches S3, Logs, CloudWatch and IAM: through its own front door, as the resource's role.

A training job reads its data with the rights of its execution role, exactly as on AWS: with ``--auth`` a role that may
not read the bucket makes the job fail with the error the real service would give. Without it, everything is root's.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from sagemaker_emulator.container_credentials import ContainerCredentials
from sagemaker_emulator.errors import ValidationException
from sagemaker_emulator.settings import Settings

if TYPE_CHECKING:
    from sagemaker_emulator.ministack_iam import MinistackIam
    from sagemaker_emulator.operations import Context

ROOT_ACCESS_KEY_ID = "test"
ROOT_SECRET_ACCESS_KEY = "test"  # noqa: S105 - ministack's well-known root credentials
INTERNAL_USER_AGENT = "sagemaker-emulator-internal"
"""Marks the emulator's own calls: they are neither delayed nor throttled."""
SERVICE_PRINCIPAL = "sagemaker.amazonaws.com"
STATES_PRINCIPAL = "states.amazonaws.com"
GLUE_PRINCIPAL = "glue.amazonaws.com"
_SESSION_NAMES = {
    SERVICE_PRINCIPAL: "SageMaker",
    STATES_PRINCIPAL: "StepFunctions",
    GLUE_PRINCIPAL: "GlueJobRunnerSession",
}
_SESSION_SECONDS = 3600
_MAX_CONNECTIONS = 32
_ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<repository>[^:@]+)(?:[:@](?P<version>.+))?"
)
_ROLE_ARN = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")


class InternalAws:
    """boto3 clients into this emulator, made once a service, region and role.

    Args:
        settings: Where the emulator listens and whether it checks authorisation.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._iam: MinistackIam | None = None
        self._lock = threading.Lock()
        self._loader: Any = None
        self._sessions: dict[tuple[str, str, str], Any] = {}
        self._clients: dict[tuple[str, str, str, str], Any] = {}
        self.container_credentials = ContainerCredentials(settings.endpoint_url, self.role_credentials)

    def attach(self, iam: MinistackIam) -> None:
        """Give access to the roles; called once, before the first request."""
        self._iam = iam

    def client(self, service: str, region: str, role_arn: str = "", principal: str = SERVICE_PRINCIPAL) -> Any:
        """Return a blocking client; call it in a thread, never on the event loop, which has to answer it.

        Args:
            service: botocore's service name.
            region: The region to sign for.
            role_arn: Whose rights the calls have; empty for the account's root. Matters only with ``--auth``.
            principal: The service that assumes the role.

        Raises:
            PermissionError: The role is missing or does not trust the service.
        """
        if not self._settings.auth:
            role_arn = ""
        key = service, region, role_arn, principal if role_arn else ""
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session(region, role_arn, principal).create_client(
                    service,
                    endpoint_url=self._settings.endpoint_url,
                    config=_client_config(),
                )
            return self._clients[key]

    def container_environment(self, region: str, role_arn: str, principal: str = SERVICE_PRINCIPAL) -> dict[str, str]:
        """Return the ``AWS_*`` environment of a container that runs as a role: credentials, region and endpoint.

        With ``--auth`` these are no keys, which would expire under a long-lived container, but where every AWS SDK
        fetches the role's present ones: what ECS does for its tasks. Without a role there are none.

        Args:
            region: The container's region.
            role_arn: The execution role; may be empty.
            principal: The service that assumes the role.

        Raises:
            PermissionError: The role is missing or does not trust the service.
        """
        environment = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self._settings.endpoint_url,
        }
        if not self._settings.auth:
            keys = {"AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY}
            return environment | keys
        if not role_arn:
            return environment
        with self._lock:
            self._session(region, role_arn, principal)  # that it may be assumed is found out now, not by the container
        return environment | self.container_credentials.environment(region, role_arn, principal)

    def role_credentials(self, region: str, role_arn: str, principal: str) -> Any:
        """Return botocore's credentials of a role, which renew themselves through STS when they are about to expire.

        Raises:
            PermissionError: The role is missing or does not trust the service.
        """
        with self._lock:
            return self._session(region, role_arn, principal).get_credentials()

    def check_image_pull(self, region: str, role_arn: str, image_uri: str) -> None:
        """Ask ECR for an image as a pull does, with ``--auth``: there is no registry here, but there are rights.

        Images outside of ECR, such as registered ones, need none. Calls ECR of this emulator: call it in a thread.

        Args:
            region: The region of the job or model.
            role_arn: Its execution role.
            image_uri: The image.

        Raises:
            PermissionError: The role may not pull it.
        """
        image = _ECR_IMAGE.fullmatch(image_uri)
        if not (self._settings.auth and role_arn and image):
            return
        ecr = self.client("ecr", image["region"], role_arn)
        place = {"registryId": image["account"], "repositoryName": image["repository"]}
        layer = "sha256:" + "0" * 64
        for ask in (
            ecr.get_authorization_token,
            lambda: ecr.batch_get_image(**place, imageIds=[{"imageTag": image["version"] or "latest"}]),
            lambda: ecr.batch_check_layer_availability(**place, layerDigests=[layer]),
            lambda: ecr.get_download_url_for_layer(**place, layerDigest=layer),
        ):
            try:
                ask()
            except ClientError as error:  # that there is no such repository is so for every image
                if error.response.get("Error", {}).get("Code") in ("AccessDenied", "AccessDeniedException"):
                    raise PermissionError(f"{role_arn} cannot pull {image_uri}: {error}") from error

    def check_service_role(self, ctx: Context, role_arn: str) -> None:
        """Check the role of a new resource: its form; with ``--auth`` that it exists and trusts SageMaker.

        That the caller may pass it (``iam:PassRole``) is checked before the operation's handler runs.

        Args:
            ctx: The call's context.
            role_arn: The role.

        Raises:
            ValidationException: The role is malformed, missing or does not trust SageMaker.
        """
        if not _ROLE_ARN.fullmatch(role_arn):
            raise ValidationException(f"Invalid role ARN: {role_arn}")
        if not self.may_assume(role_arn, SERVICE_PRINCIPAL):
            raise ValidationException(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{SERVICE_PRINCIPAL}' to assume the role."
            )

    def may_assume(self, role_arn: str, principal: str) -> bool:
        """Return whether a role exists and trusts a service, such as ``states.amazonaws.com``; without auth all do."""
        return not (self._settings.auth and self._iam) or bool(self._iam.service_may_assume(role_arn, principal))

    def _session(self, region: str, role_arn: str, principal: str = SERVICE_PRINCIPAL) -> Any:
        key = region, role_arn, principal if role_arn else ""
        if key not in self._sessions:
            self._sessions[key] = self._make_session(region, role_arn, principal)
        return self._sessions[key]

    def _make_session(self, region: str, role_arn: str, principal: str) -> Any:
        # Imported when first needed: it is most of the emulator's start-up time.
        import botocore.credentials
        import botocore.session

        session: Any = botocore.session.Session()
        session.set_config_variable("region", region)
        # One loader for all sessions: it caches the parsed service models.
        if self._loader is None:
            self._loader = session.get_component("data_loader")
        else:
            session.register_component("data_loader", self._loader)
        if not role_arn:
            session.set_credentials(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY)
            return session
        sts = self._session(region, "").create_client(
            "sts", endpoint_url=self._settings.endpoint_url, config=_client_config()
        )
        session._credentials = botocore.credentials.RefreshableCredentials.create_from_metadata(
            metadata=self._assume(sts, role_arn, principal),
            refresh_using=lambda: self._assume(sts, role_arn, principal),
            method="sts-assume-role",
        )
        return session

    def _assume(self, sts: Any, role_arn: str, principal: str) -> dict[str, str]:
        # STS lets root assume any role a service is trusted with; that this one is trusted is checked here.
        if not self.may_assume(role_arn, principal):
            raise PermissionError(f"{principal} cannot assume {role_arn}: it is missing or does not trust it")
        answer = sts.assume_role(
            RoleArn=role_arn, RoleSessionName=_SESSION_NAMES[principal], DurationSeconds=_SESSION_SECONDS
        )
        credentials = answer["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }


def _client_config() -> Any:
    from botocore.config import Config

    return Config(
        user_agent_extra=INTERNAL_USER_AGENT,
        max_pool_connections=_MAX_CONNECTIONS,
        retries={"mode": "standard", "max_attempts": 5},
        proxies={},  # loopback: never through a proxy the environment names
        s3={"addressing_style": "path"},
    )

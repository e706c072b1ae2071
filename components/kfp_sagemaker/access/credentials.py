"""Gives the pods of a namespace their rights on AWS: by a key in a Secret, by IRSA, or by EKS Pod Identity.

Everything is brought to the state it ought to have, so that doing it again changes nothing. Who does it needs
administrator's rights in IAM; the pods get those of :mod:`kfp_sagemaker.access.permissions`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from kfp_sagemaker.access import documents
from kfp_sagemaker.access.changes import Changes
from kfp_sagemaker.access.cluster import KEY_ID, SECRET_KEY, SECRET_NAME, Cluster, secret_problems
from kfp_sagemaker.access.iam import Iam, masked
from kfp_sagemaker.access.permissions import MODEL_ACCESS_BOUNDARY_NAME, POD_GRANTS
from kfp_sagemaker.aws.call_errors import error_code
from kfp_sagemaker.aws.errors import ConfigurationError, InputError
from kfp_sagemaker.aws.session import Session, aws_errors

MODES = ("secret", "irsa", "pod-identity")
EXECUTION_POLICY_NAME = "kfp-sagemaker-run"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
_AUDIENCE = "sts.amazonaws.com"
_EXECUTION_PURPOSE = "Assumed by SageMaker for the jobs and endpoints of kfp-sagemaker"
_POD_PURPOSE = "Assumed by the pods of Kubeflow pipelines that use kfp-sagemaker"
_MAX_KEYS = 2
_LIVE_ATTEMPTS = 30
_LIVE_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Target:
    """Whose credentials.

    Attributes:
        mode: One of ``MODES``.
        place: Account, bucket and prefix the pods work in.
        namespace: Where the runs are.
        service_account: Of the runs.
        secret_name: Of the Secret.
        cluster_name: The EKS cluster; needed by Pod Identity, and by IRSA without ``oidc_issuer``.
        oidc_issuer: The cluster's OpenID Connect issuer.
    """

    mode: str
    place: documents.Place
    namespace: str
    service_account: str = "default-editor"
    secret_name: str = SECRET_NAME
    cluster_name: str = ""
    oidc_issuer: str = ""

    def __post_init__(self) -> None:
        problems = []
        if self.mode not in MODES:
            problems.append(f"mode is {self.mode!r}, must be one of {', '.join(MODES)}")
        if self.mode == "pod-identity" and not self.cluster_name:
            problems.append("--cluster is missing: the name of the EKS cluster")
        if self.mode == "irsa" and not (self.cluster_name or self.oidc_issuer):
            problems.append("--cluster or --oidc-issuer is missing: the EKS cluster, or its OpenID Connect issuer")
        if problems:
            raise InputError(problems, "credentials")

    @property
    def name(self) -> str:
        """Name of the user or role, and what its policies' names start with."""
        return f"kfp-sagemaker-{self.namespace}"[:64]

    @property
    def owner(self) -> str:
        """What the policies are attached to in IAM."""
        return "user" if self.mode == "secret" else "role"


class Credentials:
    """The credentials of a namespace.

    Args:
        session: With administrator's rights in IAM.
        cluster: The namespace.
        target: Whose, and how.
        changes: Makes the changes; the same the cluster has.
        sleep: Waits.
    """

    def __init__(
        self,
        session: Session,
        cluster: Cluster,
        target: Target,
        changes: Changes,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._cluster = cluster
        self._target = target
        self._changes = changes
        self._iam = Iam(session, changes)
        self._sleep = sleep

    def create(self) -> str:
        """Make everything there has to be; returns the ARN of the execution role, a parameter of the pipelines."""
        target, iam = self._target, self._iam
        role = target.place.execution_role_name
        execution_role_arn = iam.put_role(role, documents.execution_trust(target.place), _EXECUTION_PURPOSE)
        iam.put_role_policy(role, EXECUTION_POLICY_NAME, documents.execution_policy(target.place))
        iam.put_policy(MODEL_ACCESS_BOUNDARY_NAME, documents.model_access_boundary(target.place))
        if target.mode == "secret":
            iam.put_user(target.name)
        else:
            trust = self._pod_trust()
            pod_role_arn = iam.put_role(target.name, trust, _POD_PURPOSE)
        policies = {
            documents.pod_policy_name(target.name, topic): document
            for topic, document in documents.pod_policies(target.place).items()
        }
        arns = {name: iam.put_policy(name, document) for name, document in policies.items()}
        iam.attach(target.owner, target.name, arns)
        if target.mode == "secret":
            self._put_key()
        elif target.mode == "irsa":
            self._cluster.annotate(target.service_account, ROLE_ANNOTATION, pod_role_arn)
        else:
            self._associate(pod_role_arn)
        return execution_role_arn

    def rotate(self) -> None:
        """Put a new key in the place of the present one, which is deactivated and then deleted.

        The new key is in the Secret and known to be valid before the old one is touched; pods that run already keep
        the environment they started with.

        Raises:
            ConfigurationError: There is no key to rotate, or no room for another.
        """
        target = self._target
        if target.mode != "secret":
            raise ConfigurationError(f"mode {target.mode} has no key: AWS renews its credentials by itself")
        keys = self._iam.keys(target.name)
        if not keys:
            raise ConfigurationError(f"user {target.name} has no access key: use `credentials create`")
        held = (self._cluster.secret(target.secret_name) or {}).get(KEY_ID, "")
        if len(keys) >= _MAX_KEYS:
            # What an interrupted rotation left: the one that the pods do not use.
            spare = [key["AccessKeyId"] for key in keys if key["AccessKeyId"] != held]
            if len(spare) != 1:
                raise ConfigurationError(
                    f"user {target.name} has {len(keys)} access keys and Secret {target.secret_name} holds none of "
                    "them: delete one in IAM"
                )
            self._retire(spare[0])
            keys = [key for key in keys if key["AccessKeyId"] == held]
        self._new_key(exists=bool(held))
        for key in keys:
            self._retire(key["AccessKeyId"])

    def delete(self, *, with_execution_role: bool = False) -> None:
        """Delete all of it that exists.

        Args:
            with_execution_role: Also SageMaker's role and the boundary of model access, which other namespaces may use.
        """
        target = self._target
        if target.mode == "secret":
            self._cluster.delete_secret(target.secret_name)
        elif target.mode == "irsa":
            self._cluster.annotate(target.service_account, ROLE_ANNOTATION, None)
        else:
            self._dissociate()
        self._iam.delete(target.owner, target.name)
        for topic in POD_GRANTS:
            self._iam.delete_policy(documents.pod_policy_name(target.name, topic))
        if with_execution_role:
            self._iam.delete("role", target.place.execution_role_name)
            self._iam.delete_policy(MODEL_ACCESS_BOUNDARY_NAME)

    def show(self) -> dict[str, str]:
        """What there is, without any secret: a word to each part."""
        target = self._target
        shown = {target.owner: target.name}
        policies = [arn.rpartition("/")[2] for arn in self._iam.attached(target.owner, target.name)]
        shown["policies"] = ", ".join(sorted(policies)) or "none"
        if target.mode == "secret":
            keys = [
                f"{masked(key['AccessKeyId'])} {key['Status'].lower()} since {key['CreateDate']:%Y-%m-%d}"
                for key in self._iam.keys(target.name)
            ]
            shown["access keys"] = ", ".join(keys) or "none"
            shown[f"Secret {target.secret_name}"] = self._secret_state()
        elif target.mode == "irsa":
            annotations = self._cluster.annotations(target.service_account)
            role = (annotations or {}).get(ROLE_ANNOTATION, "no role")
            shown[f"service account {target.service_account}"] = "missing" if annotations is None else role
        else:
            association = self._association()
            shown["association"] = association["associationId"] if association else "none"
        return shown

    def _secret_state(self) -> str:
        values = self._cluster.secret(self._target.secret_name)
        if values is None:
            return "missing"
        problems = secret_problems(values)
        if problems:
            return "; ".join(problems)
        known = [key["AccessKeyId"] for key in self._iam.keys(self._target.name)]
        whose = "the user's" if values[KEY_ID] in known else "not one of the user's"
        return f"holds key {masked(values[KEY_ID])}, {whose}"

    def _put_key(self) -> None:
        """Leave a good Secret alone; otherwise make a key for it."""
        target = self._target
        values = self._cluster.secret(target.secret_name)
        active = [key["AccessKeyId"] for key in self._iam.keys(target.name) if key["Status"] == "Active"]
        if values is not None and not secret_problems(values) and values[KEY_ID] in active:
            return
        if len(self._iam.keys(target.name)) >= _MAX_KEYS:
            raise ConfigurationError(
                f"Secret {target.secret_name} holds none of the {_MAX_KEYS} access keys of user {target.name}, and IAM "
                "allows no more: delete one in IAM"
            )
        self._new_key(exists=values is not None)

    def _new_key(self, *, exists: bool) -> None:
        target = self._target
        key = self._iam.create_key(target.name) or {"AccessKeyId": "", "SecretAccessKey": ""}
        try:
            if not self._changes.dry_run:
                self._wait_until_live(key)
            values = {KEY_ID: key["AccessKeyId"], SECRET_KEY: key["SecretAccessKey"]}
            self._cluster.put_secret(target.secret_name, values, exists=exists)
        except Exception:
            # A key nobody holds can never be used, and would be in the way of the next attempt.
            if not self._changes.dry_run:
                self._iam.delete_key(target.name, key["AccessKeyId"])
            raise

    def _wait_until_live(self, key: dict[str, str]) -> None:
        """IAM is eventually consistent: a key made a moment ago is refused for some seconds."""
        import boto3

        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=self._session.region)
        sts = session.client("sts")
        for attempt in range(_LIVE_ATTEMPTS):
            try:
                sts.get_caller_identity()
            except ClientError as error:
                if attempt == _LIVE_ATTEMPTS - 1:
                    code = error_code(error)
                    raise ConfigurationError(f"AWS does not take the new access key: {code}") from None
                self._sleep(_LIVE_PAUSE_SECONDS)
            else:
                return

    def _retire(self, key_id: str) -> None:
        self._iam.deactivate_key(self._target.name, key_id)
        self._iam.delete_key(self._target.name, key_id)

    def _pod_trust(self) -> documents.Document:
        target = self._target
        if target.mode == "pod-identity":
            return documents.pod_identity_trust(target.place, target.namespace, target.service_account)
        issuer = target.oidc_issuer or self._issuer()
        self._put_provider(issuer)
        return documents.irsa_trust(target.place, issuer, target.namespace, target.service_account)

    def _issuer(self) -> str:
        with aws_errors(f"EKS cluster {self._target.cluster_name}"):
            cluster = self._session.client("eks").describe_cluster(name=self._target.cluster_name)["cluster"]
        return str(cluster["identity"]["oidc"]["issuer"])

    def _put_provider(self, issuer: str) -> None:
        iam = self._session.client("iam")
        arn = self._iam.arn(f"oidc-provider/{issuer.removeprefix('https://')}")
        with aws_errors(f"OpenID Connect provider {issuer}"):
            known = {each["Arn"] for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]}
            if arn not in known:
                url = issuer if issuer.startswith("https://") else f"https://{issuer}"
                self._changes.make(
                    f"create OpenID Connect provider {url}",
                    lambda: iam.create_open_id_connect_provider(Url=url, ClientIDList=[_AUDIENCE]),
                )

    def _association(self) -> dict[str, Any] | None:
        target = self._target
        with aws_errors(f"Pod Identity associations of EKS cluster {target.cluster_name}"):
            found = self._session.client("eks").list_pod_identity_associations(
                clusterName=target.cluster_name, namespace=target.namespace, serviceAccount=target.service_account
            )["associations"]
        return dict(found[0]) if found else None

    def _associate(self, role_arn: str) -> None:
        target, eks = self._target, self._session.client("eks")
        where = f"service account {target.service_account} in namespace {target.namespace} with role {target.name}"
        found = self._association()
        with aws_errors(f"associating {where}"):
            if found is None:
                self._changes.make(
                    f"associate {where}",
                    lambda: eks.create_pod_identity_association(
                        clusterName=target.cluster_name,
                        namespace=target.namespace,
                        serviceAccount=target.service_account,
                        roleArn=role_arn,
                    ),
                )
                return
            held = eks.describe_pod_identity_association(
                clusterName=target.cluster_name, associationId=found["associationId"]
            )["association"]
            if held["roleArn"] != role_arn:
                self._changes.make(
                    f"associate {where}, in place of {held['roleArn']}",
                    lambda: eks.update_pod_identity_association(
                        clusterName=target.cluster_name, associationId=found["associationId"], roleArn=role_arn
                    ),
                )

    def _dissociate(self) -> None:
        found = self._association()
        if found is not None:
            eks = self._session.client("eks")
            with aws_errors("Pod Identity association"):
                self._changes.make(
                    f"delete the association of service account {self._target.service_account}",
                    lambda: eks.delete_pod_identity_association(
                        clusterName=self._target.cluster_name, associationId=found["associationId"]
                    ),
                )

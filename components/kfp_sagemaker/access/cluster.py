"""The Secret and the service account of a namespace, through the Kubernetes API."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from kfp_sagemaker.access.changes import Changes
from kfp_sagemaker.aws.errors import ConfigurationError

SECRET_NAME = "aws-secret"  # noqa: S105 - a name
KEY_ID, SECRET_KEY, SESSION_TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_LABELS = {"app.kubernetes.io/managed-by": "kfp-sagemaker"}
_TIMEOUT_SECONDS = 30


class Cluster:
    """A namespace of a cluster.

    Args:
        namespace: The namespace.
        changes: Makes the changes.
        context: A context of the kubeconfig; empty for the present one, or the pod's own service account.

    Raises:
        ConfigurationError: There is no configuration of a cluster.
    """

    def __init__(self, namespace: str, changes: Changes, *, context: str = "") -> None:
        from kubernetes import client, config

        self.namespace = namespace
        self._changes = changes
        try:
            kubeconfig = os.environ.get("KUBECONFIG", "")
            if not (kubeconfig or context) and os.environ.get("KUBERNETES_SERVICE_HOST"):
                config.load_incluster_config()
            else:
                config.load_kube_config(kubeconfig or None, context or None)
        except (config.ConfigException, OSError) as error:
            raise ConfigurationError(f"no Kubernetes cluster is configured: {error}; see KUBECONFIG") from error
        api = client.ApiClient()
        self._core: Any = client.CoreV1Api(api)
        self._authorization: Any = client.AuthorizationV1Api(api)

    def secret(self, name: str) -> dict[str, str] | None:
        """The values of a Secret, to be kept to oneself; None when there is none."""
        found = self._read("get", "secret", name)
        if found is None:
            return None
        return {
            key: base64.b64decode(value).decode("utf-8", "replace") for key, value in (found.get("data") or {}).items()
        }

    def put_secret(self, name: str, values: Mapping[str, str], *, exists: bool) -> None:
        """Create a Secret, or put these values in the place of all that it holds."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": _LABELS},
            "type": "Opaque",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
        }
        verb = "change" if exists else "create"
        with self._errors(verb, "secrets", name):
            if exists:
                call = lambda: self._core.replace_namespaced_secret(  # noqa: E731
                    name, self.namespace, body, _request_timeout=_TIMEOUT_SECONDS
                )
            else:
                call = lambda: self._core.create_namespaced_secret(  # noqa: E731
                    self.namespace, body, _request_timeout=_TIMEOUT_SECONDS
                )
            self._changes.make(f"{verb} Secret {name} in namespace {self.namespace}", call)

    def delete_secret(self, name: str) -> None:
        """Delete a Secret, when there is one."""
        if self._read("get", "secret", name) is None:
            return
        with self._errors("delete", "secrets", name):
            self._changes.make(
                f"delete Secret {name} in namespace {self.namespace}",
                lambda: self._core.delete_namespaced_secret(name, self.namespace, _request_timeout=_TIMEOUT_SECONDS),
            )

    def annotations(self, service_account: str) -> dict[str, str] | None:
        """The annotations of a service account; None when there is none."""
        found = self._read("get", "service_account", service_account)
        return None if found is None else dict(found["metadata"].get("annotations") or {})

    def annotate(self, service_account: str, key: str, value: str | None) -> None:
        """Annotate a service account, which is made when there is none; None removes the annotation."""
        found = self.annotations(service_account)
        if (found or {}).get(key) == value:
            return
        metadata = {"name": service_account, "annotations": {key: value}}
        where = f"service account {service_account} in namespace {self.namespace}"
        with self._errors("change", "serviceaccounts", service_account):
            if found is None:
                body = {"metadata": {**metadata, "labels": _LABELS}}
                self._changes.make(
                    f"create {where} with {key}={value}",
                    lambda: self._core.create_namespaced_service_account(
                        self.namespace, body, _request_timeout=_TIMEOUT_SECONDS
                    ),
                )
            else:
                description = f"remove {key} from {where}" if value is None else f"annotate {where} with {key}={value}"
                self._changes.make(
                    description,
                    lambda: self._core.patch_namespaced_service_account(
                        service_account, self.namespace, {"metadata": metadata}, _request_timeout=_TIMEOUT_SECONDS
                    ),
                )

    def may(self, verb: str, resource: str, name: str = "") -> bool:
        """Whether we may do something in the namespace, as the cluster answers it."""
        attributes = {"namespace": self.namespace, "verb": verb, "resource": resource, "name": name}
        review = {"spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}}}
        with self._errors("review access to", resource, name):
            answer = self._authorization.create_self_subject_access_review(
                review, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS
            )
        return bool(json.loads(answer.data)["status"]["allowed"])

    def _read(self, verb: str, kind: str, name: str) -> dict[str, Any] | None:
        from kubernetes.client import ApiException

        with self._errors(verb, f"{kind.replace('_', '')}s", name):
            try:
                # As JSON: the client's objects would decode a malformed Secret's text away.
                answer = getattr(self._core, f"read_namespaced_{kind}")(
                    name, self.namespace, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS
                )
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        document: dict[str, Any] = json.loads(answer.data)
        return document

    @contextlib.contextmanager
    def _errors(self, verb: str, resource: str, name: str) -> Iterator[None]:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        where = f"{resource} {name} in namespace {self.namespace}"
        try:
            yield
        except ApiException as error:
            with contextlib.suppress(ValueError, TypeError):
                error.reason = json.loads(error.body or "")["message"]
            # The answer may repeat what was sent; of a Secret only AWS's own words are shown.
            reason = error.reason if resource != "secrets" or error.status in (403, 404, 409) else "invalid"
            raise ConfigurationError(f"cannot {verb} {where}: {error.status} {reason}") from None
        except HTTPError as error:
            raise ConfigurationError(f"cannot reach the cluster to {verb} {where}: {type(error).__name__}") from None


def secret_problems(values: Mapping[str, str]) -> list[str]:
    """What is wrong with a Secret of AWS credentials, without a value in it.

    Args:
        values: Its decoded values.
    """
    problems = []
    for key in (KEY_ID, SECRET_KEY):
        if not values.get(key):
            problems.append(f"{key} is missing or empty")
    for key, value in sorted(values.items()):
        if key not in (KEY_ID, SECRET_KEY, SESSION_TOKEN):
            problems.append(f"{key} is unknown: must be {KEY_ID}, {SECRET_KEY}, {SESSION_TOKEN}")
        elif value != value.strip():
            problems.append(f"{key} has white space around it, such as the newline of `echo`: use `echo -n`")
        elif not (value.isascii() and value.isprintable()):
            problems.append(f"{key} is no text: `data` takes it encoded in base64, `stringData` as it is")
        elif value.strip('"') != value:
            problems.append(f"{key} has quotation marks around it")
    if values.get(KEY_ID, "").startswith("ASIA") and not values.get(SESSION_TOKEN):
        problems.append(f"{KEY_ID} is a temporary key, which needs {SESSION_TOKEN}, too")
    return problems

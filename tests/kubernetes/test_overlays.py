"""Each overlay applied to a real API server, and what its service account may do there then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.kubernetes.cluster import Cluster, status_of
from tests.manifests.overlays import OVERLAYS, edited_overlay

pytestmark = pytest.mark.kubernetes
# Named in each overlay.
NAMESPACE = "kubeflow-user-example-com"
ACCOUNT = "kfp-sagemaker"


@pytest.fixture(scope="module", autouse=True)
def users_namespace(cluster: Cluster) -> None:
    cluster.create_namespace(NAMESPACE)
    cluster.core().create_namespaced_secret(NAMESPACE, {"metadata": {"name": "another"}})


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """An overlay that is applied, and deleted afterwards."""
    folder = str(edited_overlay(request.param, tmp_path))
    applied = cluster.kubectl("apply", "-k", folder)
    assert applied.returncode == 0, applied.stderr
    yield request.param
    deleted = cluster.kubectl("delete", "-k", folder)
    assert deleted.returncode == 0, deleted.stderr


@pytest.mark.parametrize("overlay_name", OVERLAYS)
def test_an_overlay_with_every_option_is_taken(overlay_name: str, cluster: Cluster, tmp_path: Path) -> None:
    # The API server knows the kind of this option only where its controller is installed.
    folder = str(edited_overlay(overlay_name, tmp_path, with_options=True, without=["ack-pod-identity"]))

    tried = cluster.kubectl("apply", "-k", folder, "--dry-run=server")
    assert tried.returncode == 0, tried.stderr
    names = {line.split()[0] for line in tried.stdout.splitlines()}
    assert {f"serviceaccount/{ACCOUNT}", "networkpolicy.networking.k8s.io/kfp-sagemaker-steps"} <= names
    assert {"resourcequota/kfp-sagemaker", "limitrange/kfp-sagemaker", "configmap/kfp-launcher"} <= names
    assert {line.split(maxsplit=1)[1] for line in tried.stdout.splitlines()} == {"created (server dry run)"}
    assert ACCOUNT not in cluster.kubectl("get", "serviceaccounts", "-n", NAMESPACE).stdout

    assert cluster.kubectl("apply", "-k", folder).returncode == 0
    again = cluster.kubectl("apply", "-k", folder)
    assert {line.split()[0] for line in again.stdout.splitlines() if line.endswith(" unchanged")} == names
    assert cluster.kubectl("delete", "-k", folder).returncode == 0


def test_the_service_account_may_read_the_named_secret_and_no_other(cluster: Cluster, overlay: str) -> None:
    token = cluster.service_account_token(NAMESPACE, ACCOUNT)

    def can_i(*what: str) -> str:
        return cluster.kubectl("auth", "can-i", *what, "-n", NAMESPACE, token=token).stdout.strip()

    own = "yes" if overlay == "static-secret" else "no"
    assert can_i("get", "secret/aws-secret") == own
    assert [can_i("get", "secret/another"), can_i("list", "secrets"), can_i("get", "secrets")] == ["no"] * 3
    for verb in ("watch", "update", "patch", "delete"):
        assert can_i(verb, "secret/aws-secret") == "no"
    assert can_i("create", "secrets") == "no"
    assert can_i("get", "configmap/kfp-launcher") == "yes"
    assert can_i("get", "configmap/another") == "no"
    assert can_i("create", "pods") == "no"
    # What it may is the namespace's only.
    assert cluster.kubectl("auth", "can-i", "get", "secret/aws-secret", "-n", "default", token=token).stdout == "no\n"

    pod = cluster.core(token)
    # kubectl asks only about kinds the server has, and Argo is not installed.
    results = {"namespace": NAMESPACE, "verb": "create", "group": "argoproj.io", "resource": "workflowtaskresults"}
    review = client.AuthorizationV1Api(pod.api_client).create_self_subject_access_review
    assert review({"spec": {"resourceAttributes": results}}).status.allowed
    assert not review({"spec": {"resourceAttributes": results | {"verb": "list"}}}).status.allowed
    assert status_of(lambda: pod.read_namespaced_secret("aws-secret", NAMESPACE)) == (200 if own == "yes" else 403)
    assert status_of(lambda: pod.read_namespaced_secret("another", NAMESPACE)) == 403
    assert status_of(lambda: pod.list_namespaced_secret(NAMESPACE)) == 403


def test_the_applied_service_account_is_the_overlays(cluster: Cluster, overlay: str) -> None:
    account = cluster.core().read_namespaced_service_account(ACCOUNT, NAMESPACE)

    role = (account.metadata.annotations or {}).get("eks.amazonaws.com/role-arn")
    assert role == (f"arn:aws:iam::111122223333:role/kfp-sagemaker-{NAMESPACE}" if overlay == "irsa" else None)

"""The fixtures of what runs against a real Kubernetes API: ``make test-k8s``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import Cluster
from tests.suite.access.conftest import guarded_aws

__all__ = ["guarded_aws"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running API server, which all tests share: they use namespaces of their own."""
    cluster = Cluster(tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def namespace(cluster: Cluster, unique_name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace of the test's own; the present kubeconfig is its administrator's."""
    name = unique_name[-40:].strip("-")
    cluster.create_namespace(name)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(name)))
    return name

"""A Kubernetes API of the few paths we use, on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sagemaker_emulator.emulator import Emulator
from tests.suite.access.json_api import JsonApi

NAMESPACE = "team"
_PATH = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>secrets|serviceaccounts)(/(?P<name>[^/?]+))?")


class KubernetesApi(JsonApi):
    """Keeps Secrets and service accounts, and answers access reviews.

    Attributes:
        objects: (kind, namespace, name) to the object.
        denied: (verb, resource) that are refused.
        calls: (method, path) of each request.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.denied: set[tuple[str, str]] = set()
        self.calls: list[tuple[str, str]] = []
        super().__init__()

    def secret(self, name: str = "aws-secret") -> dict[str, str]:
        """The encoded values of a Secret."""
        return dict(self.objects["secrets", NAMESPACE, name]["data"])

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer a request."""
        self.calls.append((method, path))
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            return 201, {**body, "status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied}}
        match = _PATH.fullmatch(path)
        if match is None:
            return 404, {"kind": "Status", "message": f"the server could not find {path}"}
        kind, namespace, name = match["kind"], match["namespace"], match["name"] or body["metadata"]["name"]
        verb = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
        if (verb, kind) in self.denied:
            return 403, {"kind": "Status", "message": f'{kind} "{name}" is forbidden: User "u" cannot {verb} it'}
        key = (kind, namespace, name)
        exists = key in self.objects
        if method == "POST":
            if exists:
                return 409, {"kind": "Status", "message": f'{kind} "{name}" already exists'}
            self.objects[key] = body
            return 201, body
        if not exists:
            return 404, {"kind": "Status", "message": f'{kind} "{name}" not found'}
        if method == "DELETE":
            return 200, self.objects.pop(key)
        if method == "PUT":
            self.objects[key] = body
        if method == "PATCH":
            annotations = self.objects[key]["metadata"].setdefault("annotations", {})
            for annotation, value in body["metadata"]["annotations"].items():
                annotations[annotation] = value
                if value is None:
                    del annotations[annotation]
        return 200, self.objects[key]


@pytest.fixture
def kubernetes_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """A Kubernetes API that the present kubeconfig names."""
    api = KubernetesApi()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": api.url}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "users": [{"name": "test", "user": {}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    yield api
    api.stop()


@pytest.fixture
def guarded_aws(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An AWS that checks every call, with this process as its root; a test may make users and roles at will."""
    with Emulator(tmp_path_factory.mktemp("aws"), auth=True) as emulator:
        for name, value in emulator.env.items():
            monkeypatch.setenv(name, value)
        yield emulator

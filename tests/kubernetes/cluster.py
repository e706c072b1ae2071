"""A real Kubernetes API on loopback: etcd and kube-apiserver, with RBAC and tokens of service accounts.

Nothing runs pods, and no controller is there: what the API server itself decides is real, what would follow is not.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from kubernetes import client, config

from tests.child_processes import dying_with_us

_START_SECONDS = 120
_POLL_SECONDS = 0.1
_ISSUER = "https://kubernetes.default.svc"


class Cluster:
    """A running API server.

    Args:
        folder: Where its state, keys and logs are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._token = secrets.token_hex(16)
        self._url = ""
        self._certificate = str(folder / "certificates/apiserver.crt")  # the server makes it

    def start(self) -> None:
        """Start etcd and kube-apiserver, and wait until they answer."""
        etcd_url, peer_url = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        port = _free_port()
        self._url = f"https://127.0.0.1:{port}"
        self._start(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={etcd_url}",
            f"--advertise-client-urls={etcd_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            "--unsafe-no-fsync",
        )
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_file = self._folder / "service-account.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        tokens = self._folder / "tokens.csv"
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        self._start(
            "kube-apiserver",
            f"--etcd-servers={etcd_url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--external-hostname=localhost",
            f"--secure-port={port}",
            f"--cert-dir={self._folder / 'certificates'}",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            f"--service-account-issuer={_ISSUER}",
            f"--service-account-key-file={key_file}",
            f"--service-account-signing-key-file={key_file}",
            f"--api-audiences={_ISSUER}",
        )
        self._wait()

    def stop(self) -> None:
        """End both."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def kubeconfig(self, namespace: str = "default", token: str = "") -> Path:
        """A kubeconfig file of the administrator, or of who has the token."""
        path = self._folder / f"kubeconfig-{secrets.token_hex(4)}"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [
                        {"name": "test", "cluster": {"server": self._url, "certificate-authority": self._certificate}}
                    ],
                    "contexts": [
                        {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
                    ],
                    "users": [{"name": "test", "user": {"token": token or self._token}}],
                }
            )
        )
        return path

    def core(self, token: str = "") -> Any:
        """A client of the core API, of the administrator or of who has the token."""
        return client.CoreV1Api(config.new_client_from_config(str(self.kubeconfig(token=token))))

    def kubectl(self, *arguments: str, token: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl."""
        return subprocess.run(
            [
                _program("kubectl"),
                f"--kubeconfig={self.kubeconfig(token=token)}",
                f"--cache-dir={self._folder / 'kubectl'}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            input=stdin,
            check=False,
        )

    def create_namespace(self, name: str) -> None:
        """Create a namespace."""
        self.core().create_namespace({"metadata": {"name": name}})

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of a service account, as a pod has it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.core().api_client.call_api(
            path,
            "POST",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [_ISSUER]}},
            auth_settings=["BearerToken"],
            _preload_content=False,
        )[0]
        return str(json.loads(answer.data)["status"]["token"])

    def _start(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            command = dying_with_us([_program(name), *arguments])
            self._processes.append(subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log))

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while all(process.poll() is None for process in self._processes) and time.monotonic() < deadline:
            # No file of the certificate yet is an OSError, too.
            with contextlib.suppress(OSError):
                answer = requests.get(
                    f"{self._url}/readyz",
                    headers={"Authorization": f"Bearer {self._token}"},
                    verify=self._certificate,
                    timeout=10,
                )
                if answer.ok:
                    return
            time.sleep(_POLL_SECONDS)
        logs = "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in self._folder.glob("*.log"))
        raise AssertionError(f"the Kubernetes API did not start\n{logs}")


def status_of(call: Callable[[], Any]) -> int:
    """The HTTP status that a call of the Kubernetes client is answered with."""
    try:
        call()
    except client.ApiException as error:
        return int(error.status)
    return 200


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is not on PATH: use `make test-k8s`, which provides it"
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

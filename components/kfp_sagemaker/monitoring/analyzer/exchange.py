"""Several instances, one result: the others send the profile of their share to the first, which merges them.

The instances of a SageMaker job reach each other by host name. Nothing is sent out of the job's own network, and
nothing is left behind.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Thread
from typing import Any

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer import shards
from kfp_sagemaker.monitoring.analyzer.profile import Profile

PORT = 7041
# From when an instance is done with its own share.
WAIT_SECONDS = 3600.0
_RETRY_SECONDS = 1.0
_REQUEST_SECONDS = 60.0


def gather(
    profile: Profile,
    hosts: Sequence[str],
    *,
    port: int = PORT,
    timeout_seconds: float = WAIT_SECONDS,
    address: str = "",
) -> Profile:
    """On the first instance: wait for the shares of the others and merge them, in the order of ``hosts``.

    Args:
        profile: Of its own share.
        hosts: All instances, itself first.
        port: To listen at.
        timeout_seconds: How long to wait for the others.
        address: To listen at; empty means its own host name's.

    Raises:
        DataError: Another instance failed, or did not report in time.
    """
    arrived: Queue[tuple[str, bytes | str]] = Queue()
    server = ThreadingHTTPServer((address or hosts[0], port), _handler(arrived, set(hosts[1:])))
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="exchange", daemon=True).start()
    shares: dict[str, Profile] = {}
    deadline = time.monotonic() + timeout_seconds
    try:
        while len(shares) < len(hosts) - 1:
            try:
                host, content = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty as error:
                silent = ", ".join(host for host in hosts[1:] if host not in shares)
                raise DataError(f"no share arrived from {silent} within {timeout_seconds:g} s") from error
            if isinstance(content, str):
                raise DataError(f"instance {host} failed: {content}")
            shares[host] = shards.from_bytes(content)
    finally:
        server.shutdown()
        server.server_close()
    return Profile.merged([profile, *(shares[host] for host in hosts[1:])])


def send(
    content: Profile | str,
    hosts: Sequence[str],
    current_host: str,
    *,
    port: int = PORT,
    timeout_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """On another instance: send the profile of its share to the first, or the message of its failure.

    Raises:
        DataError: The first instance cannot be reached in time.
    """
    kind = "failure" if isinstance(content, str) else "profile"
    body = content.encode() if isinstance(content, str) else shards.to_bytes(content)
    deadline = time.monotonic() + timeout_seconds
    while True:
        connection = http.client.HTTPConnection(hosts[0], port, timeout=_REQUEST_SECONDS)
        try:
            connection.request("POST", f"/{kind}/{current_host}", body)
            answer = connection.getresponse()
            if answer.status == http.client.OK:
                return
            raise DataError(f"instance {hosts[0]} did not take the share of {current_host}: {answer.status}")
        except OSError as error:  # the first instance is still reading its own share
            if time.monotonic() >= deadline:
                raise DataError(f"instance {hosts[0]} cannot be reached at port {port}: {error}") from error
        finally:
            connection.close()
        sleep(_RETRY_SECONDS)


def _handler(arrived: Queue[tuple[str, bytes | str]], expected: set[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            _, kind, host = [*self.path.split("/"), "", ""][:3]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if host in expected and kind in ("profile", "failure"):
                arrived.put((host, body if kind == "profile" else body.decode("utf-8", errors="replace")))
                self.send_response(http.client.OK)
            else:
                self.send_response(http.client.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler

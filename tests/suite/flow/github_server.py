"""GitHub's API as a local server, for what reports to it."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "ghp_secret0123456789"
REPOSITORY = "team/models"
Asked = tuple[str, str, dict[str, Any]]


class Server:
    """GitHub's API, as far as the report uses it; holds comments and statuses, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.page_size = 100
        self.slept: list[float] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/v3"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, content: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        path, _, query = path.removeprefix("/api/v3").partition("?")
        if self.failures:
            status, headers = self.failures.pop(0)
            return status, {"message": "not now"}, headers
        if path == f"/repos/{REPOSITORY}/issues/7/comments":
            if method == "POST":
                self.comments.append({"id": 100 + len(self.comments), "html_url": "https://comment", **content})
                return 201, self.comments[-1], {}
            page = int(re.search(r"\bpage=(\d+)", f"{query}&page=1")[1]) if "&page=" in query else 1  # type: ignore[index]
            start, end = (page - 1) * self.page_size, page * self.page_size
            following = f"{self.url}{path}?per_page=100&page={page + 1}"
            more = {"Link": f'<{following}>; rel="next"'} if end < len(self.comments) else {}
            return 200, self.comments[start:end], more
        if match := re.fullmatch(rf"/repos/{REPOSITORY}/issues/comments/(\d+)", path):
            (comment,) = [each for each in self.comments if each["id"] == int(match[1])]
            comment.update(content)
            return 200, comment, {}
        if match := re.fullmatch(rf"/repos/{REPOSITORY}/statuses/(\w+)", path):
            self.statuses.append({"sha": match[1], **content})
            return 201, {}, {}
        return 404, {"message": "Not Found"}, {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                content = json.loads(body or b"{}")
                server.asked.append((self.command, self.path, content))
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    status, answer, headers = 401, {"message": "Bad credentials"}, {}
                elif self.headers["Accept"] != "application/vnd.github+json":
                    status, answer, headers = 406, {"message": "Accept"}, {}
                else:
                    status, answer, headers = server.answer(self.command, self.path, content)
                encoded = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(encoded)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(encoded)

            do_GET = do_POST = do_PATCH = _do  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

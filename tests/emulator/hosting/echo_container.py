"""A serving container for tests: tells what it was sent, and fails on request. Starts fast: standard library only.

Environment: NAME is told in answers; UNHEALTHY=1 fails every ping; CRASH=1 ends before listening; MAX_MODELS answers
507 beyond that many loaded models; REFUSE answers every invocation with that status. A body ``status N text`` is
answered with that status and text; ``exit`` ends the process; ``wait PATH`` answers when the file exists.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

models: dict[str, str] = {}
calls: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/ping":
            self.answer(500 if os.environ.get("UNHEALTHY") else 200, b"")
        elif self.path == "/calls":
            self.answer(200, json.dumps(calls).encode())
        else:
            self.answer(404, b"")

    def do_DELETE(self) -> None:
        name = self.path.removeprefix("/models/")
        calls.append("unload")
        self.answer(200 if models.pop(name, None) is not None else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/models":
            self.load(json.loads(body))
        elif self.path.startswith("/models/"):
            name = self.path.split("/")[2]
            if name not in models:
                self.answer(404, b"not loaded")
            else:
                self.invoke(body, models[name])
        else:
            self.invoke(body, "")

    def load(self, request: dict[str, str]) -> None:
        calls.append("load")
        if request["model_name"] in models:
            self.answer(409, b"loaded")
        elif len(models) >= int(os.environ.get("MAX_MODELS", 1_000_000)):
            self.answer(507, b"no memory left")
        else:
            weights = Path(request["url"]) / "weights.txt"
            if not weights.exists():
                self.answer(500, b"weights.txt is missing")
                return
            models[request["model_name"]] = weights.read_text()
            self.answer(200, b"{}")

    def invoke(self, body: bytes, model: str) -> None:
        text = body.decode(errors="replace")
        if refused := os.environ.get("REFUSE"):
            self.answer(int(refused), b"refused")
            return
        verb, _, rest = text.partition(" ")
        if verb == "status":
            status, _, message = rest.partition(" ")
            self.answer(int(status), message.encode())
            return
        if verb == "exit":
            os._exit(3)
        if verb == "wait":
            while not Path(rest).exists():
                time.sleep(0.01)
        answer = {
            "name": os.environ.get("NAME", ""),
            "pid": os.getpid(),
            "model": model,
            "body": text,
            "content_type": self.headers.get("Content-Type", ""),
            "accept": self.headers.get("Accept", ""),
            "custom_attributes": self.headers.get("X-Amzn-SageMaker-Custom-Attributes", ""),
            "loaded": len(models),
        }
        self.answer(200, json.dumps(answer).encode(), {"X-Amzn-SageMaker-Custom-Attributes": "seen=1"})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if os.environ.get("CRASH"):
    sys.exit("the model cannot be read")
print(f"container {os.environ.get('NAME', '')} is up", flush=True)
Server((os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()

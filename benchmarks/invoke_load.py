"""Load on InvokeEndpoint from a process of its own.

``python -m benchmarks.invoke_load URL ENDPOINT CONNECTIONS SECONDS MODEL...`` prints one JSON object: count, seconds,
p50_ms, p99_ms. Raw HTTP over kept-alive connections with a credential scope in every request, so that what is measured
is the emulator and not a client library. Every answer is checked.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from urllib.parse import urlsplit

import uvloop

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0"
)
BODY = ",".join(["0.5"] * 10).encode()


async def invoke(url: str, endpoint: str, models: list[str], end: float) -> list[float]:
    """Invoke the models in turn over one connection until the end; returns the durations in seconds."""
    address = urlsplit(url)
    messages = [
        f"POST /endpoints/{endpoint}/invocations HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: {AUTHORIZATION}\r\n"
        f"Content-Type: text/csv\r\nAccept: text/csv\r\nX-Amzn-SageMaker-Target-Model: {model}\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n".encode()
        + BODY
        for model in models
    ]
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    durations: list[float] = []
    while (started := time.perf_counter()) < end or len(durations) < len(messages):
        writer.write(messages[len(durations) % len(messages)])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"InvokeEndpoint answered {head!r} {answer!r}")
        durations.append(time.perf_counter() - started)
    writer.close()
    return durations


async def load(url: str, endpoint: str, connections: int, seconds: float, models: list[str]) -> dict[str, float]:
    """Invoke the models over several connections at once, each its share of them."""
    started = time.perf_counter()
    parts = [models[index::connections] for index in range(connections)]
    durations = sorted(
        duration
        for one in await asyncio.gather(*(invoke(url, endpoint, part, started + seconds) for part in parts))
        for duration in one
    )
    return {
        "count": len(durations),
        "seconds": time.perf_counter() - started,
        "p50_ms": 1000 * statistics.median(durations),
        "p99_ms": 1000 * durations[int(0.99 * len(durations))],
    }


if __name__ == "__main__":
    url, endpoint, connections, seconds, *models = sys.argv[1:]
    print(json.dumps(uvloop.run(load(url, endpoint, int(connections), float(seconds), models))))

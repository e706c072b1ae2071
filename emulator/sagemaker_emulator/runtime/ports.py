"""Free TCP ports on the loopback interface for serving containers."""

from __future__ import annotations

import random
import socket

# Below the range Linux and macOS hand out for outgoing connections, so that none of those takes a port in between.
_LOWEST_PORT = 12_000
_HIGHEST_PORT = 31_999
_ATTEMPTS = 200

_given_out: set[int] = set()
_random = random.SystemRandom()


def reserve_port() -> int:
    """Return a port nobody listens on and this emulator has not given to another container.

    Raises:
        OSError: None was found.
    """
    for _ in range(_ATTEMPTS):
        port = _random.randint(_LOWEST_PORT, _HIGHEST_PORT)
        if port in _given_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_out.add(port)
        return port
    raise OSError(f"No free port on 127.0.0.1 between {_LOWEST_PORT} and {_HIGHEST_PORT} after {_ATTEMPTS} attempts")


def release_port(port: int) -> None:
    """Give a port back."""
    _given_out.discard(port)

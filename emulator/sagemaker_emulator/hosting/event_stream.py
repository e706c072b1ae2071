"""The binary event stream InvokeEndpointWithResponseStream answers with.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

PART_BYTES = 64 * 1024
"""How much of the payload one event carries."""
_STRING = 7
_PART_HEADERS = {
    ":message-type": "event",
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
}


def encode_payload(payload: bytes) -> bytes:
    """Return a payload as a stream of ``PayloadPart`` events.

    Args:
        payload: What the container answered.
    """
    parts = [payload[start : start + PART_BYTES] for start in range(0, len(payload), PART_BYTES)]
    return b"".join(encode_message(_PART_HEADERS, part) for part in parts or [b""])


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one message: lengths and their checksum, headers, payload, checksum of it all.

    Args:
        headers: String headers.
        payload: The body.
    """
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", zlib.crc32(message))

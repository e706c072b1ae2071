"""AWS services as botocore describes them: operations and shapes, loaded once and stripped of their documentation."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

from sagemaker_emulator.patterns import compile_pattern

_UNUSED_KEYS = frozenset(
    {"documentation", "documentationUrl", "errors", "idempotent", "exception", "box", "deprecated"}
)


@dataclass(slots=True)
class Member:
    """A member of a structure: its shape, and where a REST request or answer carries it."""

    shape: str
    location: str = ""
    location_name: str = ""


@dataclass(slots=True)
class Shape:
    """A shape with its constraints; ``length_or_value`` bounds are ``minimum`` and ``maximum``."""

    name: str
    type: str
    members: dict[str, Member] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    item: str = ""
    key: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    regex: re.Pattern[str] | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False
    payload: str = ""


@dataclass(slots=True)
class Operation:
    """An operation: its HTTP binding and the shapes of its input and output, empty when it has none."""

    service: str
    name: str
    method: str
    path: re.Pattern[str]
    response_code: int
    input_shape: str
    output_shape: str


class ServiceModel:
    """One service: how its requests look and which shapes they hold.

    Shapes are prepared when first used: of SageMaker's three thousand a session touches a few hundred.

    Args:
        name: botocore's service name, such as ``sagemaker-runtime``.
    """

    def __init__(self, name: str) -> None:
        model = _load(name)
        metadata = model["metadata"]
        self.name = name
        self.protocol: str = metadata["protocol"]
        self.json_version: str = metadata.get("jsonVersion", "1.1")
        self.target_prefix: str = metadata.get("targetPrefix", "")
        self.signing_name: str = metadata.get("signingName") or metadata["endpointPrefix"]
        self.operations = {
            operation_name: Operation(
                service=name,
                name=operation_name,
                method=raw["http"]["method"],
                path=_path_regex(raw["http"]["requestUri"]),
                response_code=raw["http"].get("responseCode", 200),
                input_shape=raw.get("input", {}).get("shape", ""),
                output_shape=raw.get("output", {}).get("shape", ""),
            )
            for operation_name, raw in model["operations"].items()
        }
        self._raw_shapes: dict[str, Any] = model["shapes"]
        # What the service calls a request that breaks its shapes: the runtime API has an error of its own for it.
        self.validation_code = "ValidationError" if "ValidationError" in self._raw_shapes else "ValidationException"
        self._shapes: dict[str, Shape] = {}

    def shape(self, name: str) -> Shape:
        """Return a shape by its name."""
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = _prepare(name, self._raw_shapes[name])
        return shape

    def match_path(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation a REST request is for, with the labels of its path; None when there is no such one."""
        for operation in self.operations.values():
            if operation.method == method and (match := operation.path.fullmatch(path)):
                return operation, match.groupdict()
        return None


def _load(name: str) -> dict[str, Any]:
    # Not Loader.load_service_model: it keeps the documentation, which is nine tenths of the memory, and caches it.
    version = Loader().determine_latest_version(name, "service-2")
    path = Path(Loader.BUILTIN_DATA_PATH, name, version, "service-2.json.gz")

    def without_unused(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {
            key: value for key, value in pairs if key not in _UNUSED_KEYS or not isinstance(value, str | bool | list)
        }

    model: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()), object_pairs_hook=without_unused)
    return model


def _path_regex(request_uri: str) -> re.Pattern[str]:
    # "/endpoints/{EndpointName}/invocations"; "{Key+}" takes slashes too.
    parts = re.split(r"\{(\w+)(\+?)\}", request_uri.partition("?")[0])
    regex = re.escape(parts[0])
    for label, greedy, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        regex += f"(?P<{label}>{'.+' if greedy else '[^/]+'}){re.escape(literal)}"
    return re.compile(regex)


def _prepare(name: str, raw: dict[str, Any]) -> Shape:
    pattern = raw.get("pattern", "")
    return Shape(
        name=name,
        type=raw["type"],
        members={
            member_name: Member(
                member["shape"], member.get("location", ""), member.get("locationName", "") or member_name
            )
            for member_name, member in raw.get("members", {}).items()
        },
        required=tuple(raw.get("required", ())),
        item=raw.get("member", raw.get("value", {})).get("shape", ""),
        key=raw.get("key", {}).get("shape", ""),
        minimum=raw.get("min"),
        maximum=raw.get("max"),
        pattern=pattern,
        regex=compile_pattern(pattern) if pattern else None,
        enum=tuple(raw.get("enum", ())),
        sensitive=raw.get("sensitive", False),
        payload=raw.get("payload", ""),
    )

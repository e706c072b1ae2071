"""Parses a request's JSON against its shape, with AWS's checks and AWS's wording.

All problems of a request are told at once::

    2 validation errors detected: Value 'a b' at 'modelName' failed to satisfy constraint: Member must satisfy
    regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?; Value null at 'executionRoleArn' failed ...
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.service_model import ServiceModel, Shape

_SCALARS = frozenset({"string", "integer", "long", "float", "double", "boolean", "timestamp", "blob"})
_JSON_NAMES: dict[type, str] = {
    str: "STRING_VALUE",
    int: "NUMBER_VALUE",
    float: "DECIMAL_VALUE",
    bool: "TRUE_VALUE",
    list: "START_ARRAY",
    dict: "START_OBJECT",
}
_TYPE_NAMES = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "timestamp": "a Timestamp",
    "blob": "a Blob",
    "list": "a List",
    "map": "a Map",
    "structure": "a Structure",
}


def parse(model: ServiceModel, shape_name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request: timestamps as datetimes, blobs as bytes, nulls dropped.

    Args:
        model: The service.
        shape_name: The operation's input shape.
        value: The request as decoded from JSON, or gathered from a REST request.

    Raises:
        ApiError: ``ValidationException`` (``ValidationError`` of the runtime API): a member is missing, unknown or out
            of its bounds; the message names every one. ``SerializationException``: a member has the wrong JSON type.
    """
    parser = _Parser(model)
    parameters: dict[str, Any] = parser.structure(model.shape(shape_name), value, "")
    if parser.problems:
        count = len(parser.problems)
        noun = "error" if count == 1 else "errors"
        message = f"{count} validation {noun} detected: {'; '.join(parser.problems)}"
        raise ApiError(model.validation_code, message)
    return parameters


class _Parser:
    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self.problems: list[str] = []

    def structure(self, shape: Shape, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong_type(value, shape)
        prefix = f"{path}." if path else ""
        for name in shape.required:
            if value.get(name) is None:
                self._fail("null", prefix + _lower_first(name), "Member must not be null")
        parsed = {}
        for name, item in value.items():
            if item is None:
                continue
            member = shape.members.get(name)
            if member is None:
                known = ", ".join(shape.members)
                self._fail(f"'{_show(item)}'", prefix + _lower_first(name), f"Member must be one of: [{known}]")
                continue
            parsed[name] = self._any(self._model.shape(member.shape), item, prefix + _lower_first(name))
        return parsed

    def _any(self, shape: Shape, value: Any, path: str) -> Any:
        if shape.type in _SCALARS:
            parsed = _scalar(shape, value)
            for constraint in _violated(shape, parsed):
                self._fail_value(shape, parsed, path, constraint)
            return parsed
        if shape.type == "structure":
            return self.structure(shape, value, path)
        if shape.type == "list":
            return self._list(shape, value, path)
        return self._map(shape, value, path)

    def _list(self, shape: Shape, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong_type(value, shape)
        self._check_size(shape, value, path)
        item_shape = self._model.shape(shape.item)
        if item_shape.type not in _SCALARS:
            return [self._any(item_shape, item, f"{path}.{i}.member") for i, item in enumerate(value, 1)]
        parsed = [_scalar(item_shape, item) for item in value]
        if any(_violated(item_shape, item) for item in parsed):
            self._fail_value(item_shape, parsed, path, f"Member must satisfy constraint: [{_constraints(item_shape)}]")
        return parsed

    def _map(self, shape: Shape, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong_type(value, shape)
        value = {key: item for key, item in value.items() if item is not None}
        self._check_size(shape, value, path)
        key_shape, item_shape = self._model.shape(shape.key), self._model.shape(shape.item)
        if any(_violated(key_shape, key) for key in value):
            self._fail_value(shape, value, path, f"Map keys must satisfy constraint: [{_constraints(key_shape)}]")
        if item_shape.type not in _SCALARS:
            return {key: self._any(item_shape, item, f"{path}.{key}.member") for key, item in value.items()}
        parsed = {key: _scalar(item_shape, item) for key, item in value.items()}
        if any(_violated(item_shape, item) for item in parsed.values()):
            constraint = f"Map value must satisfy constraint: [{_constraints(item_shape)}]"
            self._fail_value(item_shape, parsed, path, constraint)
        return parsed

    def _check_size(self, shape: Shape, value: Any, path: str) -> None:
        for constraint in _violated_size(shape, len(value)):
            self._fail_value(shape, value, path, constraint)

    def _fail_value(self, shape: Shape, value: Any, path: str, constraint: str) -> None:
        self._fail("" if shape.sensitive else f"'{_show(value)}'", path, constraint)

    def _fail(self, value: str, path: str, constraint: str) -> None:
        shown = f"Value {value} at" if value else "Value at"
        self.problems.append(f"{shown} '{path}' failed to satisfy constraint: {constraint}")


def _scalar(shape: Shape, value: Any) -> Any:
    kind = shape.type
    if kind == "string" and isinstance(value, str):
        return value
    if kind == "boolean" and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("integer", "long") and is_number and value == int(value):
        return int(value)
    if kind in ("float", "double") and is_number:
        return float(value)
    if kind == "timestamp":
        return _timestamp(value, shape)
    if kind == "blob" and isinstance(value, bytes):
        return value
    if kind == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise _wrong_type(value, shape) from error
    raise _wrong_type(value, shape)


def _timestamp(value: Any, shape: Shape) -> datetime:
    try:
        if isinstance(value, datetime):
            return value
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise _wrong_type(value, shape) from error


def _violated(shape: Shape, value: Any) -> list[str]:
    violated = []
    if shape.type in ("string", "blob"):
        violated = _violated_size(shape, len(value))
        if shape.regex is not None and not shape.regex.fullmatch(value):
            violated.append(_pattern_constraint(shape))
        if shape.enum and value not in shape.enum:
            violated.append(_enum_constraint(shape))
    elif shape.type in ("integer", "long", "float", "double"):
        if shape.maximum is not None and value > shape.maximum:
            violated.append(f"Member must have value less than or equal to {shape.maximum}")
        if shape.minimum is not None and value < shape.minimum:
            violated.append(f"Member must have value greater than or equal to {shape.minimum}")
    return violated


def _violated_size(shape: Shape, size: int) -> list[str]:
    if shape.maximum is not None and size > shape.maximum:
        return [f"Member must have length less than or equal to {shape.maximum}"]
    if shape.minimum is not None and size < shape.minimum:
        return [f"Member must have length greater than or equal to {shape.minimum}"]
    return []


def _constraints(shape: Shape) -> str:
    """Return everything a list's or map's items must satisfy; AWS names all, not only what was violated."""
    noun = "length" if shape.type in ("string", "blob") else "value"
    constraints = []
    if shape.maximum is not None:
        constraints.append(f"Member must have {noun} less than or equal to {shape.maximum}")
    if shape.minimum is not None:
        constraints.append(f"Member must have {noun} greater than or equal to {shape.minimum}")
    if shape.pattern:
        constraints.append(_pattern_constraint(shape))
    if shape.enum:
        constraints.append(_enum_constraint(shape))
    return ", ".join(constraints)


def _pattern_constraint(shape: Shape) -> str:
    return f"Member must satisfy regular expression pattern: {shape.pattern}"


def _enum_constraint(shape: Shape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _wrong_type(value: Any, shape: Shape) -> ApiError:
    found = _JSON_NAMES.get(type(value), type(value).__name__)
    return ApiError("SerializationException", f"{found} can not be converted to {_TYPE_NAMES[shape.type]}")


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _show(value: Any) -> str:
    # As Java prints it.
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_show(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)

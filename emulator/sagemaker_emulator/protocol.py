"""Requests in, answers out: the json and rest-json protocols, driven by botocore's model of each service."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from sagemaker_emulator import validation
from sagemaker_emulator.errors import ApiError
from sagemaker_emulator.service_model import Operation, ServiceModel, Shape

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def parse_request(
    model: ServiceModel, operation: Operation, labels: dict[str, str], query: bytes, headers: Headers, body: bytes
) -> dict[str, Any]:
    """Return the validated parameters of a request.

    Args:
        model: The service.
        operation: The operation asked for.
        labels: The labels of its path, still percent-encoded; empty for the json protocol.
        query: The query string.
        headers: The headers, names in lower case.
        body: The whole body.

    Raises:
        ApiError: The body is not JSON, or a member breaks its shape.
    """
    if not operation.input_shape:
        return {}
    if model.protocol == "json":
        return validation.parse(model, operation.input_shape, _decode_json(body))
    return validation.parse(
        model, operation.input_shape, _gather(model, model.shape(operation.input_shape), labels, query, headers, body)
    )


def _decode_json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body) if body else {}
    except ValueError as error:
        raise ApiError("SerializationException", f"The request body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError("SerializationException", "Start of structure or map expected at the top of the request body")
    return value


def _gather(
    model: ServiceModel, shape: Shape, labels: dict[str, str], query: bytes, headers: Headers, body: bytes
) -> dict[str, Any]:
    gathered: dict[str, Any] = {}
    arguments = parse_qs(query.decode()) if query else {}
    in_body = False
    for name, member in shape.members.items():
        location = member.location
        if location == "header":
            value = headers.get(member.location_name.lower().encode())
            if value is not None:
                gathered[name] = _from_text(model.shape(member.shape), value.decode("latin-1"))
        elif location == "uri":
            gathered[name] = _from_text(model.shape(member.shape), unquote(labels[member.location_name]))
        elif location == "querystring":
            if values := arguments.get(member.location_name):
                member_shape = model.shape(member.shape)
                gathered[name] = values if member_shape.type == "list" else _from_text(member_shape, values[0])
        elif name == shape.payload:
            gathered[name] = body if model.shape(member.shape).type in ("blob", "string") else _decode_json(body)
        else:
            in_body = True
    if in_body and not shape.payload:
        gathered.update(_decode_json(body))
    return gathered


def _from_text(shape: Shape, text: str) -> Any:
    try:
        match shape.type:
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "timestamp" if not text[:1].isdigit():
                return parsedate_to_datetime(text)
    except (KeyError, ValueError) as error:
        raise ApiError("SerializationException", f"{text!r} can not be converted to {shape.type}") from error
    return text


def answer(model: ServiceModel, operation: Operation, result: dict[str, Any], request_id: str) -> Answer:
    """Serialise a result by the operation's output shape; members the shape does not know stay out.

    Documents may therefore be returned whole, with what the emulator notes in them for itself.
    """
    headers = [(b"x-amzn-requestid", request_id.encode())]
    if model.protocol == "json":
        headers.append((b"content-type", f"application/x-amz-json-{model.json_version}".encode()))
        body = _encode_json(_structure(model, operation.output_shape, result)) if operation.output_shape else b""
        return Answer(200, headers, body)
    if not operation.output_shape:
        return Answer(operation.response_code, headers, b"")
    shape = model.shape(operation.output_shape)
    body_members = {}
    for name, value in result.items():
        member = shape.members.get(name)
        if member is None or value is None:
            continue
        if member.location == "header":
            headers.append((member.location_name.lower().encode(), _to_text(value).encode("latin-1", "replace")))
        elif not member.location:
            body_members[name] = value
    if shape.payload and isinstance(payload := result.get(shape.payload, b""), bytes):
        return Answer(operation.response_code, headers, payload)
    headers.append((b"content-type", b"application/json"))
    document = body_members.get(shape.payload, {}) if shape.payload else body_members
    shape_name = shape.members[shape.payload].shape if shape.payload else shape.name
    return Answer(operation.response_code, headers, _encode_json(_structure(model, shape_name, document)))


def error_answer(model: ServiceModel, error: ApiError, request_id: str) -> Answer:
    """Serialise an error so that botocore finds its code and message in either protocol."""
    content_type = b"application/x-amz-json-1.1" if model.protocol == "json" else b"application/json"
    document = {"__type": error.code, "message": error.message, **error.members}
    if model.protocol != "json":
        del document["__type"]
        # Modelled error shapes spell it either way; clients read whichever theirs has.
        document["Message"] = error.message
    headers = [
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amzn-errortype", error.code.encode()),
        (b"content-type", content_type),
    ]
    return Answer(error.http_status, headers, _encode_json(document))


def _structure(model: ServiceModel, shape_name: str, value: dict[str, Any]) -> dict[str, Any]:
    members = model.shape(shape_name).members
    return {
        name: _value(model, members[name].shape, item)
        for name, item in value.items()
        if item is not None and name in members
    }


def _value(model: ServiceModel, shape_name: str, value: Any) -> Any:
    shape = model.shape(shape_name)
    match shape.type:
        case "structure":
            return _structure(model, shape_name, value)
        case "list":
            return [_value(model, shape.item, item) for item in value]
        case "map":
            return {key: _value(model, shape.item, item) for key, item in value.items()}
        case "timestamp":
            return value.timestamp() if isinstance(value, datetime) else value
        case "blob" if isinstance(value, bytes):
            return base64.b64encode(value).decode()
    return value


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return str(value)


def _encode_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()

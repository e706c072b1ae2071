"""Building and checking one AWS request against botocore's own service model.

What a component's nested arguments may hold is known already: boto3 carries every member's name, type, bounds, values
and pattern. So nothing is restated here. A member may be spelled as AWS does (``S3DataType``) or in snake_case
(``s3_data_type``), numbers that Kubeflow turned into floats become integers where AWS wants integers, and everything
that is wrong is recorded under the argument the user wrote, before anything is sent.

Instance types are matched by pattern and not by the model's list, which is older than the newest instance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from botocore import xform_name
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.aws.values import normalise, string_map

_EMPTY: tuple[object, ...] = (None, "", [], (), {})
_INVALID = object()


@dataclass(frozen=True)
class _Named:
    """A nested value with the argument the user wrote it under, where that is not where AWS has it."""

    argument: str
    value: Any


class RequestBuilder:
    """Collects the members of one operation's request.

    Args:
        service_model: botocore's model of the service, such as ``client.meta.service_model``.
        operation: The API operation, such as ``CreateTrainingJob``.
        problems: Where everything wrong is recorded.
    """

    def __init__(self, service_model: ServiceModel, operation: str, problems: Problems) -> None:
        self._operation = operation
        self._shape = _structure(service_model.operation_model(operation).input_shape)
        self._problems = problems
        self._request: dict[str, Any] = {}
        self._friendly_names: dict[str, str] = {}

    def set(self, path: str, value: Any, *, argument: str, places: Mapping[str, str] | None = None) -> None:
        """Set the member at a dotted path, unless the value is empty, which stands for "not given".

        Args:
            path: AWS's names, such as ``ResourceConfig.VolumeSizeInGB``.
            value: The argument's value; nested keys may be in snake_case.
            argument: The argument's name, for messages.
            places: For a list of flat, friendly objects: friendly key to AWS's dotted path, such as
                ``{"s3_uri": "DataSource.S3DataSource.S3Uri"}``. Other keys stay where they are.
        """
        if value in _EMPTY:
            return
        self._friendly_names = {}
        if places and isinstance(value, list | tuple):
            value = [_expand(item, places, f"{argument}[{index}]") for index, item in enumerate(value)]
            for name, place in places.items():
                for member in place.split("."):
                    self._friendly_names.setdefault(member, name)
        shape: Shape = self._shape
        names = path.split(".")
        for name in names:
            shape = _structure(shape).members[name]
        value = self._conform(shape, value, argument)
        if value is _INVALID:
            return
        target = self._request
        for name in names[:-1]:
            target = target.setdefault(name, {})
        target[names[-1]] = value

    def merge(self, extra: Any, *, argument: str, reserved: Mapping[str, str]) -> None:
        """Merge further members in, deeply, as a JSON merge patch (RFC 7396): null removes a member.

        Args:
            extra: Members, spelled as AWS does or in snake_case.
            argument: The argument's name, for messages.
            reserved: Members that may not be given here, with the argument that sets them.
        """
        if extra in _EMPTY:
            return
        self._friendly_names = {}
        for key in extra if isinstance(extra, Mapping) else ():
            if instead := reserved.get(_member_name(self._shape, key) or ""):
                self._problems.add(f"{argument}.{key}", extra[key], f"left out; use {instead}")
        conformed = self._conform(self._shape, extra, argument, partial=True)
        if conformed is _INVALID:
            return
        self._request = _merge_patch(self._request, conformed)

    def finish(self, *, supplied_later: Sequence[str]) -> dict[str, Any]:
        """Return the request when nothing is wrong with it.

        Args:
            supplied_later: Required members the caller adds, such as the job's name.

        Returns:
            The request as boto3 takes it.

        Raises:
            InputError: With every problem recorded so far, or else with the required members that are missing.
        """
        self._problems.raise_if_any()
        for path in _missing(self._shape, self._request, self._operation):
            if path.removeprefix(f"{self._operation}.") not in supplied_later:
                self._problems.add(path, None, "given")
        self._problems.raise_if_any()
        return self._request

    def _conform(self, shape: Shape, value: Any, argument: str, *, partial: bool = False) -> Any:
        """Return the value as AWS wants it, or ``_INVALID`` when a problem was recorded."""
        if isinstance(value, _Named):
            return self._conform(shape, value.value, value.argument, partial=partial)
        if isinstance(shape, StructureShape):
            return self._conform_structure(shape, value, argument, partial=partial)
        if isinstance(shape, ListShape):
            return self._conform_list(shape, value, argument)
        if isinstance(shape, MapShape):
            return self._conform_map(shape, value, argument)
        if shape.type_name == "string":
            return self._conform_string(shape, value, argument)
        if shape.type_name in ("integer", "long", "float", "double"):
            return self._conform_number(shape, value, argument)
        if shape.type_name == "boolean" and not isinstance(value, bool):
            return self._invalid(argument, value, "true or false")
        return value

    def _conform_structure(self, shape: StructureShape, value: Any, argument: str, *, partial: bool) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(argument, value, "an object with the keys " + ", ".join(self._known_keys(shape)))
        result: dict[str, Any] = {}
        fine = True
        for key, item in value.items():
            member = _member_name(shape, key)
            if member is None:
                fine = self._unknown_key(shape, f"{argument}.{key}", item)
            elif member in result:
                fine = self._unknown_key(shape, f"{argument}.{key}", item, "given once only")
            elif item is None and partial:
                result[member] = None
            elif item not in _EMPTY:
                result[member] = self._conform(shape.members[member], item, f"{argument}.{key}", partial=partial)
        if any(item is _INVALID for item in result.values()) or not fine:
            return _INVALID
        if not partial:
            absent = [name for name in shape.required_members if name not in result]
            for name in absent:
                self._problems.add(self._path_of_absent(argument, name), None, "given")
            if absent:
                return _INVALID
        return result

    def _known_keys(self, shape: StructureShape) -> list[str]:
        """What a user may write for the members; for flattened ones the first of their friendly keys."""
        return [self._friendly_names.get(name, xform_name(name)) for name in shape.members]

    def _path_of_absent(self, argument: str, name: str) -> str:
        """Where the user would have written a member; a friendly key belongs to the list's element itself."""
        if friendly := self._friendly_names.get(name):
            return f"{argument[: argument.rfind(']') + 1]}.{friendly}"
        return f"{argument}.{xform_name(name)}"

    def _unknown_key(self, shape: StructureShape, argument: str, value: Any, allowed: str = "") -> bool:
        self._problems.add(argument, value, allowed or "left out; known keys are " + ", ".join(self._known_keys(shape)))
        return False

    def _conform_list(self, shape: ListShape, value: Any, argument: str) -> Any:
        if not isinstance(value, list | tuple):
            return self._invalid(argument, value, "a list")
        if not self._length_fits(shape, value, argument, "elements"):
            return _INVALID
        items = [self._conform(shape.member, item, f"{argument}[{index}]") for index, item in enumerate(value)]
        return _INVALID if any(item is _INVALID for item in items) else items

    def _conform_map(self, shape: MapShape, value: Any, argument: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(argument, type(value).__name__, "an object of names and values")
        if not self._length_fits(shape, value, argument, "entries"):
            return _INVALID
        result = {}
        for key, text in string_map(value).items():
            name = self._conform(shape.key, key, f"{argument} name")
            # The values' own checks speak of lengths only: an environment may hold secrets.
            text = self._conform(shape.value, text, f"{argument}.{key}")
            result[name] = text
        return _INVALID if _INVALID in result or any(text is _INVALID for text in result.values()) else result

    def _conform_string(self, shape: Shape, value: Any, argument: str) -> Any:
        if isinstance(value, bool | int | float):
            value = string_map({"": value})[""]
        if not isinstance(value, str):
            return self._invalid(argument, value, "text")
        before = len(self._problems.found)
        if shape.name.endswith("InstanceType"):
            self._problems.instance_type(argument, value)
        elif shape.name == "RoleArn":
            self._problems.role_arn(argument, value)
        elif shape.name == "S3Uri" and not value.startswith("https://"):
            self._problems.s3_uri(argument, value)
        elif "enum" in shape.metadata:
            self._problems.one_of(argument, value, shape.metadata["enum"])
        elif self._length_fits(shape, value, argument, "characters") and not _matches(shape, value):
            self._problems.add(argument, value, f"text of the pattern {shape.metadata['pattern']}")
        return _INVALID if len(self._problems.found) > before else value

    def _conform_number(self, shape: Shape, value: Any, argument: str) -> Any:
        whole = shape.type_name in ("integer", "long")
        value = normalise(value)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return self._invalid(argument, value, "a whole number" if whole else "a number")
        minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
        if (minimum is None and maximum is None) or self._problems.between(argument, value, minimum, maximum):
            return value
        return _INVALID

    def _length_fits(self, shape: Shape, value: Any, argument: str, unit: str) -> bool:
        minimum, maximum = shape.metadata.get("min", 0), shape.metadata.get("max")
        if minimum <= len(value) and (maximum is None or len(value) <= maximum):
            return True
        bounds = f"at least {minimum}" if maximum is None else f"{minimum} to {maximum}"
        self._problems.add(argument, f"{len(value)} {unit}", f"{bounds} {unit}")
        return False

    def _invalid(self, argument: str, value: Any, allowed: str) -> Any:
        self._problems.add(argument, value, allowed)
        return _INVALID


def _expand(value: Any, places: Mapping[str, str], argument: str) -> Any:
    """Move the keys of a friendly object to where AWS has them; moved values remember the name they came from."""
    if not isinstance(value, Mapping):
        return value
    result: dict[str, Any] = {key: item for key, item in value.items() if key not in places}
    for key, place in places.items():
        if value.get(key) in _EMPTY:
            continue
        *parents, last = place.split(".")
        target = result
        for parent in parents:
            nested = target.get(parent)
            target[parent] = dict(nested) if isinstance(nested, Mapping) else {}
            target = target[parent]
        target[last] = _Named(f"{argument}.{key}", value[key])
    return result


def _structure(shape: Shape | None) -> StructureShape:
    if not isinstance(shape, StructureShape):
        raise TypeError(f"{shape} is not a structure")
    return shape


def _member_name(shape: StructureShape, key: Any) -> str | None:
    if key in shape.members:
        return str(key)
    return next((name for name in shape.members if xform_name(name) == key), None)


def _matches(shape: Shape, value: str) -> bool:
    pattern = _compiled(shape.metadata.get("pattern", ""))
    return pattern is None or pattern.fullmatch(value) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The model's pattern; None where it uses Java's syntax (\\p{L}), which AWS then checks itself."""
    if pattern in ("", ".*"):
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_patch(merged.get(key), value)
    return merged


def _missing(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Dotted paths of required members the request lacks."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if name in value:
                yield from _missing(member, value[name], f"{path}.{name}")
            elif name in shape.required_members:
                yield f"{path}.{name}"
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from _missing(shape.member, item, f"{path}[{index}]")

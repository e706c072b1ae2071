"""The JSON Schema of ``flow.yaml``, and what it says of a document in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from kfp_sagemaker.flow.document import Document, KeyPath

SCHEMA_FILE = Path(__file__).with_name("flow.schema.json")
_SHOWN_CHARACTERS = 60
_VARIABLE = "|[$][{]"


@cache
def load() -> dict[str, Any]:
    """The schema."""
    content: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return content


def check(document: Document) -> bool:
    """Hold a document against the schema; every violation becomes one of its problems.

    Args:
        document: The document.

    Returns:
        Whether it fits.
    """
    from jsonschema import Draft202012Validator

    errors = list(Draft202012Validator(load()).iter_errors(document.content))
    for error in errors:
        for path, message in _problems(error):
            document.add(path, message)
    return not errors


def _problems(error: Any) -> Iterator[tuple[KeyPath, str]]:
    """Where and what: in the words of the other messages of the suite."""
    path: KeyPath = tuple(error.absolute_path)
    value, rule, bound, part = error.instance, error.validator, error.validator_value, error.schema
    if rule == "required":
        # One error names one key; it is the one that is missing.
        name = re.match(r"'(.*)' is a required property", error.message)
        yield (*path, name[1] if name else ""), f"is missing{_about(part, name[1] if name else '')}"
    elif rule == "additionalProperties" and bound is False:
        known = list(part.get("properties", {}))
        for name in value:
            if name not in known:
                close = get_close_matches(str(name), known, 1)
                hint = f"; do you mean {close[0]}?" if close else ""
                yield (*path, name), f"is unknown, must be one of {', '.join(known)}{hint}"
    elif rule == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        yield (*path, value if isinstance(value, str) else ""), f"is a name that is not allowed here{_allowed(error)}"
    elif rule == "oneOf":
        given = [each["required"][0] for each in bound if each["required"][0] in value]
        said = f"has {' and '.join(given)}" if given else "has none of them"
        yield path, f"{said}, must have {part.get('$comment', 'exactly one of them')}"
    elif rule == "dependentRequired":
        for name, needed in bound.items():
            for missing in needed:
                if name in value and missing not in value:
                    yield (*path, missing), f"is missing; {name} needs it"
    else:
        yield path, f"is {_shown(value)}, must be {_wanted(rule, bound, part)}"


def _wanted(rule: str, bound: Any, part: dict[str, Any]) -> str:
    if rule == "enum":
        return f"one of {', '.join(json.dumps(each) if each == '' else str(each) for each in bound)}"
    if rule == "type":
        kinds = {"object": "an object", "array": "a list", "string": "text", "integer": "a whole number"}
        kinds |= {"number": "a number", "boolean": "true or false"}
        return " or ".join(kinds[each] for each in ([bound] if isinstance(bound, str) else bound))
    if rule == "pattern":
        # The schema lets variables pass, for editors; here they have been filled in.
        return str(part.get("$comment") or f"text of the pattern {bound.removesuffix(_VARIABLE)}")
    words = {
        "const": f"{bound}",
        "minimum": f"at least {bound}",
        "maximum": f"at most {bound}",
        "minLength": "given" if bound == 1 else f"at least {bound} characters long",
        "maxLength": f"at most {bound} characters long",
        "minItems": f"a list of at least {bound}",
        "maxItems": f"a list of at most {bound}",
        "minProperties": "an object with one of " + ", ".join(part["properties"])
        if "properties" in part
        else f"an object of at least {bound}",
        "maxProperties": "an object with one only of " + ", ".join(part["properties"])
        if "properties" in part
        else f"an object of at most {bound}",
        "uniqueItems": "a list without repetitions",
    }
    return words.get(rule, f"as the schema says ({rule}: {json.dumps(bound)})")


def _allowed(error: Any) -> str:
    if error.validator == "pattern":
        return f", must match {error.validator_value}"
    if error.validator == "not":
        return ": the flow sets it" if "enum" in error.validator_value else ""
    return f", must be {_wanted(error.validator, error.validator_value, error.schema)}"


def _about(part: dict[str, Any], name: str) -> str:
    """What a missing property is for, in its own description."""
    found = part.get("properties", {}).get(name, {})
    reference = found.get("$ref", "").removeprefix("#/$defs/")
    found = {**load()["$defs"].get(reference, {}), **found}
    values = found.get("enum") or ([found["const"]] if "const" in found else [])
    if values:
        return f", must be one of {', '.join(map(str, values))}" if len(values) > 1 else f", must be {values[0]}"
    return f": {found['description'].split('. ')[0].rstrip('.')}" if "description" in found else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."

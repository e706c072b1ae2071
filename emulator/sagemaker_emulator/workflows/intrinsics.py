"""The intrinsic functions of payload templates, such as ``States.Format('{}/model', $.bucket)``.

https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import uuid
from collections.abc import Callable
from typing import Any

from sagemaker_emulator.workflows import paths
from sagemaker_emulator.workflows.failures import StateFailure

FAILURE = "States.IntrinsicFailure"
_NAME = re.compile(r"\s*(States\.\w+)\s*\(")
_STRING = re.compile(r"\s*'((?:[^'\\]|\\.)*)'")
_LITERAL = re.compile(r"\s*(-?\d+(?:\.\d+)?|true|false|null)(?=\s*[,)])")
_PATH = re.compile(r"\s*(\$(?:\$)?(?:\.[^\s,()\[\]]+|\[[^\]]*\])*)")
_SEPARATOR = re.compile(r"\s*([,)])")
_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
# Both limits are of the page above.
_LONGEST_TEXT = 10_000
_LONGEST_RANGE = 1000


def evaluate(expression: str, value: Any, context: dict[str, Any]) -> Any:
    """Return the value of an expression.

    Args:
        expression: Such as ``States.Array($.a, 1, 'text')``.
        value: The state's input, for paths.
        context: The context object.

    Raises:
        StateFailure: ``States.IntrinsicFailure``: it is malformed or its arguments do not fit.
        PathError: A path in it selects nothing.
    """
    result, end = _call(expression, 0, value, context)
    if expression[end:].strip():
        raise _failure(expression, f"nothing may follow its closing parenthesis, not {expression[end:]!r}")
    return result


def check(expression: str) -> None:
    """Check the name of an expression's outermost function.

    Raises:
        ValueError: There is no such function.
    """
    match = _NAME.match(expression)
    if not match or match[1] not in _FUNCTIONS:
        raise ValueError(f"{expression!r} is not an intrinsic function; there are {', '.join(sorted(_FUNCTIONS))}")


def _call(text: str, position: int, value: Any, context: dict[str, Any]) -> tuple[Any, int]:
    match = _NAME.match(text, position)
    if not match or match[1] not in _FUNCTIONS:
        raise _failure(text, f"there is no intrinsic function {text[position:].partition('(')[0].strip()!r}")
    arguments: list[Any] = []
    position = match.end()
    if closing := re.compile(r"\s*\)").match(text, position):
        position = closing.end()
    else:
        while True:
            # Format unescapes its template itself: an escaped brace has a meaning there.
            is_template = match[1] == "States.Format" and not arguments
            argument, position = _argument(text, position, value, context, is_template)
            arguments.append(argument)
            separator = _SEPARATOR.match(text, position)
            if not separator:
                raise _failure(text, f"expected , or ) at {text[position:]!r}")
            position = separator.end()
            if separator[1] == ")":
                break
    try:
        return _FUNCTIONS[match[1]](*arguments), position
    except (TypeError, ValueError, LookupError) as error:
        raise _failure(text, f"{match[1]} does not take these arguments: {error}") from error


def _argument(text: str, position: int, value: Any, context: dict[str, Any], is_template: bool) -> tuple[Any, int]:
    if _NAME.match(text, position):
        return _call(text, position, value, context)
    if match := _STRING.match(text, position):
        return match[1] if is_template else _unescape(match[1]), match.end()
    if match := _LITERAL.match(text, position):
        return json.loads(match[1]), match.end()
    if match := _PATH.match(text, position):
        return paths.select(match[1], value, context), match.end()
    raise _failure(text, f"{text[position:]!r} is neither a path, a quoted text, a number nor a function")


def _failure(expression: str, problem: str) -> StateFailure:
    return StateFailure(FAILURE, f"The intrinsic function {expression!r} cannot be evaluated: {problem}.")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _format(template: str, *values: Any) -> str:
    pieces = re.split(r"(?<!\\)\{\}", template)
    if len(pieces) != len(values) + 1:
        raise ValueError(f"{len(values)} values for {len(pieces) - 1} places")
    shown = [value if isinstance(value, str) else _to_json(value) for value in values]
    return "".join(_unescape(piece) + text for piece, text in zip(pieces, [*shown, ""], strict=True))


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _limited(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"text of {len(text)} characters, and {_LONGEST_TEXT} are the most")
    return text


def _partition(array: list[Any], size: int) -> list[list[Any]]:
    return [array[start : start + size] for start in range(0, len(array), size)]


def _range(first: int, last: int, step: int) -> list[int]:
    numbers = list(range(first, last + (1 if step > 0 else -1), step))
    if len(numbers) > _LONGEST_RANGE:
        raise ValueError(f"{len(numbers)} numbers, and {_LONGEST_RANGE} are the most")
    return numbers


def _unique(array: list[Any]) -> list[Any]:
    by_text: dict[str, Any] = {}
    for item in array:
        by_text.setdefault(_to_json(item), item)
    return list(by_text.values())


def _merge(first: dict[str, Any], second: dict[str, Any], deep: bool) -> dict[str, Any]:
    if deep:
        raise ValueError("the third argument has to be false: AWS has no deep merge")
    return {**first, **second}


def _split(text: str, delimiters: str) -> list[str]:
    return [part for part in re.split(f"[{re.escape(delimiters)}]", text) if part]


def _random(start: int, end: int, seed: int | None = None) -> int:
    return random.Random(seed).randrange(start, end)  # noqa: S311 - what States.MathRandom is


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "States.Array": lambda *items: list(items),
    "States.ArrayContains": lambda array, item: item in array,
    "States.ArrayGetItem": lambda array, index: array[index],
    "States.ArrayLength": lambda array: len(array),
    "States.ArrayPartition": _partition,
    "States.ArrayRange": _range,
    "States.ArrayUnique": _unique,
    "States.Base64Decode": lambda text: base64.b64decode(_limited(text)).decode(),
    "States.Base64Encode": lambda text: base64.b64encode(_limited(text).encode()).decode(),
    "States.Format": _format,
    "States.Hash": lambda data, algorithm: hashlib.new(_HASHES[algorithm], _limited(data).encode()).hexdigest(),
    "States.JsonMerge": _merge,
    "States.JsonToString": _to_json,
    "States.MathAdd": lambda first, second: int(first) + int(second),
    "States.MathRandom": _random,
    "States.StringSplit": _split,
    "States.StringToJson": json.loads,
    "States.UUID": lambda: str(uuid.uuid4()),
}

r"""Service models hold Java regular expressions; this says the same in Python's.

Python's ``re`` has no Unicode categories. Letters, marks and numbers become ``\w`` (which adds the underscore),
separators ``\s``, punctuation and symbols the blocks that hold nearly all of them: never narrower than AWS for text
people write.
"""

from __future__ import annotations

import re

_PUNCTUATION = (
    r"!-/:-@\[-`{-~\u00a1-\u00bf\u00d7\u00f7\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2100-\u2bff\u3001-\u303f"
)
_CATEGORIES = {
    "L": r"\w",
    "M": r"\u0300-\u036f\u200d\ufe00-\ufe0f",
    "N": r"\w",
    "P": _PUNCTUATION,
    "S": _PUNCTUATION + r"\U0001f000-\U0001faff",
    "Z": r"\s",
    "Alnum": "a-zA-Z0-9",
    "ASCII": r"\x00-\x7f",
    "Print": r"\x20-\x7e",
}
_TOKEN = re.compile(r"\\p\{(\w+)\}|\\.|\[|\]", re.DOTALL)
# Java writes code points beyond the basic plane as surrogate pairs.
_SURROGATES = (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010ffff")
_STRAY_REPETITION = re.compile(r"\$\{\d+,\d+\}$")  # "(...)${1,128}": a repeated end of input, as two shapes have it


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a model's pattern for ``fullmatch``, which is how AWS applies it.

    Raises:
        re.error: The pattern uses something this does not translate.
    """
    pattern = _STRAY_REPETITION.sub("", pattern.replace(*_SURROGATES)).replace(r"\z", r"\Z")
    translated, position, depth = "", 0, 0
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token.group(1):
            category = _CATEGORIES.get(token.group(1))
            if category is None:
                raise re.error(f"unknown category {text}", pattern)
            text = category if depth else f"[{category}]"
        elif text == "[":
            # Inside a class an opening bracket is literal in Python.
            text = "[" if not depth else r"\["
            depth = 1
        elif text == "]":
            depth = 0
        translated += pattern[position : token.start()] + text
        position = token.end()
    return re.compile(translated + pattern[position:])

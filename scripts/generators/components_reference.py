"""The component reference ``docs/components.md``, from the signatures and docstrings of the faces."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import docstring_parser

from scripts.generators.generated import ROOT, Generated

PATH = ROOT / "docs/components.md"
_HEAD = """# Components

Generated from the components' signatures and docstrings by `make generate`; do not edit.

```python
from kfp_sagemaker import components
```

"""


def generate() -> Iterable[Generated]:
    """Write the reference: an overview, then a section for each component of the catalogue."""
    from kfp_sagemaker import components

    faces = {name: getattr(components, name) for name in sorted(components.__all__)}
    overview = ["| component | what it does |", "|---|---|"]
    overview += [f"| [`{name}`](#{name}) | {_summary(face)} |" for name, face in faces.items()]
    sections = [_section(name, face) for name, face in faces.items()]
    yield Generated(PATH, _HEAD + "\n".join(overview) + "\n\n" + "\n".join(sections))


def _section(name: str, face: Any) -> str:
    documented = docstring_parser.parse(inspect.getdoc(face.python_func) or "")
    spec = face.component_spec
    lines = [f"## {name}", "", documented.short_description or "", ""]
    if documented.long_description:
        lines += [documented.long_description, ""]
    lines += ["### Inputs", "", "| name | type | default | |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {_type(item.type)} | {_default(item)} | {_cell(item.description)} |"
        for key, item in (spec.inputs or {}).items()
    ]
    if spec.outputs:
        lines += ["", "### Outputs", "", "| name | type | |", "|---|---|---|"]
        lines += [
            f"| `{key}` | {_type(item.type)} | {_cell(item.description or _returned(documented, key))} |"
            for key, item in spec.outputs.items()
        ]
    if documented.raises:
        lines += ["", "### Raises", ""]
        lines += [f"- `{item.type_name}`: {_flat(item.description)}" for item in documented.raises]
    return "\n".join(lines) + "\n"


def _summary(face: Any) -> str:
    return docstring_parser.parse(inspect.getdoc(face.python_func) or "").short_description or ""


def _returned(documented: docstring_parser.Docstring, name: str) -> str:
    """An output's line in the Returns section, where kfp did not take it over."""
    text = (documented.returns.description if documented.returns else "") or ""
    for line in text.splitlines():
        key, colon, rest = line.strip().partition(":")
        if colon and key.strip("`-* ") == name:
            return rest.strip()
    return ""


def _type(name: str) -> str:
    """``system.Model@0.0.1`` is an artifact, everything else a parameter."""
    return f"artifact {name.split('@')[0].removeprefix('system.')}" if "@" in name else name


def _default(item: Any) -> str:
    if "@" in item.type:
        return ""
    if not item.optional:
        return "*required*"
    return f"`{item.default!r}`" if item.default is not None else ""


def _cell(text: str | None) -> str:
    return _flat(text).replace("|", "\\|")


def _flat(text: str | None) -> str:
    return " ".join((text or "").split())

"""A YAML file read with the place of everything in it: variables filled in, includes merged, every problem kept.

Works on PyYAML's nodes, which know their file and line, and not on the finished objects, which do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[^}:]*)(?P<colon>:-)?(?P<default>[^}]*)\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong with a file.

    Attributes:
        file: The file, as it was named.
        line: Line in it, from 1.
        path: Where in the document, such as ``training.hyperparameters.eta``; empty for all of it.
        message: What is wrong, and what is allowed.
    """

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {where}{self.message}"


@dataclass
class Document:
    """A document and the place of each of its parts.

    Attributes:
        content: The document as plain objects.
        problems: What was wrong on the way; the content holds what could be read all the same.
    """

    file: str
    content: Any = None
    problems: list[Problem] = field(default_factory=list)
    _places: dict[KeyPath, tuple[str, int]] = field(default_factory=dict)

    def add(self, path: Iterable[str | int], message: str) -> None:
        """Record a problem with a part, or with the nearest thing around it that is there."""
        path = tuple(path)
        file, line = self.place(path)
        problem = Problem(file, line, dotted(path), message)
        if problem not in self.problems:
            self.problems.append(problem)

    def place(self, path: KeyPath) -> tuple[str, int]:
        """File and line of a part: where its key is, or where the nearest thing around it is."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path, (self.file, 1))

    def folder(self, path: KeyPath) -> Path:
        """Folder of the file a part was written in, which its relative paths start from."""
        return Path(self.place(path)[0]).parent


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it, such as ``gates[0].metric``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def load(path: Path | str, environ: Mapping[str, str]) -> Document:
    """Read a file and all it includes.

    Args:
        path: The file.
        environ: Values of the variables.

    Returns:
        The document, with its problems.
    """
    document = Document(str(path))
    node = _Reader(document, environ).read(Path(path), ())
    if node is not None:
        document.content = _Builder(document).build(node, ())
    return document


class _Loader(yaml.SafeLoader):
    """PyYAML's, without dates: a quoted or plain 2026-01-01 stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Reader:
    """Reads files into one tree of nodes."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.document = document
        self.environ = environ

    def read(self, path: Path, including: tuple[Path, ...], asked_at: yaml.Node | None = None) -> yaml.Node | None:
        file = str(path)
        if path.resolve() in including:
            chain = " -> ".join(each.name for each in (*including, path))
            self._problem(asked_at, f"includes go in a circle: {chain}")
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            self._problem(asked_at, f"cannot read {file}: {reason}", file)
            return None
        loader = _Loader(text)
        loader.name = file
        try:
            node = loader.get_single_node()
            if node is None:
                self._add(file, 1, "", "is empty, must be an object with version, name, data, training")
                return None
            self._fill_in(node, loader, "", ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line if mark else 0
            hint = (
                "; inside of { } a ${VARIABLE} needs quotes"
                if "${" in "".join(text.splitlines()[line : line + 1])
                else ""
            )
            self._add(file, line + 1, "", f"is not YAML: {error.problem or error.context}{hint}")
            return None
        except yaml.YAMLError as error:
            self._add(file, 1, "", f"is not YAML: {error}")
            return None
        return self._with_includes(node, path, including)

    def _with_includes(self, node: yaml.Node, path: Path, including: tuple[Path, ...]) -> yaml.Node:
        if not isinstance(node, yaml.MappingNode):
            return node
        pair = next((pair for pair in node.value if pair[0].value == "include"), None)
        if pair is None or not isinstance(pair[1], yaml.SequenceNode):
            return node  # the schema says what is wrong with it
        node.value.remove(pair)
        merged: yaml.Node | None = None
        for item in pair[1].value:
            if isinstance(item, yaml.ScalarNode) and item.value:
                base = self.read(path.parent / item.value, (*including, path.resolve()), item)
                merged = base if merged is None or base is None else _merge(merged, base)
        return node if merged is None else _merge(merged, node)

    def _fill_in(self, node: yaml.Node, loader: _Loader, path: str, around: tuple[yaml.Node, ...]) -> None:
        """Put variables' values in place, in every text of the tree."""
        if any(each is node for each in around):
            raise yaml.MarkedYAMLError(None, None, "an alias stands inside of what it repeats", node.start_mark)
        around = (*around, node)
        if isinstance(node, yaml.MappingNode):
            loader.flatten_mapping(node)
            for key, value in node.value:
                self._fill_in(value, loader, f"{path}.{getattr(key, 'value', '')}", around)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._fill_in(item, loader, f"{path}[{index}]", around)
        elif isinstance(node, yaml.ScalarNode) and "$" in node.value:
            node.value = _VARIABLE.sub(lambda match: self._value(match, node, path.removeprefix(".")), node.value)
            if node.style is None:  # plain text: "${JOBS}" may be a number now
                node.tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]  # its stubs

    def _value(self, match: re.Match[str], node: yaml.Node, path: str) -> str:
        name = match["name"]
        if name is None:
            return "$"  # written as $$
        mark = node.start_mark
        if not _NAME.fullmatch(name):
            self._add(mark.name, mark.line + 1, path, f"{match[0]} names no variable, must be ${{NAME}}")
            return ""
        value = self.environ.get(name)
        if match["colon"]:
            return value or match["default"]
        if value is None:
            allowed = f"set it in the environment, or give a default: ${{{name}:-default}}"
            self._add(mark.name, mark.line + 1, path, f"the variable {name} is not set; {allowed}")
        return value or ""

    def _problem(self, node: yaml.Node | None, message: str, file: str = "") -> None:
        if node is None:
            self._add(file or self.document.file, 1, "", message)
        else:
            self._add(node.start_mark.name, node.start_mark.line + 1, "include", message)

    def _add(self, file: str, line: int, path: str, message: str) -> None:
        self.document.problems.append(Problem(file, line, path, message))


def _merge(base: yaml.Node, over: yaml.Node) -> yaml.Node:
    """Both objects in one, the second winning; of anything else the second."""
    if not (isinstance(base, yaml.MappingNode) and isinstance(over, yaml.MappingNode)):
        return over
    pairs = {key.value: (key, value) for key, value in base.value}
    for key, value in over.value:
        known = pairs.get(key.value)
        pairs[key.value] = (key, _merge(known[1], value) if known else value)
    return yaml.MappingNode(over.tag, list(pairs.values()), over.start_mark, over.end_mark)


class _Builder:
    """Makes plain objects of nodes and notes where each came from."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constructor = _Loader("")

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        mark = node.start_mark
        self.document._places.setdefault(path, (mark.name, mark.line + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return self.constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            self.document.add(path, f"cannot be read: {getattr(error, 'problem', None) or error}")
            return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value in node.value:
            key = str(key_node.value)
            mark = key_node.start_mark
            if key in content:
                self.document.problems.append(
                    Problem(mark.name, mark.line + 1, dotted((*path, key)), "is given twice, must be given once")
                )
                continue
            self.document._places[*path, key] = (mark.name, mark.line + 1)
            content[key] = self.build(value, (*path, key))
        return content

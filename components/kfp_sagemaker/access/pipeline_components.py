"""Which components a compiled pipeline uses, so that its permissions can be told from its YAML alone.

A step of the suite is known by its function's name. A step of the pipeline's own counts for the components whose work
it imports: one that imports ``kfp_sagemaker.endpoints.delete`` needs what ``delete_resources`` needs. What such a step
asks of AWS by itself, past the suite, cannot be told.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[1]
# Every step uses it, and it calls nothing by itself.
_SHARED = ("kfp_sagemaker.aws", "kfp_sagemaker._")


def components_of(specification: Mapping[str, Any]) -> list[str]:
    """Names of the suite's components a pipeline uses, sorted.

    Args:
        specification: The first document of the compiled YAML.
    """
    used: set[str] = set()
    for executor in specification.get("deploymentSpec", {}).get("executors", {}).values():
        container = executor.get("container", {})
        name = _function_name(container.get("args", []))
        if name in _work_of_components():
            used.add(name)
            continue
        imported = set(_imports(ast.parse((container.get("command") or [""])[-1])))
        used |= {component for component, work in _work_of_components().items() if imported & work}
    return sorted(used)


def all_components() -> list[str]:
    """Names of the suite's components, sorted."""
    return sorted(_work_of_components())


@cache
def _work_of_components() -> dict[str, set[str]]:
    """Component to the work modules its face imports; read from the source, since importing faces takes kfp."""
    work = {}
    for path in _PACKAGE.glob("*/**/component.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any(
                "sagemaker_component" in ast.dump(d) for d in node.decorator_list
            ):
                work[node.name] = set(_imports(node))
    return work


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and module.startswith("kfp_sagemaker.") and not module.startswith(_SHARED):
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _function_name(arguments: list[str]) -> str:
    index = arguments.index("--function_to_execute") if "--function_to_execute" in arguments else -1
    return arguments[index + 1] if index >= 0 else ""

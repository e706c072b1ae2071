"""Quicker starts: heavy libraries without the heavier ones they import only in case."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*modules: str) -> Iterator[None]:
    """Let packages seem not installed to what is imported in a block.

    scikit-learn imports pandas to look at its version, XGBoost imports scikit-learn for its wrapper classes: more than
    a second and 60 MB in every container. Code that uses them imports them itself, afterwards. Packages that are
    imported already stay visible.
    """
    absent = [module for module in modules if module not in sys.modules]
    for module in absent:
        sys.modules[module] = None  # type: ignore[assignment]  # how Python marks a module that cannot be imported
    try:
        yield
    finally:
        for module in absent:
            del sys.modules[module]

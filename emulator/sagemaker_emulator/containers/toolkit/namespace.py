"""Models whose code shares names: each sees its own modules.

Two models of one container may both bring an ``inference.py`` and a ``helpers.py``. Python has one ``sys.path`` and one
``sys.modules``; a namespace lends them to one model at a time. The model server runs models one after another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


class CodeNamespace:
    """The modules of one source folder.

    Args:
        folder: Where they are imported from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the folder's modules importable, and only this namespace's, for the length of a block."""
        known = len(sys.modules)
        hidden = {name: sys.modules[name] for name in self._modules if name in sys.modules}
        sys.modules.update(self._modules)
        sys.path.insert(0, self._folder)
        expected = known + len(self._modules) - len(hidden)
        try:
            yield
        finally:
            sys.path.remove(self._folder)
            if len(sys.modules) != expected:
                self._adopt()
            for name in self._modules:
                sys.modules.pop(name, None)
            sys.modules.update(hidden)

    def _adopt(self) -> None:
        """Take what the block imported from the folder as this namespace's own."""
        prefix = self._folder + "/"
        for name, module in list(sys.modules.items()):
            if name not in self._modules and (_origin(module) + "/").startswith(prefix):
                self._modules[name] = module


def _origin(module: ModuleType) -> str:
    origin = getattr(module, "__file__", None)
    if origin:
        return str(origin)
    path = getattr(module, "__path__", None)  # a folder without __init__.py
    return str(next(iter(path), "")) if path else ""

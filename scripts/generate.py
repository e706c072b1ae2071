"""Write everything in the repository that is generated (``make generate``), or check that it is up to date.

Usage: ``python scripts/generate.py [--check] [NAME ...]``. A name is that of a module in ``scripts/generators``.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATORS = (
    "image_uris",
    "components_reference",
    "pipelines",
    "pipeline_pictures",
    "emulator_operations",
    "iam_documents",
)


def main(arguments: list[str]) -> int:
    """Run the generators asked for.

    Args:
        arguments: The command line.

    Returns:
        The exit code: 1 when ``--check`` found a file out of date.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; show what differs, and fail if anything does"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(GENERATORS)} (default: all)")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(GENERATORS))
    if unknown:
        parser.error(f"no such generator: {', '.join(unknown)}")
    sys.path.insert(0, str(ROOT))
    outdated = 0
    for name in options.names or GENERATORS:
        for generated in importlib.import_module(f"scripts.generators.{name}").generate():
            outdated += _outdated(generated.path, generated.text, options.check)
    return 1 if options.check and outdated else 0


def _outdated(path: Path, text: str, check: bool) -> bool:
    """Write the file unless it is as it ought to be; with ``check``, show the difference instead."""
    label = str(path.relative_to(ROOT))
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    if present == text:
        return False
    if check:
        difference = difflib.unified_diff(
            present.splitlines(), text.splitlines(), label, f"{label} (generated)", lineterm="", n=1
        )
        print("\n".join(list(difference)[:40]))
        print(f"{label} is out of date: run make generate")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {label}")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

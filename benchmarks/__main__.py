"""Run the benchmarks: ``python -m benchmarks [GROUP ...]``, one JSON line a figure.

A group is a module ``bench_<group>.py`` with ``measure() -> Iterable[Figure]``. The exit code is 0 whatever was
measured: a figure that misses says so in its line. A group that cannot be measured is an error, and the others still
run.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path


def main(names: list[str]) -> int:
    """Measure the groups asked for, one after the other, so that they do not disturb each other.

    Args:
        names: Groups; all of them when empty.

    Returns:
        The exit code: 1 when a group could not be measured, 2 when there is none of that name.
    """
    groups = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = sorted(set(names) - set(groups))
    if unknown:
        print(f"no such group: {', '.join(unknown)}; there are {', '.join(groups)}", file=sys.stderr)
        return 2
    failed = False
    for name in names or groups:
        try:
            for figure in importlib.import_module(f"benchmarks.bench_{name}").measure():
                print(figure.to_json(), flush=True)
        except Exception:
            failed = True
            print(f"{name} could not be measured:", file=sys.stderr)
            traceback.print_exc()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

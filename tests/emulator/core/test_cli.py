import os
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from sagemaker_emulator.cli import main
from sagemaker_emulator.emulator import Emulator, is_running
from sagemaker_emulator.server import EmulatorError


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "sagemaker_emulator.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_up_prints_the_environment_serves_until_sigterm_and_exits_0(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "sagemaker_emulator.cli", "up", "--port", "0", "--state-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(60, process.kill)
    killer.start()
    try:
        lines = []
        while not lines or not lines[-1].startswith("# Ready"):
            lines.append(process.stdout.readline())
        shell = "\n".join(["set -e", *lines, "echo $AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_REGION"])
        printed = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.split()
        assert printed[0].startswith("http://127.0.0.1:")
        assert printed[1:] == ["test", "us-east-1"]
        again = command("env", "--state-dir", str(tmp_path))
        assert again.returncode == 0
        assert again.stdout.splitlines() == [line.rstrip() for line in lines[:-1]]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    gone = command("env", "--state-dir", str(tmp_path))
    assert gone.returncode == 1
    assert f"No emulator is running on {tmp_path}" in gone.stderr


def test_a_state_folder_in_use_is_refused_with_who_uses_it(emulator):
    refused = command("up", "--port", "0", "--state-dir", str(emulator.state_dir))
    assert refused.returncode == 1
    assert f"is in use by the emulator with process id {emulator.pid}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_taken_port_is_refused(emulator, tmp_path):
    port = emulator.endpoint_url.rpartition(":")[2]
    refused = command("up", "--port", port, "--state-dir", str(tmp_path))
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in refused.stderr


def test_operations_are_listed():
    listed = command("operations", env=os.environ | {"COLUMNS": "120"})
    assert listed.returncode == 0
    for name in ("CreateModel", "CreateTrainingJob", "InvokeEndpoint"):
        assert name in listed.stdout


def test_an_emulator_that_cannot_start_says_why(emulator, tmp_path):
    with pytest.raises(EmulatorError, match="is in use by the emulator with process id"):
        Emulator(emulator.state_dir, log_path=tmp_path / "log").start()


def test_an_emulator_ends_with_the_process_that_started_it(tmp_path):
    program = (
        "from sagemaker_emulator.emulator import Emulator; import os, signal\n"
        f"emulator = Emulator({str(tmp_path / 'state')!r}).start()\n"
        "print(emulator.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    pid = int(killed.stdout)
    ended = threading.Event()
    for _ in range(300):
        if not is_running(pid):
            ended.set()
            break
        ended.wait(0.1)
    assert ended.is_set()


def test_without_its_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)

    done = CliRunner().invoke(main, ["up", "--state-dir", str(tmp_path)])

    assert done.exit_code == 1
    assert done.output.strip().endswith("needs uvloop, which is not installed: pip install 'kfp-sagemaker[local]'")

"""Script mode training: the environment, the arguments, the source, and the way a script fails."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.containers.contract import Folders, TrainingConfig
from sagemaker_emulator.containers.toolkit.environment import ScriptEnvironment
from sagemaker_emulator.containers.toolkit.source import SourceError, extract, fetch_source, local_path

DUMP = """
import json, os, sys
print("from the script", sys.argv[1:])
with open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w") as file:
    json.dump({"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}, file)
"""


def archive(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "sourcedir.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


class _OneObject(http.server.BaseHTTPRequestHandler):
    """S3's HEAD and GET of one object, which only the right access key gets."""

    content = b""

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.content)

    def _answer(self, body: bytes) -> None:
        found = self.path == "/sources/job/sourcedir.tar.gz" and "AKIDJOB" in self.headers.get("Authorization", "")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.send_header("ETag", '"e"')
        self.end_headers()
        if found:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An S3 endpoint that holds s3://sources/job/sourcedir.tar.gz with train.py; the environment to reach it."""
    handler = type("Handler", (_OneObject,), {"content": archive(tmp_path, {"train.py": DUMP}).read_bytes()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "AKIDJOB",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        server.shutdown()
        thread.join()


def test_arguments_follow_the_hyperparameters(tmp_path: Path) -> None:
    given = {
        "sagemaker_program": '"train.py"',
        "sagemaker_container_log_level": "10",
        "sagemaker_parameter_server_enabled": "true",
        "n_estimators": "100",
        "flag": "true",
        "text": "plain",
        "quoted": '"quoted text"',
        "layers": "[1, 2]",
        "options": '{"b": 2, "a": 1}',
        "l": "0.5",
        "nothing": "null",
    }
    environment = ScriptEnvironment.of(TrainingConfig(Folders(tmp_path), given, {}), "framework")
    assert environment.arguments == [
        *["--flag", "True", "-l", "0.5", "--layers", "[1, 2]", "--n_estimators", "100", "--nothing", ""],
        *["--options", "a=1,b=2", "--quoted", "quoted text", "--text", "plain"],
    ]
    variables = environment.variables
    assert json.loads(variables["SM_HPS"])["n_estimators"] == 100
    assert variables["SM_HP_LAYERS"] == "[1,2]"
    assert json.loads(variables["SM_FRAMEWORK_PARAMS"]) == {"sagemaker_parameter_server_enabled": True}
    assert variables["SM_LOG_LEVEL"] == "10"


def test_a_job_runs_its_source_from_s3(container: Any, s3: dict[str, str]) -> None:
    container.configure(
        {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://sources/job/sourcedir.tar.gz", "k": "3"},
        {"train": "text/csv", "test": "text/csv"},
        current_instance_type="ml.m5.large",
    )
    job = container.train("scikit_learn", s3)
    assert job.returncode == 0, job.stdout
    assert "from the script ['-k', '3']" in job.stdout
    assert "Reporting training SUCCESS" in job.stdout
    seen = json.loads((container.base / "model" / "seen.json").read_text())
    env, base = seen["env"], container.base
    assert seen["argv"] == ["-k", "3"]
    assert seen["cwd"] == str(base / "code")
    expected = {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_CHANNEL_TRAIN": str(base / "input" / "data" / "train"),
        "SM_CHANNEL_TEST": str(base / "input" / "data" / "test"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_INPUT_CONFIG_DIR": str(base / "input" / "config"),
        "SM_CHANNELS": '["test","train"]',
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
        "SM_NUM_GPUS": "0",
        "SM_USER_ARGS": '["-k","3"]',
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_HP_K": "3",
        "SM_HPS": '{"k":3}',
    }
    assert {name: env.get(name) for name in expected} == expected
    assert int(env["SM_NUM_CPUS"]) >= 1
    training_env = json.loads(env["SM_TRAINING_ENV"])
    assert training_env["channel_input_dirs"]["train"] == str(base / "input" / "data" / "train")
    assert training_env["hyperparameters"] == {"k": 3}


@pytest.mark.parametrize(
    ("script", "exit_code", "message"),
    [
        ("def f():\n    raise ValueError('no such column: price')\nf()\n", 1, "ValueError: no such column: price"),
        ("import sys\nsys.exit(7)\n", 7, ""),
        ("import sys\nsys.exit('not like this')\n", 1, "not like this"),
    ],
)
def test_a_script_that_fails_says_why(container: Any, script: str, exit_code: int, message: str) -> None:
    (container.base / "code").mkdir()
    (container.base / "code" / "train.py").write_text(script)
    container.configure({"sagemaker_program": "train.py"})
    job = container.train("scikit_learn")
    assert job.returncode == 1
    assert container.failure.startswith(f'ExecuteUserScriptError:\nExitCode {exit_code}\nErrorMessage "{message}"')
    if "def f" in script:
        assert "Traceback (most recent call last):" in container.failure
        assert 'train.py", line 2, in f' in container.failure
        assert "Traceback (most recent call last):" in job.stdout


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({}, "set the hyperparameter 'sagemaker_program'"),
        ({"sagemaker_program": "other.py"}, "The entry point 'other.py' is not in the source; it holds: train.py"),
        (
            {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://sources/no/such.tar.gz"},
            "The source archive s3://sources/no/such.tar.gz cannot be downloaded",
        ),
    ],
)
def test_a_source_that_is_wrong(
    container: Any, s3: dict[str, str], hyperparameters: dict[str, str], message: str
) -> None:
    (container.base / "code").mkdir()
    (container.base / "code" / "train.py").write_text("")
    container.configure(hyperparameters)
    assert container.train("scikit_learn", s3).returncode == 1
    assert message in container.failure


def test_requirements_are_installed_for_the_job_only(container: Any) -> None:
    code = container.base / "code"
    code.mkdir()
    about = "kfp_sm_test_dep-1.0.dist-info"
    with zipfile.ZipFile(code / "kfp_sm_test_dep-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("kfp_sm_test_dep.py", "ANSWER = 42\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: kfp-sm-test-dep\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    (code / "requirements.txt").write_text("./kfp_sm_test_dep-1.0-py3-none-any.whl\n")
    (code / "train.py").write_text("import kfp_sm_test_dep\nprint('the answer is', kfp_sm_test_dep.ANSWER)\n")
    container.configure({"sagemaker_program": "train.py"})
    job = container.train("scikit_learn", {"PIP_NO_INDEX": "1"})
    assert job.returncode == 0, job.stdout
    assert "the answer is 42" in job.stdout
    assert (container.base / "requirements" / "kfp_sm_test_dep.py").exists()

    (code / "requirements.txt").write_text("no-such-package-anywhere==1\n")
    assert container.train("scikit_learn", {"PIP_NO_INDEX": "1"}).returncode == 1
    assert container.failure.startswith("InstallRequirementsError:\nExitCode 1")


def test_what_is_installed_already_is_used(container: Any) -> None:
    code = container.base / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("numpy\n")
    (code / "train.py").write_text("import numpy\n")
    container.configure({"sagemaker_program": "train.py"})
    job = container.train("scikit_learn")
    assert job.returncode == 0, job.stdout
    assert not (container.base / "requirements").exists()


def test_a_stopped_script_ends_as_it_likes(container: Any) -> None:
    code = container.base / "code"
    code.mkdir()
    (code / "train.py").write_text(
        "import os, signal, sys\n"
        "def stop(*_):\n"
        "    open(os.path.join(os.environ['SM_MODEL_DIR'], 'checkpoint'), 'w').close()\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    container.configure({"sagemaker_program": "train.py"})
    command = container._command("scikit_learn", "train")
    with subprocess.Popen(
        command, env=container._environment(None), stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert any(line == b"ready\n" for line in process.stdout)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    assert (container.base / "model" / "checkpoint").exists()


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.py"])
def test_an_archive_cannot_write_outside(name: str, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "code"
    with contextlib.suppress(SourceError):  # refused, or unpacked inside the folder
        extract(archive(tmp_path, {name: "evil"}), target)
    written = [path for path in tmp_path.rglob("evil.py") if not path.is_relative_to(target)]
    assert written == []
    assert not Path("/evil.py").exists()


def test_an_archive_cannot_link_outside(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "links.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../secret"
        tar.addfile(link)
    with pytest.raises(SourceError):
        extract(tmp_path / "links.tar.gz", tmp_path / "code")


def test_paths_of_the_container_are_found_below_its_base(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    assert local_path("/opt/ml/model/code", folders) == tmp_path / "model" / "code"
    assert local_path("file:///opt/ml/model/code", folders) == tmp_path / "model" / "code"
    with pytest.raises(SourceError, match="does not exist"):
        fetch_source("/no/such/folder", folders)
    (tmp_path / "broken.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(SourceError, match=r"broken\.tar\.gz cannot be unpacked"):
        fetch_source(str(tmp_path / "broken.tar.gz"), folders)

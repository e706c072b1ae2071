"""The command as a person types it, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import pytest
import yaml

from kfp_sagemaker.cli.catalogue import PipelineFolder
from kfp_sagemaker.cli.main import main
from sagemaker_emulator.emulator import Emulator

DEADLINE_SECONDS = 120
COMMAND = Path(sys.executable).with_name("kfp-sagemaker")


@pytest.fixture
def project(toy_folder: PipelineFolder) -> Path:
    """The folder that holds pipelines/."""
    return toy_folder.path.parents[1]


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in the project, and waits for it."""

    def call(
        *arguments: object, env: Mapping[str, str] | None = None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=project / "pipelines" / "toy",
            env=os.environ | {"COLUMNS": "120"} | (env or {}),
            input=text,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    return call


@pytest.fixture
def copied(tmp_path: Path, toy_folder: PipelineFolder) -> Path:
    """A copy of the toy pipeline's folder, to change."""
    folder = tmp_path / "pipelines" / "toy"
    folder.mkdir(parents=True)
    for path in (toy_folder.source, toy_folder.compiled):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_every_command_and_option_has_a_help() -> None:
    for command in main.commands.values():
        assert command.help
        assert command.short_help or len(command.help.split("\n\n")[0]) < 200
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{command.name} {parameter.name}"


def test_list_names_the_pipelines_of_the_nearest_folder(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("list")

    assert done.returncode == 0
    assert "Doubles numbers" in done.stdout


def test_compile_writes_the_same_file_again(
    run: Callable[..., subprocess.CompletedProcess[str]], toy_folder: PipelineFolder, tmp_path: Path
) -> None:
    done = run("compile", "toy", "-o", tmp_path / "toy.yaml")

    assert done.returncode == 0
    assert (tmp_path / "toy.yaml").read_text() == toy_folder.compiled.read_text()


def test_the_parameters_of_a_pipeline_are_listed_on_request(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run("run", "toy", "-p", "help")

    assert done.returncode == 0
    assert re.search(r"failing +integer +-1", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nope"), "no pipeline nope in"),
        (("run", "toy", "-p", "count"), "--param count: must be NAME=VALUE"),
        (("run", "toy", "-p", "count=x", "-p", "no=1"), "--param no: no such parameter"),
        (("run", "toy", "--aws", "--auth"), "are for the embedded AWS"),
        (("list", "--pipelines-dir", "missing"), "--pipelines-dir missing is no folder"),
    ],
)
def test_mistakes_are_answered_with_one_message(
    run: Callable[..., subprocess.CompletedProcess[str]], arguments: tuple[str, ...], message: str
) -> None:
    done = run(*arguments)

    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_shows_its_steps_its_table_and_its_report(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run("run", "toy", "--runs-dir", tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ Town_1 · Work" in done.stdout
    assert re.search(r"towns +┃ +sum", done.stdout)
    (folder,) = tmp_path.iterdir()
    report = (folder / "report.html").read_text()
    assert "toy succeeded in" in report
    assert "By adding." in report
    assert {step["title"] for step in json.loads((folder / "steps.json").read_text())} >= {"Add up", "Say goodbye"}
    assert not (folder / "aws").exists()


def test_a_failed_run_says_why_on_one_screen(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run("run", "toy", "-p", "failing=1", "--runs-dir", tmp_path)

    assert done.returncode == 1
    shown = done.stdout.partition("Town_1 · Work failed")[2]
    assert "ValueError: 1 is bad:" in shown
    assert "- take another one" in shown
    assert "for-loop-2-iteration-1.work.log" in shown
    assert "✓ Say goodbye" in done.stdout
    assert len(shown.splitlines()) < 12


@pytest.fixture
def running(project: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose steps wait to be cancelled."""
    arguments = ["run", "toy", "--runs-dir", tmp_path / "runs", "-p", f"marker={tmp_path / 'working'}"]
    process = subprocess.Popen([COMMAND, *arguments], cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(list(tmp_path.glob("working.*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_leaves_nothing(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    (folder,) = (tmp_path / "runs").iterdir()
    emulator = json.loads((folder / "run.json").read_text())["emulator_pid"]

    running.send_signal(number)
    output, _ = running.communicate(timeout=DEADLINE_SECONDS)

    assert running.returncode == 1
    assert "Cancelled in" in output
    assert "✓ Say goodbye" in output
    assert "stopped my job" in (folder / "logs" / "for-loop-2-iteration-0.work.log").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(emulator, 0)


@pytest.fixture
def account_environment(emulator: Emulator) -> dict[str, str]:
    """An environment in which the "real" AWS account is the emulator's."""
    return emulator.env


def test_a_run_on_aws_says_what_it_will_create_and_asks(
    run: Callable[..., subprocess.CompletedProcess[str]],
    account_environment: dict[str, str],
    tmp_path: Path,
    unique_name: str,
) -> None:
    done = run(
        "run", "toy", "--aws", "--region", "us-west-2", "--runs-dir", tmp_path, env=account_environment, text="n\n"
    )

    assert done.returncode == 1
    for expected in ("account", "us-west-2", "bucket", "will be created, and stay", "role", "Work", "Go ahead? [y/N]"):
        assert expected in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_stop_deletes_what_carries_the_runs_tag(
    run: Callable[..., subprocess.CompletedProcess[str]],
    emulator: Emulator,
    account_environment: dict[str, str],
    unique_name: str,
) -> None:
    sagemaker = emulator.client("sagemaker")
    for name, run_id in (
        (f"mine-{unique_name}"[:60], unique_name),
        (f"other-{unique_name}"[:60], f"other-{unique_name}"),
    ):
        sagemaker.create_model(
            ModelName=name.rstrip("-"),
            PrimaryContainer={"Image": "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"},
            ExecutionRoleArn="arn:aws:iam::000000000000:role/any",
            Tags=[{"Key": "kfp-sagemaker:run-id", "Value": run_id}],
        )
    done = run("stop", unique_name, "--region", "us-east-1", env=account_environment)

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert [line.partition("-")[0] for line in said] == ["model/mine", "Deleted model/mine", "Deleted 1 resources."]
    names = [model["ModelName"] for model in sagemaker.list_models(NameContains=unique_name[:40])["Models"]]
    assert [name.partition("-")[0] for name in names] == ["other"]


def test_a_kept_emulator_serves_until_stop_ends_it(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run("run", "toy", "--keep-endpoint", "--runs-dir", tmp_path)
    (folder,) = tmp_path.iterdir()
    pid = json.loads((folder / "run.json").read_text())["emulator_pid"]
    try:
        assert done.returncode == 0, done.stderr
        (url,) = re.findall(r"export AWS_ENDPOINT_URL=(\S+)", done.stdout)
        with urllib.request.urlopen(f"{url}/_emulator/health", timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
            assert json.load(answer)["pid"] == pid

        stopped = run("stop", folder.name, "--runs-dir", tmp_path)

        assert stopped.returncode == 0, stopped.stderr
        assert "Stopped the embedded AWS." in stopped.stdout
        assert not (folder / "aws").exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_keeping_the_endpoint_of_a_pipeline_without_one_is_refused(
    run: Callable[..., subprocess.CompletedProcess[str]], copied: Path
) -> None:
    text = copied.joinpath("pipeline.yaml").read_text().replace("keep_endpoint", "other")
    copied.joinpath("pipeline.yaml").write_text(text)

    done = run("run", "toy", "--keep-endpoint", "--pipelines-dir", copied.parent)

    assert done.returncode == 2
    assert "toy has no parameter keep_endpoint" in done.stderr


def test_stop_of_a_local_run_that_is_over_says_so(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run("run", "toy", "--runs-dir", tmp_path)
    (folder,) = tmp_path.iterdir()

    done = run("stop", folder.name, "--runs-dir", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "is gone, and all it had with it" in done.stdout.replace("\n", " ")


def test_a_source_changed_after_compiling_is_pointed_out(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, copied: Path
) -> None:
    os.utime(copied / "pipeline.yaml", (0, 0))

    done = run("run", "toy", "--pipelines-dir", copied.parent, "--runs-dir", tmp_path / "runs")

    assert "pipeline.py changed after pipeline.yaml, which is what runs: kfp-sagemaker compile toy" in done.stdout


def test_local_settings_of_a_pipeline_are_checked(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, copied: Path
) -> None:
    (copied / "local.yaml").write_text(yaml.safe_dump({"parameter": {"count": 1}}))

    done = run("run", "toy", "--pipelines-dir", copied.parent)

    assert done.returncode == 1
    said = done.stderr.replace("\n", " ")
    assert "unknown parameter; there are parameters, multi_model_memory_mb, auth_parameters" in said

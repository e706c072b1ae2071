"""Images of one's own: registered by command or from Python, used through boto3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator.jobs.conftest import Lab
from tests.emulator.jobs.test_training_jobs import archive_content, request

TRAIN = """
import os, pathlib
print("accuracy=0.75")
model = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "model")
(model / "weights").write_text(pathlib.Path("weights.txt").read_text())
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder an image was built from."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    (folder / "weights.txt").write_text("1 2 3")
    return folder


def images(lab: Lab, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sagemaker_emulator.cli", "images", *arguments]
    return subprocess.run(
        [*command, "--state-dir", str(lab.emulator.state_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def model_of(lab: Lab) -> dict[str, bytes]:
    return archive_content(lab.get(f"out/{lab.name}/output/model.tar.gz"))


def test_a_registered_image_trains_where_it_was_registered_until_it_is_unregistered(lab: Lab, source: Path) -> None:
    image = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{lab.name}:1"
    pattern = f".*/{lab.name}:.*"
    registered = images(lab, "register", pattern, "--name", lab.name, "--train", "python train.py", cwd=source)
    assert registered.returncode == 0, registered.stderr
    asked = request(lab, image)
    asked["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "accuracy", "Regex": "accuracy=(.*)"}]
    lab.sagemaker.create_training_job(**asked)
    job = lab.ended("Training")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert model_of(lab) == {"weights": b"1 2 3"}
    assert [metric["Value"] for metric in job["FinalMetricDataList"]] == [0.75]

    listed = images(lab).stdout
    assert f"{lab.name} (registered): images matching {pattern}\n  train   python train.py\n" in listed
    assert "linear-learner (built in)" in listed
    assert images(lab, "unregister", lab.name).returncode == 0
    again = f"{lab.name[:50]}-again"
    lab.sagemaker.create_training_job(**request(lab, image, TrainingJobName=again))
    assert lab.ended("Training", again)["FailureReason"].startswith("ClientError: Cannot pull algorithm container")


def test_an_image_is_registered_from_python(lab: Lab, source: Path) -> None:
    lab.emulator.register_image(
        f".*/{lab.name}:.*", name=lab.name, train=["python", "train.py"], working_directory=source
    )
    lab.sagemaker.create_training_job(**request(lab, f"registry/{lab.name}:1"))
    assert lab.ended("Training")["TrainingJobStatus"] == "Completed"
    assert model_of(lab) == {"weights": b"1 2 3"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["register", "[", "--name", "x", "--train", "a"], "pattern '[' is not a regular expression"),
        (["register", ".*", "--name", "x"], "the image 'x' has no command; give train, serve or process"),
        (["register", ".*", "--name", "x", "--train", "python 'train.py"], "is not a command line: No closing quot"),
        (["register", ".*", "--name", "x", "--train", "a", "--working-directory", "/nowhere"], "does not exist"),
        (["unregister", "nobody"], "No image 'nobody' is registered"),
    ],
)
def test_what_cannot_work_is_refused(lab: Lab, arguments: list[str], said: str) -> None:
    refused = images(lab, *arguments)
    assert refused.returncode != 0
    assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr

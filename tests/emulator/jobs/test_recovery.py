"""What becomes of jobs when the emulator is killed, or stopped, and started again."""

from __future__ import annotations

import os

import psutil

from sagemaker_emulator.runtime.processes import OWNER_VARIABLE
from tests.emulator.jobs.conftest import Lab
from tests.emulator.jobs.test_processing_jobs import request as processing_request
from tests.emulator.jobs.test_training_jobs import log_lines_so_far
from tests.emulator.jobs.test_training_jobs import request as training_request

SLEEP = "import time; print('ready', flush=True); time.sleep(120)"


def processes_of(state_dir) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == str(state_dir) and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_killed_emulator_leaves_failed_jobs_and_nothing_else(start_emulator, tmp_path):
    first = start_emulator(tmp_path / "state")
    lab = Lab(first, "recovery", tmp_path)
    lab.sagemaker.create_training_job(**training_request(lab, lab.image(train=SLEEP, process=SLEEP)))
    lab.sagemaker.create_processing_job(**processing_request(lab, lab.image(train=SLEEP, process=SLEEP)))
    lab.until(lambda: "ready" in log_lines_so_far(lab), "the start")
    assert processes_of(first.state_dir)
    first.kill()
    lab.until(lambda: not processes_of(first.state_dir), "the end of the containers")

    second = start_emulator(tmp_path / "state")
    sagemaker = second.client("sagemaker")
    lab.sagemaker = sagemaker
    training, processing = lab.ended("Training"), lab.ended("Processing")
    assert (training["TrainingJobStatus"], training["SecondaryStatus"]) == ("Failed", "Failed")
    assert processing["ProcessingJobStatus"] == "Failed"
    for job in (training, processing):
        assert job["FailureReason"].startswith("InternalServerError: the emulator ended")
    assert training["SecondaryStatusTransitions"][-1]["Status"] == "Failed"
    assert not list((second.state_dir / "jobs").glob("*/*/*"))


def test_an_orderly_stop_ends_the_containers(start_emulator, tmp_path):
    emulator = start_emulator(tmp_path / "state")
    lab = Lab(emulator, "recovery", tmp_path)
    lab.sagemaker.create_training_job(**training_request(lab, lab.image(train=SLEEP)))
    lab.until(lambda: "ready" in log_lines_so_far(lab), "the start")
    emulator.stop()
    assert processes_of(emulator.state_dir) == []

from __future__ import annotations

from typing import Any

import pytest

from kfp_sagemaker.aws.errors import JobFailedError
from kfp_sagemaker.data.source import upload_source
from kfp_sagemaker.processing.component import process
from tests.suite.conftest import Account

# What an image's own program does when the job replaces its entry point: run that instead.
CLEAN = """
import os, pathlib, sys
root = pathlib.Path("/opt/ml/processing")
rows = (root / "input/data/rows.csv").read_text().splitlines()
factor = int(sys.argv[sys.argv.index("--factor") + 1])
(root / "output/clean").mkdir(parents=True, exist_ok=True)
(root / "output/clean/rows.csv").write_text("".join(f"{int(row) * factor}\\n" for row in rows))
print("cleaned", len(rows), "rows for", os.environ["WHO"], flush=True)
"""


def arguments(account: Account, **changes: Any) -> dict[str, Any]:
    return {
        "role_arn": account.role_arn,
        "inputs": [
            {"s3_uri": account.put("in/rows.csv", "1\n2\n"), "local_path": "/opt/ml/processing/input/data"},
        ],
        "outputs": [
            {"name": "clean", "local_path": "/opt/ml/processing/output/clean", "s3_uri": account.uri("out")},
        ],
        "image_uri": account.image(process=CLEAN),
        "container_arguments": ["--factor", 10.0],
        "environment": {"WHO": "me"},
        "timeout_seconds": 60,
        **changes,
    }


def test_a_container_processes_inputs_into_outputs(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = process.python_func(**arguments(account))
    assert outputs.output_s3_uris == {"clean": account.uri("out")}
    assert account.get(account.uri("out/rows.csv")) == b"10\n20\n"
    description = account.sagemaker.describe_processing_job(ProcessingJobName=outputs.job_name)
    assert description["ProcessingJobStatus"] == "Completed"
    assert outputs.job_name.startswith("process-")
    assert "cleaned 2 rows for me" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["script", "prefix", "archive"])
def test_a_script_of_the_users_runs(account: Account, form: str) -> None:
    if form == "archive":
        code = upload_source(files={"jobs/clean.py": CLEAN}, s3_uri=account.uri("code")).source_s3_uri
        given = {"code_s3_uri": code, "entry_point": "jobs/clean.py"}
    else:
        account.put("code/clean.py", CLEAN)
        script = {"code_s3_uri": account.uri("code/clean.py")}
        given = script if form == "script" else {"code_s3_uri": account.uri("code/"), "entry_point": "clean.py"}
    process.python_func(**arguments(account, image_uri="", framework="sklearn", **given))
    assert account.get(account.uri("out/rows.csv")) == b"10\n20\n"


def test_a_failing_script_fails_the_step_with_its_own_words(account: Account) -> None:
    given = arguments(account)
    given["image_uri"] = account.image(process="raise SystemExit('nothing to clean')")
    with pytest.raises(JobFailedError, match="nothing to clean"):
        process.python_func(**given)

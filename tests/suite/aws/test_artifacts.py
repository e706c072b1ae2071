from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from kfp import dsl

from kfp_sagemaker.aws.artifacts import record


def test_an_artifact_is_a_small_file_with_metadata_and_no_secret(tmp_path: Path) -> None:
    artifact = dsl.Model(uri=str(tmp_path / "deep/model"), metadata={"kept": 1})
    document = {
        "JobName": "a",
        "CreationTime": datetime(2026, 1, 2, tzinfo=UTC),
        "Environment": {"TOKEN": "hunter2"},
        "HyperParameters": {"api_key": "hunter2"},
        "ResponseMetadata": {"RequestId": "x"},
    }
    record(artifact, document, {"job_name": "a"})
    assert json.loads(Path(artifact.path).read_text()) == {"JobName": "a", "CreationTime": "2026-01-02 00:00:00+00:00"}
    assert artifact.metadata == {"kept": 1, "job_name": "a"}
    assert artifact.uri == str(tmp_path / "deep/model")

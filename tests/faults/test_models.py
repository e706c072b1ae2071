"""Model archives that are missing, are none, or lead out of their folder, through the components that name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AwsCallError, JobFailedError, KfpSagemakerError, ThresholdError
from tests.faults.conftest import Stage, archive

GOOD = {"weights.txt": b"fine"}


def escape_to(folder: Path) -> tuple[dict[str, bytes], Path]:
    """Files of an archive that leads to a file outside, and that file."""
    outside = folder / "escaped"
    return {**GOOD, f"{'../' * 40}{outside.relative_to('/')}": b"out"}, outside


@pytest.fixture
def endpoint(stage: Stage) -> str:
    """A multi-model endpoint of the models below ``models/``, one of them good."""
    stage.put("models/good.tar.gz", archive(GOOD))
    name = stage.create_model(mode="MultiModel", model_data_url=stage.uri("models/"))
    stage.call("deploy_endpoint", endpoint_name=stage.prefix, model_name=name, timeout_seconds=60)
    return stage.prefix


def test_what_is_wrong_with_a_target_model_fails_the_step_and_only_it(
    stage: Stage, endpoint: str, tmp_path: Path
) -> None:
    files, outside = escape_to(tmp_path)
    stage.put("models/escape.tar.gz", archive(files))
    stage.put("models/broken.tar.gz", b"this is no archive")
    stage.put("models/empty.tar.gz", archive({}))

    def invoke(target: str, **more: Any) -> Any:
        return stage.call("invoke_endpoint", endpoint_name=endpoint, rows=["1"], target_models=[target], **more)

    for target, said in {
        "missing.tar.gz": "Failed to download model data",
        "broken.tar.gz": "Failed to extract model data archive",
        "escape.tar.gz": "Failed to extract model data archive",
        "empty.tar.gz": "weights.txt is missing",
    }.items():
        with pytest.raises(KfpSagemakerError, match=said) as caught:
            invoke(target, max_attempts=1)
        assert isinstance(caught.value, AwsCallError | ThresholdError)
        assert target in str(caught.value)
    assert not outside.exists()
    assert invoke("good.tar.gz").failed_count == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"this is no archive", "Failed to extract model data archive"), (None, "Failed to extract model data archive")],
    ids=["no archive", "leads out"],
)
def test_a_model_whose_archive_cannot_be_unpacked_makes_no_endpoint(
    stage: Stage, tmp_path: Path, content: bytes | None, said: str
) -> None:
    files, outside = escape_to(tmp_path)
    url = stage.put("model.tar.gz", archive(files) if content is None else content)
    name = stage.create_model(model_data_url=url)
    with pytest.raises(JobFailedError, match="were deleted") as caught:
        stage.call("deploy_endpoint", endpoint_name=stage.prefix, model_name=name, timeout_seconds=60)
    assert said in caught.value.reason
    assert stage.left() == {"models": [name]}
    assert not outside.exists()


def test_a_transform_does_not_unpack_outside_of_its_folder(stage: Stage, tmp_path: Path) -> None:
    files, outside = escape_to(tmp_path)
    name = stage.create_model(model_data_url=stage.put("model.tar.gz", archive(files)))
    rows = stage.put("rows.csv", "1\n")
    with pytest.raises(JobFailedError, match=r"model\.tar\.gz"):
        stage.call(
            "batch_transform",
            model_name=name,
            input_s3_uri=rows,
            output_s3_uri=stage.uri("out/"),
            job_name_prefix=name,
            timeout_seconds=60,
        )
    assert not outside.exists()


def test_a_source_archive_does_not_unpack_outside_of_its_folder(stage: Stage, tmp_path: Path) -> None:
    _, outside = escape_to(tmp_path)
    source = archive({"train.py": b"print(1)", f"{'../' * 40}{outside.relative_to('/')}": b"out"})
    with pytest.raises(JobFailedError, match=r"sourcedir\.tar\.gz"):
        stage.call(
            "train",
            algorithm="sklearn",
            source_s3_uri=stage.put("sourcedir.tar.gz", source),
            entry_point="train.py",
        )
    assert not outside.exists()


def test_a_model_that_does_not_exist_makes_no_endpoint_and_no_transform(stage: Stage) -> None:
    with pytest.raises(AwsCallError, match="no-such-model"):
        stage.call("deploy_endpoint", endpoint_name=stage.prefix, model_name="no-such-model")
    with pytest.raises(AwsCallError, match="no-such-model"):
        stage.call(
            "batch_transform",
            model_name="no-such-model",
            input_s3_uri=stage.put("rows.csv", "1\n"),
            output_s3_uri=stage.uri("out/"),
            job_name_prefix=stage.prefix,
        )
    assert stage.left() == {}

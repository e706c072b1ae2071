"""Three calls in ten are throttled, all the way from a training job to the deleted endpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kfp_sagemaker.aws.errors import AwsCallError
from tests.faults.conftest import Stage, throttle, throttled_count

SHARE = 0.3
TRAIN = """
import os, pathlib
(pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model/weights.txt").write_text("trained")
"""


@pytest.mark.usefixtures("without_pauses")
def test_a_life_with_every_third_call_throttled(open_stage: Callable[..., Stage]) -> None:
    stage = open_stage()
    image = stage.echo_image()
    job_image = stage.image(train=TRAIN, process="print('processed')")
    stage.put("in/rows.csv", "1\n2\n")
    throttle(stage.emulator, SHARE)
    name, role = stage.prefix, stage.role_arn

    trained = stage.call("train", training_image=job_image)
    processed = stage.call("process", role_arn=role, image_uri=job_image, job_name_prefix=name)
    split = stage.call("split_dataset", input_s3_uri=stage.uri("in/rows.csv"), output_s3_uri=stage.uri("parts/"))
    targets = [f"{number}.tar.gz" for number in range(20)]
    published = stage.call(
        "publish_models",
        model_data_urls=[trained.model_data_url],
        target_models=targets,
        destination_s3_uri=stage.uri("published/"),
    )
    stage.call("create_model", role_arn=role, containers=[{"image": image}], model_name=name)
    transformed = stage.call(
        "batch_transform",
        model_name=name,
        input_s3_uri=stage.uri("in/"),
        output_s3_uri=stage.uri("transformed/"),
        job_name_prefix=name,
    )
    deployed = stage.call("deploy_endpoint", endpoint_name=name, model_name=name, timeout_seconds=120)
    rows = [[number] for number in range(30)]
    invoked = stage.call("invoke_endpoint", endpoint_name=name, rows=rows, max_attempts=20)
    left = stage.left()
    deleted = stage.call("delete_resources", endpoint_names=[name])

    assert throttled_count(stage.emulator) > 20
    assert published.published_count == len(targets)
    assert sum(split.row_counts.values()) == 60
    assert invoked.failed_count == 0
    # One of each: nothing was made twice because its answer was a refusal.
    assert left == {
        "training": [trained.job_name],
        "processing": [processed.job_name],
        "transform": [transformed.job_name],
        "models": [name],
        "configurations": [deployed.endpoint_config_name],
        "endpoints": [name],
    }
    assert len(deleted.deleted) >= 3
    assert stage.left().keys() == {"training", "processing", "transform"}


@pytest.mark.usefixtures("without_pauses")
def test_endless_throttling_is_one_error_that_says_what_to_do(open_stage: Callable[..., Stage]) -> None:
    stage = open_stage()
    throttle(stage.emulator, 1.0, operations=("CreateTrainingJob",))
    with pytest.raises(AwsCallError, match=r"ThrottlingException.*retried; lower the number of steps"):
        stage.call("train", training_image=stage.image(train="print('trained')"))
    assert stage.left() == {}

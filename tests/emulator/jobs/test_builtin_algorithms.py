"""From rows to predictions with built-in programs: a training job, a model, a batch transform."""

from __future__ import annotations

import io
import random
import tarfile
from typing import Any

from tests.emulator.jobs.conftest import ROLE_ARN, Lab
from tests.emulator.jobs.test_training_jobs import channel
from tests.emulator.jobs.test_training_jobs import request as training_request
from tests.emulator.jobs.test_transform_jobs import transform

LINEAR_LEARNER = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def rows(count: int, seed: int) -> list[list[float]]:
    """Return rows of label and two features: label = 3 a - 2 b + 5."""
    generator = random.Random(seed)  # noqa: S311 - reproducible rows
    features = [(generator.uniform(0, 10), generator.uniform(0, 10)) for _ in range(count)]
    return [[3 * a - 2 * b + 5, a, b] for a, b in features]


def as_csv(values: list[list[float]]) -> str:
    return "\n".join(",".join(map(str, row)) for row in values)


def completed(job: dict[str, Any], status_key: str) -> dict[str, Any]:
    assert job[status_key] == "Completed", job.get("FailureReason")
    return job


def test_linear_learner_learns_a_line(lab: Lab):
    lab.put("train/rows.csv", as_csv(rows(500, seed=1)))
    held_out = rows(20, seed=2)
    lab.put("in/rows.csv", as_csv([row[1:] for row in held_out]))
    inputs = [channel("train", lab.uri("train/"), ContentType="text/csv;label_size=1")]
    parameters = {"predictor_type": "regressor", "feature_dim": "2", "mini_batch_size": "50", "epochs": "20"}
    lab.sagemaker.create_training_job(
        **training_request(lab, LINEAR_LEARNER, InputDataConfig=inputs, HyperParameters=parameters)
    )
    job = completed(lab.ended("Training"), "TrainingJobStatus")
    assert {each["MetricName"] for each in job["FinalMetricDataList"]} >= {"train:progress", "train:objective_loss"}

    container = {"Image": LINEAR_LEARNER, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    lab.sagemaker.create_model(ModelName=lab.name, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    completed(transform(lab, lab.name, lab.uri("in/")), "TransformJobStatus")
    predictions = [float(line) for line in lab.get("out/rows.csv.out").split()]
    assert len(predictions) == 20
    assert all(abs(predicted - row[0]) < 0.5 for predicted, row in zip(predictions, held_out, strict=True))


SCRIPT = """
import argparse, os, joblib, numpy
from sklearn.linear_model import LinearRegression

def model_fn(folder):
    return joblib.load(os.path.join(folder, "model.joblib"))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float)
    arguments = parser.parse_args()
    data = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "rows.csv"), delimiter=",")
    model = LinearRegression().fit(data[:, 1:], data[:, 0])
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
    print("alpha", arguments.alpha)
"""


def source_archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("fit.py")
        member.size = len(SCRIPT)
        archive.addfile(member, io.BytesIO(SCRIPT.encode()))
    return content.getvalue()


def test_a_scikit_learn_script_trains_and_serves(lab: Lab):
    source = lab.put("code/sourcedir.tar.gz", source_archive())
    lab.put("train/rows.csv", as_csv(rows(50, seed=1)))
    lab.put("in/rows.csv", as_csv([row[1:] for row in rows(5, seed=2)]))
    parameters = {"sagemaker_program": '"fit.py"', "sagemaker_submit_directory": f'"{source}"', "alpha": "0.5"}
    inputs = [channel("train", lab.uri("train/"))]
    lab.sagemaker.create_training_job(
        **training_request(lab, SCIKIT_LEARN, InputDataConfig=inputs, HyperParameters=parameters)
    )
    job = completed(lab.ended("Training"), "TrainingJobStatus")
    assert "alpha 0.5" in lab.log_lines("/aws/sagemaker/TrainingJobs")

    container = {
        "Image": SCIKIT_LEARN,
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        "Environment": {"SAGEMAKER_PROGRAM": "fit.py", "SAGEMAKER_SUBMIT_DIRECTORY": source},
    }
    lab.sagemaker.create_model(ModelName=lab.name, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    completed(transform(lab, lab.name, lab.uri("in/")), "TransformJobStatus")
    predictions = [
        float(value) for value in lab.get("out/rows.csv.out").decode().replace("\n", ",").split(",") if value
    ]
    assert all(abs(predicted - row[0]) < 1e-3 for predicted, row in zip(predictions, rows(5, seed=2), strict=True))

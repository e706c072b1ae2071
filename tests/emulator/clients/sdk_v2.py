"""A session with the SageMaker Python SDK v2, unmodified: train, deploy, predict, multi-model. Prints one JSON line.

Usage: sdk_v2.py BUCKET ROLE_ARN; runs in the environment of requirements/sagemaker-v2.txt.
"""

import json
import sys
from pathlib import Path

import boto3
from sagemaker import Session
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearn, SKLearnModel

HERE = Path(__file__).parent
bucket, role = sys.argv[1:3]
session = Session(boto_session=boto3.Session(), default_bucket=bucket)

estimator = SKLearn(
    entry_point="train_script.py", source_dir=str(HERE / "source"), framework_version="1.2-1", role=role, instance_type="ml.m5.large",
    hyperparameters={"fit-intercept": 1}, metric_definitions=[{"Name": "train:r2", "Regex": "train:r2=([0-9.]+)"}],
    sagemaker_session=session, base_job_name="sdk-v2",
)  # fmt: skip
estimator.fit({"train": f"s3://{bucket}/sdk/train/"}, wait=True, logs="All")
job = estimator.latest_training_job.describe()

predictor = estimator.deploy(initial_instance_count=1, instance_type="ml.m5.large", serializer=CSVSerializer())
single = predictor.predict([[1.0, 2.0]])
predictor.delete_endpoint()
predictor.delete_model()

model = SKLearnModel(
    model_data=estimator.model_data, role=role, entry_point="train_script.py", source_dir=str(HERE / "source"),
    framework_version="1.2-1", sagemaker_session=session,
)  # fmt: skip
multi = MultiDataModel(
    name="sdk-v2-multi", model_data_prefix=f"s3://{bucket}/sdk-v2-multi/", model=model, sagemaker_session=session
)
multi_predictor = multi.deploy(initial_instance_count=1, instance_type="ml.m5.large", serializer=CSVSerializer())
multi.add_model(model_data_source=estimator.model_data, model_data_path="first.tar.gz")
multi.add_model(model_data_source=estimator.model_data, model_data_path="second.tar.gz")
names = sorted(multi.list_models())
answers = [
    Predictor(multi.endpoint_name, session, serializer=CSVSerializer())
    .predict([[1.0, 2.0]], target_model=name)
    .decode()
    for name in names
]
session.delete_endpoint(multi.endpoint_name)
print(
    json.dumps(
        {
            "status": job["TrainingJobStatus"],
            "metrics": {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]},
            "single": str(single),
            "models": names,
            "answers": answers,
        }
    )
)

"""A session with the SageMaker Python SDK v2, unmodified: train, deploy, predict, multi-model. Prints one JSON line.

Usage: sdk_v2.py BUCKET ROLE_ARN; runs in the environment of requirements/sagemaker-v2.txt.
"""

import json
import sys
from pathlib import Path

import boto3
from sagemaker import Session
from sagemaker.deserializers import CSVDeserializer
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearn, SKLearnModel

HERE = Path(__file__).parent
ROWS = [[1.0, 2.0], [3.0, 4.0]]  # the container's default input_fn makes one row a vector, which no estimator takes
bucket, role = sys.argv[1:3]
session = Session(boto_session=boto3.Session(), default_bucket=bucket)

estimator = SKLearn(
    entry_point="train_script.py", source_dir=str(HERE / "source"), framework_version="1.2-1", role=role,
    instance_type="ml.m5.large", hyperparameters={"fit-intercept": 1},
    metric_definitions=[{"Name": "train:r2", "Regex": "train:r2=([0-9.]+)"}],
    sagemaker_session=session, base_job_name="sdk-v2",
)  # fmt: skip
# The SDK's own waiting, only asking more often than every 10 or 30 seconds.
estimator.fit({"train": f"s3://{bucket}/sdk/train/"}, wait=False)
session.logs_for_job(estimator.latest_training_job.name, wait=True, poll=1)
job = estimator.latest_training_job.describe()

predictor = estimator.deploy(
    initial_instance_count=1,
    instance_type="ml.m5.large",
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
    wait=False,
)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)
single = predictor.predict(ROWS)
predictor.delete_model()
predictor.delete_endpoint()

model = SKLearnModel(
    model_data=estimator.model_data, role=role, entry_point="train_script.py", source_dir=str(HERE / "source"),
    framework_version="1.2-1", sagemaker_session=session,
)  # fmt: skip
multi = MultiDataModel(
    name="sdk-v2-multi", model_data_prefix=f"s3://{bucket}/sdk-v2-multi/", model=model, sagemaker_session=session
)
multi.deploy(initial_instance_count=1, instance_type="ml.m5.large", wait=False)
session.wait_for_endpoint(multi.endpoint_name, poll=1)
multi.add_model(model_data_source=estimator.model_data, model_data_path="first.tar.gz")
multi.add_model(model_data_source=estimator.model_data, model_data_path="second.tar.gz")
names = sorted(multi.list_models())
multi_predictor = Predictor(multi.endpoint_name, session, serializer=CSVSerializer(), deserializer=CSVDeserializer())
answers = [[float(row[0]) for row in multi_predictor.predict(ROWS, target_model=name)] for name in names]
session.delete_endpoint(multi.endpoint_name)
print()  # the SDK's waiting leaves its line open
print(
    json.dumps(
        {
            "status": job["TrainingJobStatus"],
            "metrics": {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]},
            "single": [float(row[0]) for row in single],
            "models": names,
            "answers": answers,
        }
    )
)

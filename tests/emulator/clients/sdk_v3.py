"""A session with the SageMaker Python SDK v3, unmodified: train, deploy, invoke, multi-model. Prints one JSON line.

Usage: sdk_v3.py BUCKET ROLE_ARN.
"""

import json
import sys
from pathlib import Path

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode

HERE = Path(__file__).parent
bucket, role = sys.argv[1:3]
region = boto3.Session().region_name
session = Session(boto_session=boto3.Session(), default_bucket=bucket)
image = image_uris.retrieve("sklearn", region, version="1.2-1", instance_type="ml.m5.large")

trainer = ModelTrainer(
    training_image=image,
    source_code=SourceCode(source_dir=str(HERE / "source"), entry_script="train_script.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"fit-intercept": 1},
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/sdk-v3/output"),
    role=role,
    sagemaker_session=session,
    base_job_name="sdk-v3",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=f"s3://{bucket}/sdk/train/")], wait=True)
job = trainer._latest_training_job
model_data_url = job.model_artifacts.s3_model_artifacts


def endpoint_of(name: str, container: ContainerDefinition) -> Endpoint:
    Model.create(model_name=name, primary_container=container, execution_role_arn=role)
    EndpointConfig.create(
        endpoint_config_name=name,
        production_variants=[
            ProductionVariant(
                variant_name="AllTraffic", model_name=name, initial_instance_count=1, instance_type="ml.m5.large"
            )
        ],
    )
    endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
    endpoint.wait_for_status("InService")
    return endpoint


environment = {
    "SAGEMAKER_PROGRAM": "train_script.py",
    "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{bucket}/sdk/sourcedir.tar.gz",
}
single = endpoint_of("sdk-v3", ContainerDefinition(image=image, model_data_url=model_data_url, environment=environment))
answer = single.invoke(body="1.0,2.0\n3.0,4.0\n", content_type="text/csv", accept="text/csv").body.read().decode()
single.delete()

source_bucket, _, source_key = model_data_url.removeprefix("s3://").partition("/")
boto3.client("s3").copy_object(
    Bucket=bucket, Key="sdk-v3-multi/one.tar.gz", CopySource={"Bucket": source_bucket, "Key": source_key}
)
multi = endpoint_of(
    "sdk-v3-multi",
    ContainerDefinition(
        image=image, mode="MultiModel", model_data_url=f"s3://{bucket}/sdk-v3-multi/", environment=environment
    ),
)
multi_answer = multi.invoke(
    body="1.0,2.0\n3.0,4.0\n", content_type="text/csv", accept="text/csv", target_model="one.tar.gz"
).body.read()
multi.delete()
print(json.dumps({"status": job.training_job_status, "single": answer.split(), "multi": multi_answer.decode().split()}))

"""A pipeline with an endpoint up and a training job that fails, or goes on until it is stopped."""

# mypy: ignore-errors
from kfp import dsl

from kfp_sagemaker import components

SCRIPT = """
import argparse, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--mode")
mode = parser.parse_args().mode
if mode == "fail":
    print("reading rows", flush=True)
    raise ValueError("no rows at all")
if mode == "wait":
    print("at work", flush=True)
    while True:
        time.sleep(0.05)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("1")
"""
SERVE = """
def model_fn(folder):
    return 1
"""


@dsl.pipeline(name="interrupted", description="Fails, or waits to be interrupted")
def interrupted(mode: str = "wait", bucket: str = "", role_arn: str = "", region: str = ""):
    goodbye = components.delete_resources_on_exit(run_id="current", region=region).set_display_name("Clean up")
    with dsl.ExitHandler(goodbye, name="All of it"):
        source = components.upload_source(
            files={"train.py": SCRIPT, "serve.py": SERVE}, s3_uri=f"s3://{bucket}/code/", region=region
        )

        def trained(mode):
            return components.train(
                algorithm="sklearn",
                source_s3_uri=source.outputs["source_s3_uri"],
                entry_point="train.py",
                hyperparameters={"mode": mode},
                channels=[],
                role_arn=role_arn,
                output_s3_uri=f"s3://{bucket}/models/",
                region=region,
            )

        quick = trained("quick").set_display_name("Quick")
        container = {
            "algorithm": "sklearn",
            "model_data_url": quick.outputs["model_data_url"],
            "source_s3_uri": source.outputs["source_s3_uri"],
            "entry_point": "serve.py",
        }
        model = components.create_model(containers=[container], role_arn=role_arn, region=region)
        endpoint = components.deploy_endpoint(model_name=model.outputs["model_name"], region=region)
        trained(mode).set_display_name("Slow").after(endpoint)

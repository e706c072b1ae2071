"""One multi-model endpoint, one monitor a model: the houses of `housing_mme`, and drift in some of its cities.

Compile with ``kfp-sagemaker compile housing_monitor``, run here with ``kfp-sagemaker run housing_monitor``.
"""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg, no-any-return, untyped-decorator"
# pyright: reportInvalidTypeForm=false, reportReturnType=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportIndexIssue=false
# ruff: noqa: B006

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker import components
from kfp_sagemaker._component import sagemaker_component

HOUSING = Path(__file__).parents[1] / "housing_mme"
PREPROCESSOR = HOUSING / "preprocessor.py"


def _load_housing() -> ModuleType:
    """The pipeline whose houses and preprocessor these are."""
    spec = importlib.util.spec_from_file_location("housing_mme_pipeline", HOUSING / "pipeline.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{HOUSING} holds no pipeline.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # kfp reads the source of components through their module
    spec.loader.exec_module(module)
    return module


generate_houses = _load_housing().generate_houses


@sagemaker_component
def first_dataset(datasets: list) -> NamedTuple("Outputs", channels=list, preprocessor_s3_uri=str):
    """Pick the location whose houses the preprocessor is fitted to; it serves all of them.

    Args:
        datasets: What generate_houses returned.

    Returns:
        channels: Channels of the preprocessor's training job.
        preprocessor_s3_uri: S3 prefix for the fitted preprocessor.
    """
    return datasets[0]["channels"], datasets[0]["preprocessor_s3_uri"]


@sagemaker_component
def add_to_each(items: list, values: dict) -> list:
    """Give each item of a loop what its steps need of other steps; kfp.local hands it over in no other way.

    Args:
        items: Dicts with a `location`.
        values: What to add to each.

    Returns:
        The items with the values.
    """
    return [{"location": item["location"]} | item | values for item in items]  # the first one names the iteration


@sagemaker_component(cache=False)
def plan_monitoring(
    datasets: list,
    regressor_urls: list,
    preprocessor_url: str,
    source_s3_uri: str,
    sklearn_version: str,
    bucket: str,
    prefix: str,
    drift: dict,
    region: str = "",
) -> NamedTuple(
    "Outputs",
    models_s3_uri=str,
    containers=list,
    model_urls=list,
    target_models=list,
    data_capture=dict,
    monitors=list,
):
    """Decide what the endpoint serves and captures, and what is watched of each model.

    Args:
        datasets: What generate_houses returned.
        regressor_urls: S3 URI of each location's price model, in any order.
        preprocessor_url: S3 URI of the fitted preprocessor, which serves all of them.
        source_s3_uri: S3 URI of the archive with preprocessor.py.
        sklearn_version: Version of the scikit-learn container.
        bucket: S3 bucket.
        prefix: Key prefix below which this run writes.
        drift: Declared drift by location; see the component send_traffic.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        models_s3_uri: S3 prefix the endpoint loads its models from.
        containers: The inference pipeline: the preprocessor, and linear-learner for many models.
        model_urls: Archives to publish.
        target_models: Their names on the endpoint.
        data_capture: What the endpoint captures: every request and every answer.
        monitors: One dict a location: its baseline data, its traffic, its drift, where its reports go.
    """
    from kfp_sagemaker.aws import run_context, s3
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.aws.validation import Problems

    locations = [dataset["location"] for dataset in datasets]
    problems = Problems("plan_monitoring")
    for location in drift:
        problems.one_of("drift", location, locations)
    problems.raise_if_any()
    header = "year_built,square_feet,bedrooms,bathrooms,lot_acres,garage_spaces,front_porch,deck"
    session = open_session(region)
    base = s3.join_uri(f"s3://{bucket}", prefix, run_context.current().run_id or "local")
    models_s3_uri = s3.join_uri(base, "models") + "/"
    monitors, urls, targets = [], [], []
    for dataset in datasets:
        location = dataset["location"]
        target = f"{location}/{location}.tar.gz"
        monitor = {
            "location": location,
            "target_model": target,
            "target_models": [target],
            "drift": drift.get(location, []),
            "baseline_output_s3_uri": s3.join_uri(base, "baselines", location),
            "reports_s3_uri": s3.join_uri(base, "reports"),
        }
        for name, part in (("baseline_s3_uri", "train"), ("traffic_s3_uri", "test")):
            # As the endpoint sees it: without the price in front.
            rows = [line.split(",", 1)[1] for line in s3.open_lines(session, dataset[f"{part}_s3_uri"])]
            monitor[name] = s3.join_uri(base, "monitoring", location, f"{part}.csv")
            s3.write_text(session, monitor[name], "\n".join([header, *rows]) + "\n")
        monitors.append(monitor)
        targets.append(target)
        urls.append(next(url for url in regressor_urls if url.startswith(dataset["regressor_s3_uri"] + "/")))
    containers = [
        {
            "algorithm": "sklearn",
            "algorithm_version": sklearn_version,
            "model_data_url": preprocessor_url,
            "source_s3_uri": source_s3_uri,
            "entry_point": "preprocessor.py",
        },
        {"algorithm": "linear-learner", "mode": "MultiModel", "model_data_url": models_s3_uri},
    ]
    capture = {
        "destination_s3_uri": s3.join_uri(base, "capture"),
        "sampling_percentage": 100,
        "csv_content_types": ["text/csv"],
    }
    return models_s3_uri, containers, urls, targets, capture, monitors


@dsl.pipeline(
    name="housing-monitor",
    description="House prices in several cities on one multi-model endpoint, and a monitor for each city's model.",
)
def housing_monitor(
    bucket: str,
    role_arn: str,
    prefix: str = "housing-monitor",
    region: str = "",
    locations: list = ["NewYork_NY", "Chicago_IL", "Houston_TX"],
    houses_per_location: int = 1500,
    seed: int = 2019,
    drift: dict = {
        "Chicago_IL": [
            {"column": "square_feet", "scale": 1.8},
            {"column": "front_porch", "swap": {"y": "n"}},
        ],
        "Houston_TX": [{"column": "garage_spaces", "nulls": 0.4}],
    },
    traffic_rows: int = 120,
    traffic_rows_per_second: float = 20.0,
    capture_wait_seconds: int = 900,
    sklearn_version: str = "1.2-1",
    hyperparameters: dict = {
        "feature_dim": 10,
        "predictor_type": "regressor",
        "mini_batch_size": 100,
        "epochs": 10,
        "num_models": 8,
        "loss": "absolute_loss",
    },
    job_instance_type: str = "ml.m5.large",
    endpoint_instance_type: str = "ml.m5.xlarge",
    max_training_seconds: int = 3600,
    keep_endpoint: bool = False,
) -> None:
    """Serve a price model a location from one endpoint, send traffic to each, and check which models see drift.

    Args:
        bucket: S3 bucket for data, models, captures and reports; it must exist, in `region`.
        role_arn: ARN of the IAM role SageMaker assumes; it reads and writes the bucket.
        prefix: Key prefix in the bucket below which the run writes.
        region: AWS region, such as us-east-1; empty takes it from the steps' environment (AWS_REGION).
        locations: Two or more locations; each has a model.
        houses_per_location: Houses made up for each location; one of ten is traffic.
        seed: Seed of the houses and of the drift.
        drift: What changes in the traffic of which location; see the component send_traffic. Violations of exactly
            these columns have to be found, and none at the other locations.
        traffic_rows: Houses to ask each model about.
        traffic_rows_per_second: Upper limit of the rate, for each model.
        capture_wait_seconds: How long to wait for captured data; AWS writes it some minutes late.
        sklearn_version: Version of SageMaker's scikit-learn container.
        hyperparameters: Hyperparameters of linear-learner.
        job_instance_type: Instance type of training and transform jobs.
        endpoint_instance_type: Instance type of the endpoint.
        max_training_seconds: AWS stops a training job after so long.
        keep_endpoint: Keep endpoint and models; the endpoint costs until you delete it.
    """
    goodbye = components.delete_resources_on_exit(keep=keep_endpoint, region=region)
    goodbye.set_display_name("Clean up")
    with dsl.ExitHandler(goodbye, name="Train, serve and monitor"):
        verified = components.verify_bucket_access(
            s3_uri=f"s3://{bucket}/{prefix}", role_arn=role_arn, region=region
        ).set_display_name("Verify access to the bucket")
        source = (
            components.upload_source(
                files={PREPROCESSOR.name: PREPROCESSOR.read_text()},
                s3_uri=f"s3://{bucket}/{prefix}/source",
                region=region,
            )
            .set_display_name("Upload preprocessor.py")
            .after(verified)
        )
        houses = (
            generate_houses(
                bucket=bucket,
                prefix=prefix,
                locations=locations,
                houses_per_location=houses_per_location,
                seed=seed,
                region=region,
            )
            .set_display_name("Generate houses")
            .after(verified)
        )
        first = first_dataset(datasets=houses.output).set_display_name("Pick the first location")
        preprocessor = components.train(
            algorithm="sklearn",
            algorithm_version=sklearn_version,
            source_s3_uri=source.outputs["source_s3_uri"],
            entry_point=PREPROCESSOR.name,
            channels=first.outputs["channels"],
            output_s3_uri=first.outputs["preprocessor_s3_uri"],
            job_name_prefix="preprocessor",
            instance_type=job_instance_type,
            max_runtime_seconds=max_training_seconds,
            role_arn=role_arn,
            region=region,
        ).set_display_name("Fit the preprocessor")
        preprocessor_model = components.create_model(
            containers=[
                {
                    "algorithm": "sklearn",
                    "algorithm_version": sklearn_version,
                    "model_data_url": preprocessor.outputs["model_data_url"],
                    "source_s3_uri": source.outputs["source_s3_uri"],
                    "entry_point": PREPROCESSOR.name,
                }
            ],
            role_arn=role_arn,
            region=region,
        ).set_display_name("Model of the preprocessor")
        to_train = add_to_each(
            items=houses.output, values={"preprocessor_model": preprocessor_model.outputs["model_name"]}
        ).set_display_name("Plan the training")
        with dsl.ParallelFor(to_train.output, name="Each location") as dataset:
            transformed = components.batch_transform(
                model_name=dataset.preprocessor_model,
                input_s3_uri=dataset.train_s3_uri,
                output_s3_uri=dataset.transformed_s3_uri,
                content_type="text/csv",
                split_type="Line",
                accept="text/csv",
                assemble_with="Line",
                instance_type=job_instance_type,
                region=region,
            ).set_display_name("Transform the houses")
            regressor = components.train(
                algorithm="linear-learner",
                hyperparameters=hyperparameters,
                channels=[
                    {
                        "name": "train",
                        "s3_uri": transformed.outputs["output_s3_uri"],
                        "content_type": "text/csv;label_size=1",
                    }
                ],
                output_s3_uri=dataset.regressor_s3_uri,
                job_name_prefix=dataset.regressor_job_prefix,
                instance_type=job_instance_type,
                max_runtime_seconds=max_training_seconds,
                role_arn=role_arn,
                region=region,
            ).set_display_name("Train the price model")
        plan = plan_monitoring(
            datasets=houses.output,
            regressor_urls=dsl.Collected(regressor.outputs["model_data_url"]),
            preprocessor_url=preprocessor.outputs["model_data_url"],
            source_s3_uri=source.outputs["source_s3_uri"],
            sklearn_version=sklearn_version,
            bucket=bucket,
            prefix=prefix,
            drift=drift,
            region=region,
        ).set_display_name("Plan the endpoint")
        published = components.publish_models(
            model_data_urls=plan.outputs["model_urls"],
            target_models=plan.outputs["target_models"],
            destination_s3_uri=plan.outputs["models_s3_uri"],
            region=region,
        ).set_display_name("Publish the models")
        inference_pipeline = (
            components.create_model(containers=plan.outputs["containers"], role_arn=role_arn, region=region)
            .set_display_name("Inference pipeline")
            .after(published)
        )
        endpoint = components.deploy_endpoint(
            model_name=inference_pipeline.outputs["model_name"],
            instance_type=endpoint_instance_type,
            data_capture=plan.outputs["data_capture"],
            region=region,
        ).set_display_name("Deploy with data capture")
        to_monitor = add_to_each(
            items=plan.outputs["monitors"], values={"endpoint_name": endpoint.outputs["endpoint_name"]}
        ).set_display_name("Plan the monitors")
        with dsl.ParallelFor(to_monitor.output, name="Each model") as monitor:
            baseline = components.suggest_baseline(
                dataset_s3_uri=monitor.baseline_s3_uri,
                output_s3_uri=monitor.baseline_output_s3_uri,
                dataset_format="csv",
                region=region,
            ).set_display_name("Suggest a baseline")
            traffic = components.send_traffic(
                endpoint_name=monitor.endpoint_name,
                input_s3_uri=monitor.traffic_s3_uri,
                has_header=True,
                row_count=traffic_rows,
                rows_per_second=traffic_rows_per_second,
                target_models=monitor.target_models,
                drift=monitor.drift,
                seed=seed,
                region=region,
            ).set_display_name("Send traffic")
            captured = components.list_captured_data(
                endpoint_name=monitor.endpoint_name,
                target_model=monitor.target_model,
                start_time=traffic.outputs["started_at"],
                end_time=traffic.outputs["ended_at"],
                expected_records=traffic_rows,
                max_wait_seconds=capture_wait_seconds,
                region=region,
            ).set_display_name("List the capture")
            analysis = (
                components.monitor_data_quality(
                    endpoint_name=monitor.endpoint_name,
                    target_model=monitor.target_model,
                    statistics_s3_uri=baseline.outputs["statistics_s3_uri"],
                    constraints_s3_uri=baseline.outputs["constraints_s3_uri"],
                    output_s3_uri=monitor.reports_s3_uri,
                    # The answers follow the input: they would drift with it.
                    capture=["Input"],
                    start_time=traffic.outputs["started_at"],
                    end_time=traffic.outputs["ended_at"],
                    region=region,
                )
                .set_display_name("Analyse the model's traffic")
                .after(captured)
            )
            components.check_violations(
                violations_s3_uri=analysis.outputs["violations_s3_uri"],
                expected_features=traffic.outputs["drifted_columns"],
                title="Violations",
                region=region,
            ).set_display_name("Check that its drift is found")

"""House prices in several cities: one model a city, all of them on one multi-model endpoint behind one preprocessor.

Compile with ``kfp-sagemaker compile housing_mme``, run here with ``kfp-sagemaker run housing_mme``.
"""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg, no-any-return, untyped-decorator"
# pyright: reportInvalidTypeForm=false, reportReturnType=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportIndexIssue=false
# ruff: noqa: B006

from pathlib import Path
from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker import components
from kfp_sagemaker._component import sagemaker_component

PREPROCESSOR = Path(__file__).with_name("preprocessor.py")


@sagemaker_component
def generate_houses(
    bucket: str, prefix: str, locations: list, houses_per_location: int, seed: int = 0, region: str = ""
) -> list:
    """Make up houses for each location and write them to S3 as CSV without header, the price first.

    Every location has its own price level and its own weight for each feature, so the models differ. The same seed
    gives the same houses. Nine houses of ten are for training, the tenth is held out.

    Args:
        bucket: S3 bucket to write to.
        prefix: Key prefix below which this run writes.
        locations: Two or more names of letters, digits, hyphens and underscores, such as Chicago_IL.
        houses_per_location: Number of houses, at least 50.
        seed: Seed of the random generator.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        One dict a location: the S3 URIs its steps read and write, and the channels of its first training job.
    """
    import random

    from kfp_sagemaker.aws import run_context, s3
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.aws.validation import Problems

    problems = Problems("generate_houses")
    if len(set(locations)) < 2 or len(set(locations)) < len(locations):
        problems.add("locations", locations, "two or more different names")
    for location in locations:
        problems.matches("locations", location, r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", "1 to 40 letters, digits, - and _")
    problems.between("houses_per_location", houses_per_location, 50, 1_000_000)
    problems.raise_if_any()

    session = open_session(region)
    base = s3.join_uri(f"s3://{bucket}", prefix, run_context.current().run_id or "local", "data")
    datasets = []
    for location in locations:
        rng = random.Random(f"{seed}/{location}")  # noqa: S311 - houses, not secrets
        level = rng.uniform(0.7, 1.8)
        rates = [
            rate * level * rng.uniform(0.9, 1.1)
            for rate in (150, 10_000, 15_000, 15_000, 15_000, 10_000, 10_000, 5_000)
        ]
        rows = []
        for _ in range(houses_per_location):
            year = max(1985, min(2019, round(rng.gauss(2003, 9))))
            house = (
                max(1500, min(6000, round(rng.gauss(3000, 750)))),  # square feet
                rng.randint(2, 6),  # bedrooms
                rng.randint(2, 6) / 2 + 0.5,  # bathrooms
                max(0.1, round(rng.gauss(1.0, 0.25), 2)),  # lot in acres
                rng.randint(0, 3),  # garage spaces
                rng.random() < 0.6,  # front porch
                rng.random() < 0.5,  # deck
                year - 2019,
            )
            price = round(sum(rate * amount for rate, amount in zip(rates, house, strict=True)))
            yes_no = ["y" if present else "n" for present in house[5:7]]
            rows.append(",".join(map(str, [price, year, *house[:5], *yes_no])))
        held_out = len(rows) // 10
        uri = s3.join_uri(base, location)
        dataset = {
            "location": location,
            "train_s3_uri": s3.join_uri(uri, "train", "houses.csv"),
            "test_s3_uri": s3.join_uri(uri, "test", "houses.csv"),
            "transformed_s3_uri": s3.join_uri(uri, "transformed"),
            "split_s3_uri": s3.join_uri(uri, "split"),
            "preprocessor_s3_uri": s3.join_uri(uri, "preprocessor"),
            "regressor_s3_uri": s3.join_uri(uri, "regressor"),
            "preprocessor_job_prefix": location.replace("_", "-") + "-preprocessor",
            "regressor_job_prefix": location.replace("_", "-") + "-regressor",
        }
        dataset["channels"] = [{"name": "train", "s3_uri": s3.join_uri(uri, "train") + "/", "content_type": "text/csv"}]
        s3.write_text(session, dataset["train_s3_uri"], "\n".join(rows[held_out:]) + "\n")
        s3.write_text(session, dataset["test_s3_uri"], "\n".join(rows[:held_out]) + "\n")
        print(f"{location}: {len(rows) - held_out} houses to train on, {held_out} held out, level {level:.2f}")
        datasets.append(dataset)
    return datasets


@sagemaker_component(cache=False)
def plan_serving(
    datasets: list,
    preprocessor_urls: list,
    regressor_urls: list,
    bucket: str,
    prefix: str,
    source_s3_uri: str,
    sklearn_version: str,
    houses_to_query: int,
    cache_experiment_models: int,
    region: str = "",
) -> NamedTuple(
    "Outputs",
    models_s3_uri=str,
    predictions_s3_uri=str,
    added_predictions_s3_uri=str,
    containers=list,
    model_urls=list,
    target_models=list,
    rows=list,
    row_targets=list,
    added_model_urls=list,
    added_target_models=list,
    added_rows=list,
    added_row_targets=list,
    copied_model_urls=list,
    copies=list,
    half_of_copies=list,
    copy_row=list,
    expected_invocations=int,
    exported_job_name=str,
    access_role_name=str,
    access_target_models=list,
    allowed_target_model=str,
    refused_target_model=str,
):
    """Decide what the endpoint serves: every location's model but the last, which is added while it serves.

    Args:
        datasets: What generate_houses returned.
        preprocessor_urls: S3 URI of each location's fitted preprocessor, in any order.
        regressor_urls: S3 URI of each location's price model, in any order.
        bucket: S3 bucket of the endpoint's models.
        prefix: Key prefix below which this run writes.
        source_s3_uri: S3 URI of the archive with preprocessor.py.
        sklearn_version: Version of the scikit-learn container.
        houses_to_query: Held-out houses a location to price.
        cache_experiment_models: Copies the cache experiment makes.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        models_s3_uri: S3 prefix the endpoint loads its models from.
        predictions_s3_uri: Where the predictions go.
        added_predictions_s3_uri: Where those of the added location go.
        containers: The inference pipeline: the first location's preprocessor, and linear-learner for many models.
        model_urls: Archives to publish before the endpoint exists.
        target_models: Their names on the endpoint.
        rows: Held-out houses of these locations, the price first.
        row_targets: The model that prices each of the rows.
        added_model_urls: The last location's archive.
        added_target_models: Its name on the endpoint.
        added_rows: Held-out houses of the last location.
        added_row_targets: The model that prices each of them.
        copied_model_urls: The archive the cache experiment copies.
        copies: Names of the copies.
        half_of_copies: The first half of them.
        copy_row: A house to ask each copy about.
        expected_invocations: How often the endpoint is invoked in all.
        exported_job_name: The first location's training job, whose learning curves are exported.
        access_role_name: The role that may call the first location's models only.
        access_target_models: The pattern of these.
        allowed_target_model: One of these.
        refused_target_model: The last location's model, which it may not call.
    """
    from itertools import islice

    from kfp_sagemaker.aws import run_context, s3
    from kfp_sagemaker.aws.session import open_session

    session = open_session(region)
    run_id = run_context.current().run_id or "local"
    rows, targets, urls = {}, {}, {}
    for dataset in datasets:
        location = dataset["location"]
        targets[location] = f"{location}/{location}.tar.gz"
        urls[location] = next(url for url in regressor_urls if url.startswith(dataset["regressor_s3_uri"] + "/"))
        rows[location] = list(islice(s3.open_lines(session, dataset["test_s3_uri"]), houses_to_query))
    *first, last = targets
    preprocessor_url = next(
        url for url in preprocessor_urls if url.startswith(datasets[0]["preprocessor_s3_uri"] + "/")
    )
    base = s3.join_uri(f"s3://{bucket}", prefix, run_id)
    models_s3_uri = s3.join_uri(base, "models") + "/"
    copies = [f"copies/{number:04d}.tar.gz" for number in range(1, cache_experiment_models + 1)]
    half = copies[: (len(copies) + 1) // 2]
    return (
        models_s3_uri,
        s3.join_uri(base, "predictions", "published.jsonl"),
        s3.join_uri(base, "predictions", "added.jsonl"),
        [
            {
                "algorithm": "sklearn",
                "algorithm_version": sklearn_version,
                "model_data_url": preprocessor_url,
                "source_s3_uri": source_s3_uri,
                "entry_point": "preprocessor.py",
            },
            {"algorithm": "linear-learner", "mode": "MultiModel", "model_data_url": models_s3_uri},
        ],
        [urls[location] for location in first],
        [targets[location] for location in first],
        [row for location in first for row in rows[location]],
        [targets[location] for location in first for _ in rows[location]],
        [urls[last]],
        [targets[last]],
        rows[last],
        [targets[last]] * len(rows[last]),
        [urls[first[0]]],
        copies,
        half,
        [rows[first[0]][0].split(",", 1)[1]],
        sum(map(len, rows.values())) + 2 * len(half) + len(copies),
        urls[first[0]].removeprefix(datasets[0]["regressor_s3_uri"] + "/").partition("/")[0],
        f"model-access-{run_id}"[:64],
        [f"{first[0]}/*"],
        targets[first[0]],
        targets[last],
    )


@sagemaker_component(cache=False)
def clean_up(
    status: dsl.PipelineTaskFinalStatus,
    bucket: str,
    prefix: str,
    keep_endpoint: bool = False,
    model_access: bool = False,
    region: str = "",
) -> NamedTuple("Outputs", [("deleted", list)]):
    """Delete the endpoint, its configuration, the models, their published archives and the role, however the run ended.

    Args:
        status: How the run ended; Kubeflow Pipelines fills it in.
        bucket: S3 bucket of the run.
        prefix: Key prefix below which the run wrote.
        keep_endpoint: Whether to keep them; jobs that still run are stopped all the same.
        model_access: Whether the run may have made a role that calls some of the models.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        deleted: What was deleted.
    """
    from kfp_sagemaker.access import model_access as access
    from kfp_sagemaker.aws import run_context, s3
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import delete

    session = open_session(region)
    run_id = run_context.current().run_id or "local"
    models_s3_uri = s3.join_uri(f"s3://{bucket}", prefix, run_id, "models") + "/"
    plan = delete.build_plan(s3_uris=[models_s3_uri], run_id="current")
    revoked = []
    try:
        deleted = delete.run(session, plan, keep=keep_endpoint, run_state=status.state).deleted
    finally:
        if model_access and not keep_endpoint:
            revoked = access.revoke(session, role_name=f"model-access-{run_id}"[:64]).deleted
    return ([*deleted, *revoked],)


@dsl.pipeline(
    name="housing-mme",
    description="House prices in several cities: a model a city, all on one SageMaker multi-model endpoint.",
)
def housing_mme(
    bucket: str,
    role_arn: str,
    prefix: str = "housing-mme",
    region: str = "",
    locations: list = ["NewYork_NY", "LosAngeles_CA", "Chicago_IL", "Houston_TX"],
    houses_per_location: int = 1000,
    seed: int = 2019,
    sklearn_version: str = "1.2-1",
    train_fraction: float = 0.7,
    validation_fraction: float = 0.3,
    hyperparameters: dict = {
        "feature_dim": 10,
        "predictor_type": "regressor",
        "mini_batch_size": 100,
        "epochs": 10,
        "num_models": 32,
        "loss": "absolute_loss",
    },
    preprocessor_instance_type: str = "ml.m5.large",
    transform_instance_type: str = "ml.m5.large",
    training_instance_type: str = "ml.m5.large",
    endpoint_instance_type: str = "ml.m5.xlarge",
    endpoint_instance_count: int = 1,
    max_training_seconds: int = 3600,
    houses_to_query: int = 100,
    max_error_percent: float = 10.0,
    cache_experiment_models: int = 40,
    metrics_window_seconds: int = 1800,
    metrics_period_seconds: int = 60,
    export_metrics: bool = True,
    model_access: bool = False,
    model_access_principals: list = ["caller"],
    keep_endpoint: bool = False,
) -> None:
    """Train a price model a location, host them all on one endpoint, query it, and clean up.

    Args:
        bucket: S3 bucket for data and models; it must exist, in `region`.
        role_arn: ARN of the IAM role SageMaker assumes; it reads and writes the bucket.
        prefix: Key prefix in the bucket below which the run writes.
        region: AWS region, such as us-east-1; empty takes it from the steps' environment (AWS_REGION).
        locations: Two or more locations, such as Dallas_TX, Phoenix_AZ, Philadelphia_PA, SanAntonio_TX, SanDiego_CA,
            SanFrancisco_CA; the last one's model joins the endpoint while it serves.
        houses_per_location: Houses made up for each location; one of ten is held out.
        seed: Seed of the houses and of the split.
        sklearn_version: Version of SageMaker's scikit-learn container.
        train_fraction: Share of the training houses the regressor learns from.
        validation_fraction: Share it is validated on; the two add up to 1.
        hyperparameters: Hyperparameters of linear-learner; it trains num_models side by side and keeps the best one.
        preprocessor_instance_type: Instance type of the jobs that fit the preprocessors.
        transform_instance_type: Instance type of the batch transform jobs.
        training_instance_type: Instance type of the linear-learner jobs.
        endpoint_instance_type: Instance type of the endpoint; its memory decides how many models stay loaded.
        endpoint_instance_count: Instances of the endpoint.
        max_training_seconds: AWS stops a training job after so long.
        houses_to_query: Held-out houses a location to price on the endpoint.
        max_error_percent: The run fails when a location's mean absolute percentage error is greater.
        cache_experiment_models: Copies published to watch the endpoint load and unload models; 0 leaves this out.
        metrics_window_seconds: How far the charts go back.
        metrics_period_seconds: Seconds a point of the charts; AWS has a point a minute.
        export_metrics: Export the learning curves of the first location's price model to training-metrics/, and a URL
            of them, good for two hours, to pre_url.txt, both below `prefix`.
        model_access: Make a role that may call the first location's models only, and show that it can do no more; the
            steps' identity then has to be allowed what grant_model_access needs.
        model_access_principals: Who may assume that role: ARNs, account numbers, and caller for the steps themselves.
        keep_endpoint: Keep endpoint and models; the endpoint costs until you delete it.
    """
    source = components.upload_source(
        files={PREPROCESSOR.name: PREPROCESSOR.read_text()}, s3_uri=f"s3://{bucket}/{prefix}/source", region=region
    ).set_display_name("Upload preprocessor.py")
    houses = generate_houses(
        bucket=bucket,
        prefix=prefix,
        locations=locations,
        houses_per_location=houses_per_location,
        seed=seed,
        region=region,
    ).set_display_name("Generate houses")

    goodbye = clean_up(
        bucket=bucket, prefix=prefix, keep_endpoint=keep_endpoint, model_access=model_access, region=region
    )
    goodbye.set_display_name("Clean up")
    with dsl.ExitHandler(goodbye, name="Train and serve"):
        with dsl.ParallelFor(houses.output, name="Each location") as dataset:
            preprocessor = components.train(
                algorithm="sklearn",
                algorithm_version=sklearn_version,
                source_s3_uri=source.outputs["source_s3_uri"],
                entry_point=PREPROCESSOR.name,
                channels=dataset.channels,
                output_s3_uri=dataset.preprocessor_s3_uri,
                job_name_prefix=dataset.preprocessor_job_prefix,
                instance_type=preprocessor_instance_type,
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
            transformed = components.batch_transform(
                model_name=preprocessor_model.outputs["model_name"],
                input_s3_uri=dataset.train_s3_uri,
                output_s3_uri=dataset.transformed_s3_uri,
                content_type="text/csv",
                split_type="Line",
                accept="text/csv",
                assemble_with="Line",
                instance_type=transform_instance_type,
                region=region,
            ).set_display_name("Transform the houses")
            parts = components.split_dataset(
                input_s3_uri=transformed.outputs["output_file_s3_uri"],
                output_s3_uri=dataset.split_s3_uri,
                train_fraction=train_fraction,
                validation_fraction=validation_fraction,
                seed=seed,
                region=region,
            ).set_display_name("Split for validation")
            regressor = components.train(
                algorithm="linear-learner",
                hyperparameters=hyperparameters,
                channels=[
                    {"name": "train", "s3_uri": parts.outputs["train_s3_uri"], "content_type": "text/csv;label_size=1"},
                    {
                        "name": "validation",
                        "s3_uri": parts.outputs["validation_s3_uri"],
                        "content_type": "text/csv;label_size=1",
                    },
                ],
                output_s3_uri=dataset.regressor_s3_uri,
                job_name_prefix=dataset.regressor_job_prefix,
                instance_type=training_instance_type,
                max_runtime_seconds=max_training_seconds,
                role_arn=role_arn,
                region=region,
            ).set_display_name("Train the price model")

        plan = plan_serving(
            datasets=houses.output,
            preprocessor_urls=dsl.Collected(preprocessor.outputs["model_data_url"]),
            regressor_urls=dsl.Collected(regressor.outputs["model_data_url"]),
            bucket=bucket,
            prefix=prefix,
            source_s3_uri=source.outputs["source_s3_uri"],
            sklearn_version=sklearn_version,
            houses_to_query=houses_to_query,
            cache_experiment_models=cache_experiment_models,
            region=region,
        ).set_display_name("Plan the endpoint")
        with dsl.If(export_metrics == True, name="Export metrics"):  # noqa: E712 - KFP's condition
            components.export_training_metrics(
                bucket=bucket, job_name=plan.outputs["exported_job_name"], prefix=prefix, region=region
            ).set_display_name("Export learning curves")
        published = components.publish_models(
            model_data_urls=plan.outputs["model_urls"],
            target_models=plan.outputs["target_models"],
            destination_s3_uri=plan.outputs["models_s3_uri"],
            clear_stale=True,
            region=region,
        ).set_display_name("Publish all but the last")
        inference_pipeline = (
            components.create_model(containers=plan.outputs["containers"], role_arn=role_arn, region=region)
            .set_display_name("Inference pipeline")
            .after(published)
        )
        endpoint = components.deploy_endpoint(
            model_name=inference_pipeline.outputs["model_name"],
            instance_type=endpoint_instance_type,
            initial_instance_count=endpoint_instance_count,
            region=region,
        ).set_display_name("Deploy the endpoint")
        predictions = components.invoke_endpoint(
            endpoint_name=endpoint.outputs["endpoint_name"],
            rows=plan.outputs["rows"],
            target_models=plan.outputs["row_targets"],
            target_model_pairing="row",
            label_first=True,
            accept="text/csv",
            output_s3_uri=plan.outputs["predictions_s3_uri"],
            region=region,
        ).set_display_name("Price held-out houses")
        added = (
            components.publish_models(
                model_data_urls=plan.outputs["added_model_urls"],
                target_models=plan.outputs["added_target_models"],
                destination_s3_uri=plan.outputs["models_s3_uri"],
                region=region,
            )
            .set_display_name("Add the last model")
            .after(predictions)
        )
        added_predictions = (
            components.invoke_endpoint(
                endpoint_name=endpoint.outputs["endpoint_name"],
                rows=plan.outputs["added_rows"],
                target_models=plan.outputs["added_row_targets"],
                target_model_pairing="row",
                label_first=True,
                accept="text/csv",
                output_s3_uri=plan.outputs["added_predictions_s3_uri"],
                region=region,
            )
            .set_display_name("Price the last location's houses")
            .after(added)
        )
        compared = components.compare_predictions(
            predictions_s3_uris=[
                predictions.outputs["predictions_s3_uri"],
                added_predictions.outputs["predictions_s3_uri"],
            ],
            max_error_percent=max_error_percent,
            title="Predicted and true prices",
            region=region,
        ).set_display_name("Compare with the true prices")

        with dsl.If(model_access == True, name="Model access"):  # noqa: E712 - KFP's condition
            granted = components.grant_model_access(
                endpoint_name=endpoint.outputs["endpoint_name"],
                role_name=plan.outputs["access_role_name"],
                target_models=plan.outputs["access_target_models"],
                trusted_principals=model_access_principals,
                region=region,
            )
            granted.set_display_name("Grant the first location's models").after(compared)
            components.verify_model_access(
                endpoint_name=endpoint.outputs["endpoint_name"],
                role_arn=granted.outputs["role_arn"],
                allowed_target_model=plan.outputs["allowed_target_model"],
                refused_target_model=plan.outputs["refused_target_model"],
                rows=plan.outputs["copy_row"],
                accept="text/csv",
                region=region,
            ).set_display_name("Call one model that is granted and one that is not")

        with dsl.If(cache_experiment_models > 0, name="Cache experiment"):
            copied = components.publish_models(
                model_data_urls=plan.outputs["copied_model_urls"],
                target_models=plan.outputs["copies"],
                destination_s3_uri=plan.outputs["models_s3_uri"],
                region=region,
            )
            copied.set_display_name("Publish copies").after(compared)
            previous = copied
            for name, targets in (
                ("Invoke the first half", "half_of_copies"),
                ("Invoke the first half again", "half_of_copies"),
                ("Invoke all copies", "copies"),
            ):
                previous = (
                    components.invoke_endpoint(
                        endpoint_name=endpoint.outputs["endpoint_name"],
                        rows=plan.outputs["copy_row"],
                        target_models=plan.outputs[targets],
                        accept="text/csv",
                        region=region,
                    )
                    .set_display_name(name)
                    .after(previous)
                )
            components.endpoint_metrics(
                endpoint_name=endpoint.outputs["endpoint_name"],
                window_seconds=metrics_window_seconds,
                period_seconds=metrics_period_seconds,
                metric_names=[
                    "LoadedModelCount",
                    "MemoryUtilization",
                    "ModelCacheHit",
                    "ModelLoadingTime",
                    "Invocations",
                ],
                expected_invocations=plan.outputs["expected_invocations"],
                region=region,
            ).set_display_name("Chart the model cache").after(previous)

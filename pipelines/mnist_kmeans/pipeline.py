"""Handwritten digits, clustered by k-means: tuned, trained, served on an endpoint and applied in a batch.

Compile with ``kfp-sagemaker compile mnist_kmeans``, run here with ``kfp-sagemaker run mnist_kmeans``.
"""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg, no-any-return, untyped-decorator"
# pyright: reportInvalidTypeForm=false, reportReturnType=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportIndexIssue=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker import components
from kfp_sagemaker._component import sagemaker_component

RECORDIO = "application/x-recordio-protobuf"


@sagemaker_component
def prepare_digits(
    bucket: str,
    prefix: str,
    data_url: str,
    image: str,
    static_parameters: dict,
    images_to_query: int,
    region: str = "",
) -> NamedTuple(
    "Outputs",
    train_s3_uri=str,
    test_s3_uri=str,
    valid_s3_uri=str,
    valid_digits_s3_uri=str,
    models_s3_uri=str,
    clusters_s3_uri=str,
    predictions_s3_uri=str,
    static_parameters=dict,
    training_image=str,
    rows=list,
):
    """Read images of digits, write them to S3 as k-means reads them, and look up the image of k-means.

    Args:
        bucket: S3 bucket to write to.
        prefix: Key prefix below which this run writes.
        data_url: MNIST as pickle, or the folder of its idx files; empty for the set that comes along.
        image: Training image; empty looks up SageMaker's k-means for the region.
        static_parameters: Hyperparameters that are not tuned; feature_dim is added from the data.
        images_to_query: How many validation images the endpoint is asked about.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        train_s3_uri: Training images and digits, recordio-protobuf.
        test_s3_uri: Test images and digits, recordio-protobuf.
        valid_s3_uri: Validation images, CSV without digit.
        valid_digits_s3_uri: Their digits.
        models_s3_uri: Where the models go.
        clusters_s3_uri: Where batch transform writes.
        predictions_s3_uri: Where the endpoint's answers go.
        static_parameters: The given ones, with feature_dim.
        training_image: URI of the image that trains and serves.
        rows: Validation images for the endpoint.
    """
    from itertools import islice

    from kfp_sagemaker.aws import image_uris, run_context, s3
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.aws.validation import Problems
    from kfp_sagemaker.data import digit_images

    session = open_session(region)
    images = digit_images.load(session, data_url)
    problems = Problems("prepare_digits")
    problems.between("images_to_query", images_to_query, 1, 10_000)
    given = static_parameters.get("feature_dim")
    if given is not None and int(given) != images.feature_dim:
        problems.add("feature_dim", given, f"{images.feature_dim}, as the images have it, or left out")
    problems.raise_if_any()
    base = s3.join_uri(f"s3://{bucket}", prefix, run_context.current().run_id or "local")
    uris = digit_images.write(session, images, s3.join_uri(base, "data"))
    for part in ("train", "valid", "test"):
        print(f"{part}: {len(getattr(images, part).digits)} images of {images.feature_dim} pixels")
    return (
        uris["train"],
        uris["test"],
        uris["valid"],
        uris["valid_digits"],
        s3.join_uri(base, "models"),
        s3.join_uri(base, "clusters"),
        s3.join_uri(base, "predictions.jsonl"),
        {**static_parameters, "feature_dim": images.feature_dim},
        image or image_uris.image_uri("kmeans", session.region),
        list(islice(s3.open_lines(session, uris["valid"]), images_to_query)),
    )


@sagemaker_component(cache=False)
def report_clusters(
    model_data_url: str,
    images_s3_uri: str,
    digits_s3_uri: str,
    clusters_s3_uri: str,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    region: str = "",
) -> NamedTuple("Outputs", table=dict, purity=float):
    """Show each cluster's centre as an image, and the digits assigned to it.

    Args:
        model_data_url: S3 URI of the k-means model.
        images_s3_uri: The clustered images, CSV.
        digits_s3_uri: Their digits.
        clusters_s3_uri: What batch transform answered.
        region: AWS region; empty takes it from the step's environment.
        report: The page.
        metrics: The purity.

    Returns:
        table: The clusters with their digits.
        purity: Share of the images that show their cluster's most frequent digit.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.metrics import clusters

    found = clusters.report(
        open_session(region),
        model_data_url=model_data_url,
        images_s3_uri=images_s3_uri,
        digits_s3_uri=digits_s3_uri,
        clusters_s3_uri=clusters_s3_uri,
        title="Clusters of handwritten digits",
        report_path=report.path,
    )
    metrics.log_metric("purity", round(found.purity, 4))
    return found.table, found.purity


@dsl.pipeline(
    name="mnist-kmeans",
    description="Handwritten digits clustered by SageMaker's k-means: tuned, trained, served, and applied in a batch.",
)
def mnist_kmeans(
    bucket: str,
    role_arn: str,
    prefix: str = "mnist-kmeans",
    region: str = "",
    data_url: str = "",
    image: str = "",
    training_input_mode: str = "File",
    instance_type: str = "ml.m5.large",
    instance_count: int = 1,
    volume_size_gb: int = 30,
    max_runtime_seconds: int = 3600,
    hpo_strategy: str = "Bayesian",
    hpo_metric_name: str = "test:msd",
    hpo_metric_type: str = "Minimize",
    hpo_early_stopping_type: str = "Off",
    hpo_static_parameters: dict = {"k": 10},
    hpo_integer_parameters: list = [
        {"name": "mini_batch_size", "min_value": 500, "max_value": 600},
        {"name": "extra_center_factor", "min_value": 10, "max_value": 20},
    ],
    hpo_continuous_parameters: list = [],
    hpo_categorical_parameters: list = [{"name": "init_method", "values": ["kmeans++", "random"]}],
    hpo_max_num_jobs: int = 9,
    hpo_max_parallel_jobs: int = 2,
    hpo_random_seed: int = -1,
    use_spot: bool = False,
    max_wait_seconds: int = 0,
    checkpoint_s3_uri: str = "",
    endpoint_instance_type: str = "ml.m5.large",
    endpoint_instance_count: int = 1,
    images_to_query: int = 20,
    batch_transform_instance_type: str = "ml.m5.large",
    batch_transform_instance_count: int = 1,
    batch_transform_content_type: str = "text/csv",
    batch_transform_split_type: str = "Line",
    batch_transform_strategy: str = "MultiRecord",
    batch_transform_max_concurrent: int = 4,
    batch_transform_max_payload_mb: int = 6,
    network_isolation: bool = False,
    keep_endpoint: bool = False,
) -> None:
    """Tune k-means on images of digits, train with the best hyperparameters, serve the model and apply it in a batch.

    Args:
        bucket: S3 bucket for data and models; it must exist, in `region`.
        role_arn: ARN of the IAM role SageMaker assumes; it reads and writes the bucket.
        prefix: Key prefix in the bucket below which the run writes.
        region: AWS region, such as us-east-1; empty takes it from the steps' environment (AWS_REGION).
        data_url: MNIST: S3 or HTTPS URL of mnist.pkl.gz, or of the folder (ends in a slash) with the four original idx
            files. Empty takes the 1,797 digits of 8 by 8 pixels that come with the suite.
        image: URI of the training image; empty looks up SageMaker's k-means in the region.
        training_input_mode: How the data reaches the container: File, FastFile or Pipe.
        instance_type: Instance type of the tuning's training jobs and of the last one.
        instance_count: Number of instances of each.
        volume_size_gb: Size of their storage volumes in GB.
        max_runtime_seconds: AWS stops a training job after so long.
        hpo_strategy: Bayesian, Random, Grid or Hyperband.
        hpo_metric_name: The metric to optimise: test:msd or test:ssd.
        hpo_metric_type: Minimize or Maximize.
        hpo_early_stopping_type: Off or Auto.
        hpo_static_parameters: Hyperparameters that are not tuned; feature_dim is added from the data.
        hpo_integer_parameters: Whole numbers to search.
        hpo_continuous_parameters: Numbers to search.
        hpo_categorical_parameters: Values to choose from.
        hpo_max_num_jobs: Training jobs of the tuning in all.
        hpo_max_parallel_jobs: Training jobs at a time.
        hpo_random_seed: Seed of the choices, to repeat them; -1 takes none.
        use_spot: Use spot capacity for training: cheaper, and interrupted at any time.
        max_wait_seconds: With use_spot, how long to wait for capacity and run together; 0 means max_runtime_seconds.
        checkpoint_s3_uri: S3 URI prefix of checkpoints, for images that write some; empty keeps none.
        endpoint_instance_type: Instance type of the endpoint.
        endpoint_instance_count: Instances of the endpoint.
        images_to_query: Validation images the endpoint is asked about.
        batch_transform_instance_type: Instance type of the batch transform job.
        batch_transform_instance_count: Instances of the batch transform job.
        batch_transform_content_type: Content type of the images that are clustered in the batch.
        batch_transform_split_type: How they are split: Line, or None.
        batch_transform_strategy: MultiRecord or SingleRecord.
        batch_transform_max_concurrent: Requests at a time to each instance.
        batch_transform_max_payload_mb: Largest request in MB.
        network_isolation: Cut training off from all networks.
        keep_endpoint: Keep endpoint and model; the endpoint costs until you delete it.
    """
    goodbye = components.delete_resources_on_exit(run_id="current", keep=keep_endpoint, region=region)
    goodbye.set_display_name("Clean up")
    with dsl.ExitHandler(goodbye, name="Tune, train and serve"):
        digits = prepare_digits(
            bucket=bucket,
            prefix=prefix,
            data_url=data_url,
            image=image,
            static_parameters=hpo_static_parameters,
            images_to_query=images_to_query,
            region=region,
        ).set_display_name("Prepare the digits")
        channels = [
            {"name": "train", "s3_uri": digits.outputs["train_s3_uri"], "content_type": RECORDIO},
            {"name": "test", "s3_uri": digits.outputs["test_s3_uri"], "content_type": RECORDIO},
        ]
        tuned = components.tune(
            training_image=digits.outputs["training_image"],
            channels=channels,
            output_s3_uri=digits.outputs["models_s3_uri"],
            strategy=hpo_strategy,
            objective_metric_name=hpo_metric_name,
            objective_type=hpo_metric_type,
            early_stopping_type=hpo_early_stopping_type,
            hyperparameters=digits.outputs["static_parameters"],
            integer_ranges=hpo_integer_parameters,
            continuous_ranges=hpo_continuous_parameters,
            categorical_ranges=hpo_categorical_parameters,
            max_training_jobs=hpo_max_num_jobs,
            max_parallel_training_jobs=hpo_max_parallel_jobs,
            random_seed=hpo_random_seed,
            training_input_mode=training_input_mode,
            instance_type=instance_type,
            instance_count=instance_count,
            volume_size_gb=volume_size_gb,
            max_runtime_seconds=max_runtime_seconds,
            use_spot=use_spot,
            max_wait_seconds=max_wait_seconds,
            checkpoint_s3_uri=checkpoint_s3_uri,
            enable_network_isolation=network_isolation,
            job_name_prefix="mnist-kmeans",
            role_arn=role_arn,
            region=region,
        ).set_display_name("Tune k-means")
        trained = components.train(
            training_image=digits.outputs["training_image"],
            channels=channels,
            output_s3_uri=digits.outputs["models_s3_uri"],
            hyperparameters=tuned.outputs["best_hyperparameters"],
            training_input_mode=training_input_mode,
            instance_type=instance_type,
            instance_count=instance_count,
            volume_size_gb=volume_size_gb,
            max_runtime_seconds=max_runtime_seconds,
            use_spot=use_spot,
            max_wait_seconds=max_wait_seconds,
            checkpoint_s3_uri=checkpoint_s3_uri,
            enable_network_isolation=network_isolation,
            job_name_prefix="mnist-kmeans",
            role_arn=role_arn,
            region=region,
        ).set_display_name("Train with the best hyperparameters")
        model = components.create_model(
            containers=[
                {
                    "image": digits.outputs["training_image"],
                    "model_data_url": trained.outputs["model_data_url"],
                }
            ],
            role_arn=role_arn,
            region=region,
        ).set_display_name("Create the model")
        endpoint = components.deploy_endpoint(
            model_name=model.outputs["model_name"],
            instance_type=endpoint_instance_type,
            initial_instance_count=endpoint_instance_count,
            region=region,
        ).set_display_name("Deploy the endpoint")
        components.invoke_endpoint(
            endpoint_name=endpoint.outputs["endpoint_name"],
            rows=digits.outputs["rows"],
            output_s3_uri=digits.outputs["predictions_s3_uri"],
            region=region,
        ).set_display_name("Ask the endpoint")
        transformed = components.batch_transform(
            model_name=model.outputs["model_name"],
            input_s3_uri=digits.outputs["valid_s3_uri"],
            output_s3_uri=digits.outputs["clusters_s3_uri"],
            content_type=batch_transform_content_type,
            split_type=batch_transform_split_type,
            batch_strategy=batch_transform_strategy,
            max_concurrent_transforms=batch_transform_max_concurrent,
            max_payload_mb=batch_transform_max_payload_mb,
            accept="application/jsonlines",
            assemble_with="Line",
            instance_type=batch_transform_instance_type,
            instance_count=batch_transform_instance_count,
            region=region,
        ).set_display_name("Cluster the validation images")
        report_clusters(
            model_data_url=trained.outputs["model_data_url"],
            images_s3_uri=digits.outputs["valid_s3_uri"],
            digits_s3_uri=digits.outputs["valid_digits_s3_uri"],
            clusters_s3_uri=transformed.outputs["output_file_s3_uri"],
            region=region,
        ).set_display_name("Show the clusters")

"""Faces: create a SageMaker model, publish model archives for a multi-model endpoint."""

# KFP reads the outputs from a NamedTuple written in the annotation, and defaults from plain literals.
# mypy: disable-error-code="valid-type"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import Any, NamedTuple

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def create_model(
    role_arn: str,
    containers: list[dict[str, Any]],
    model_name: str = "",
    inference_execution_mode: str = "Serial",
    subnet_ids: list[str] = [],
    security_group_ids: list[str] = [],
    enable_network_isolation: bool = False,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict[str, str] = {},
) -> NamedTuple("Outputs", [("model_name", str), ("model_arn", str)]):
    """Create a SageMaker model of one container, or an inference pipeline of two to fifteen.

    A retried step finds the model it made before and returns it. Creating a model is free; only endpoints and jobs
    that use it cost. Each container is a dict with these keys (AWS's own spelling is accepted too):

    - `image`, an ECR image URI, or `algorithm` (`linear-learner`, `xgboost`, `scikit-learn`, ...) with an optional
      `algorithm_version` and `instance_type` (some images are made for GPUs); or `model_package_name`
    - `model_data_url`: the archive (`s3://.../model.tar.gz`), or for `MultiModel` the S3 prefix that holds the archives
    - `mode`: `SingleModel` (default) or `MultiModel`
    - `source_s3_uri` and `entry_point`: script mode; the archive with the serving script, and the script's name.
      Without `source_s3_uri` the script is in the folder `code` of the model archive
    - `environment`: variables for the container
    - `container_hostname`: names the container for direct invocation
    - `multi_model_cache`: `Enabled` (default) or `Disabled`: whether loaded models stay in memory
    - `image_config`, `model_data_source`, `additional_model_data_sources`, `inference_specification_name`: as in AWS's
      ContainerDefinition

    Args:
        role_arn: IAM role that SageMaker assumes to pull the images and read the archives.
        containers: One to fifteen containers, in the order requests pass through them.
        model_name: Name of the model, at most 63 letters, digits and hyphens. Empty derives one from the run and the
            request.
        inference_execution_mode: With several containers: `Serial`, each answers the one before it, or `Direct`, the
            caller picks one by its `container_hostname`. Ignored with one container.
        subnet_ids: Subnets of the VPC the containers run in; needs `security_group_ids`. Empty: no VPC.
        security_group_ids: Security groups of the containers in the VPC.
        enable_network_isolation: Whether the containers have no network at all.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.
        tags: Tags for the model, next to the ones that name the run.

    Returns:
        model_name: Name of the model.
        model_arn: ARN of the model.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        NameTakenError: A model of that name exists and differs from this one.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.models import model

    session = open_session(region, assume_role_arn)
    request = model.build_request(
        session,
        role_arn=role_arn,
        containers=containers,
        inference_execution_mode=inference_execution_mode,
        subnet_ids=subnet_ids,
        security_group_ids=security_group_ids,
        enable_network_isolation=enable_network_isolation,
        model_name=model_name,
        tags=tags,
    )
    return model.create(session, request, model_name=model_name, tags=tags)


@sagemaker_component(cache=False)
def publish_models(
    model_data_urls: list[str],
    target_models: list[str],
    destination_s3_uri: str,
    clear_stale: bool = False,
    max_concurrency: int = 32,
    kms_key_id: str = "",
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple(
    "Outputs",
    [("target_models", list[str]), ("published_count", int), ("unchanged_count", int), ("cleared_count", int)],
):
    """Copy model archives into the prefix of a multi-model endpoint, all at once and without downloading them.

    Also the way to add a model to a live endpoint: publish it, then invoke it by its name. Archives that are already
    there with the same content are left alone, so a retry copies only what is missing. Each copy is verified by size
    and checksum. Nothing is copied when any source is missing; the error names all missing ones.

    A running endpoint keeps a loaded model under its name: when an archive replaces another one, the endpoint may
    serve the old model until it unloads it. Publish a new version under a new name; the step warns about each
    replacement.

    Args:
        model_data_urls: The archives, `s3://bucket/key.tar.gz` each. A single one may serve all `target_models`.
        target_models: The name of each archive below the destination, such as `Chicago_IL/Chicago_IL.tar.gz`: what
            InvokeEndpoint takes as TargetModel. Same order and length as `model_data_urls`.
        destination_s3_uri: The prefix of the multi-model container, `s3://bucket/prefix/`.
        clear_stale: Whether everything else under the destination is deleted first.
        max_concurrency: Copies in flight at once, 1 to 128.
        kms_key_id: KMS key that encrypts the copies. Empty keeps the bucket's default.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.

    Returns:
        target_models: The names that are now there, in the order given.
        published_count: How many archives were copied.
        unchanged_count: How many were already there.
        cleared_count: How many stale objects were deleted.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        ResourceMissingError: One or more sources do not exist; names each.
        AwsCallError: One or more copies failed or could not be verified; names each.

    API: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.models import publication_plan, publish

    plan = publication_plan.build(
        model_data_urls,
        target_models,
        destination_s3_uri,
        clear_stale=clear_stale,
        max_concurrency=max_concurrency,
        kms_key_id=kms_key_id,
    )
    return publish.run(open_session(region, assume_role_arn), plan)

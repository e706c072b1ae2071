"""Faces: deploy, invoke and measure an endpoint; delete what a run created."""

# KFP reads the outputs from a NamedTuple written in the annotation, and defaults from plain literals.
# mypy: disable-error-code="valid-type"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import Any, NamedTuple

from kfp import dsl

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def deploy_endpoint(
    endpoint_name: str = "",
    model_name: str = "",
    instance_type: str = "ml.m5.xlarge",
    initial_instance_count: int = 1,
    production_variants: list[dict[str, Any]] = [],
    shadow_production_variants: list[dict[str, Any]] = [],
    data_capture: dict[str, Any] = {},
    serverless: dict[str, Any] = {},
    async_inference: dict[str, Any] = {},
    explainer: dict[str, Any] = {},
    autoscaling: dict[str, Any] = {},
    deployment_config: dict[str, Any] = {},
    retain_all_variant_properties: bool = False,
    exclude_retained_variant_properties: list[str] = [],
    kms_key_id: str = "",
    execution_role_arn: str = "",
    subnet_ids: list[str] = [],
    security_group_ids: list[str] = [],
    enable_network_isolation: bool = False,
    keep_superseded_config: bool = False,
    keep_failed: bool = False,
    timeout_seconds: int = 3600,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict[str, str] = {},
) -> NamedTuple("Outputs", [("endpoint_name", str), ("endpoint_config_name", str), ("endpoint_arn", str)]):
    """Create an endpoint, or update the one of that name, and wait until it serves.

    An update replaces the instances while the old ones serve. When it fails, SageMaker rolls back: the step fails with
    the reason, the old configuration keeps serving and the new one is deleted. When creating fails, the endpoint and
    its configuration are deleted unless `keep_failed` is set. A retried step waits for the deployment it began.
    Instances cost from the moment they start until the endpoint is deleted.

    Args:
        endpoint_name: Name of the endpoint, at most 63 letters, digits and hyphens. Empty derives one from the run.
        model_name: The model of the only variant, `AllTraffic`. Leave empty when `production_variants` are given.
        instance_type: Instance type of that variant.
        initial_instance_count: Instances of that variant.
        production_variants: Up to ten variants in place of `model_name`: dicts with `model_name`, `variant_name`,
            `instance_type`, `initial_instance_count`, `initial_variant_weight` (its share is the weight over the sum),
            `serverless`, `managed_instance_scaling` (`status`, `min_instance_count`, `max_instance_count`),
            `volume_size_gb`, `model_data_download_timeout_seconds`, `container_startup_health_check_timeout_seconds`,
            `routing_strategy` (`LEAST_OUTSTANDING_REQUESTS` or `RANDOM`), or any key of AWS's ProductionVariant.
        shadow_production_variants: Variants that get a copy of the traffic and whose answers are dropped; same keys.
        data_capture: Records requests and answers: `destination_s3_uri`, `sampling_percentage` (default 100),
            `capture` (`["Input", "Output"]`), `csv_content_types`, `json_content_types`, `kms_key_id`,
            `enable_capture`. Empty: none.
        serverless: Serverless in place of instances for the only variant: `memory_size_mb` (1024 to 6144, in steps of
            1024), `max_concurrency`, `provisioned_concurrency`. Empty: instances.
        async_inference: Asynchronous inference: `output_s3_uri`, `failure_s3_uri`, `kms_key_id`,
            `max_concurrent_invocations_per_instance`, `success_topic_arn`, `error_topic_arn`. Empty: synchronous.
        explainer: AWS's ExplainerConfig as it is. Empty: none.
        autoscaling: Scales the instances of each variant by load: `min_capacity`, `max_capacity`,
            `target_invocations_per_instance` (a minute), `scale_in_cooldown_seconds`, `scale_out_cooldown_seconds`,
            `variant_names` (default: all). Empty: a fixed number.
        deployment_config: AWS's DeploymentConfig for an update as it is: blue/green or rolling, and the alarms that
            roll it back. Empty: SageMaker's default, all at once.
        retain_all_variant_properties: Whether an update keeps the endpoint's present instance counts and weights.
        exclude_retained_variant_properties: Of those, the ones taken from the new configuration all the same:
            `DesiredInstanceCount`, `DesiredWeight`, `DataCaptureConfig`.
        kms_key_id: KMS key for the volumes of the instances. Empty: AWS's own key.
        execution_role_arn: Role of an endpoint that hosts inference components. Empty: each model's own role.
        subnet_ids: Subnets of such an endpoint's VPC.
        security_group_ids: Security groups of such an endpoint.
        enable_network_isolation: Whether such an endpoint's containers have no network.
        keep_superseded_config: Whether the configuration an update replaced is kept. It is deleted after success.
        keep_failed: Whether an endpoint that could not be created is kept for a look, with its configuration.
        timeout_seconds: How long the step waits for the endpoint to serve.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.
        tags: Tags for endpoint and configuration, next to the ones that name the run.

    Returns:
        endpoint_name: Name of the endpoint, in service.
        endpoint_config_name: Name of the configuration it serves.
        endpoint_arn: ARN of the endpoint.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        JobFailedError: The endpoint could not be created, or the update was rolled back; with the reason and the log.
        DeadlineError: It does not serve within `timeout_seconds`.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
    """
    from kfp_sagemaker.aws.job_arguments import together
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import autoscaling as scaling
    from kfp_sagemaker.endpoints import deploy, deploy_options, endpoint_config

    session = open_session(region, assume_role_arn)
    config, options, _ = together(
        "deploy_endpoint",
        lambda: endpoint_config.build_request(
            session,
            model_name=model_name,
            instance_type=instance_type,
            initial_instance_count=initial_instance_count,
            production_variants=production_variants,
            shadow_production_variants=shadow_production_variants,
            data_capture=data_capture,
            serverless=serverless,
            async_inference=async_inference,
            explainer=explainer,
            kms_key_id=kms_key_id,
            execution_role_arn=execution_role_arn,
            subnet_ids=subnet_ids,
            security_group_ids=security_group_ids,
            enable_network_isolation=enable_network_isolation,
        ),
        lambda: deploy_options.build(
            session,
            endpoint_name=endpoint_name,
            deployment_config=deployment_config,
            retain_all_variant_properties=retain_all_variant_properties,
            exclude_retained_variant_properties=exclude_retained_variant_properties,
            timeout_seconds=timeout_seconds,
            keep_superseded_config=keep_superseded_config,
            keep_failed=keep_failed,
            tags=tags,
        ),
        lambda: scaling.check(autoscaling),
    )
    policy = scaling.build_policy(autoscaling, config)
    return deploy.run(session, config, options, scaling=policy, user_tags=tags)


@sagemaker_component(cache=False)
def invoke_endpoint(
    endpoint_name: str,
    metrics: dsl.Output[dsl.Metrics],
    rows: list[Any] = [],
    input_s3_uri: str = "",
    output_s3_uri: str = "",
    target_models: list[str] = [],
    target_model_pairing: str = "every",
    label_first: bool = False,
    content_type: str = "text/csv",
    accept: str = "",
    target_variant: str = "",
    target_container_hostname: str = "",
    inference_component_name: str = "",
    custom_attributes: str = "",
    rows_per_request: int = 1,
    max_concurrency: int = 8,
    max_requests_per_second: float = 0.0,
    max_attempts: int = 5,
    max_failed_percent: float = 0.0,
    include_input: bool = False,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple(
    "Outputs",
    [
        ("predictions_s3_uri", str),
        ("predictions", list[dict[str, Any]]),
        ("invocation_count", int),
        ("failed_count", int),
    ],
):
    """Send rows to an endpoint and collect the predictions, the latencies and the failures.

    Takes `rows`, or the lines of an S3 object, which is streamed: its size does not matter. Answers are written as JSON
    lines in the order of the input, one a row and target model: `index` (of the row), `target_model`, `prediction`,
    `latency_ms` (of its request), `attempts`, and where it applies `label`, `input` and `error`. Server errors,
    throttling and a model that is still loading are tried again with growing pauses.

    Args:
        endpoint_name: Name of an endpoint in service.
        metrics: Requests, failures, requests a second, and the 50th, 90th, 99th percentile and maximum of the latency
            in milliseconds.
        rows: The rows: CSV strings or lists of values (sent as CSV), or with `application/json` dicts or lists of
            values.
        input_s3_uri: An S3 object with a row a line, in place of `rows`: CSV without header, or JSON lines.
        output_s3_uri: The S3 object to write the predictions to, such as `s3://bucket/run/predictions.jsonl`. Required
            with `input_s3_uri`.
        target_models: Models of a multi-model endpoint, such as `Chicago_IL/Chicago_IL.tar.gz`. Empty: no target model.
        target_model_pairing: `every` sends each row to each target model; `row` sends the first row to the first target
            model, and so on, and needs as many of one as of the other.
        label_first: Whether the first value of each row is the true value: it is not sent, but written as `label`.
        content_type: What is sent: `text/csv`, `application/json`, `application/jsonlines`, or any other for `rows`
            that are strings, which are then sent as they are.
        accept: What the answer shall be. Empty leaves it to the container.
        target_variant: Variant to ask. Empty: by weight.
        target_container_hostname: Container to ask, of a `Direct` pipeline. Empty: the endpoint is no such pipeline.
        inference_component_name: Inference component to ask. Empty: none.
        custom_attributes: Passed to the container with each request, and kept by data capture. Empty:
            `TargetModel=NAME` where there is a target model, so that captures can be told apart.
        rows_per_request: Rows sent in one request; more than one is for containers that answer a row each, in order.
        max_concurrency: Requests in flight at once, 1 to 128.
        max_requests_per_second: Upper limit on requests started a second. 0: none.
        max_attempts: How often a request is tried before it counts as failed.
        max_failed_percent: Share of rows that may fail, in percent, before the step fails.
        include_input: Whether each prediction repeats its row as `input`.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.

    Returns:
        predictions_s3_uri: Where the predictions are; empty without `output_s3_uri`.
        predictions: The predictions themselves when they are at most 1,000 and 256 KB, else an empty list.
        invocation_count: Rows answered or failed, over all target models.
        failed_count: Of those, the failed ones.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        ThresholdError: More rows failed than allowed; shows the first distinct errors.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import invocation_plan, invoke

    plan = invocation_plan.build(
        endpoint_name=endpoint_name,
        rows=rows,
        input_s3_uri=input_s3_uri,
        output_s3_uri=output_s3_uri,
        target_models=target_models,
        target_model_pairing=target_model_pairing,
        label_first=label_first,
        content_type=content_type,
        accept=accept,
        target_variant=target_variant,
        target_container_hostname=target_container_hostname,
        inference_component_name=inference_component_name,
        custom_attributes=custom_attributes,
        rows_per_request=rows_per_request,
        max_concurrency=max_concurrency,
        max_requests_per_second=max_requests_per_second,
        max_attempts=max_attempts,
        max_failed_percent=max_failed_percent,
        include_input=include_input,
    )
    return invoke.run(open_session(region, assume_role_arn), plan, log_metric=metrics.log_metric)


@sagemaker_component(cache=False)
def endpoint_metrics(
    endpoint_name: str,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    window_seconds: int = 900,
    start_time: str = "",
    end_time: str = "",
    period_seconds: int = 60,
    variant_names: list[str] = [],
    metric_names: list[str] = [],
    expected_invocations: int = 0,
    max_wait_seconds: int = 300,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", [("metric_values", dict[str, Any]), ("metric_series", dict[str, Any])]):
    """Read an endpoint's CloudWatch metrics over a window, as numbers, a table and charts.

    Covers what SageMaker publishes: `Invocations`, `ModelLatency`, `OverheadLatency`, errors, the multi-model metrics
    `LoadedModelCount`, `MemoryUtilization`, `ModelCacheHit`, `ModelLoadingTime`, `ModelLoadingWaitTime`,
    `ModelDownloadingTime`, `ModelUnloadingTime`, and the instances' CPU, memory and disk utilization.
    CloudWatch shows a metric a minute or two after the fact: with `expected_invocations` the step waits for it.

    Args:
        endpoint_name: Name of the endpoint.
        report: A page with the table and the charts.
        metrics: One figure a metric, in the unit CloudWatch gives (latencies in microseconds).
        window_seconds: Length of the window, counted back from `end_time`. Ignored when `start_time` is given.
        start_time: Start of the window, ISO 8601 such as `2026-01-31T12:00:00Z`. Empty: `window_seconds` before the
            end.
        end_time: End of the window, ISO 8601. Empty: now, and moved on while the step waits.
        period_seconds: Seconds a point: 1, 5, 10, 30 or a multiple of 60. The window may hold at most 500 points.
        variant_names: Variants to read. Empty: all.
        metric_names: Metrics to read. Empty: all of the above that exist.
        expected_invocations: Wait until `Invocations` over the window reaches this number. 0: read at once.
        max_wait_seconds: How long to wait for that; then what is there is reported, with a warning.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.

    Returns:
        metric_values: Figures by metric, over all variants: `sum`, `average`, `minimum`, `maximum`, `last`,
            `sample_count`, `unit`.
        metric_series: Points by metric: a list of `[seconds since the epoch, value]`, the value being the sum for
            counts and the average for the rest.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        ResourceMissingError: No such endpoint, and no metrics of that name.

    API: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import cloudwatch_metrics, metric_query, metrics_report

    query = metric_query.build_query(
        endpoint_name=endpoint_name,
        window_seconds=window_seconds,
        start_time=start_time,
        end_time=end_time,
        period_seconds=period_seconds,
        variant_names=variant_names,
        metric_names=metric_names,
        expected_invocations=expected_invocations,
        max_wait_seconds=max_wait_seconds,
    )
    result = cloudwatch_metrics.read(open_session(region, assume_role_arn), query)
    metrics_report.write(result, report.path, log_metric=metrics.log_metric)
    return result.values(), result.series()


@sagemaker_component(cache=False)
def delete_resources(
    endpoint_names: list[str] = [],
    endpoint_config_names: list[str] = [],
    model_names: list[str] = [],
    s3_uris: list[str] = [],
    run_id: str = "",
    delete_dependencies: bool = True,
    keep: bool = False,
    timeout_seconds: int = 1800,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", [("deleted", list[str])]):
    """Delete endpoints, configurations, models and S3 objects, given by name or by the run that made them.

    Jobs of the run that still run are stopped. Then its monitoring schedules, autoscaling targets, endpoints (waited
    for, also while one is still being created or updated), their configurations, their models and the S3 objects are
    deleted. What does not exist is skipped; one failing deletion does not stop the others, and all failures are
    reported together at the end.

    Args:
        endpoint_names: Endpoints to delete.
        endpoint_config_names: Endpoint configurations to delete.
        model_names: Models to delete.
        s3_uris: Prefixes (ending in `/`) or objects to delete. A whole bucket is refused.
        run_id: Also what this run created, found by its tags: a pipeline run's id, or `current` for the run of this
            step. Looks at resources created in the last 30 days. Empty: only what is named.
        delete_dependencies: Whether the configuration of each endpoint and the models of each configuration go too.
        keep: Whether to delete nothing and only report what would go. Running jobs of the run are stopped all the same.
        timeout_seconds: How long to wait for endpoints to be gone.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.

    Returns:
        deleted: What was deleted, such as `endpoint/housing`; an S3 prefix once, with its number of objects.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        AwsCallError: One or more deletions failed; names each.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpoint.html
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import delete

    plan = delete.build_plan(
        endpoint_names=endpoint_names,
        endpoint_config_names=endpoint_config_names,
        model_names=model_names,
        s3_uris=s3_uris,
        run_id=run_id,
        delete_dependencies=delete_dependencies,
        timeout_seconds=timeout_seconds,
    )
    return delete.run(open_session(region, assume_role_arn), plan, keep=keep)


@sagemaker_component(cache=False)
def delete_resources_on_exit(
    status: dsl.PipelineTaskFinalStatus,
    endpoint_names: list[str] = [],
    endpoint_config_names: list[str] = [],
    model_names: list[str] = [],
    s3_uris: list[str] = [],
    run_id: str = "current",
    delete_dependencies: bool = True,
    keep: bool = False,
    keep_when_failed: bool = False,
    timeout_seconds: int = 1800,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", [("deleted", list[str])]):
    """Clean up when a pipeline ends, however it ended: the exit task of a `dsl.ExitHandler`.

    The same as `delete_resources`, but by default for everything the run created, and knowing how the run ended.

    Args:
        status: How the run ended; Kubeflow Pipelines fills it in.
        endpoint_names: Endpoints to delete.
        endpoint_config_names: Endpoint configurations to delete.
        model_names: Models to delete.
        s3_uris: Prefixes (ending in `/`) or objects to delete. A whole bucket is refused.
        run_id: What this run created goes too, found by its tags: `current` for the run of this step. Empty: only what
            is named.
        delete_dependencies: Whether the configuration of each endpoint and the models of each configuration go too.
        keep: Whether to delete nothing and only report what would go. Running jobs of the run are stopped all the same.
        keep_when_failed: Whether to keep everything, for a look, when the run did not succeed.
        timeout_seconds: How long to wait for endpoints to be gone.
        region: AWS region. Empty uses the step's own (AWS_REGION, AWS_DEFAULT_REGION).
        assume_role_arn: Role the step assumes for its AWS calls. Empty uses its own credentials.

    Returns:
        deleted: What was deleted, such as `endpoint/housing`; an S3 prefix once, with its number of objects.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        AwsCallError: One or more deletions failed; names each.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpoint.html
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.endpoints import delete

    plan = delete.build_plan(
        endpoint_names=endpoint_names,
        endpoint_config_names=endpoint_config_names,
        model_names=model_names,
        s3_uris=s3_uris,
        run_id=run_id,
        delete_dependencies=delete_dependencies,
        timeout_seconds=timeout_seconds,
    )
    return delete.run(
        open_session(region, assume_role_arn),
        plan,
        keep=keep or (keep_when_failed and status.state != "SUCCEEDED"),
        run_state=status.state,
    )

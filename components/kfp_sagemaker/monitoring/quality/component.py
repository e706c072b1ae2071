"""Faces: suggest a baseline, analyse captured data against it, judge the violations."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false, reportArgumentType=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import ANALYZER_IMAGE, sagemaker_component


@sagemaker_component(image=ANALYZER_IMAGE)
def suggest_baseline(
    dataset_s3_uri: str,
    output_s3_uri: str,
    report: dsl.Output[dsl.HTML],
    dataset_format: str = "csv",
    engine: str = "step",
    role_arn: str = "",
    image_uri: str = "",
    record_preprocessor_s3_uri: str = "",
    post_analytics_processor_s3_uri: str = "",
    monitoring_config: dict = {},
    environment: dict = {},
    instance_type: str = "ml.m5.xlarge",
    instance_count: int = 1,
    volume_size_gb: int = 30,
    max_runtime_seconds: int = 3600,
    subnets: list = [],
    security_group_ids: list = [],
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    enable_network_isolation: bool = False,
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 0,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", statistics_s3_uri=str, constraints_s3_uri=str, item_count=int, job_name=str):
    """Analyse a training set and suggest a baseline: statistics, and the constraints later data should keep.

    Writes `statistics.json` and `constraints.json`, which the SageMaker SDK's readers open; edit the constraints when
    you know better. The columns should be those the endpoint will see, in that order: for an endpoint that takes CSV,
    the training set without its label, or with the label first when answers are analysed too.

    API: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-create-baseline.html

    Args:
        dataset_s3_uri: S3 URI of the training set: an object, or a prefix of many; `.gz` is unpacked.
        output_s3_uri: S3 prefix the baseline is written to; what is there is replaced.
        report: A page with a row a feature: its type, completeness, figures and distribution.
        dataset_format: csv (the first line of each file names the columns), csv_no_header, json (an object a line) or
            parquet; or the container's JSON such as `{"csv": {"header": true}}`.
        engine: Where it is analysed: step (in this step, for data of some gigabytes; costs nothing more), image (our
            analyzer as a SageMaker processing job) or managed (AWS's own container, which is closed to new accounts).
        role_arn: ARN of the IAM role of the job; not needed for engine step.
        image_uri: Our analyzer's image in a registry SageMaker can pull from (ECR), required for engine image.
        record_preprocessor_s3_uri: S3 URI of a Python script with `preprocess_handler`, which changes or drops
            rows. Empty: none.
        post_analytics_processor_s3_uri: S3 URI of a Python script with `postprocess_handler`, which runs at the end.
            Empty: none.
        monitoring_config: Changes to the constraints' `monitoring_config`, merged in deeply, such as
            `{"distribution_constraints": {"comparison_threshold": 0.2}}`.
        environment: Further environment variables of the job, by name.
        instance_type: Instance type of the job; sets the price.
        instance_count: Instances of the job; with engine image they share the data out.
        volume_size_gb: Storage of each instance in GB; the data must fit.
        max_runtime_seconds: AWS stops the job when it has run for so long.
        subnets: Subnet IDs the job runs in; empty runs outside of your VPC.
        security_group_ids: Security group IDs; needed exactly when `subnets` is given.
        output_kms_key_id: KMS key that encrypts the job's output; empty uses the bucket's default.
        volume_kms_key_id: KMS key that encrypts the job's volumes; empty uses AWS's own key.
        enable_network_isolation: Cut the job's container off from all networks.
        job_name: Exact job name, which makes a second run collide; empty derives one from the run.
        job_name_prefix: Start of the derived name; empty means suggest-baseline.
        timeout_seconds: Stop the job and fail when it is not finished by then; 0 means `max_runtime_seconds` and an
            hour.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the job, name to value, besides those that name the run.

    Returns:
        statistics_s3_uri: S3 URI of statistics.json.
        constraints_s3_uri: S3 URI of constraints.json.
        item_count: How many rows were analysed.
        job_name: Name of the processing job; empty for engine step.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        DataError: The data cannot be read, or there is none; names file and line.
        JobFailedError: The job failed; holds AWS's reason, the last log lines and the console page.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.monitoring.quality import baseline

    return baseline.suggest(**arguments)


@sagemaker_component(cache=False, image=ANALYZER_IMAGE)
def monitor_data_quality(
    statistics_s3_uri: str,
    constraints_s3_uri: str,
    output_s3_uri: str,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    endpoint_name: str = "",
    captured_s3_uri: str = "",
    variant_name: str = "",
    target_model: str = "",
    capture: list = ["Input", "Output"],
    start_time: str = "",
    end_time: str = "",
    window_seconds: int = 3600,
    categorical_drift_method: str = "",
    publish_cloudwatch_metrics: bool = False,
    engine: str = "step",
    role_arn: str = "",
    image_uri: str = "",
    record_preprocessor_s3_uri: str = "",
    post_analytics_processor_s3_uri: str = "",
    environment: dict = {},
    instance_type: str = "ml.m5.xlarge",
    instance_count: int = 1,
    volume_size_gb: int = 30,
    max_runtime_seconds: int = 3600,
    subnets: list = [],
    security_group_ids: list = [],
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    enable_network_isolation: bool = False,
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 0,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple(
    "Outputs",
    status=str,
    violation_count=int,
    violated_features=list,
    item_count=int,
    statistics_s3_uri=str,
    constraints_s3_uri=str,
    violations_s3_uri=str,
    report_s3_uri=str,
    exit_message=str,
    job_name=str,
):
    """Analyse what an endpoint captured in a window of time against a baseline, now.

    Works on every account, and on multi-model endpoints, one report a target model. In a Kubeflow recurring run it
    replaces the managed schedule: leave the times empty and set `window_seconds` to the interval. Violations do not
    fail this step; `check_violations` decides about them. A window without captured data does.

    API: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-quality.html

    Args:
        statistics_s3_uri: S3 URI of the baseline's statistics.json.
        constraints_s3_uri: S3 URI of the baseline's constraints.json.
        output_s3_uri: S3 prefix for the reports; each window gets a folder of its own below it,
            `ENDPOINT[/TARGET_MODEL]/yyyy/mm/dd/hh-mm-ss` of its end.
        report: A page with a row a feature, violations first: baseline against current distribution, and the drift.
        metrics: Number of rows and violations, and the drift of each feature.
        endpoint_name: Endpoint whose data capture is analysed. Empty: `captured_s3_uri` says where it is.
        captured_s3_uri: S3 prefix above the variants, such as `s3://bucket/capture/my-endpoint`; also for an endpoint
            that was deleted meanwhile. Empty: the endpoint says it.
        variant_name: Variant to look at. Empty: all of them.
        target_model: Model of a multi-model endpoint to look at, such as `Chicago_IL/Chicago_IL.tar.gz`. Empty: all
            of what was captured.
        capture: What to analyse, Input, Output or both; the answer's columns come before the request's.
        start_time: Start of the window, ISO 8601 such as `2026-01-31T12:00:00Z`. Empty: `window_seconds` before the
            end.
        end_time: End of the window, ISO 8601; what was captured at it is left out. Empty: now.
        window_seconds: Length of the window where no `start_time` is given, at most 366 days.
        categorical_drift_method: LInfinity or ChiSquared. Empty: as the constraints say.
        publish_cloudwatch_metrics: Whether engine step writes each feature's figures to CloudWatch.
        engine: Where it is analysed: step (in this step), image (our analyzer as a SageMaker processing job) or managed
            (AWS's own container; single-model endpoints, accounts that have it).
        role_arn: ARN of the IAM role of the job; not needed for engine step.
        image_uri: Our analyzer's image in a registry SageMaker can pull from (ECR), required for engine image.
        record_preprocessor_s3_uri: S3 URI of a Python script with `preprocess_handler`, which changes or drops
            rows. Empty: none.
        post_analytics_processor_s3_uri: S3 URI of a Python script with `postprocess_handler`, which runs at the end.
            Empty: none.
        environment: Further environment variables of the job, by name.
        instance_type: Instance type of the job; sets the price.
        instance_count: Instances of the job; with engine image they share the data out.
        volume_size_gb: Storage of each instance in GB; the data must fit.
        max_runtime_seconds: AWS stops the job when it has run for so long.
        subnets: Subnet IDs the job runs in; empty runs outside of your VPC.
        security_group_ids: Security group IDs; needed exactly when `subnets` is given.
        output_kms_key_id: KMS key that encrypts the job's output; empty uses the bucket's default.
        volume_kms_key_id: KMS key that encrypts the job's volumes; empty uses AWS's own key.
        enable_network_isolation: Cut the job's container off from all networks.
        job_name: Exact job name, which makes a second run collide; empty derives one from the run.
        job_name_prefix: Start of the derived name; empty means monitor-data-quality.
        timeout_seconds: Stop the job and fail when it is not finished by then; 0 means `max_runtime_seconds` and an
            hour.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the job, name to value, besides those that name the run.

    Returns:
        status: Completed or CompletedWithViolations.
        violation_count: How many violations were found.
        violated_features: The features with violations.
        item_count: How many rows were analysed.
        statistics_s3_uri: S3 URI of the window's statistics.json.
        constraints_s3_uri: S3 URI of the window's constraints.json; empty when the container wrote none.
        violations_s3_uri: S3 URI of the violations; empty when the container wrote none.
        report_s3_uri: S3 URI of the HTML page; empty for engine managed.
        exit_message: What the analyzer said at its end.
        job_name: Name of the processing job; empty for engine step.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        DataError: Nothing was captured in the window, or it cannot be read; names file and line.
        ResourceMissingError: No such endpoint, or no such baseline.
        JobFailedError: The job failed; holds AWS's reason, the last log lines and the console page.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.monitoring.quality import data_quality

    return data_quality.monitor(log_metric=arguments.pop("metrics").log_metric, **arguments)


@sagemaker_component(cache=False)
def check_violations(
    violations_s3_uri: str,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    checks: list = [],
    ignored_features: list = [],
    allowed_violations: int = 0,
    expected_features: list = [],
    title: str = "Violations",
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", violation_count=int, violated_features=list, table=dict):
    """Read a violations report and fail the step when there are more violations than allowed.

    For reports of `monitor_data_quality`, of `wait_for_monitoring_execution`, or of AWS's container anywhere in S3.

    Args:
        violations_s3_uri: S3 URI of constraint_violations.json. Empty: the analysis wrote none, there are none.
        report: A page with the verdict and the violations; it is written before the step fails.
        metrics: Number of violations, of features with violations, and of violations of each check.
        checks: Which checks count, of data_type_check, completeness_check, baseline_drift_check, missing_column_check,
            extra_column_check and categorical_values_check. Empty: all.
        ignored_features: Features whose violations do not count.
        allowed_violations: How many violations are all right.
        expected_features: For rehearsing an alarm: fail unless violations of exactly these features are found. Empty:
            nothing is expected.
        title: Heading of the page.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        violation_count: How many violations count.
        violated_features: The features they are of.
        table: A row a violation as `{"columns", "rows"}`.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        ThresholdError: There are more violations than allowed, or others than expected; lists them.
        DataError: It is no violations report.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.quality import violations

    rule = violations.build_rule(
        violations_s3_uri=violations_s3_uri,
        checks=checks,
        ignored_features=ignored_features,
        allowed_violations=allowed_violations,
        expected_features=expected_features,
        title=title,
    )
    session = open_session(region, assume_role_arn)
    return violations.check(session, rule, report=report, log_metric=metrics.log_metric)

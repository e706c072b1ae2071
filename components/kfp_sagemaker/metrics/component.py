"""The faces of evaluation: predictions against the truth, and how a training went."""

# KFP reads these annotations: bare list and dict are its types, and an inline NamedTuple is how outputs are declared;
# a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def compare_predictions(
    predictions_s3_uris: list,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    max_error_percent: float = 0.0,
    examples_per_model: int = 3,
    title: str = "Predictions and the truth",
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", table=dict, error_percent=dict, worst_error_percent=float):
    """Compare predicted with true values, model by model, as a table, a chart and the mean absolute percentage error.

    Reads what `invoke_endpoint` wrote with `label_first`. Rows whose invocation failed count as missing.

    Args:
        predictions_s3_uris: S3 URIs of JSON lines with `label`, `prediction` and `target_model`.
        report: A page with the table, and true against predicted values as a chart.
        metrics: The error of each model in percent, and the greatest of them.
        max_error_percent: Fail when a model's error is greater; 0 never fails.
        examples_per_model: Rows of each model shown with predicted and true value.
        title: Heading of the page.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        table: A row a model as `{"columns", "rows"}`: count, mean absolute percentage error, examples.
        error_percent: Mean absolute percentage error of each model, in percent.
        worst_error_percent: The greatest of them.

    Raises:
        InputError: Arguments are wrong, or a model has no labelled prediction.
        ThresholdError: A model's error exceeds `max_error_percent`; the report is written all the same.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.metrics import prediction_error

    return prediction_error.compare(
        open_session(region, assume_role_arn),
        predictions_s3_uris,
        max_error_percent=max_error_percent,
        examples_per_model=examples_per_model,
        title=title,
        report_path=report.path,
        log_metric=metrics.log_metric,
    )


@sagemaker_component(cache=False)
def export_training_metrics(
    bucket: str,
    curves: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    job_name: str = "",
    job_name_prefix: str = "",
    job_status: str = "Completed",
    tuning_job_name: str = "",
    metric_names: list = [],
    include_instance_metrics: bool = False,
    prefix: str = "",
    url_key: str = "pre_url.txt",
    url_expires_seconds: int = 7200,
    max_wait_seconds: int = 180,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", job_name=str, metrics_s3_uri=str, url_s3_uri=str, url_expires_at=str, metric_names=list):
    """Export the learning curves of a training job to a CSV, with a presigned URL for people without AWS rights.

    Reads every metric from CloudWatch, page by page, at the finest period CloudWatch still keeps: a second for 3
    hours, a minute for 15 days, 5 minutes for 63 days, an hour for 455 days. Writes them to
    `training-metrics/{job}_metrics_{yyyymmddHHMMSS}.csv` with the columns timestamp (UTC), metric_name and value (the
    period's average), of a tuning job with a fourth column, training_job_name. The URL goes to an object of its own
    and nowhere else: not into the step's log, outputs or artifacts. A job that emitted no metrics gives a file without
    rows, and the step says which metric definitions the job had.

    Which job is one of `job_name`, `job_name_prefix` and `tuning_job_name`.
    API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html

    Args:
        bucket: S3 bucket for the file and for the URL; the step's identity reads and writes it.
        curves: A page with the metrics and their curves.
        metrics: The last value of each metric; of a tuning job as `training job/metric`.
        job_name: A training job, by its name; empty takes one of the other two.
        job_name_prefix: In place of `job_name`: the newest training job whose name starts so and whose status is
            `job_status`.
        job_status: With `job_name_prefix`: Completed, Failed, InProgress, Stopped, Stopping; empty for any.
        tuning_job_name: In place of `job_name`: all training jobs of this tuning job.
        metric_names: Only these metrics; empty exports all.
        include_instance_metrics: Also each host's processor, memory, disk and GPU utilization in percent, as
            `CPUUtilization (algo-1)`.
        prefix: Key prefix below which `training-metrics/` and the URL's object go; empty for the top of the bucket.
        url_key: Key, below `prefix`, of the object the URL is written to; one of that name is replaced.
        url_expires_seconds: How long the URL is good, 1 to 604,800; less when the step has temporary credentials that
            end before, of which its log warns.
        max_wait_seconds: How long to wait for CloudWatch, which shows the last points of a job a minute or two after
            its end.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        job_name: The training or tuning job that was exported.
        metrics_s3_uri: S3 URI of the CSV.
        url_s3_uri: S3 URI of the object that holds the presigned URL.
        url_expires_at: When the URL ends, such as 2026-01-31T14:00:00Z.
        metric_names: The metrics found.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        ResourceMissingError: There is no such job.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.metrics import export

    plan = export.build(
        bucket=bucket,
        job_name=job_name,
        job_name_prefix=job_name_prefix,
        job_status=job_status,
        tuning_job_name=tuning_job_name,
        metric_names=metric_names,
        include_instance_metrics=include_instance_metrics,
        prefix=prefix,
        url_key=url_key,
        url_expires_seconds=url_expires_seconds,
        max_wait_seconds=max_wait_seconds,
    )
    session = open_session(region, assume_role_arn)
    return export.run(session, plan, page_path=curves.path, log_metric=metrics.log_metric)

"""The `compare_predictions` component: predictions against the truth."""

# KFP reads these annotations: bare list and dict are its types, and an inline NamedTuple is how outputs are declared.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false

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

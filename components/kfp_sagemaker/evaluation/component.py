"""The `evaluate_model` component: a model's metrics on held-out data."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import ANALYZER_IMAGE, sagemaker_component


@sagemaker_component(cache=False, image=ANALYZER_IMAGE)
def evaluate_model(
    test_s3_uri: str,
    output_s3_uri: str,
    problem_type: str,
    metrics: dsl.Output[dsl.Metrics],
    classification_metrics: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    model_name: str = "",
    endpoint_name: str = "",
    target_model: str = "",
    threshold: float = 0.0,
    positive_label: str = "1",
    class_names: list = [],
    accept: str = "",
    instance_type: str = "ml.m5.large",
    instance_count: int = 1,
    extra_request: dict = {},
    max_concurrency: int = 8,
    title: str = "Evaluation",
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 86400,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", metric_values=dict, job_name=str, predictions_s3_uri=str, evaluation_s3_uri=str):
    """Run a model over held-out data and compute regression or classification metrics with scikit-learn.

    A model is asked by a batch transform job, which costs its instances' time; an endpoint that exists, by invoking
    it. Metrics, named as SageMaker Autopilot names them:

    - `regression`: `mae`, `mape_percent`, `median_absolute_error`, `mse`, `r2`, `rmse`
    - `binary_classification`: `accuracy`, `auc`, `average_precision`, `balanced_accuracy`, `f1`, `log_loss`,
      `precision`, `recall`
    - `multiclass_classification`: `accuracy`, `auc` (one class against the rest), `balanced_accuracy`, `f1_macro`,
      `log_loss`, `precision_macro`, `recall_macro`

    and `row_count`. One that the data cannot give, such as `auc` without scores, is left out and the report says why.
    Predictions are understood as SageMaker's built-in algorithms, XGBoost and scikit-learn answer them: a number or a
    list of probabilities as CSV or JSON, or JSON with `score` and `predicted_label`.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html

    Args:
        test_s3_uri: S3 URI of the held-out data, an object or a prefix: CSV without header, the label first.
        output_s3_uri: S3 prefix for `predictions/`, `metrics.json` and `evaluation.json`; what is there is replaced.
        problem_type: regression, binary_classification or multiclass_classification.
        metrics: Every metric that the data can give.
        classification_metrics: Confusion matrix and, for two classes with scores, the ROC curve; empty for regression.
        report: A page with the metrics and charts.
        model_name: Name of the SageMaker model to ask by a transform job; empty asks `endpoint_name`.
        endpoint_name: Name of the endpoint to ask; empty asks `model_name`.
        target_model: Multi-model endpoint: the archive to ask, such as Chicago_IL.tar.gz. Empty for any other one.
        threshold: Two classes: the least score that means the positive class, up to 1. 0 takes the label the model
            gives, where it gives one, else 0.5.
        positive_label: Two classes: label of the positive class in the data.
        class_names: Several classes: the class of each probability, in the model's order; empty means 0, 1, 2, ...
        accept: MIME type asked of the model: text/csv, or application/jsonlines for the built-in linear learner, which
            then says score and label. Empty lets it decide.
        instance_type: Instance type of the transform job, such as ml.m5.large; sets the price.
        instance_count: Instances of the transform job; objects are spread over them.
        extra_request: Anything else CreateTransformJob accepts, merged into the request last and deeply.
        max_concurrency: Requests in flight to an endpoint, 1 to 128.
        title: Heading of the report.
        job_name: Exact name of the transform job, which makes a second run of the pipeline collide; empty derives a
            unique name from run, task and request, which a retry finds again.
        job_name_prefix: Start of the derived name; empty means evaluate.
        timeout_seconds: Stop the transform job and fail the step when it is not finished after so long.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the transform job, name to value, besides those that name the run.

    Returns:
        metric_values: Value by metric.
        job_name: Name of the transform job; empty for an endpoint.
        predictions_s3_uri: S3 prefix of the predictions.
        evaluation_s3_uri: S3 URI of the metrics in the form the SageMaker Model Registry shows.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        DataError: Rows and predictions do not belong together, or do not fit the problem type; names the row.
        JobFailedError: The transform job failed; holds AWS's reason, the last log lines and the console page.
        ThresholdError: The endpoint refused a row.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.evaluation import evaluate

    arguments["report_path"] = arguments.pop("report").path
    return evaluate.run(**arguments)

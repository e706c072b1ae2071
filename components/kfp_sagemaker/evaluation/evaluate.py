"""The work of ``evaluate_model``: ask the model about held-out data, compare, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import ConfigurationError, DataError
from kfp_sagemaker.aws.job_arguments import check_job_arguments
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.endpoints import invocation_plan, invoke
from kfp_sagemaker.evaluation import predictions
from kfp_sagemaker.evaluation.options import Options
from kfp_sagemaker.evaluation.predictions import OUTPUT_SUFFIX, Row
from kfp_sagemaker.transform import job as transform
from kfp_sagemaker.transform.request import TransformJob, build_request

if TYPE_CHECKING:
    from kfp_sagemaker.evaluation.metrics import Evaluation

CSV = "text/csv"
_PREDICTIONS = "predictions/"
# Stands for what is not given, so that everything else is checked all the same.
_NO_MODEL = "none"


class MetricsArtifact(Protocol):
    """The part of ``kfp.dsl.Metrics`` that is used."""

    def log_metric(self, metric: str, value: float) -> None:
        """Keep a figure."""


class ClassificationArtifact(Protocol):
    """The part of ``kfp.dsl.ClassificationMetrics`` that is used."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Keep the matrix."""

    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None:
        """Keep the curve."""


class Outputs(NamedTuple):
    """What the step returns."""

    metric_values: dict[str, float]
    job_name: str
    predictions_s3_uri: str
    evaluation_s3_uri: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Question:
    """Which model is asked about what: the arguments of ``evaluate_model`` that say so; see the component."""

    test_s3_uri: str
    output_s3_uri: str
    model_name: str = ""
    endpoint_name: str = ""
    target_model: str = ""
    accept: str = ""
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    extra_request: Mapping[str, Any] = field(default_factory=dict)
    max_concurrency: int = 8
    job_name: str = ""
    job_name_prefix: str = ""
    timeout_seconds: float = 86400
    tags: Mapping[str, Any] = field(default_factory=dict)

    def check(self, problems: Problems) -> None:
        """Record what is wrong, besides what the transform job's request finds."""
        for argument in ("test_s3_uri", "output_s3_uri"):
            problems.required(argument, getattr(self, argument))
            problems.s3_uri(argument, getattr(self, argument))
        if not self.model_name and not self.endpoint_name:
            problems.add("model_name", "", "given, or endpoint_name")
        if self.model_name and self.endpoint_name:
            problems.add("endpoint_name", self.endpoint_name, f"left out with model_name, which is {self.model_name!r}")
        problems.name("model_name", self.model_name)
        problems.name("endpoint_name", self.endpoint_name)
        if self.target_model and not self.endpoint_name:
            problems.add("target_model", self.target_model, "left out without endpoint_name")
        problems.between("max_concurrency", self.max_concurrency, 1, invocation_plan.MAX_CONCURRENCY)
        problems.between("instance_count", self.instance_count, 1)
        problems.instance_type("instance_type", self.instance_type)
        check_job_arguments(
            problems,
            job_name=self.job_name,
            job_name_prefix=self.job_name_prefix,
            timeout_seconds=self.timeout_seconds,
            tags=self.tags,
        )
        if self.timeout_seconds == 0:
            problems.add("timeout_seconds", 0, "a number of at least 1: AWS sets no limit of its own on the job")

    @property
    def predictions_s3_uri(self) -> str:
        """Prefix of the predictions."""
        return s3.join_uri(self.output_s3_uri, _PREDICTIONS)

    def transform_job(self) -> TransformJob:
        """The job that asks a model; each line without its label is a record, each answer a line."""
        return TransformJob(
            model_name=self.model_name or _NO_MODEL,
            input_s3_uri=self.test_s3_uri,
            output_s3_uri=self.predictions_s3_uri,
            instance_type=self.instance_type,
            instance_count=self.instance_count,
            content_type=CSV,
            split_type="Line",
            accept=self.accept,
            assemble_with="Line",
            input_filter="$[1:]",
            extra_request=self.extra_request,
            job_name=self.job_name,
            job_name_prefix=self.job_name_prefix or ("" if self.job_name else "evaluate"),
            timeout_seconds=self.timeout_seconds,
            tags=self.tags,
        )


def run(
    *,
    metrics: MetricsArtifact,
    classification_metrics: ClassificationArtifact,
    report_path: str,
    title: str,
    region: str,
    assume_role_arn: str,
    **arguments: Any,
) -> Outputs:
    """Ask the model, compute the metrics, write them.

    Args:
        metrics: Takes each metric.
        classification_metrics: Takes confusion matrix and ROC curve.
        report_path: File to write the page to.
        title: Heading of the page.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`Question` and of :class:`~kfp_sagemaker.evaluation.options.Options`.

    Raises:
        InputError: With everything that is wrong.
        DataError: The data or the predictions cannot be evaluated.
        JobFailedError: The transform job failed.
        ThresholdError: The endpoint did not answer a row.
    """
    options = Options(**{name: arguments.pop(name) for name in Options.__dataclass_fields__ if name in arguments})
    question = Question(**arguments)
    problems = Problems("evaluate_model")
    options.check(problems)
    question.check(problems)
    session = open_session(region, assume_role_arn)
    problems.raise_if_any()
    # What is wrong with extra_request is found here, before the data is looked at.
    build_request(question.transform_job(), service_model=session.client("sagemaker").meta.service_model)
    compute = _load_metrics()
    names = _names(session, question.test_s3_uri)
    job_name = ""
    if question.model_name:
        job_name = transform.run(session, question.transform_job()).job_name
        rows = _transformed(session, question, names)
    else:
        rows = _ask_endpoint(session, question, names)
    evaluation: Evaluation = compute(rows, options)
    return _write(session, question, evaluation, job_name, metrics, classification_metrics, report_path, title)


def _load_metrics() -> Callable[..., Any]:
    """The metrics' code, loaded before anything that costs money is started."""
    try:
        from kfp_sagemaker.evaluation.metrics import evaluate
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kfp_sagemaker"):
            raise
        raise ConfigurationError(
            f"evaluate_model needs the package {error.name}: use an image with kfp-sagemaker[evaluation], as the "
            "component's own image is"
        ) from None
    return evaluate


def _names(session: Session, uri: str) -> dict[str, str]:
    """The held-out objects: name by URI, a name being what batch transform puts its suffix to."""
    objects = [item.uri for item in s3.list_objects(session, uri) if item.size and not item.uri.endswith("/")]
    if uri in objects:
        return {uri: uri.rpartition("/")[2]}
    if not objects:
        raise DataError(f"test_s3_uri is {uri}, where there is no object")
    below, beside = f"{uri.rstrip('/')}/", uri[: uri.rindex("/") + 1]
    return {found: found.removeprefix(below if found.startswith(below) else beside) for found in objects}


def _transformed(session: Session, question: Question, names: Mapping[str, str]) -> Iterator[Row]:
    truth = {name: _opener(session, uri) for uri, name in names.items()}
    answers = {}
    for name in truth:
        uri = s3.join_uri(question.predictions_s3_uri, name + OUTPUT_SUFFIX)
        answers[name + OUTPUT_SUFFIX] = _opener(session, uri)
    return predictions.pair(truth, answers)


def _ask_endpoint(session: Session, question: Question, names: Mapping[str, str]) -> Iterator[Row]:
    for uri, name in names.items():
        plan = invocation_plan.build(
            endpoint_name=question.endpoint_name,
            input_s3_uri=uri,
            output_s3_uri=s3.join_uri(question.predictions_s3_uri, f"{name}.jsonl"),
            target_models=[question.target_model] if question.target_model else [],
            label_first=True,
            content_type=CSV,
            accept=question.accept,
            max_concurrency=question.max_concurrency,
        )
        answered = invoke.run(session, plan)
        yield from predictions.invoked(s3.open_lines(session, answered.predictions_s3_uri), plan.output_s3_uri)


def _opener(session: Session, uri: str) -> predictions.Lines:
    return lambda: s3.open_lines(session, uri)


def _write(
    session: Session,
    question: Question,
    evaluation: Evaluation,
    job_name: str,
    metrics: MetricsArtifact,
    classification_metrics: ClassificationArtifact,
    report_path: str,
    title: str,
) -> Outputs:
    from kfp_sagemaker.evaluation import documents, page

    for name, value in evaluation.metrics.items():
        metrics.log_metric(name, value)
    if evaluation.confusion:
        matrix = [list(row) for row in evaluation.confusion]
        classification_metrics.log_confusion_matrix(list(evaluation.classes), matrix)
    if evaluation.roc:
        false_rates, true_rates, thresholds = (list(column) for column in zip(*evaluation.roc, strict=True))
        classification_metrics.log_roc_curve(false_rates, true_rates, thresholds)
    asked = f"endpoint {question.endpoint_name}" if question.endpoint_name else f"model {question.model_name}"
    page.build(evaluation, title, f"{asked} on {question.test_s3_uri}").write(report_path)
    contents: Sequence[tuple[str, str]] = (
        (documents.METRICS_FILE, documents.metrics_document(evaluation)),
        (documents.EVALUATION_FILE, documents.registry_document(evaluation)),
    )
    uris = [s3.join_uri(question.output_s3_uri, name) for name, _ in contents]
    for uri, (_, content) in zip(uris, contents, strict=True):
        s3.write_text(session, uri, content, content_type="application/json")
    print(f"{asked}: {documents.summary(evaluation)}", flush=True)
    return Outputs(dict(evaluation.metrics), job_name, question.predictions_s3_uri, uris[1])

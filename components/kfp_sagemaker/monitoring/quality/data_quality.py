"""The work of ``monitor_data_quality``: what an endpoint captured in a window, against a baseline.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.artifacts import Artifact
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring import reports
from kfp_sagemaker.monitoring import window as windows
from kfp_sagemaker.monitoring.analyzer.options import DatasetFormat, Options
from kfp_sagemaker.monitoring.quality import engines, page
from kfp_sagemaker.monitoring.quality.baseline import container_format
from kfp_sagemaker.monitoring.quality.engines import MANAGED, STEP, EngineOptions, JobInput
from kfp_sagemaker.monitoring.reports import Reports
from kfp_sagemaker.monitoring.window import CapturePlace, Window

_MANIFEST = "captured.manifest"
_SIDES = {"Input": "endpointInput", "Output": "endpointOutput"}


class Analysis(NamedTuple):
    """What the step returns."""

    status: str
    violation_count: int
    violated_features: list[str]
    item_count: int
    statistics_s3_uri: str
    constraints_s3_uri: str
    violations_s3_uri: str
    report_s3_uri: str
    exit_message: str
    job_name: str


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to analyse: the arguments of ``monitor_data_quality`` that say so."""

    output_s3_uri: str
    statistics_s3_uri: str
    constraints_s3_uri: str
    endpoint_name: str = ""
    captured_s3_uri: str = ""
    variant_name: str = ""
    target_model: str = ""
    capture: Sequence[str] = ("Input", "Output")
    start_time: str = ""
    end_time: str = ""
    window_seconds: float = 3600
    categorical_drift_method: str = ""
    publish_cloudwatch_metrics: bool = False

    def check(self, options: EngineOptions, problems: Problems) -> Window:
        """Record what is wrong; returns the window."""
        for argument in ("output_s3_uri", "statistics_s3_uri", "constraints_s3_uri"):
            problems.required(argument, getattr(self, argument))
            problems.s3_uri(argument, getattr(self, argument))
        windows.check_place(self.endpoint_name, self.captured_s3_uri, problems)
        problems.name("variant_name", self.variant_name)
        if not isinstance(self.capture, list | tuple) or not self.capture or set(self.capture) - set(_SIDES):
            problems.add("capture", self.capture, "a list of Input, Output or both")
        problems.one_of("categorical_drift_method", self.categorical_drift_method, ("LInfinity", "ChiSquared"))
        if self.target_model and options.engine == MANAGED:
            problems.add(
                "target_model",
                self.target_model,
                "left out for engine 'managed': AWS's container knows no multi-model endpoints; use 'step' or 'image'",
            )
        if self.publish_cloudwatch_metrics and options.engine != STEP:
            problems.add("publish_cloudwatch_metrics", True, "false, because engine is not 'step'")
        return windows.build(
            start_time=self.start_time,
            end_time=self.end_time,
            window_seconds=self.window_seconds,
            problems=problems,
        )

    @property
    def layout(self) -> DatasetFormat:
        """The captured data's format."""
        sides = tuple(_SIDES[side] for side in ("Input", "Output") if side in self.capture)
        return DatasetFormat("sagemakerCaptureJson", header=False, capture_index_names=sides)


def monitor(
    *,
    report: Artifact,
    log_metric: Callable[[str, float], None],
    region: str,
    assume_role_arn: str,
    **arguments: Any,
) -> Analysis:
    """Analyse the window and report.

    Args:
        report: Gets the HTML page.
        log_metric: Takes each figure.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`Query` and of
            :class:`~kfp_sagemaker.monitoring.quality.engines.EngineOptions`.

    Raises:
        InputError: With everything that is wrong.
        DataError: Nothing was captured in the window, or it cannot be read.
        JobFailedError: The job failed.
    """
    own = {name: arguments.pop(name) for name in Query.__dataclass_fields__ if name in arguments}
    query, options = Query(**own), EngineOptions(**arguments)
    problems = Problems("monitor_data_quality")
    options.check(problems)
    window = query.check(options, problems)
    session = open_session(region, assume_role_arn)
    output = output_folder(query, window)
    request = _build_job(session, query, options, window, output, problems)
    problems.raise_if_any()
    place = windows.find_place(session, query.endpoint_name, query.captured_s3_uri)
    files = [item.uri for item in windows.list_files(session, place, window, query.variant_name)]
    if not files:
        raise DataError(
            f"endpoint {place.endpoint_name}: nothing was captured from {window}, looked below {place.uri}. Was there "
            "traffic? SageMaker writes it some minutes late"
        )
    print(f"{place.uri}: {len(files):,} files with captures from {window}", flush=True)
    drift: Mapping[str, float] = {}
    if options.engine == STEP:
        result = engines.analyse_in_step(
            _step_options(query, options, place, window, files, output, session.region, assume_role_arn)
        )
        exit_message, job_name, drift = result.exit_message, "", result.drift
    else:
        listed = engines.manifest(files, place.uri + "/")
        s3.write_text(session, s3.join_uri(output, _MANIFEST), listed, content_type="application/json")
        outcome = engines.run_job(session, options, request, "monitor-data-quality")
        exit_message, job_name = str(outcome.description.get("ExitMessage", "")), outcome.name
    found = reports.list_reports(session, output)
    return _finish(session, place, window, found, report, log_metric, drift, exit_message, job_name)


def output_folder(query: Query, window: Window) -> str:
    """Where the reports of this window go: a folder of its own, so that a recurring run keeps each."""
    endpoint = windows.place_name(query.endpoint_name, query.captured_s3_uri)
    target = query.target_model.removesuffix(".tar.gz")
    return s3.join_uri(query.output_s3_uri, endpoint, target, window.end.strftime("%Y/%m/%d/%H-%M-%S"))


def _step_options(
    query: Query,
    options: EngineOptions,
    place: CapturePlace,
    window: Window,
    files: Sequence[str],
    output: str,
    region: str,
    assume_role_arn: str,
) -> Options:
    whose = f"{place.endpoint_name}, {query.target_model}" if query.target_model else place.endpoint_name
    return Options(
        dataset_sources=files,
        dataset_format=query.layout,
        output_path=output,
        baseline_statistics=query.statistics_s3_uri,
        baseline_constraints=query.constraints_s3_uri,
        record_preprocessor=options.record_preprocessor_s3_uri,
        post_processor=options.post_analytics_processor_s3_uri,
        target_model=query.target_model,
        start_time=window.start,
        end_time=window.end,
        categorical_drift_method=query.categorical_drift_method,
        publish_cloudwatch_metrics=query.publish_cloudwatch_metrics,
        endpoint_name=place.endpoint_name,
        title=f"Data quality of {whose}",
        region=region,
        assume_role_arn=assume_role_arn,
    )


def _build_job(
    session: Session, query: Query, options: EngineOptions, window: Window, output: str, problems: Problems
) -> dict[str, Any]:
    """The request of the processing job; what is wrong with it is recorded."""
    environment = {
        "sagemaker_endpoint_name": windows.place_name(query.endpoint_name, query.captured_s3_uri),
        "start_time": windows.iso(window.start),
        "end_time": windows.iso(window.end),
        "categorical_drift_method": query.categorical_drift_method,
        "target_model": query.target_model,
    }
    return engines.build_job(
        options,
        session=session,
        dataset_s3_uri=s3.join_uri(output, _MANIFEST),
        is_manifest=True,
        dataset_format=container_format(query.layout),
        inputs=[
            JobInput("baseline-statistics", query.statistics_s3_uri, "baseline_statistics"),
            JobInput("baseline-constraints", query.constraints_s3_uri, "baseline_constraints"),
        ],
        output_s3_uri=output,
        environment={name: value for name, value in environment.items() if value},
        problems=problems,
    )


def _finish(
    session: Session,
    place: CapturePlace,
    window: Window,
    found: Reports,
    report: Artifact,
    log_metric: Callable[[str, float], None],
    drift: Mapping[str, float],
    exit_message: str,
    job_name: str,
) -> Analysis:
    if not found.statistics:
        raise DataError(f"the analysis of endpoint {place.endpoint_name} left no statistics.json; {exit_message}")
    # AWS's container writes no violations when there are none.
    violations = reports.read_violations(session, found.violations) if found.violations else []
    statistics = reports.read_document(session, found.statistics, "features")
    item_count = int((statistics.get("dataset") or {}).get("item_count", 0))
    features = list(dict.fromkeys(item["feature_name"] for item in violations))
    status = "CompletedWithViolations" if violations else "Completed"
    log_metric("item_count", item_count)
    log_metric("violation_count", len(violations))
    for name, distance in drift.items():
        log_metric(f"drift/{name}", round(distance, 6))
    title = f"Data quality of {place.endpoint_name}"
    page.write(session, report, found, lambda: page.of_violations(title, f"{item_count:,} rows, {window}", violations))
    report.metadata.update({"endpoint_name": place.endpoint_name, "status": status, "reports": ", ".join(found.uris)})
    print(f"endpoint {place.endpoint_name}: {item_count:,} rows, {len(violations)} violations", flush=True)
    for item in violations:
        print(f"  {item['feature_name']}: {item['constraint_check_type']}: {item['description']}", flush=True)
    return Analysis(
        status,
        len(violations),
        features,
        item_count,
        found.statistics,
        found.constraints,
        found.violations,
        found.report,
        exit_message,
        job_name,
    )

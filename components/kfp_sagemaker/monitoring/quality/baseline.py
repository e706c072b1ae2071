"""The work of ``suggest_baseline``: from a training set to statistics and constraints.

API: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-create-baseline.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.artifacts import Artifact
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.job_arguments import gather
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring import reports
from kfp_sagemaker.monitoring.analyzer.options import DatasetFormat, Options
from kfp_sagemaker.monitoring.quality import engines, page
from kfp_sagemaker.monitoring.quality.engines import STEP, EngineOptions


class Baseline(NamedTuple):
    """What the step returns."""

    statistics_s3_uri: str
    constraints_s3_uri: str
    item_count: int
    job_name: str


def suggest(
    *,
    dataset_s3_uri: str,
    output_s3_uri: str,
    report: Artifact,
    dataset_format: str,
    monitoring_config: Mapping[str, Any],
    region: str,
    assume_role_arn: str,
    **arguments: Any,
) -> Baseline:
    """Analyse the dataset, write the baseline.

    Args:
        dataset_s3_uri: The data.
        output_s3_uri: Prefix the baseline is written to.
        report: Gets the HTML page.
        dataset_format: The data's format.
        monitoring_config: Changes to the constraints' ``monitoring_config``.
        region: AWS region; empty takes the environment's.
        assume_role_arn: Role to assume first; empty for none.
        **arguments: The fields of :class:`~kfp_sagemaker.monitoring.quality.engines.EngineOptions`.

    Raises:
        InputError: With everything that is wrong.
        DataError: The data cannot be read, or is empty.
        JobFailedError: The job failed.
    """
    options = EngineOptions(**arguments)
    problems = Problems("suggest_baseline")
    problems.required("dataset_s3_uri", dataset_s3_uri)
    problems.s3_uri("dataset_s3_uri", dataset_s3_uri)
    problems.required("output_s3_uri", output_s3_uri)
    problems.s3_uri("output_s3_uri", output_s3_uri)
    options.check(problems)
    layout = gather(problems, lambda: DatasetFormat.parse(dataset_format))
    if not isinstance(monitoring_config, Mapping):
        problems.add("monitoring_config", monitoring_config, "an object such as {'distribution_constraints': {...}}")
    session = open_session(region, assume_role_arn)
    request = engines.build_job(
        options,
        session=session,
        dataset_s3_uri=dataset_s3_uri,
        is_manifest=False,
        dataset_format=container_format(layout) if layout else {},
        inputs=[],
        output_s3_uri=output_s3_uri,
        environment={},
        problems=problems,
    )
    problems.raise_if_any()
    job_name = ""
    if options.engine == STEP and layout:
        engines.analyse_in_step(
            Options(
                dataset_sources=[dataset_s3_uri],
                dataset_format=layout,
                output_path=output_s3_uri,
                record_preprocessor=options.record_preprocessor_s3_uri,
                post_processor=options.post_analytics_processor_s3_uri,
                title="Baseline",
                region=session.region,
                assume_role_arn=assume_role_arn,
            )
        )
    else:
        job_name = engines.run_job(session, options, request, "suggest-baseline").name
    return _finish(session, output_s3_uri, monitoring_config, report, job_name)


def _finish(
    session: Session, output_s3_uri: str, monitoring_config: Mapping[str, Any], report: Artifact, job_name: str
) -> Baseline:
    """Look at what was written, set the thresholds, show it."""
    found = reports.list_reports(session, output_s3_uri)
    if not found.statistics or not found.constraints:
        raise DataError(f"{output_s3_uri}: the analysis left no statistics.json and constraints.json there")
    statistics = reports.read_document(session, found.statistics, "features")
    if monitoring_config:
        constraints = reports.read_document(session, found.constraints, "features")
        constraints["monitoring_config"] = _merged(constraints.get("monitoring_config") or {}, monitoring_config)
        text = json.dumps(constraints, indent=2)
        s3.write_text(session, found.constraints, text, content_type="application/json")
    item_count = int((statistics.get("dataset") or {}).get("item_count", 0))
    page.write(session, report, found, lambda: page.of_statistics("Baseline", statistics))
    report.metadata.update(
        {"statistics_s3_uri": found.statistics, "constraints_s3_uri": found.constraints, "item_count": item_count}
    )
    print(
        f"Baseline of {item_count:,} rows and {len(statistics['features'])} features: {found.constraints}", flush=True
    )
    return Baseline(found.statistics, found.constraints, item_count, job_name)


def container_format(layout: DatasetFormat) -> dict[str, Any]:
    """The format as the container's ``dataset_format`` has it."""
    details: dict[str, dict[str, Any]] = {
        "csv": {"header": layout.header},
        "json": {"lines": True},
        "parquet": {},
        "sagemakerCaptureJson": {"captureIndexNames": list(layout.capture_index_names)},
    }
    return {layout.name: details[layout.name]}


def _merged(present: Any, changes: Any) -> Any:
    if not isinstance(changes, Mapping):
        return changes
    merged = dict(present) if isinstance(present, Mapping) else {}
    for key, value in changes.items():
        merged[key] = _merged(merged.get(key), value)
    return merged

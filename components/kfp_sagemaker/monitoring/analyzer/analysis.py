"""One analysis from beginning to end: read, profile, compare, write the reports."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from kfp_sagemaker.aws import s3
from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.monitoring.analyzer import cloudwatch, exchange
from kfp_sagemaker.monitoring.analyzer.baseline import Baseline, read_baseline
from kfp_sagemaker.monitoring.analyzer.checks import exit_message, find_violations, measure_drift
from kfp_sagemaker.monitoring.analyzer.dataset import Dataset, session_opener
from kfp_sagemaker.monitoring.analyzer.documents import constraints_document, statistics_document
from kfp_sagemaker.monitoring.analyzer.files import read_text
from kfp_sagemaker.monitoring.analyzer.options import SPARK, Options, Result
from kfp_sagemaker.monitoring.analyzer.profile import Profile
from kfp_sagemaker.monitoring.analyzer.report import build_report
from kfp_sagemaker.monitoring.analyzer.scripts import run_postprocessor

STATISTICS_FILE = "statistics.json"
CONSTRAINTS_FILE = "constraints.json"
VIOLATIONS_FILE = "constraint_violations.json"
REPORT_FILE = "report.html"
_KINDS = {
    "statistics": STATISTICS_FILE,
    "constraints": CONSTRAINTS_FILE,
    "report": REPORT_FILE,
    "violations": VIOLATIONS_FILE,
}


def run(options: Options) -> Result:
    """Analyse a dataset in one pass and write the reports.

    Args:
        options: What to read, what to compare with and where to write.

    Returns:
        The documents, the violations and where the reports are. Violations are no error.

    Raises:
        InputError: An option is wrong.
        DataError: The data cannot be read, names file and line; or there is none. No report is written then.
    """
    options.check()
    session = session_opener(options)
    baseline = read_baseline(
        options.baseline_statistics, options.baseline_constraints, options.categorical_drift_method, session
    )
    is_first = len(options.hosts) < 2 or options.current_host == options.hosts[0]
    dataset = Dataset(options, baseline, session)
    try:
        profile = _profile(dataset)
    except Exception as error:
        if not is_first:
            exchange.send(str(error), options.hosts, options.current_host)
        raise
    for warning in dataset.warnings:
        options.log(f"warning: {warning}")
    if not is_first:
        options.log(f"{profile.rows} rows; sending their profile to {options.hosts[0]}")
        exchange.send(profile, options.hosts, options.current_host)
        return _share_of_another(profile)
    if len(options.hosts) > 1:
        profile = exchange.gather(profile, options.hosts)
    if not profile.rows:
        raise DataError(_nothing_found(options))
    return _report(options, baseline, profile, dataset.warnings, session)


def _profile(dataset: Dataset) -> Profile:
    if dataset.options.engine == SPARK:
        from kfp_sagemaker.monitoring.analyzer import spark  # needs pyspark, which the other engine does not

        return spark.profile_dataset(dataset)
    return dataset.profile(dataset.find_files())


def _report(
    options: Options, baseline: Baseline | None, profile: Profile, warnings: list[str], session: Callable[[], Session]
) -> Result:
    drifts = measure_drift(profile, baseline) if baseline is not None else {}
    violations = find_violations(profile, baseline, drifts) if baseline is not None else []
    statistics = statistics_document(profile)
    constraints = constraints_document(profile, options.categorical_drift_method)
    message = exit_message(violations)
    files = {
        STATISTICS_FILE: json.dumps(statistics, ensure_ascii=False),
        CONSTRAINTS_FILE: json.dumps(constraints, ensure_ascii=False, indent=2),
        REPORT_FILE: build_report(options, baseline, profile, drifts, violations, warnings),
    }
    if baseline is not None:
        document = {"violations": [asdict(violation) for violation in violations]}
        files[VIOLATIONS_FILE] = json.dumps(document, ensure_ascii=False, indent=2)
    written = _write(files, options.output_path, session)
    if options.cloudwatch_metrics_file or options.publish_cloudwatch_metrics:
        metrics = cloudwatch.feature_metrics(profile, drifts, baseline)
        if options.cloudwatch_metrics_file:
            cloudwatch.write_file(metrics, options)
        if options.publish_cloudwatch_metrics:
            cloudwatch.publish(metrics, options, session())
    if options.post_processor:
        run_postprocessor(read_text(options.post_processor, session), options.post_processor)
    options.log(f"{profile.rows} rows, {len(profile.columns)} columns")
    options.log(message)
    return Result(
        item_count=profile.rows,
        statistics=statistics,
        constraints=constraints,
        violations=violations,
        drift={name: drift.value for name, drift in drifts.items()},
        compared=baseline is not None,
        exit_message=message,
        output_files={kind: written[name] for kind, name in _KINDS.items() if name in written},
        warnings=warnings,
    )


def _write(files: dict[str, str], output_path: str, session: Callable[[], Session]) -> dict[str, str]:
    """Write the reports, all or none as far as a file system lets one: each is whole before it gets its name."""
    if output_path.startswith("s3://"):
        for name, text in files.items():
            kind = "text/html; charset=utf-8" if name.endswith(".html") else "application/json"
            s3.write_text(session(), s3.join_uri(output_path, name), text, content_type=kind)
        return {name: s3.join_uri(output_path, name) for name in files}
    folder = Path(output_path)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".analyzer-", dir=folder) as temporary:
        for name, text in files.items():
            (Path(temporary) / name).write_text(text, encoding="utf-8")
        for name in files:
            (Path(temporary) / name).replace(folder / name)
    return {name: str(folder / name) for name in files}


def _share_of_another(profile: Profile) -> Result:
    return Result(
        item_count=profile.rows,
        statistics={},
        constraints={},
        violations=[],
        drift={},
        compared=False,
        exit_message=exit_message([]),
        output_files={},
        warnings=[],
    )


def _nothing_found(options: Options) -> str:
    text = f"there is no data to analyse in {', '.join(options.dataset_sources)}"
    filters = []
    if options.target_model:
        filters.append(f"for the target model {options.target_model}")
    if options.start_time:
        filters.append(f"from {options.start_time.isoformat()}")
    if options.end_time:
        filters.append(f"until {options.end_time.isoformat()}")
    if options.record_preprocessor:
        filters.append(f"after the record preprocessor {options.record_preprocessor}")
    return " ".join([text, *filters])

"""What the analyzer is asked to do. Plain data: nothing here needs polars."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from kfp_sagemaker.aws.validation import Problems

POLARS, SPARK = "polars", "spark"
ENGINES = (POLARS, SPARK)
FormatName = Literal["csv", "json", "parquet", "sagemakerCaptureJson"]
OUTPUT_COLUMNS_POSITIONS = ("START", "END")
CATEGORICAL_DRIFT_METHODS = ("LInfinity", "ChiSquared")


@dataclass(frozen=True)
class DatasetFormat:
    """The layout of the dataset, as the SDK's ``DatasetFormat`` and ``MonitoringDatasetFormat`` describe it.

    Attributes:
        name: ``csv``, ``json`` (one object a line), ``parquet`` or ``sagemakerCaptureJson``.
        header: CSV only: the first line of each file names the columns.
        output_columns_position: Captured data only: whether the columns of the response come before (``START``, as
            the Model Monitor container has it) or after (``END``) those of the request.
        capture_index_names: Captured data only: which sides to read, of ``endpointInput`` and ``endpointOutput``.
    """

    name: FormatName
    header: bool = True
    output_columns_position: str = "START"
    capture_index_names: tuple[str, ...] = ("endpointInput", "endpointOutput")

    @classmethod
    def parse(cls, value: str | Mapping[str, Any]) -> DatasetFormat:
        """Read a format.

        Args:
            value: A JSON object or mapping in one of the SDK's spellings, such as ``{"csv": {"header": true}}``,
                ``{"Csv": {"Header": false}}``, ``{"json": {"lines": true}}``, ``{"parquet": {}}`` or
                ``{"sagemakerCaptureJson": {}}``; or just the name, ``csv`` (with a header), ``csv_no_header``,
                ``json``, ``parquet`` or ``capture``.

        Raises:
            InputError: It is none of these.
        """
        problems = Problems("dataset_format")
        names = _SHORT_NAMES
        document: Any = value
        if isinstance(value, str) and value.strip().lower() in names:
            document = names[value.strip().lower()]
        elif isinstance(value, str):
            try:
                document = json.loads(value)
            except ValueError:
                document = None
        if not isinstance(document, Mapping) or len(document) != 1:
            problems.add("dataset_format", value, f"one of {', '.join(names)} or a JSON object with one key")
            problems.raise_if_any()
        name, details = next(iter(document.items()))
        found = _FORMAT_NAMES.get(str(name).lower())
        if found is None:
            problems.add("dataset_format", value, "csv, json, parquet or sagemakerCaptureJson")
        options = {str(key).lower(): item for key, item in dict(details or {}).items()}
        position = str(options.get("output_columns_position", "START")).upper()
        problems.one_of("dataset_format.output_columns_position", position, OUTPUT_COLUMNS_POSITIONS)
        sides = tuple(options.get("captureindexnames") or ("endpointInput", "endpointOutput"))
        for side in sides:
            problems.one_of("dataset_format.captureIndexNames", side, ("endpointInput", "endpointOutput"))
        if found == "json" and not _is_true(options.get("lines", options.get("line", True))):
            problems.add("dataset_format.json.lines", False, "true: one JSON object a line")
        problems.raise_if_any()
        assert found is not None  # noqa: S101 - for type checkers: raise_if_any() has raised
        header = _is_true(options.get("header", found != "sagemakerCaptureJson"))
        return cls(found, header, position, sides)


@dataclass(frozen=True, kw_only=True)
class Options:
    """One analysis.

    Attributes:
        dataset_sources: Files, folders (read recursively) or S3 URIs (an object, or a prefix); ``.gz`` is unpacked.
        dataset_format: See :meth:`DatasetFormat.parse`.
        output_path: Folder or S3 URI of the reports: ``statistics.json``, ``constraints.json``, ``report.html`` and,
            with a baseline, ``constraint_violations.json``.
        baseline_statistics: ``statistics.json`` to compare with: file, folder holding it, or S3 URI.
        baseline_constraints: ``constraints.json`` to evaluate: file, folder holding it, or S3 URI.
        record_preprocessor: Python file (or S3 URI) with ``preprocess_handler(inference_record[, logger])``.
        post_processor: Python file (or S3 URI) with ``postprocess_handler()``, called when the reports are written.
        target_model: Captured data only: analyse the invocations of this model of a multi-model endpoint, by
            ``eventMetadata.targetModel`` or a custom attribute ``TargetModel=NAME``; empty means every line.
        start_time: Captured data only: leave out what was captured before.
        end_time: Captured data only: leave out what was captured at or after.
        categorical_drift_method: ``LInfinity`` or ``ChiSquared``, in place of the one in the constraints.
        publish_cloudwatch_metrics: Publish the metrics of each feature with PutMetricData.
        cloudwatch_metrics_file: Write them to this file instead, for SageMaker to publish (bring-your-own contract).
        endpoint_name: Dimension of the metrics, and shown in the report.
        monitoring_schedule_name: Dimension of the metrics, and shown in the report.
        title: Of the HTML report; made from the above when empty.
        engine: ``polars``, the threads of this process; or ``spark``, for data that outgrows one machine.
        hosts: Every instance of the job, this one and the others, when the data is shared out among several.
        current_host: This instance. The first of ``hosts`` merges and writes the one result.
        region: For S3 and CloudWatch; empty means the environment's.
        assume_role_arn: For S3 and CloudWatch.
        log: Takes each line of progress.
    """

    dataset_sources: Sequence[str]
    output_path: str
    dataset_format: str | Mapping[str, Any] | DatasetFormat = "csv"
    baseline_statistics: str = ""
    baseline_constraints: str = ""
    record_preprocessor: str = ""
    post_processor: str = ""
    target_model: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    categorical_drift_method: str = ""
    publish_cloudwatch_metrics: bool = False
    cloudwatch_metrics_file: str = ""
    endpoint_name: str = ""
    monitoring_schedule_name: str = ""
    title: str = ""
    engine: str = POLARS
    hosts: Sequence[str] = ()
    current_host: str = ""
    region: str = ""
    assume_role_arn: str = ""
    log: Callable[[str], None] = field(default=print, repr=False)

    @property
    def format(self) -> DatasetFormat:
        """The parsed ``dataset_format``."""
        value = self.dataset_format
        return value if isinstance(value, DatasetFormat) else DatasetFormat.parse(value)

    def check(self) -> None:
        """Raise one InputError that lists everything wrong."""
        problems = Problems("analyzer")
        problems.required("dataset_source", list(self.dataset_sources))
        problems.required("output_path", self.output_path)
        problems.one_of("engine", self.engine, ENGINES)
        if self.engine == SPARK and len(self.hosts) > 1:
            problems.add(
                "engine",
                self.engine,
                "polars, when the input is ShardedByS3Key: Spark shares the data out itself; give it S3 URIs as the "
                "dataset_source, or an input that is FullyReplicated",
            )
        if self.categorical_drift_method:
            problems.one_of("categorical_drift_method", self.categorical_drift_method, CATEGORICAL_DRIFT_METHODS)
        if self.start_time and self.end_time and self.start_time >= self.end_time:
            problems.add(
                "start_time", self.start_time.isoformat(), f"a time before end_time, {self.end_time.isoformat()}"
            )
        if self.format.name != "sagemakerCaptureJson":
            for name in ("target_model", "start_time", "end_time"):
                if getattr(self, name):
                    problems.add(name, getattr(self, name), "empty: only captured data (sagemakerCaptureJson) has it")
        if len(self.hosts) > 1 and self.current_host not in self.hosts:
            problems.add("current_host", self.current_host, f"one of {', '.join(self.hosts)}")
        problems.raise_if_any()


@dataclass(frozen=True)
class Violation:
    """One entry of ``constraint_violations.json``."""

    feature_name: str
    constraint_check_type: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of an analysis.

    Attributes:
        item_count: Rows analysed.
        statistics: The document written as ``statistics.json``.
        constraints: The document written as ``constraints.json``: suggested from the data.
        violations: What the data violates of the baseline; empty without one.
        drift: Distance from the baseline of every feature that was compared.
        compared: Whether there was a baseline to compare with.
        exit_message: As the Model Monitor container words it; begins with the execution's status.
        output_files: Path or S3 URI of each report: ``statistics``, ``constraints``, ``report``, with a baseline also
            ``violations``. Empty on an instance that is not the one that writes the result.
        warnings: What the analysis left out and why, such as the last line of a file still being written.
    """

    item_count: int
    statistics: dict[str, Any]
    constraints: dict[str, Any]
    violations: list[Violation]
    drift: dict[str, float]
    compared: bool
    exit_message: str
    output_files: dict[str, str]
    warnings: list[str]

    @property
    def status(self) -> str:
        """``Completed`` or ``CompletedWithViolations``."""
        return "CompletedWithViolations" if self.violations else "Completed"


def parse_time(name: str, value: str) -> datetime | None:
    """An ISO 8601 time, taken as UTC when it names no zone; None when empty.

    Raises:
        InputError: It is no time.
    """
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        problems = Problems("analyzer")
        problems.add(name, value, "an ISO 8601 time such as 2026-01-31T10:00:00Z")
        problems.raise_if_any()
        raise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_SHORT_NAMES: dict[str, dict[str, dict[str, Any]]] = {
    "csv": {"csv": {"header": True}},
    "csv_no_header": {"csv": {"header": False}},
    "json": {"json": {"lines": True}},
    "parquet": {"parquet": {}},
    "capture": {"sagemakerCaptureJson": {}},
}
_FORMAT_NAMES: dict[str, FormatName] = {
    "csv": "csv",
    "json": "json",
    "parquet": "parquet",
    "sagemakercapturejson": "sagemakerCaptureJson",
}


def _is_true(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes")

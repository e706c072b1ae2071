"""The Model Monitor container's contract: environment variables, folders and the exit message.

Variables, as AWS documents them for the bring-your-own container:

================================== ==================================================================================
``dataset_source``                 File, folder or S3 URI of the data; several separated by commas
``dataset_format``                 JSON, such as ``{"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput"]}}``
``output_path``                    Folder (or S3 URI) of the reports
``baseline_statistics``            File, folder or S3 URI; optional
``baseline_constraints``           File, folder or S3 URI; optional
``record_preprocessor_script``     Python file; optional
``post_analytics_processor_script`` Python file; optional
``start_time``, ``end_time``       ISO 8601; optional
``publish_cloudwatch_metrics``     ``Enabled``: write ``output/metrics/cloudwatch/cloudwatch_metrics.jsonl`` below
                                   ``/opt/ml``, which SageMaker publishes
``categorical_drift_method``       ``LInfinity`` or ``ChiSquared``; optional
``sagemaker_endpoint_name``        Dimension of the metrics
``sagemaker_monitoring_schedule_name`` Dimension of the metrics
``target_model``                   Ours: one model of a multi-model endpoint
``engine``                         Ours: ``polars`` (the default), in this process; or ``spark`` (``--engine spark``)
================================== ==================================================================================

A path below ``/opt/ml`` is looked up below ``SAGEMAKER_BASE_DIR`` when that is set. The exit message goes to
``output/message`` there. Exit codes: 0 with or without violations, 2 for what the caller can correct (options, data,
credentials), 1 for anything else.

A job of several instances whose input is ``ShardedByS3Key`` writes one result, on the first instance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.monitoring.analyzer.options import POLARS, Options, parse_time
from kfp_sagemaker.processing.container import base_dir, relocated


def read_options(environment: Mapping[str, str]) -> Options:
    """The options in the environment of a job.

    Raises:
        ConfigurationError: A variable that must be there is not.
        InputError: One has a value that cannot be.
    """
    missing = [name for name in ("dataset_source", "dataset_format", "output_path") if not environment.get(name)]
    if missing:
        raise ConfigurationError(
            f"the analyzer needs the environment variable{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            "python -m kfp_sagemaker.monitoring.analyzer --help lists them all"
        )
    root = base_dir(environment)

    def path(name: str) -> str:
        return relocated(environment.get(name, "").strip(), root)

    sources = [source.strip() for source in environment["dataset_source"].split(",") if source.strip()]
    is_published = environment.get("publish_cloudwatch_metrics", "").strip().lower() == "enabled"
    resources = _resources(root)
    return Options(
        dataset_sources=[relocated(source, root) for source in sources],
        dataset_format=environment["dataset_format"],
        output_path=path("output_path"),
        baseline_statistics=path("baseline_statistics"),
        baseline_constraints=path("baseline_constraints"),
        record_preprocessor=path("record_preprocessor_script"),
        post_processor=path("post_analytics_processor_script"),
        target_model=environment.get("target_model", ""),
        start_time=parse_time("start_time", environment.get("start_time", "")),
        end_time=parse_time("end_time", environment.get("end_time", "")),
        categorical_drift_method=environment.get("categorical_drift_method", ""),
        cloudwatch_metrics_file=str(root / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl")
        if is_published
        else "",
        endpoint_name=environment.get("sagemaker_endpoint_name", ""),
        monitoring_schedule_name=environment.get("sagemaker_monitoring_schedule_name", ""),
        engine=environment.get("engine", "").strip().lower() or POLARS,
        hosts=resources.get("hosts") or (),
        current_host=resources.get("current_host") or "",
    )


def _resources(root: Path) -> dict[str, Any]:
    """The instances of the job: those that share the data out. A job with one has no others."""
    path = root / "config/resourceconfig.json"
    if not path.is_file() or not _is_sharded(root):
        return {}
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _is_sharded(root: Path) -> bool:
    """Whether any input is shared out by key; if not, every instance has all of it."""
    path = root / "config/processingjobconfig.json"
    if not path.is_file():
        return False
    inputs = json.loads(path.read_text(encoding="utf-8")).get("ProcessingInputs") or []
    return any((each.get("S3Input") or {}).get("S3DataDistributionType") == "ShardedByS3Key" for each in inputs)

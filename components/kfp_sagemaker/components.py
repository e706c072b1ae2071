"""The public catalogue: every component of the suite, one line each.

    from kfp_sagemaker import components

    @dsl.pipeline
    def pipeline(...):
        step = components.train(...)

For authors of pipelines only. A step never imports this module: in a step's pod `kfp.dsl` has no `component`.
"""

from kfp_sagemaker.access.component import (
    check_permissions,
    grant_model_access,
    revoke_model_access,
    verify_model_access,
)
from kfp_sagemaker.data.component import split_dataset, upload_source, verify_bucket_access
from kfp_sagemaker.endpoints.component import (
    delete_resources,
    delete_resources_on_exit,
    deploy_endpoint,
    endpoint_metrics,
    invoke_endpoint,
)
from kfp_sagemaker.evaluation.component import evaluate_model
from kfp_sagemaker.glue.component import run_glue_job
from kfp_sagemaker.metrics.component import compare_predictions, export_training_metrics
from kfp_sagemaker.models.component import create_model, publish_models
from kfp_sagemaker.monitoring.quality.component import check_violations, monitor_data_quality, suggest_baseline
from kfp_sagemaker.monitoring.schedules.component import (
    create_monitoring_schedule,
    delete_monitoring_schedule,
    start_monitoring_schedule,
    stop_monitoring_schedule,
    wait_for_monitoring_execution,
)
from kfp_sagemaker.monitoring.traffic.component import list_captured_data, send_traffic
from kfp_sagemaker.processing.component import process
from kfp_sagemaker.step_functions.component import run_state_machine
from kfp_sagemaker.training.component import train
from kfp_sagemaker.transform.component import batch_transform
from kfp_sagemaker.tuning.component import tune

__all__ = [
    "batch_transform",
    "check_permissions",
    "check_violations",
    "compare_predictions",
    "create_model",
    "create_monitoring_schedule",
    "delete_monitoring_schedule",
    "delete_resources",
    "delete_resources_on_exit",
    "deploy_endpoint",
    "endpoint_metrics",
    "evaluate_model",
    "export_training_metrics",
    "grant_model_access",
    "invoke_endpoint",
    "list_captured_data",
    "monitor_data_quality",
    "process",
    "publish_models",
    "revoke_model_access",
    "run_glue_job",
    "run_state_machine",
    "send_traffic",
    "split_dataset",
    "start_monitoring_schedule",
    "stop_monitoring_schedule",
    "suggest_baseline",
    "train",
    "tune",
    "upload_source",
    "verify_bucket_access",
    "verify_model_access",
    "wait_for_monitoring_execution",
]

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
================================== ==================================================================================

A path below ``/opt/ml`` is looked up below ``SAGEMAKER_BASE_DIR`` when that is set. The exit message goes to
``output/message`` there. Exit codes: 0 with or without violations, 2 for what the caller can correct (options, data,
credentials), 1 for anything else.
"""

"""Faces: send traffic with or without drift, and see what of it was captured."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component(cache=False)
def send_traffic(
    endpoint_name: str,
    metrics: dsl.Output[dsl.Metrics],
    rows: list = [],
    input_s3_uri: str = "",
    has_header: bool = False,
    column_names: list = [],
    label_first: bool = False,
    drift: list = [],
    row_count: int = 0,
    duration_seconds: float = 0.0,
    rows_per_second: float = 0.0,
    rows_per_request: int = 1,
    target_models: list = [],
    content_type: str = "text/csv",
    accept: str = "",
    target_variant: str = "",
    max_concurrency: int = 4,
    max_attempts: int = 5,
    max_failed_percent: float = 0.0,
    seed: int = 0,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple("Outputs", sent_count=int, failed_count=int, started_at=str, ended_at=str, drifted_columns=list):
    """Replay rows to an endpoint, at a rate and for a time, optionally with declared drift, to rehearse an alarm.

    The rows are sent in their order, and again from the first when the number or the time is not yet reached. The
    answers are dropped; `invoke_endpoint` collects them. A missing value is sent as an empty CSV field or JSON null.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html

    Args:
        endpoint_name: Name of an endpoint in service.
        metrics: Requests, failures, rows a second, and percentiles of the latency in milliseconds.
        rows: The rows: CSV strings or lists of values, or with application/json dicts or lists of values.
        input_s3_uri: An S3 object with a row a line, in place of `rows`: CSV, or JSON lines.
        has_header: Whether the first line of the CSV object names the columns; it is not sent.
        column_names: The columns' names in order, for `drift`, where there is no header.
        label_first: Whether the first value of each row is the label, which is not sent. It counts as a column.
        drift: Changes, each `{"column": NAME_OR_NUMBER_FROM_0}` with one of `shift` (a number to add), `scale` (a
            number to multiply by), `swap` (two categories to exchange, or an object of old and new ones), `nulls` (the
            share of rows that lose the value) or `drop` (true: the column is left out); optionally `share`, the share
            of rows changed (default 1). Whole numbers stay whole.
        row_count: How many rows to send. 0: every row once, or as many as the time allows.
        duration_seconds: For how long to send. 0: until the rows are sent.
        rows_per_second: Upper limit of the rate. 0: none.
        rows_per_request: Rows sent in one request; data capture has one line a request.
        target_models: Models of a multi-model endpoint; each row goes to each of them, with the custom attribute
            `TargetModel=NAME`, which data capture keeps. Empty: no target model.
        content_type: What is sent: text/csv, application/json or application/jsonlines.
        accept: What the answer shall be. Empty leaves it to the container.
        target_variant: Variant to ask. Empty: by weight.
        max_concurrency: Requests in flight at once, 1 to 128.
        max_attempts: How often a request is tried before it counts as failed.
        max_failed_percent: Share of rows that may fail, in percent, before the step fails.
        seed: Decides which rows are changed where not all are.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        sent_count: Rows sent, over all target models.
        failed_count: Of those, the failed ones.
        started_at: When it began, ISO 8601 in UTC; start of a window for `monitor_data_quality`.
        ended_at: The second after it ended; end of that window.
        drifted_columns: The columns that drift was declared for.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        DataError: There are no rows, or a row has no such column.
        ThresholdError: More rows failed than allowed; shows the errors.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.traffic import plan, send

    log_metric = arguments.pop("metrics").log_metric
    session = open_session(arguments.pop("region"), arguments.pop("assume_role_arn"))
    return send.run(session, plan.build(**arguments), log_metric=log_metric)


@sagemaker_component(cache=False)
def list_captured_data(
    endpoint_name: str = "",
    captured_s3_uri: str = "",
    variant_name: str = "",
    target_model: str = "",
    start_time: str = "",
    end_time: str = "",
    window_seconds: int = 3600,
    expected_records: int = 0,
    max_wait_seconds: int = 600,
    sample_count: int = 3,
    region: str = "",
    assume_role_arn: str = "",
) -> NamedTuple(
    "Outputs",
    captured_s3_uri=str,
    file_count=int,
    record_count=int,
    byte_count=int,
    samples=list,
    table=dict,
):
    """List what an endpoint's data capture holds of a window: where, how much, and some invocations decoded.

    SageMaker writes captured invocations some minutes late: with `expected_records` the step waits for them.

    API: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html

    Args:
        endpoint_name: Endpoint that captures. Empty: `captured_s3_uri` says where the data is.
        captured_s3_uri: S3 prefix above the variants, such as `s3://bucket/capture/my-endpoint`; also for an endpoint
            that was deleted meanwhile. Empty: the endpoint says it.
        variant_name: Variant to look at. Empty: all of them.
        target_model: Model of a multi-model endpoint to look at. Empty: all of what was captured.
        start_time: Start of the window, ISO 8601 such as `2026-01-31T12:00:00Z`. Empty: `window_seconds` before the
            end.
        end_time: End of the window, ISO 8601. Empty: now, and moved on while the step waits.
        window_seconds: Length of the window where no `start_time` is given, at most 366 days.
        expected_records: Wait until so many invocations are there, and fail when they do not come. 0: look once.
        max_wait_seconds: How long to wait for them.
        sample_count: How many invocations to decode, at most 100.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        captured_s3_uri: S3 prefix the data lies below, by variant and hour.
        file_count: How many files hold invocations of the window.
        record_count: How many invocations were captured.
        byte_count: Size of these files.
        samples: Some of them: `inference_time`, `input`, `output`, `s3_uri`, and on a multi-model endpoint
            `target_model`.
        table: Invocations by variant and hour, and by target model, as `{"columns", "rows"}`.

    Raises:
        InputError: Arguments are wrong; lists all of them, before any AWS call.
        DataError: The endpoint captures nothing, less was captured than expected, or a file is something else.
        ResourceMissingError: No such endpoint.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.monitoring.traffic import captured

    session = open_session(arguments.pop("region"), arguments.pop("assume_role_arn"))
    return captured.run(session, captured.build_query(**arguments))

"""What to send to an endpoint, checked before the first request.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kfp_sagemaker.aws.s3 import join_uri, parse_uri
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.endpoints import rows as row_formats

PAIRINGS = ("every", "row")
MAX_CONCURRENCY = 128
# A step's outputs travel through Kubernetes objects, which hold 1.5 MB in all.
MAX_RETURNED_PREDICTIONS = 1000
MAX_RETURNED_BYTES = 256 * 1024
_DEFAULT_OUTPUT_NAME = "predictions.jsonl"


@dataclass(frozen=True)
class Plan:
    """One call of the component ``invoke_endpoint``; the attributes are its arguments.

    Attributes:
        request: The members of InvokeEndpoint that all requests share.
        target_models: At least one entry; an empty string for no target model.
    """

    request: dict[str, str]
    rows: Sequence[Any]
    input_s3_uri: str
    output_s3_uri: str
    target_models: Sequence[str]
    target_model_pairing: str
    label_first: bool
    content_type: str
    rows_per_request: int
    max_concurrency: int
    max_requests_per_second: float
    max_attempts: int
    max_failed_percent: float
    include_input: bool

    @property
    def endpoint_name(self) -> str:
        """The endpoint."""
        return self.request["EndpointName"]


def build(
    *,
    endpoint_name: str,
    rows: Sequence[Any] = (),
    input_s3_uri: str = "",
    output_s3_uri: str = "",
    target_models: Sequence[str] = (),
    target_model_pairing: str = "every",
    label_first: bool = False,
    content_type: str = row_formats.CSV,
    accept: str = "",
    target_variant: str = "",
    target_container_hostname: str = "",
    inference_component_name: str = "",
    custom_attributes: str = "",
    rows_per_request: int = 1,
    max_concurrency: int = 8,
    max_requests_per_second: float = 0.0,
    max_attempts: int = 5,
    max_failed_percent: float = 0.0,
    include_input: bool = False,
) -> Plan:
    """Check the component's arguments; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("invoke_endpoint")
    problems.required("endpoint_name", endpoint_name)
    problems.name("endpoint_name", endpoint_name)
    problems.required("content_type", content_type)
    problems.one_of("target_model_pairing", target_model_pairing, PAIRINGS)
    problems.between("rows_per_request", rows_per_request, 1, 10_000)
    problems.between("max_concurrency", max_concurrency, 1, MAX_CONCURRENCY)
    problems.between("max_requests_per_second", max_requests_per_second, 0)
    problems.between("max_attempts", max_attempts, 1, 100)
    problems.between("max_failed_percent", max_failed_percent, 0, 100)
    problems.name("target_variant", target_variant)
    problems.name("inference_component_name", inference_component_name)
    for index, name in enumerate(target_models):
        problems.matches(f"target_models[{index}]", name, r"\S.{0,1023}", "the name of an archive below the prefix")
        if not name:
            problems.add(f"target_models[{index}]", name, "given")
    _check_places(rows, input_s3_uri, output_s3_uri, problems)
    for index, row in enumerate(rows):
        _check_row(row, index, content_type, label_first, problems)
    _check_pairing(rows, target_models, target_model_pairing, rows_per_request, problems)
    if content_type not in row_formats.BATCHABLE and rows_per_request != 1:
        problems.add("rows_per_request", rows_per_request, f"1, because content_type is {content_type}")
    count = len(rows) * (1 if target_model_pairing == "row" else max(len(target_models), 1))
    if count > MAX_RETURNED_PREDICTIONS and not output_s3_uri:
        problems.add("output_s3_uri", output_s3_uri, f"given for more than {MAX_RETURNED_PREDICTIONS:,} predictions")
    problems.raise_if_any()
    shared = {
        "EndpointName": endpoint_name,
        "ContentType": content_type,
        "Accept": accept,
        "TargetVariant": target_variant,
        "TargetContainerHostname": target_container_hostname,
        "InferenceComponentName": inference_component_name,
        "CustomAttributes": custom_attributes,
    }
    return Plan(
        request={key: value for key, value in shared.items() if value},
        rows=rows,
        input_s3_uri=input_s3_uri,
        output_s3_uri=join_uri(output_s3_uri, _DEFAULT_OUTPUT_NAME) if output_s3_uri.endswith("/") else output_s3_uri,
        target_models=list(target_models) or [""],
        target_model_pairing=target_model_pairing,
        label_first=label_first,
        content_type=content_type,
        rows_per_request=int(rows_per_request),
        max_concurrency=int(max_concurrency),
        max_requests_per_second=max_requests_per_second,
        max_attempts=int(max_attempts),
        max_failed_percent=max_failed_percent,
        include_input=include_input,
    )


def _check_places(rows: Sequence[Any], input_s3_uri: str, output_s3_uri: str, problems: Problems) -> None:
    if not rows and not input_s3_uri:
        problems.add("rows", [], "given, or input_s3_uri")
    if rows and input_s3_uri:
        problems.add("input_s3_uri", input_s3_uri, f"left out with rows, of which {len(rows)} are given")
    if problems.s3_uri("input_s3_uri", input_s3_uri) and input_s3_uri:
        key = parse_uri(input_s3_uri)[1]
        if not key or key.endswith("/"):
            problems.add("input_s3_uri", input_s3_uri, "an object and not a prefix")
    if problems.s3_uri("output_s3_uri", output_s3_uri) and output_s3_uri and not parse_uri(output_s3_uri)[1]:
        problems.add("output_s3_uri", output_s3_uri, "an object such as s3://bucket/run/predictions.jsonl")
    if input_s3_uri and not output_s3_uri:
        problems.add("output_s3_uri", output_s3_uri, "given with input_s3_uri")


def _check_row(row: Any, index: int, content_type: str, label_first: bool, problems: Problems) -> None:
    try:
        rest = row_formats.split_label(row, content_type)[1] if label_first else row
        row_formats.encode(rest, content_type)
    except ValueError as error:
        problems.add(f"rows[{index}]", row, str(error))


def _check_pairing(
    rows: Sequence[Any], target_models: Sequence[str], pairing: str, rows_per_request: int, problems: Problems
) -> None:
    if pairing != "row":
        return
    if len(target_models) != len(rows):
        problems.add("target_models", f"{len(target_models)} names", f"{len(rows)}, one a row, because they are paired")
    if rows_per_request != 1:
        problems.add("rows_per_request", rows_per_request, "1, because each row has its own target model")

"""What to publish into a multi-model prefix, checked.

API: https://docs.aws.amazon.com/sagemaker/latest/dg/add-models-to-endpoint.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_sagemaker.aws.s3 import parse_uri
from kfp_sagemaker.aws.validation import Problems

MAX_CONCURRENCY = 128


@dataclass(frozen=True)
class Copy:
    """One archive to publish."""

    source_uri: str
    target_model: str
    destination_uri: str


@dataclass(frozen=True)
class Plan:
    """What to publish, checked."""

    copies: tuple[Copy, ...]
    destination_s3_uri: str
    clear_stale: bool
    max_concurrency: int
    kms_key_id: str


def build(
    model_data_urls: Sequence[str],
    target_models: Sequence[str],
    destination_s3_uri: str,
    *,
    clear_stale: bool = False,
    max_concurrency: int = 32,
    kms_key_id: str = "",
) -> Plan:
    """Check the arguments, pair sources with names, and say where each goes; calls nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = Problems("publish_models")
    problems.required("model_data_urls", model_data_urls)
    problems.required("target_models", target_models)
    problems.required("destination_s3_uri", destination_s3_uri)
    problems.between("max_concurrency", max_concurrency, 1, MAX_CONCURRENCY)
    for index, url in enumerate(model_data_urls):
        _check_source(url, f"model_data_urls[{index}]", problems)
    for index, name in enumerate(target_models):
        _check_target(name, f"target_models[{index}]", problems)
        if name in target_models[:index]:
            problems.add(f"target_models[{index}]", name, "a name that is not given twice")
    sources = list(model_data_urls) * (len(target_models) if len(model_data_urls) == 1 else 1)
    if len(sources) != len(target_models):
        problems.add("model_data_urls", f"{len(sources)} archives", f"one, or {len(target_models)} as target_models")
    fine = problems.s3_uri("destination_s3_uri", destination_s3_uri)
    base = destination_s3_uri.rstrip("/") + "/"
    if clear_stale and fine and destination_s3_uri:
        _check_clearing(sources, target_models, base, problems)
    problems.raise_if_any()
    copies = tuple(Copy(url, name, base + name) for url, name in zip(sources, target_models, strict=True))
    return Plan(copies, base, clear_stale, int(max_concurrency), kms_key_id)


def _check_source(url: object, argument: str, problems: Problems) -> None:
    if not isinstance(url, str) or not url:
        problems.add(argument, url, "an S3 URI such as s3://bucket/prefix/model.tar.gz")
    elif problems.s3_uri(argument, url) and (not parse_uri(url)[1] or url.endswith("/")):
        problems.add(argument, url, "an archive and not a prefix")


def _check_target(name: object, argument: str, problems: Problems) -> None:
    # The SageMaker runtime API reference, InvokeEndpoint, TargetModel.
    fine = isinstance(name, str) and 1 <= len(name) <= 1024 and name.isprintable() and not name[0].isspace()
    if not fine or str(name).startswith("/") or str(name).endswith("/") or ".." in str(name).split("/"):
        problems.add(argument, name, "a path below the destination such as Chicago_IL/Chicago_IL.tar.gz")


def _check_clearing(sources: Sequence[str], targets: Sequence[str], base: str, problems: Problems) -> None:
    if not parse_uri(base)[1].strip("/"):
        problems.add("destination_s3_uri", base, "a prefix inside the bucket, because clear_stale empties it")
    kept = {base + name for name in targets}
    for index, url in enumerate(dict.fromkeys(sources)):
        if isinstance(url, str) and url.startswith(base) and url not in kept:
            problems.add(
                f"model_data_urls[{index}]", url, "outside the destination, because clear_stale would delete it"
            )

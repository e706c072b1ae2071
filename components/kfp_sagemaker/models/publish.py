"""Publish model archives into the prefix of a multi-model endpoint.

Adding a model to a live endpoint is nothing but this: the container loads an archive when it is first asked for it.
Once loaded it is kept under its name, so a changed archive is not seen until the container unloads the old one:
a new version gets a new name.

API: https://docs.aws.amazon.com/sagemaker/latest/dg/add-models-to-endpoint.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import AwsCallError, CancelledError, ResourceMissingError
from kfp_sagemaker.aws.s3 import S3Object, list_objects, parse_uri
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.termination import Terminated, raising_on_sigterm
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.models import s3_objects

MAX_CONCURRENCY = 128
_SHOWN_ERRORS = 20


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


class Published(NamedTuple):
    """What was done."""

    target_models: list[str]
    published_count: int
    unchanged_count: int
    cleared_count: int


def plan(
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


def run(
    session: Session,
    plan: Plan,
    *,
    single_copy_max_bytes: int = s3_objects.SINGLE_COPY_MAX_BYTES,
    part_bytes: int = s3_objects.PART_BYTES,
    sink: Callable[[str], None] = print_line,
) -> Published:
    """Publish, verify and report.

    Args:
        session: The step's session.
        plan: From ``plan``.
        single_copy_max_bytes: Larger archives are copied in parts.
        part_bytes: Size of such a part.
        sink: Takes the lines of the report.

    Raises:
        ResourceMissingError: Sources do not exist; nothing was copied or cleared.
        AwsCallError: Archives could not be copied or verified; the others are published.
    """
    begin = time.monotonic()
    errors: dict[str, str] = {}
    pool = ThreadPoolExecutor(plan.max_concurrency, "publish")
    try:
        with raising_on_sigterm():
            destination = pool.submit(_list, session, plan.destination_s3_uri)
            sources = _find_sources(session, plan, pool)
            existing = destination.result()
            cleared = _clear(session, plan, existing, pool, sink) if plan.clear_stale else 0
            todo = _changed(session, plan, sources, existing, pool, sink)
            _copy_all(session, plan, todo, sources, pool, errors, single_copy_max_bytes, part_bytes)
            copied = [item for item in todo if item.target_model not in errors]
            _verify(session, plan, copied, sources, pool, errors, sink)
    except Terminated as termination:
        raise CancelledError(
            f"stopped while publishing to {plan.destination_s3_uri}: what is copied stays, a retry copies the rest"
        ) from termination
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    published = len(todo) - len(errors)
    unchanged = len(plan.copies) - len(todo)
    sink(
        f"Published {published} of {len(plan.copies)} models to {plan.destination_s3_uri} in "
        f"{time.monotonic() - begin:.1f} s; {unchanged} were there already, {cleared} stale objects deleted."
    )
    if errors:
        shown = [f"  - {name}: {reason}" for name, reason in list(errors.items())[:_SHOWN_ERRORS]]
        more = [f"  - and {len(errors) - _SHOWN_ERRORS} more"] if len(errors) > _SHOWN_ERRORS else []
        raise AwsCallError(
            f"{len(errors)} of {len(plan.copies)} models could not be published to {plan.destination_s3_uri}; "
            "the others are there, and a retry copies only what is missing:\n" + "\n".join(shown + more),
            operation="CopyObject",
        )
    return Published([item.target_model for item in plan.copies], published, unchanged, cleared)


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


def _list(session: Session, uri: str) -> dict[str, S3Object]:
    return {item.uri: item for item in list_objects(session, uri)}


def _find_sources(session: Session, plan: Plan, pool: ThreadPoolExecutor) -> Mapping[str, S3Object]:
    found = s3_objects.find(session, (item.source_uri for item in plan.copies), pool)
    if found.missing:
        listed = "\n".join(f"  - {uri}: {reason}" for uri, reason in sorted(found.missing.items()))
        raise ResourceMissingError(
            f"{len(found.missing)} of {len(found.missing) + len(found.objects)} model archives do not exist; nothing "
            f"was published or deleted:\n{listed}",
            operation="HeadObject",
        )
    return found.objects


def _clear(
    session: Session,
    plan: Plan,
    existing: Mapping[str, S3Object],
    pool: ThreadPoolExecutor,
    sink: Callable[[str], None],
) -> int:
    kept = {item.destination_uri for item in plan.copies}
    stale = [item.key for uri, item in existing.items() if uri not in kept]
    bucket, _ = parse_uri(plan.destination_s3_uri)
    failed = s3_objects.delete_keys(session, bucket, stale, pool)
    for key in stale:
        if key not in failed:
            sink(f"Deleted stale s3://{bucket}/{key}.")
    if failed:
        listed = "\n".join(f"  - s3://{bucket}/{key}: {reason}" for key, reason in failed.items())
        raise AwsCallError(f"{len(failed)} stale objects could not be deleted:\n{listed}", operation="DeleteObjects")
    return len(stale)


def _changed(
    session: Session,
    plan: Plan,
    sources: Mapping[str, S3Object],
    existing: Mapping[str, S3Object],
    pool: ThreadPoolExecutor,
    sink: Callable[[str], None],
) -> list[Copy]:
    """The copies that are not there yet."""

    def unchanged(item: Copy) -> bool:
        there = existing.get(item.destination_uri)
        if there is None:
            return False
        # Sizes alone do not show that nothing changed.
        return s3_objects.same_content(session, sources[item.source_uri], there) not in ("", "size")

    todo = []
    for item, same in zip(plan.copies, pool.map(unchanged, plan.copies), strict=True):
        if same:
            sink(f"Unchanged {item.target_model}.")
            continue
        todo.append(item)
        if item.destination_uri in existing:
            sink(
                f"WARNING: {item.target_model} replaces another archive. An endpoint that has loaded the old one keeps "
                "serving it; publish a new version under a new name."
            )
    return todo


def _copy_all(
    session: Session,
    plan: Plan,
    todo: Sequence[Copy],
    sources: Mapping[str, S3Object],
    pool: ThreadPoolExecutor,
    errors: dict[str, str],
    single_copy_max_bytes: int,
    part_bytes: int,
) -> None:
    small = [item for item in todo if sources[item.source_uri].size <= single_copy_max_bytes]
    large = [item for item in todo if sources[item.source_uri].size > single_copy_max_bytes]

    def copy(item: Copy) -> AwsCallError | None:
        source = sources[item.source_uri]
        return s3_objects.attempt(
            partial(s3_objects.copy, session, source, item.destination_uri, kms_key_id=plan.kms_key_id)
        )

    for item, error in zip(small, pool.map(copy, small), strict=True):
        if error:
            errors[item.target_model] = str(error)
    for item in large:  # one after another: the parts of each are what runs at the same time
        error = s3_objects.attempt(
            partial(
                s3_objects.copy_in_parts,
                session,
                sources[item.source_uri],
                item.destination_uri,
                pool,
                kms_key_id=plan.kms_key_id,
                part_bytes=part_bytes,
            )
        )
        if error:
            errors[item.target_model] = str(error)


def _verify(
    session: Session,
    plan: Plan,
    copied: Sequence[Copy],
    sources: Mapping[str, S3Object],
    pool: ThreadPoolExecutor,
    errors: dict[str, str],
    sink: Callable[[str], None],
) -> None:
    """One listing shows size and entity tag of all copies; only where tags cannot agree are checksums asked for."""
    if not copied:
        return
    present = _list(session, plan.destination_s3_uri)

    def check(item: Copy) -> str:
        there = present.get(item.destination_uri)
        return s3_objects.same_content(session, sources[item.source_uri], there) if there else ""

    for item, proof in zip(copied, pool.map(check, copied), strict=True):
        source = sources[item.source_uri]
        if proof:
            sink(f"Published {item.target_model} ({source.size:,} bytes, same {proof}) from {item.source_uri}.")
            continue
        there = present.get(item.destination_uri)
        state = f"{there.size:,} bytes, ETag {there.etag}" if there else "nothing"
        errors[item.target_model] = (
            f"{item.destination_uri} holds {state}, and its source {source.size:,} bytes, ETag {source.etag}: "
            "something else writes there"
        )

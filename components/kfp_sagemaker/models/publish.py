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
from functools import partial
from typing import NamedTuple

from kfp_sagemaker.aws.engine import print_line
from kfp_sagemaker.aws.errors import AwsCallError, CancelledError, ResourceMissingError
from kfp_sagemaker.aws.s3 import S3Object, list_objects, parse_uri
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.termination import Terminated, raising_on_sigterm
from kfp_sagemaker.models import s3_objects
from kfp_sagemaker.models.publication_plan import Copy, Plan

_SHOWN_ERRORS = 20


class Published(NamedTuple):
    """What was done."""

    target_models: list[str]
    published_count: int
    unchanged_count: int
    cleared_count: int


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
        plan: From ``publication_plan.build``.
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

"""The work of the `split_dataset` component: CSV in S3 into training, validation and test parts, in constant memory."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from kfp_sagemaker.aws.errors import DataError, InputError, ResourceMissingError
from kfp_sagemaker.aws.job_arguments import check_object_tags
from kfp_sagemaker.aws.s3 import S3Object, join_uri, list_objects, parse_uri, read_chunks
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.termination import raising_on_sigterm
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.data.csv_records import decompressed, records
from kfp_sagemaker.data.object_writer import ObjectWriter

PARTS: tuple[str, ...] = ("train", "validation", "test")
_BLOCK_ROWS = 1000
_FRACTION_TOLERANCE = 1e-6
# An upload has at most 10,000 parts; half of that leaves room for gzip input, whose size says little.
_PARTS_AIMED_AT = 5000
_GZIP_WINDOW_BITS = 31


class Outputs(NamedTuple):
    """What the step returns."""

    train_s3_uri: str
    validation_s3_uri: str
    test_s3_uri: str
    row_counts: dict[str, int]


def split_dataset(
    *,
    input_s3_uri: str,
    output_s3_uri: str,
    train_fraction: float = 0.7,
    validation_fraction: float = 0.3,
    test_fraction: float = 0.0,
    seed: int = 0,
    has_header: bool = False,
    compression_type: str = "",
    output_kms_key_id: str = "",
    region: str = "",
    assume_role_arn: str = "",
    tags: Mapping[str, Any] | None = None,
) -> Outputs:
    """Split CSV in S3 into parts; see the component for the arguments.

    Returns:
        The parts' URIs and row counts.

    Raises:
        InputError: If arguments are wrong.
        ResourceMissingError: If there is no data.
        DataError: If it is not CSV, or has too few rows for the parts asked for.
    """
    fractions = dict(zip(PARTS, (train_fraction, validation_fraction, test_fraction), strict=True))
    _check(input_s3_uri, output_s3_uri, fractions, compression_type, tags or {})
    session = open_session(region, assume_role_arn)
    sources = find_sources(session, input_s3_uri, output_s3_uri)
    suffix = ".csv.gz" if compression_type == "Gzip" else ".csv"
    parts = {name: fraction for name, fraction in fractions.items() if fraction > 0}
    uris = {name: join_uri(output_s3_uri, name, name + suffix) for name in parts}
    request: dict[str, Any] = {"ContentType": "application/gzip" if compression_type == "Gzip" else "text/csv"}
    if output_kms_key_id:
        request |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": output_kms_key_id}
    if tags:
        request["Tagging"] = urlencode(tags)
    part_bytes = sum(source.size for source in sources) // _PARTS_AIMED_AT
    with raising_on_sigterm(), ThreadPoolExecutor(max_workers=len(parts)) as executor:
        writers = [
            ObjectWriter(session.client("s3"), uri, executor=executor, part_bytes=part_bytes, request=request)
            for uri in uris.values()
        ]
        try:
            sinks = [_Part(writer, compression_type == "Gzip") for writer in writers]
            counts = distribute(_read(session, sources), list(parts.values()), seed, sinks, has_header)
            row_counts = dict.fromkeys(PARTS, 0) | dict(zip(parts, counts, strict=True))
            _check_counts(row_counts, parts)
            for sink in sinks:
                sink.close()
            for writer in writers:  # all data is in S3 before the first part becomes visible
                writer.flush()
            for writer in writers:
                writer.complete()
        except BaseException:
            for writer in writers:
                writer.abort()
            raise
    for name, uri in uris.items():
        print(f"{name}: {row_counts[name]} rows: {uri}", flush=True)
    return Outputs(uris.get("train", ""), uris.get("validation", ""), uris.get("test", ""), row_counts)


class Sink(Protocol):
    """Where the rows of one part go."""

    def write(self, data: bytes) -> None:
        """Append records."""


class _Part:
    """One part on its way to S3, compressed when asked for."""

    def __init__(self, writer: ObjectWriter, compress: bool) -> None:
        self._writer = writer
        # The header zlib writes holds no time and no name, so the same rows give the same bytes.
        self._compressor = zlib.compressobj(wbits=_GZIP_WINDOW_BITS) if compress else None

    def write(self, data: bytes) -> None:
        """Append records."""
        self._writer.write(self._compressor.compress(data) if self._compressor else data)

    def close(self) -> None:
        """Append what the compressor still holds."""
        if self._compressor:
            self._writer.write(self._compressor.flush())


def find_sources(session: Session, input_s3_uri: str, output_s3_uri: str) -> list[S3Object]:
    """The objects that are the data: the named one, or all below the prefix.

    Args:
        session: The step's session.
        input_s3_uri: An object or a prefix.
        output_s3_uri: Where the parts go.

    Returns:
        The objects with content, in the order of their keys.

    Raises:
        ResourceMissingError: If there are none.
        InputError: If the parts would become data of the next run.
    """
    _, key = parse_uri(input_s3_uri)
    found = []
    for item in list_objects(session, input_s3_uri):
        if item.key == key:  # comes first; "data.csv" does not mean "data.csv.bak" too
            return [item]
        if item.size:
            found.append(item)
    if not found:
        raise ResourceMissingError(f"split_dataset: there is no object at or below {input_s3_uri}")
    if f"{output_s3_uri.rstrip('/')}/".startswith(input_s3_uri):
        problem = f"output_s3_uri is {output_s3_uri!r}, must be outside of the input prefix {input_s3_uri}"
        raise InputError([problem], "split_dataset")
    return found


def distribute(
    sources: Iterable[tuple[str, Iterator[bytes]]],
    fractions: Sequence[float],
    seed: int,
    sinks: Sequence[Sink],
    has_header: bool,
) -> list[int]:
    """Assign every row to a part.

    Within each block of rows as many go to a part as its share demands, and chance decides which. So every part is
    within one row of its exact share at the end of every block, and the last block needs no special case.

    Args:
        sources: Name and records of each object.
        fractions: Share of each part.
        seed: Seed of the assignment.
        sinks: One a part.
        has_header: Whether each object begins with a header line.

    Returns:
        Number of rows of each part.

    Raises:
        DataError: If the objects' headers differ.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    counts = [0] * len(fractions)
    block: list[bytes] = []

    def flush() -> None:
        labels = _labels(fractions, counts, len(block))
        chance.shuffle(labels)
        assigned: list[list[bytes]] = [[] for _ in sinks]
        for label, row in zip(labels, block, strict=True):
            assigned[label].append(row)
        for label, sink in enumerate(sinks):
            counts[label] += len(assigned[label])
            sink.write(b"".join(assigned[label]))
        block.clear()

    for row in _without_headers(sources, sinks) if has_header else (row for _, rows in sources for row in rows):
        block.append(row)
        if len(block) == _BLOCK_ROWS:
            flush()
    flush()
    return counts


def _labels(fractions: Sequence[float], counts: Sequence[int], rows: int) -> list[int]:
    """Parts of the next rows, not yet shuffled: each goes to the part that is furthest behind its share."""
    done = sum(counts)
    behind = [fraction * done - count for fraction, count in zip(fractions, counts, strict=True)]
    labels = []
    for _ in range(rows):
        label, furthest = 0, -1.0
        for index, fraction in enumerate(fractions):
            behind[index] += fraction
            if behind[index] > furthest:
                label, furthest = index, behind[index]
        behind[label] -= 1
        labels.append(label)
    return labels


def _without_headers(sources: Iterable[tuple[str, Iterator[bytes]]], sinks: Sequence[Sink]) -> Iterator[bytes]:
    """Rows of all objects; the header goes to every part once."""
    header = b""
    for name, rows in sources:
        first = next(rows, b"")
        if first and not header:
            header = first
            for sink in sinks:
                sink.write(header)
        elif first and first.strip() != header.strip():
            raise DataError(f"{name}: the header {first[:200]!r} differs from the first object's, {header[:200]!r}")
        yield from rows


def _read(session: Session, sources: Sequence[S3Object]) -> Iterator[tuple[str, Iterator[bytes]]]:
    for source in sources:
        pieces = read_chunks(session, source.uri)
        if source.key.endswith(".gz"):
            pieces = decompressed(pieces, source.uri)
        yield source.uri, records(pieces, source.uri)


def _check(
    input_s3_uri: str,
    output_s3_uri: str,
    fractions: Mapping[str, float],
    compression_type: str,
    tags: Mapping[str, Any],
) -> None:
    problems = Problems("split_dataset")
    for argument, uri in (("input_s3_uri", input_s3_uri), ("output_s3_uri", output_s3_uri)):
        problems.required(argument, uri)
        problems.s3_uri(argument, uri)
    fine = [
        problems.between(f"{name}_fraction", fraction, minimum=0, maximum=1) for name, fraction in fractions.items()
    ]
    if all(fine) and abs(sum(fractions.values()) - 1) > _FRACTION_TOLERANCE:
        given = " + ".join(str(fraction) for fraction in fractions.values())
        problems.add("train_fraction + validation_fraction + test_fraction", given, "1")
    problems.one_of("compression_type", compression_type, ("None", "Gzip"))
    check_object_tags(problems, tags)
    problems.raise_if_any()


def _check_counts(row_counts: Mapping[str, int], parts: Mapping[str, float]) -> None:
    """A part that was asked for and gets no row would only fail later, in a training job."""
    empty = [f"{name}_fraction {fraction}" for name, fraction in parts.items() if row_counts[name] == 0]
    if empty:
        total = sum(row_counts.values())
        raise DataError(
            f"split_dataset: {' and '.join(empty)} of the {total} rows there are is no row: give more data, or 0"
        )

"""The data channels of a training container, read into tables."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sagemaker_emulator.containers import formats, recordio
from sagemaker_emulator.containers.contract import CustomerError, TrainingConfig
from sagemaker_emulator.containers.formats import ContentType, Table

log = logging.getLogger("algorithm")


@dataclass(frozen=True)
class ChannelRules:
    """What an algorithm accepts.

    Attributes:
        names: The channels it knows; ``train`` is required.
        default_content_type: Of a channel that names none.
        content_types: The media types it reads.
        label_size: The number of label columns of CSV that does not say it.
    """

    names: Collection[str]
    default_content_type: str = formats.RECORDIO
    content_types: Collection[str] = (formats.RECORDIO, formats.CSV)
    label_size: int = 1

    def validate(self, channels: Mapping[str, Any]) -> None:
        """Refuse missing and unknown channels.

        Raises:
            CustomerError: In the built-in algorithms' wording.
        """
        prefix = "Unable to initialize the algorithm. Failed to validate input data configuration. "
        if "train" not in channels:
            raise CustomerError(f"{prefix}(caused by ValidationError)\n\nCaused by: 'train' is a required property")
        unknown = sorted(set(channels) - set(self.names))
        if unknown:
            names = ", ".join(f"'{name}'" for name in unknown)
            verb = "was" if len(unknown) == 1 else "were"
            raise CustomerError(
                f"{prefix}(caused by ValidationError)\n\n"
                f"Caused by: Additional properties are not allowed ({names} {verb} unexpected)"
            )


def channel_files(folder: Path) -> Iterator[Path]:
    """Yield the data files below a channel's folder in order; hidden files and markers are not data."""
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.rglob("*")):
        name = path.name
        if path.is_file() and not name.startswith((".", "_")) and not name.endswith((".manifest", ".metadata")):
            yield path


def read_channel(config: TrainingConfig, name: str, rules: ChannelRules) -> Table | None:
    """Read one channel.

    Args:
        config: The job's configuration.
        name: The channel.
        rules: What the algorithm accepts.

    Returns:
        Its rows, or ``None`` when the job has no such channel.

    Raises:
        CustomerError: The channel is empty, is not what its content type says, or holds NaN or infinite numbers.
    """
    if name not in config.channels:
        return None
    content_type = str(config.channels[name].get("ContentType") or rules.default_content_type)
    kind = ContentType.parse(content_type)
    if kind.media_type not in rules.content_types:
        raise CustomerError(
            f"Unable to read data channel '{name}'. The content-type '{content_type}' is not supported; "
            f"supported content-types are {', '.join(sorted(rules.content_types))}.",
            caused_by="ValueError",
        )
    tables: list[Table] = []
    for path in channel_files(config.folders.data / name):
        content = path.read_bytes()
        if not content.strip():
            continue
        try:
            table = _read_file(content, kind, rules)
        except (ValueError, UnicodeDecodeError) as error:
            raise CustomerError(
                f"Unable to read data channel '{name}'. Requested content-type is '{content_type}'. "
                f"Please verify the data matches the requested content-type. File '{path.name}': {error}",
                caused_by=type(error).__name__,
            ) from error
        tables.append(table)
    if not any(len(table) for table in tables):
        raise CustomerError(f"Unable to read data channel '{name}'. The channel holds no data.", caused_by="ValueError")
    joined = _join(name, [table for table in tables if len(table)])
    _refuse_not_finite(name, joined)
    log.info("channel %s: %d records, %d features", name, len(joined), joined.features.shape[1])
    return joined


def _read_file(content: bytes, kind: ContentType, rules: ChannelRules) -> Table:
    if kind.media_type == formats.CSV:
        return formats.read_csv(content, rules.label_size if kind.label_size is None else kind.label_size)
    if kind.media_type in formats.LIBSVM:
        return formats.read_libsvm(content)
    features, labels = recordio.read_records(content)
    return Table(features, labels)


def _join(name: str, tables: list[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    labelled = [table.labels for table in tables if table.labels is not None]
    if labelled and len(labelled) != len(tables):
        raise CustomerError(f"Unable to read data channel '{name}'. Some files have labels and some have none.")
    labels = np.concatenate(labelled) if labelled else None
    if all(isinstance(table.features, np.ndarray) for table in tables):
        widths = sorted({table.features.shape[1] for table in tables})
        if len(widths) > 1:
            raise CustomerError(f"Unable to read data channel '{name}'. Files have different feature counts: {widths}")
        return Table(np.concatenate([table.features for table in tables]), labels)
    from scipy.sparse import csr_matrix, vstack

    width = max(int(table.features.shape[1]) for table in tables)
    parts: list[Any] = [csr_matrix(table.features) for table in tables]
    for part in parts:
        part.resize((part.shape[0], width))
    return Table(csr_matrix(vstack(parts)), labels)


def _refuse_not_finite(name: str, table: Table) -> None:
    features = table.features if isinstance(table.features, np.ndarray) else table.features.data
    arrays = [features] if table.labels is None else [features, table.labels]
    if any(np.isnan(array).any() for array in arrays):
        raise CustomerError(
            f"Unable to read data channel '{name}'. Found missing (NaN) values. "
            "Please remove any missing (NaN) values in the input data.",
            caused_by="ValueError",
        )
    if any(np.isinf(array).any() for array in arrays):
        raise CustomerError(
            f"Unable to read data channel '{name}'. Found infinite floating point values. "
            "Please remove any infinite floating point values in the input data.",
            caused_by="ValueError",
        )

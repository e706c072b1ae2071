"""What a container's model is, for the server: it answers requests, and is loaded from a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sagemaker_emulator.containers.formats import JSON, UnsupportedFormatError, read_request


class PayloadError(ValueError):
    """The request's body does not fit the model; answered as 400."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    body: bytes = b""
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Model(Protocol):
    """A loaded model."""

    def invoke(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Answer one request; raises PayloadError or UnsupportedFormatError for what the caller did wrong."""
        ...


Loader = Callable[[Path], Model]


def read_payload(body: bytes, content_type: str) -> NDArray[np.float64]:
    """The rows of a request to a built-in algorithm.

    Raises:
        UnsupportedFormatError: The content type is not one the algorithms read.
        PayloadError: The body is not what its content type says.
    """
    try:
        return read_request(body, content_type)
    except UnsupportedFormatError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise PayloadError(str(error)) from error


def find_model_file(folder: Path, name: str) -> Path:
    """The model file of a folder: the one named so, or the only file there is.

    Raises:
        ValueError: There is none, or it is not clear which.
    """
    named = folder / name
    if named.is_file():
        return named
    files = [path for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "no file"
        raise ValueError(f"the model archive has no file '{name}'; found {found}")
    return files[0]

"""A model served by the user's functions: model_fn, input_fn, predict_fn, output_fn or transform_fn.

https://sagemaker.readthedocs.io/en/stable/frameworks/sklearn/using_sklearn.html#serve-a-model
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sagemaker_emulator.containers.contract import Folders
from sagemaker_emulator.containers.formats import JSON, UnsupportedFormatError
from sagemaker_emulator.containers.model import Answer
from sagemaker_emulator.containers.toolkit import encoders
from sagemaker_emulator.containers.toolkit.namespace import CodeNamespace
from sagemaker_emulator.containers.toolkit.response import Response
from sagemaker_emulator.containers.toolkit.source import (
    SHIMS_FOLDER,
    SourceError,
    fetch_source,
    install_requirements,
    prepend_python_path,
)

log = logging.getLogger("toolkit")

DEFAULT_PROGRAM = "inference.py"


class UserCodeError(Exception):
    """The user's code does not fit the container's contract."""


@dataclass(frozen=True)
class Defaults:
    """The functions a container supplies where the user's module has none.

    Attributes:
        model_fn: Loads a model from its folder.
        input_fn: Decodes a request.
        predict_fn: Predicts.
    """

    model_fn: Callable[[str], Any]
    input_fn: Callable[[Any, str], Any]
    predict_fn: Callable[[Any, Any], Any]


def no_model_fn(_model_dir: str) -> Any:
    """The default of containers that cannot know how a model was saved."""
    raise UserCodeError(
        "Please provide a model_fn implementation.\n"
        "See documentation for model_fn at https://github.com/aws/sagemaker-python-sdk"
    )


def default_input_fn(content: Any, content_type: str) -> Any:
    """Decode CSV, JSON or NPY; text becomes float32."""
    array = encoders.decode(content, content_type)
    return array.astype(np.float32) if encoders.media_type(content_type) in encoders.UTF8_TYPES else array


def default_predict_fn(data: Any, model: Any) -> Any:
    """Call the model's ``predict``."""
    return model.predict(data)


def default_output_fn(prediction: Any, accept: str) -> Response:
    """Encode as CSV, JSON or NPY."""
    return Response(encoders.encode(prediction, accept), mimetype=accept)


class UserModel:
    """One loaded model and the functions that serve it.

    Args:
        module: The user's module.
        namespace: Makes the module's imports work while a function runs.
        defaults: The container's functions.
        folder: The model's folder, for model_fn.
    """

    def __init__(self, module: ModuleType, namespace: CodeNamespace | None, defaults: Defaults, folder: Path) -> None:
        self._namespace = namespace
        transform = getattr(module, "transform_fn", None)
        own = [name for name in ("input_fn", "predict_fn", "output_fn") if hasattr(module, name)]
        if transform is not None and own:
            raise UserCodeError(
                "Cannot use transform_fn implementation with input_fn, predict_fn, and/or output_fn; "
                f"the module defines transform_fn and {', '.join(own)}"
            )
        self._input = getattr(module, "input_fn", defaults.input_fn)
        self._predict = getattr(module, "predict_fn", defaults.predict_fn)
        self._output = getattr(module, "output_fn", default_output_fn)
        self._transform = transform or self._default_transform
        self._execution_parameters = getattr(module, "execution_parameters_fn", None)
        self._model = getattr(module, "model_fn", defaults.model_fn)(str(folder))

    def invoke(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Answer one request."""
        is_text = encoders.media_type(content_type) in encoders.UTF8_TYPES
        content = body.decode("utf-8") if is_text else body
        if self._namespace is None:
            return to_answer(self._transform(self._model, content, content_type, accept), accept)
        with self._namespace.active():
            return to_answer(self._transform(self._model, content, content_type, accept), accept)

    def execution_parameters(self) -> Answer | None:
        """What the user's execution_parameters_fn says; None when there is none."""
        return None if self._execution_parameters is None else to_answer(self._execution_parameters(), JSON)

    def _default_transform(self, model: Any, content: Any, content_type: str, accept: str) -> Any:
        try:
            data = self._input(content, content_type)
        except UnsupportedFormatError as error:
            return _refusal(error, 415)
        prediction = self._predict(data, model)
        try:
            return self._output(prediction, accept)
        except UnsupportedFormatError as error:
            return _refusal(error, 406)


def _refusal(error: UnsupportedFormatError, status: int) -> Response:
    document = {
        "error": "UnsupportedFormatError",
        "error-message": str(error),
        "stack-trace": traceback.format_exc(),
    }
    return Response(json.dumps(document), status=status)


def to_answer(result: Any, accept: str) -> Answer:
    """What a user's function may return: a response object, (body, content type), or the body."""
    if isinstance(result, Response):
        return Answer(_to_bytes(result.response), result.mimetype, result.status, result.headers)
    if isinstance(result, tuple):
        body, content_type = result[0], result[1] if len(result) > 1 else accept
        return Answer(_to_bytes(body), str(content_type))
    if hasattr(result, "get_data") and hasattr(result, "status_code"):  # Flask's, or Werkzeug's
        return Answer(result.get_data(), result.mimetype, result.status_code)
    return Answer(_to_bytes(result), accept)


def _to_bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if body is None:
        return b""
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if isinstance(body, (dict, list)) or hasattr(body, "tolist"):
        return str(encoders.array_to_json(body)).encode()
    raise UserCodeError(
        f"output_fn returned a {type(body).__name__}; it returns str or bytes, (body, content type) or a Response"
    )


class UserModelLoader:
    """Loads models with the user's code: that of the archive's ``code/`` folder, else the container's.

    Args:
        defaults: The container's functions.
        multi_model: Whether each model gets a namespace of its own.
    """

    def __init__(self, defaults: Defaults, *, multi_model: bool) -> None:
        self._defaults = defaults
        self._multi_model = multi_model
        self._program = os.environ.get("SAGEMAKER_PROGRAM") or DEFAULT_PROGRAM
        self._shared_folder: Path | None = None
        sys.path.append(str(SHIMS_FOLDER))

    def finds_code(self, folder: Path) -> bool:
        """Whether there is code of the user for a model."""
        return (folder / "code" / self._program).is_file() or bool(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY"))

    def load(self, folder: Path) -> UserModel:
        """Import the user's module and call its model_fn.

        Raises:
            UserCodeError: There is no module, or it does not fit the contract.
            SourceError: The source cannot be had.
        """
        code = self._code_folder(folder)
        if not self._multi_model:
            prepend_python_path(code)
            return UserModel(self._import(), None, self._defaults, folder)
        namespace = CodeNamespace(code)
        with namespace.active():
            return UserModel(self._import(), namespace, self._defaults, folder)

    def _import(self) -> ModuleType:
        return importlib.import_module(self._program.removesuffix(".py").replace("/", "."))

    def _code_folder(self, folder: Path) -> Path:
        own = folder / "code"
        if (own / self._program).is_file():
            install_requirements(own, Folders.from_environment())
            return own
        location = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        if location and self._shared_folder is None:
            self._shared_folder = self._fetch(location)
        if self._shared_folder is not None:
            return self._shared_folder
        raise UserCodeError(
            f"No serving code: the model archive has no code/{self._program}, and the environment variable "
            "SAGEMAKER_SUBMIT_DIRECTORY (with SAGEMAKER_PROGRAM) does not name a source"
        )

    def _fetch(self, location: str) -> Path:
        folders = Folders.from_environment()
        shared = fetch_source(location, folders)
        if not (shared / self._program).is_file():
            held = ", ".join(sorted(path.name for path in shared.iterdir())) or "nothing"
            raise SourceError(f"SAGEMAKER_PROGRAM '{self._program}' is not in the source {location}; it holds: {held}")
        install_requirements(shared, folders)
        return shared

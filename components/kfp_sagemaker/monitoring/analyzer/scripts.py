"""The caller's own scripts: the record preprocessor and the post-analytics processor."""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.monitoring.analyzer.records import CapturedData

PREPROCESSOR = "preprocess_handler"
POSTPROCESSOR = "postprocess_handler"


class RecordPreprocessor:
    """A script's ``preprocess_handler(inference_record)`` or ``preprocess_handler(inference_record, logger)``.

    Args:
        text: The script.
        name: Its path or URI, for messages and tracebacks.

    Raises:
        DataError: The script does not load, or has no such function.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._handler = _handler(text, name, PREPROCESSOR)
        self._logger = logging.getLogger("kfp_sagemaker.monitoring.preprocessor")
        self._takes_logger = _takes(self._handler, 2)
        # Scripts are written for one record after another; they may keep state.
        self._lock = threading.Lock()

    def rows(self, record: CapturedData, where: str) -> list[dict[str, Any]] | None:
        """The rows the script makes of a record.

        Args:
            record: The record.
            where: Where it stands, for messages.

        Returns:
            Flat rows, none when the script skips the record; None when it gave the record itself back.

        Raises:
            DataError: The script raised, or returned something else.
        """
        try:
            with self._lock:
                made = self._handler(record, self._logger) if self._takes_logger else self._handler(record)
        except Exception as error:
            at = _line_of(error, self._name)
            raise DataError(
                f"{where}: the record preprocessor {self._name}{at} raised {type(error).__name__}: {error}"
            ) from error
        if isinstance(made, CapturedData):
            return None
        rows = [made] if isinstance(made, Mapping) else made
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise DataError(
                f"{where}: the record preprocessor {self._name} returned {_describe(made)}; it is to return a flat "
                "dict, a list of them, or [] to skip the record"
            )
        return [{str(key): value for key, value in row.items()} for row in rows if row]


def run_postprocessor(text: str, name: str) -> None:
    """Run a script's ``postprocess_handler()``.

    Raises:
        DataError: It does not load, has no such function, or raised.
    """
    handler = _handler(text, name, POSTPROCESSOR)
    try:
        handler()
    except Exception as error:
        raise DataError(
            f"the post-processor {name}{_line_of(error, name)} raised {type(error).__name__}: {error}"
        ) from error


def _handler(text: str, name: str, function: str) -> Callable[..., Any]:
    module = ModuleType(f"monitoring_script_{function}")
    module.__file__ = name
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    try:
        exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 - running the caller's script is the feature
    except SyntaxError as error:
        raise DataError(f"the script {name} line {error.lineno} is not valid Python: {error.msg}") from error
    except Exception as error:
        raise DataError(f"loading the script {name}{_line_of(error, name)}: {type(error).__name__}: {error}") from error
    handler = getattr(module, function, None)
    if not callable(handler):
        raise DataError(f"the script {name} defines no function {function}")
    found: Callable[..., Any] = handler
    return found


def _takes(handler: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(handler).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _line_of(error: BaseException, name: str) -> str:
    """The line of the script at which it happened."""
    line, traceback = 0, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == name:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f" line {line}" if line else ""


def _describe(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:80]}{'…' if len(text) > 80 else ''}"

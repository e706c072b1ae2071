"""One request to an endpoint: its rate, its retries, and what became of each of its rows.

A container's own error (HTTP 500) is not tried again, the same input would fail the same way; a model that is loading,
a container that is overloaded or out of memory for the moment, throttling, and SageMaker's own errors are.

API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from kfp_sagemaker.aws.call_errors import ACCESS_DENIED, aws_errors, error_code, error_message, is_passing, translate
from kfp_sagemaker.aws.engine import Timing
from kfp_sagemaker.aws.errors import ResourceMissingError
from kfp_sagemaker.endpoints import rows as row_formats
from kfp_sagemaker.endpoints.invocation_plan import Plan

# A container's status behind a ModelError that may pass: too many requests, no worker, out of memory for models.
_PASSING_CONTAINER_STATUSES = frozenset({429, 502, 503, 504, 507})
_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 10.0
_MAX_ATTRIBUTES = 1024


@dataclass(frozen=True)
class Request:
    """Some rows for one target model."""

    first_index: int
    target_model: str
    rows: Sequence[Any]


@dataclass(frozen=True)
class Answer:
    """What became of a request."""

    records: list[dict[str, Any]]
    latency_ms: float
    attempts: int
    error: str


class RateLimit:
    """Spaces out the starts of requests over all threads.

    Args:
        per_second: Starts a second; 0 for no limit.
        timing: Clock and sleep.
    """

    def __init__(self, per_second: float, timing: Timing) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._timing = timing
        self._next = timing.now()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the caller may start."""
        if not self._interval:
            return
        with self._lock:
            start = max(self._next, self._timing.now())
            self._next = start + self._interval
        pause = start - self._timing.now()
        if pause > 0:
            self._timing.sleep(pause)


def is_passing_failure(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ClientError):
        if error_code(error) == "ModelNotReadyException":
            return True
        if error_code(error) == "ModelError":
            return error.response.get("OriginalStatusCode") in _PASSING_CONTAINER_STATUSES
    return is_passing(error)


class Sender:
    """Sends requests from several threads."""

    def __init__(self, client: Any, plan: Plan, timing: Timing) -> None:
        self.client = client
        self.plan = plan
        self.timing = timing
        self.rate = RateLimit(plan.max_requests_per_second, timing)

    def send(self, request: Request) -> Answer:
        """Send a request until it is answered or its attempts are used up."""
        plan = self.plan
        labels: list[Any] = []
        try:
            bodies = [self._encode(row, labels) for row in request.rows]
        except ValueError as error:
            return self._answer(request, labels, [], 0.0, 1, f"a row is not {error}")
        parameters = plan.request | {"Body": row_formats.join(bodies, plan.content_type)}
        if request.target_model:
            parameters["TargetModel"] = request.target_model
            # AWS's data capture keeps the custom attributes but not the target model: monitoring finds it there.
            if request.target_model.isascii():
                parameters.setdefault("CustomAttributes", f"TargetModel={request.target_model}"[:_MAX_ATTRIBUTES])
        attempt = 0
        while True:
            attempt += 1
            self.rate.wait()
            start = self.timing.now()
            try:
                response = self.client.invoke_endpoint(**parameters)
                body = response["Body"].read()
            except (ClientError, BotoCoreError) as error:
                self._raise_if_hopeless(error)
                if attempt >= plan.max_attempts or not is_passing_failure(error):
                    return self._answer(request, labels, [], 0.0, attempt, _describe(error))
                pause = min(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), _MAX_PAUSE_SECONDS)
                self.timing.sleep(pause * (0.5 + self.timing.random() / 2))
                continue
            latency_ms = (self.timing.now() - start) * 1000
            try:
                predictions = row_formats.decode(body, response.get("ContentType", ""), len(request.rows))
            except ValueError as error:
                return self._answer(request, labels, [], latency_ms, attempt, str(error))
            return self._answer(request, labels, predictions, latency_ms, attempt, "")

    def _encode(self, row: Any, labels: list[Any]) -> str:
        if self.plan.label_first:
            label, row = row_formats.split_label(row, self.plan.content_type)
            labels.append(label)
        return row_formats.encode(row, self.plan.content_type)

    def _answer(
        self,
        request: Request,
        labels: Sequence[Any],
        predictions: Sequence[Any],
        latency_ms: float,
        attempts: int,
        error: str,
    ) -> Answer:
        records = []
        for offset, row in enumerate(request.rows):
            record: dict[str, Any] = {"index": request.first_index + offset, "target_model": request.target_model}
            if offset < len(labels):
                record["label"] = labels[offset]
            if self.plan.include_input:
                record["input"] = row
            if error:
                record["error"] = error
            else:
                record |= {"prediction": predictions[offset], "latency_ms": round(latency_ms, 3)}
            records.append(record | {"attempts": attempts})
        return Answer(records, latency_ms, attempts, error)

    def _raise_if_hopeless(self, error: Exception) -> None:
        """Every further request would fail as well: no permission, no such endpoint, no credentials."""
        subject = f"invoking endpoint {self.plan.endpoint_name}"
        if isinstance(error, ClientError):
            message = error_message(error)
            if f"ndpoint {self.plan.endpoint_name} " in message and "not found" in message:
                raise ResourceMissingError(f"{subject}: {message}", operation="InvokeEndpoint") from error
            if error_code(error) in ACCESS_DENIED:
                raise translate(error, subject) from error
        elif not is_passing(error):
            with aws_errors(subject):
                raise error


def _describe(error: Exception) -> str:
    """A failure in one line, with what the container said."""
    if isinstance(error, ClientError):
        said = error.response.get("OriginalMessage") or error_message(error)
        status = error.response.get("OriginalStatusCode")
        return " ".join(f"{error_code(error)}{f' (container status {status})' if status else ''}: {said}".split())
    return " ".join(f"no answer: {error}".split())

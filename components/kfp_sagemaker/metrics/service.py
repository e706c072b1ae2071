"""Training metrics over HTTPS: the Lambda function behind manifests/aws/training-metrics-service.yaml.

::

    GET /training-jobs?name_contains=&status=&max_results=&next_token=  JSON, the newest first, 50 a page
    GET /training-jobs/{name}/metrics?format=csv|json&metric_name=      all metrics, or those named

It needs what the Lambda runtime has, botocore, and modules of this suite that need nothing else. What it may do is
:data:`kfp_sagemaker.access.permissions.METRICS_SERVICE_GRANTS`.

API: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
"""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from kfp_sagemaker.aws.call_errors import THROTTLED, aws_errors
from kfp_sagemaker.aws.errors import (
    AccessDeniedError,
    AwsCallError,
    ConfigurationError,
    InputError,
    ResourceMissingError,
)
from kfp_sagemaker.aws.session import Session, open_session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.metrics.curve import write_csv
from kfp_sagemaker.metrics.http_api import Answer, AnswerTooLargeError, Request, log_line
from kfp_sagemaker.metrics.training_jobs import STATUSES, TrainingJob, describe_job
from kfp_sagemaker.metrics.training_metrics import Series, read_series, rows

_METHODS = ("GET", "HEAD")
_FORMATS = ("csv", "json")
_JOBS_A_PAGE = 50
_RETRY_SECONDS = 5
_LIST_PARAMETERS = ("max_results", "name_contains", "next_token", "status")
_METRICS_PARAMETERS = ("format", "metric_name")
_OWNER_KNOWS = "the owner of this service finds the reason in its log"

_session = cache(open_session)  # one for the life of the function's process


def handler(event: dict[str, Any], context: object = None) -> dict[str, Any]:
    """Answer one request; what Lambda calls.

    Args:
        event: The request, payload format 2.0.
        context: Lambda's own; not used.

    Returns:
        The answer, payload format 2.0.
    """
    return serve(event, _session)


def serve(event: dict[str, Any], session: Callable[[], Session]) -> dict[str, Any]:
    """Answer one request and log it; whatever goes wrong is an answer, too.

    400, 404, 405 and 413 say what to change, 429 to ask again later, 500 and 502 that the owner finds more in the log.

    Args:
        event: The request, payload format 2.0.
        session: Opens the session, or returns the one that is open.

    Returns:
        The answer, payload format 2.0.
    """
    started = time.monotonic()
    request = Request.from_event(event)
    problem = ""
    try:
        response = respond(session(), request).to_response(request)
    except Exception as error:
        refusal, problem = _refuse(error)
        response = refusal.to_response(request)
    print(log_line(request, response, (time.monotonic() - started) * 1000, problem), flush=True)
    return response


def respond(session: Session, request: Request) -> Answer:
    """Answer a request, or raise what it is refused with.

    Args:
        session: Where the jobs are.
        request: The request.

    Returns:
        The answer; also for a path or method there is not.

    Raises:
        InputError: A parameter is wrong.
        ResourceMissingError: There is no such training job.
        AwsCallError: AWS refused or could not be reached.
    """
    match request.path:
        case ("training-jobs",):
            route = _list_jobs
        case ("training-jobs", _, "metrics"):
            route = _read_metrics
        case _:
            known = "/training-jobs and /training-jobs/{name}/metrics"
            return Answer.of_error(404, f"There is no /{'/'.join(request.path)} here, only {known}")
    if request.method not in _METHODS:
        return Answer.of_error(405, f"{request.method} is not allowed: use GET", {"allow": ", ".join(_METHODS)})
    return route(session, request)


def _list_jobs(session: Session, request: Request) -> Answer:
    problems = Problems("GET /training-jobs")
    given = _parameters(request, _LIST_PARAMETERS, problems)
    problems.matches(
        "name_contains", given.get("name_contains"), r"[a-zA-Z0-9-]{1,63}", "1 to 63 letters, digits and -"
    )
    problems.one_of("status", given.get("status"), STATUSES)
    problems.matches("max_results", given.get("max_results"), r"[1-9]\d?|100", "a whole number from 1 to 100")
    problems.raise_if_any()
    query = {"NameContains": "name_contains", "StatusEquals": "status", "NextToken": "next_token"}
    filters = {member: given[name] for member, name in query.items() if given.get(name)}
    with aws_errors("listing the training jobs"):
        page = session.client("sagemaker").list_training_jobs(
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=int(given.get("max_results") or _JOBS_A_PAGE),
            **filters,
        )
    jobs = [
        {
            "name": summary["TrainingJobName"],
            "status": summary["TrainingJobStatus"],
            "creation_time": _text(summary["CreationTime"]),
            "end_time": _text(summary["TrainingEndTime"]) if "TrainingEndTime" in summary else None,
        }
        for summary in page["TrainingJobSummaries"]
    ]
    return Answer.of_json({"training_jobs": jobs, "next_token": page.get("NextToken")})


def _read_metrics(session: Session, request: Request) -> Answer:
    job_name = request.path[1]
    problems = Problems(f"GET /training-jobs/{job_name}/metrics")
    given = _parameters(request, _METRICS_PARAMETERS, problems, repeatable="metric_name")
    answer_format = given.get("format") or "csv"
    problems.required("name", job_name)
    problems.name("name", job_name)
    problems.one_of("format", answer_format, _FORMATS)
    problems.raise_if_any()
    try:
        job = describe_job(session, job_name)
    except ResourceMissingError as error:
        raise ResourceMissingError(f"There is no training job {job_name} in {session.region}") from error
    series = read_series(session, job, metric_names=request.query.get("metric_name", ()))
    return _as_csv(job, series) if answer_format == "csv" else _as_json(job, series)


def _parameters(request: Request, known: Iterable[str], problems: Problems, repeatable: str = "") -> dict[str, str]:
    """The query as single values; what is not known or given twice is a problem."""
    for name, values in request.query.items():
        if name not in known:
            problems.found.append(f"{name} is not a parameter of this path: use {', '.join(known)}")
        elif len(values) > 1 and name != repeatable:
            problems.found.append(f"{name} is given {len(values)} times: give it once")
    return {name: values[0] for name, values in request.query.items()}


def _as_csv(job: TrainingJob, series: list[Series]) -> Answer:
    text = io.StringIO()
    write_csv(text, {job.name: series}, with_job_column=False)
    disposition = f'attachment; filename="{job.name}_metrics.csv"'
    return Answer(200, text.getvalue(), "text/csv; charset=utf-8", {"content-disposition": disposition})


def _as_json(job: TrainingJob, series: list[Series]) -> Answer:
    metrics: dict[str, dict[str, list[Any]]] = {}
    for moment, name, value in rows(series):
        metric = metrics.setdefault(name, {"timestamps": [], "values": []})
        metric["timestamps"].append(_text(moment))
        metric["values"].append(value)
    return Answer.of_json({"name": job.name, "status": job.status, "metrics": metrics})


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _refuse(error: Exception) -> tuple[Answer, str]:
    """The answer to a request that failed, and what the log says more than it."""
    match error:
        case InputError():
            return Answer.of_error(400, "; ".join(error.problems)), ""
        case ResourceMissingError():
            return Answer.of_error(404, str(error)), ""
        case AnswerTooLargeError():
            return Answer.of_error(413, str(error)), ""
        case AccessDeniedError() | ConfigurationError():
            return Answer.of_error(500, f"The service may not read this: {_OWNER_KNOWS}"), str(error)
        case AwsCallError(code=code) if code in THROTTLED:
            message = f"AWS takes no more requests for the moment: ask again in {_RETRY_SECONDS} seconds"
            return Answer.of_error(429, message, {"retry-after": str(_RETRY_SECONDS)}), str(error)
        case AwsCallError(code="ValidationException"):
            return Answer.of_error(400, str(error)), ""
        case AwsCallError():
            return Answer.of_error(502, f"AWS did not answer: {_OWNER_KNOWS}"), str(error)
        case _:
            return Answer.of_error(500, f"Internal error: {_OWNER_KNOWS}"), "".join(traceback.format_exception(error))

"""The service's answers, without Lambda; tests/manifests/test_training_metrics_service.py calls it deployed."""

from __future__ import annotations

import ast
import base64
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kfp_sagemaker
from kfp_sagemaker.aws.errors import AccessDeniedError, AwsCallError, ConfigurationError, ResourceMissingError
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.metrics import service
from kfp_sagemaker.metrics.http_api import MAX_RESPONSE_BYTES, Answer, AnswerTooLargeError, Request

SUITE = Path(kfp_sagemaker.__file__).parent
# The Lambda runtime has boto3 and what that needs.
RUNTIME = {"boto3", "botocore", "dateutil", "jmespath", "s3transfer", "urllib3"}


def event(path: str = "/training-jobs", query: str = "", method: str = "GET", **changes: Any) -> dict[str, Any]:
    """A request as an HTTP API sends it."""
    context = {"http": {"method": method}, "requestId": "r-1", **changes.pop("context", {})}
    return {"rawPath": path, "rawQueryString": query, "headers": {}, "requestContext": context, **changes}


def serve(request: dict[str, Any], error: Exception | None = None) -> tuple[int, dict[str, str], dict[str, Any]]:
    def session() -> Session:
        raise error or AssertionError("AWS is not asked")

    response = service.serve(request, session)
    return response["statusCode"], response["headers"], json.loads(response["body"] or "{}")


def test_a_request_is_read_from_every_kind_of_event() -> None:
    of_a_route = Request.from_event(
        event(
            "/our-domain/training-jobs/a/metrics",
            "metric_name=a%2Cb&metric_name=c",
            routeKey="GET /training-jobs/{name}/metrics",
            pathParameters={"name": "a b"},
            context={"authorizer": {"jwt": {"claims": {"sub": "anna"}}}},
        )
    )
    assert of_a_route.path == ("training-jobs", "a b", "metrics")
    assert of_a_route.query == {"metric_name": ["a,b", "c"]}
    assert of_a_route.caller == "anna"
    signed = {"authorizer": {"iam": {"userArn": "arn:aws:iam::0:user/bob"}}}
    of_a_function_url = Request.from_event(event("/training-jobs/a%20b/metrics", routeKey="$default", context=signed))
    assert of_a_function_url.path == ("training-jobs", "a b", "metrics")
    assert of_a_function_url.caller == "arn:aws:iam::0:user/bob"


@pytest.mark.parametrize(
    ("header", "accepts"),
    [
        ("gzip, deflate", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("br", False),
        ("", False),
    ],
)
def test_only_who_takes_gzip_gets_it(header: str, accepts: bool) -> None:
    request = Request.from_event(event(headers={"Accept-Encoding": header}))
    text = "timestamp,metric_name,value\n" * 1000

    response = Answer(200, text, "text/csv").to_response(request)

    assert (request.accepts_gzip, response["isBase64Encoded"]) == (accepts, accepts)
    assert response["headers"].get("content-encoding", "") == ("gzip" if accepts else "")
    body = gzip.decompress(base64.b64decode(response["body"])).decode() if accepts else response["body"]
    assert body == text


def test_an_answer_lambda_cannot_give_says_what_to_do_instead() -> None:
    text = "x" * MAX_RESPONSE_BYTES
    plain, compressing = (Request("GET", (), {}, accepts_gzip=accepts) for accepts in (False, True))
    with pytest.raises(AnswerTooLargeError, match=r"6\.3 MB.*Accept-Encoding: gzip.*export_training_metrics"):
        Answer(200, text).to_response(plain)
    assert len(Answer(200, text).to_response(compressing)["body"]) < 10_000


def test_head_has_no_body_and_other_methods_are_refused() -> None:
    response = Answer(200, "text").to_response(Request("HEAD", (), {}))
    assert (response["statusCode"], response["body"]) == (200, "")
    # The method is looked at first, the session opened before.
    refused = service.respond(Session.__new__(Session), Request("POST", ("training-jobs",), {}))
    assert (refused.status, refused.headers) == (405, {"allow": "GET, HEAD"})
    assert service.respond(Session.__new__(Session), Request("GET", ("models",), {})).status == 404


@pytest.mark.parametrize(
    ("error", "status", "told", "is_logged"),
    [
        (ResourceMissingError("no such job"), 404, "no such job", False),
        (AccessDeniedError("arn:aws:iam::0:role/r may not", code="AccessDenied"), 500, "may not read", True),
        (ConfigurationError("no AWS region is set"), 500, "may not read", True),
        (AwsCallError("slow down", code="ThrottlingException"), 429, "ask again in 5 seconds", True),
        (AwsCallError("bad token", code="ValidationException"), 400, "bad token", False),
        (AwsCallError("no route to host"), 502, "AWS did not answer", True),
        (KeyError("secret"), 500, "Internal error", True),
    ],
)
def test_what_goes_wrong_has_a_fitting_status(
    error: Exception, status: int, told: str, is_logged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    answered, headers, body = serve(event(), error)

    assert (answered, list(body)) == (status, ["message"])
    assert told in body["message"]
    assert headers.get("retry-after") == ("5" if status == 429 else None)
    line = json.loads(capsys.readouterr().out)
    assert (line["status"], line["path"], line["request_id"]) == (status, "/training-jobs", "r-1")
    assert (str(error) in line.get("problem", "")) is is_logged
    if is_logged:  # what only the owner may know is in the log alone
        assert str(error) not in body["message"]


def test_a_log_line_holds_neither_query_nor_token(capsys: pytest.CaptureFixture[str]) -> None:
    serve(event(query="next_token=opaque", headers={"authorization": "Bearer abc"}), ResourceMissingError("x"))
    line = capsys.readouterr().out
    assert "opaque" not in line
    assert "abc" not in line


def imported(module: str, seen: set[str]) -> Iterator[str]:
    """The top-level names of everything a module of the suite imports, its packages and its own imports included."""
    path = SUITE.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if module in seen or not file.is_file():
        return
    seen.add(module)
    yield from imported(module.rpartition(".")[0], seen)
    tree = ast.parse(file.read_text())
    # What a package imports when it is asked for a name, it does not import for its modules.
    for node in tree.body if path.is_dir() else ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            yield name.split(".")[0]
            yield from imported(name, seen)


def test_the_function_needs_only_what_the_lambda_runtime_has() -> None:
    seen: set[str] = set()
    others = set(imported("kfp_sagemaker.metrics.service", seen)) - sys.stdlib_module_names - {"kfp_sagemaker"}
    assert others <= RUNTIME
    assert len(seen) > 10

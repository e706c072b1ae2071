"""Text behind a URL: encodings, refusals in words, and never a signature."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kfp_sagemaker.aws.errors import AccessDeniedError, AwsCallError, DataError, InputError, ResourceMissingError
from kfp_sagemaker.aws.presigned_url import presign_get
from kfp_sagemaker.aws.session import open_session
from kfp_sagemaker.metrics.download import decode, download
from tests.suite.conftest import Account

TEXT = "timestamp,metric_name,value\n2026-01-01T00:00:00Z,größe,1.0\n"


class Web:
    """A server that gives prepared answers."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, {"Content-Type": "text/csv"}, b""
        self.authorization: list[str | None] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.authorization.append(self.headers["Authorization"])
                self.send_response(web.status)
                for name, value in {**web.headers, "Content-Length": str(len(web.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(web.body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/bucket/metrics.csv?X-Amz-Signature=secret"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.body, self.status = body, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(), status)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (TEXT.encode(), {}),
        (TEXT.encode("utf-8-sig"), {}),
        (TEXT.encode("utf-16"), {}),
        (TEXT.encode("utf-32"), {}),
        (TEXT.encode("latin-1"), {"Content_Type": "text/csv; charset=ISO-8859-1"}),
        (TEXT.encode("cp1252"), {"Content_Type": "text/csv; charset=no-such"}),
        (gzip.compress(TEXT.encode()), {"Content_Encoding": "gzip"}),
        (gzip.compress(TEXT.encode("utf-16")), {"Content_Type": "application/gzip"}),
        (gzip.compress(gzip.compress(TEXT.encode())), {"Content_Encoding": "gzip"}),
    ],
)
def test_any_compression_and_encoding_is_read(web: Web, body: bytes, headers: dict[str, str]) -> None:
    web.answer(body, **headers)
    assert download(web.url) == TEXT


def test_a_broken_archive_is_said() -> None:
    with pytest.raises(DataError, match="cut off"):
        decode(gzip.compress(TEXT.encode())[:-9])


def test_credentials_of_the_users_netrc_are_not_sent(
    web: Web, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    web.answer(TEXT.encode())
    web.authorization.clear()
    download(web.url)
    assert web.authorization == [None]


@pytest.mark.parametrize(
    ("status", "code", "message", "error", "says"),
    [
        (403, "AccessDenied", "Access Denied", AccessDeniedError, "may not read the file"),
        (403, "AccessDenied", "Request is not yet valid", AccessDeniedError, "clock of the machine that signed"),
        (403, "RequestTimeTooSkewed", "The difference", AccessDeniedError, "wrong by more than 15 minutes"),
        (403, "SignatureDoesNotMatch", "The request", AccessDeniedError, "changed or cut off"),
        (403, "InvalidAccessKeyId", "The AWS", AccessDeniedError, "access key that signed it is gone"),
        (400, "ExpiredToken", "The provided token", AwsCallError, "temporary credentials that signed it have ended"),
        (404, "NoSuchKey", "The specified key", ResourceMissingError, "has been deleted: whoever exported"),
        (404, "", "", ResourceMissingError, "nothing"),
        (418, "", "", AwsCallError, "is it the URL of an export"),
    ],
)
def test_a_refusal_says_what_happened_and_what_to_do(
    web: Web, status: int, code: str, message: str, error: type[Exception], says: str
) -> None:
    web.refuse(status, code, message)
    with pytest.raises(error, match=says) as caught:
        download(web.url)
    assert "secret" not in str(caught.value)
    assert "/bucket/metrics.csv" in str(caught.value)


def test_what_cannot_be_reached_is_named_without_its_signature() -> None:
    with pytest.raises(AwsCallError, match=r"http://127.0.0.1:1/a could not be reached") as caught:
        download("http://127.0.0.1:1/a?X-Amz-Signature=secret")
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["", "s3://bucket/key", "https://", "https://a b", "file:///etc/passwd", "http://[x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="url: not an address"):
        download(url)


def test_the_embedded_aws_refuses_what_s3_refuses(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = account.put("metrics.csv", TEXT)
    session = open_session("us-east-1")
    fresh = presign_get(session, uri, 600).url
    assert download(fresh) == TEXT
    with pytest.raises(AccessDeniedError, match="changed or cut off"):
        download(fresh.replace("metrics.csv", "other.csv"))
    with pytest.raises(ResourceMissingError, match="has been deleted"):
        download(presign_get(session, account.uri("gone.csv"), 600).url)

    past = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: past.replace(tzinfo=None))
    expired = presign_get(session, uri, 600, now=past).url
    with pytest.raises(AccessDeniedError, match=r"has expired at \d{4}-.* UTC .*running export_training_metrics again"):
        download(expired)

"""A text file behind a presigned URL, over plain HTTPS: no AWS identity, no AWS library.

The URL's query is its signature, which no message shows. S3's answers:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from kfp_sagemaker.aws.errors import AccessDeniedError, AwsCallError, DataError, InputError, ResourceMissingError

if TYPE_CHECKING:
    import requests

_TIMEOUT_SECONDS = (10, 60)
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_RENEW = "whoever exported the metrics gets a new URL by running export_training_metrics again"
_EXPLANATIONS = {
    "ExpiredToken": f"the temporary credentials that signed it have ended, and the URL with them: {_RENEW}",
    "InvalidAccessKeyId": f"the access key that signed it is gone or inactive: {_RENEW}",
    "InvalidToken": f"S3 does not know the session that signed it any more: {_RENEW}",
    "SignatureDoesNotMatch": "its signature does not fit: it was changed or cut off on its way (a URL is one line, "
    "with & and not &amp;, in quotes on a command line)",
    "AuthorizationQueryParametersError": "it is not whole: a part of it was lost on its way, or it was signed for "
    "more than seven days",
    "RequestTimeTooSkewed": "the clock of the machine that signed it was wrong by more than 15 minutes: set that "
    f"clock, then {_RENEW}",
    "NoSuchKey": f"the file behind it has been deleted: {_RENEW}",
    "NoSuchBucket": f"the bucket behind it has been deleted: {_RENEW}, to a bucket that exists",
    "PermanentRedirect": f"it was signed for another region than the bucket's: {_RENEW}, with the bucket's region",
}


def is_url(text: str) -> bool:
    """Whether a text is an HTTP address and nothing else."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname) and not re.search(r"\s", text)


def download(url: str) -> str:
    """Download a text file.

    Args:
        url: Its address; a presigned one is shown nowhere.

    Returns:
        The text, unpacked when it came compressed, decoded by its byte order mark, its declared charset, as UTF-8, or
        by what it looks like.

    Raises:
        InputError: It is not an HTTP address.
        AccessDeniedError: The URL has expired or does not allow it; says who can renew it.
        ResourceMissingError: The file is gone.
        AwsCallError: It could not be reached, or answered something else.
        DataError: What came is no text.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    if not is_url(url):
        raise InputError(["url: not an address such as https://bucket.s3.amazonaws.com/key?..."], "metrics fetch")
    shown = without_signature(url)
    with requests.Session() as http:
        retries = Retry(3, connect=1, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
        for scheme in ("https://", "http://"):
            http.mount(scheme, HTTPAdapter(max_retries=retries))
        try:
            # A user's ~/.netrc would add a second authorisation, which S3 refuses.
            response = http.get(url, timeout=_TIMEOUT_SECONDS, auth=lambda request: request)
        except requests.RequestException as error:
            # Its text holds the whole URL.
            kind = type(error).__name__
            problem = AwsCallError(f"{shown} could not be reached ({kind}): check the network, proxy and address")
            raise problem from None
    if response.status_code != 200:
        raise _refusal(response, url)
    return decode(response.content, response.headers.get("Content-Type", ""), shown)


def without_signature(url: str) -> str:
    """The address alone, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def decode(content: bytes, content_type: str = "", name: str = "the file") -> str:
    """Bytes as text.

    Args:
        content: The bytes, gzip or not.
        content_type: What the server said of them.
        name: For the message.

    Raises:
        DataError: They are no text.
    """
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name} is cut off or not gzip throughout: {error}") from error
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decode_as(content, encoding, name)
    header = Message()
    header["Content-Type"] = content_type
    for declared in (header.get_content_charset(), "utf-8"):
        try:
            if declared:
                return content.decode(declared)
        except (LookupError, UnicodeDecodeError):
            continue
    return _decode_as(content, _guess(content), name)


def _guess(content: bytes) -> str:
    try:
        from charset_normalizer import from_bytes
    except ModuleNotFoundError:  # requests may be installed with another detector
        return "cp1252"
    best = from_bytes(content).best()
    return best.encoding if best else ""


def _decode_as(content: bytes, encoding: str, name: str) -> str:
    try:
        return content.decode(encoding)
    except (LookupError, UnicodeDecodeError) as error:
        raise DataError(f"{name} is not text in any encoding that could be recognised") from error


def _refusal(response: requests.Response, url: str) -> AwsCallError:
    status = response.status_code
    text = response.content[:10_000].decode("utf-8", "replace")
    code, message = (_element(text, name) for name in ("Code", "Message"))
    shown = without_signature(url)
    said = f"{status} {code}".strip()
    if "expired" in message.lower() and code == "AccessDenied":
        return AccessDeniedError(f"the URL of {shown} has expired{_since(url)} ({said}): {_RENEW}", code=code)
    if "not yet valid" in message.lower():
        explanation = (
            "it is not valid yet: the clock of the machine that signed it is ahead; wait, or set that clock, then "
            + _RENEW
        )
    elif code in _EXPLANATIONS:
        explanation = _EXPLANATIONS[code]
    elif status in (401, 403):
        explanation = (
            "whoever signed it may not read the file (s3:GetObject, and kms:Decrypt of an encrypted one), or the "
            f"bucket's policy refuses where you call from. An administrator of the bucket can allow it; then {_RENEW}"
        )
    elif status == 404:
        explanation = f"there is nothing (any more) at this address: {_RENEW}"
    else:
        explanation = "try again later" if status >= 500 else f"is it the URL of an export? If so, {_RENEW}"
    kind = {401: AccessDeniedError, 403: AccessDeniedError, 404: ResourceMissingError}.get(status, AwsCallError)
    return kind(f"the URL of {shown} is refused ({said}): {explanation}", code=code or str(status))


def _since(url: str) -> str:
    """When a presigned URL ended, as it says itself."""
    query = parse_qs(urlsplit(url).query)
    try:
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        end = signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))
    except (KeyError, ValueError, OverflowError):
        return ""
    return f" at {end:%Y-%m-%d %H:%M:%S} UTC"


def _element(xml: str, name: str) -> str:
    match = re.search(rf"<{name}>([^<]*)</{name}>", xml)
    return match[1] if match else ""

"""What an answer's header means: rules only, no I/O (RFC 9110; laws 3, 10, 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from emasync.errors import (
    AccessDeniedError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiedError,
    RefusedError,
    ThrottledError,
    TransientError,
    TransportError,
)
from emasync.model.digest import Span, Tail, Validator
from emasync.model.task import escape_for_log
from emasync.transport.interface import Head
from emasync.transport.patience import retry_after_s
from emasync.transport.ranges import parse_content_range, parse_length, parse_unsatisfied

OK, PARTIAL = 200, 206
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PRECONDITION_FAILED = 412
DENIED = frozenset({401, 403})

_TRANSIENT = frozenset({408, 425, 500, 502, 504})
_THROTTLED = frozenset({429, 503})
_TRANSIENT_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "InternalError", "RequestTimeout"})
_THROTTLED_CODES = frozenset(
    {"SlowDown", "ServiceUnavailable", "Throttling", "RequestLimitExceeded", "TooManyRequests"}
)
_NO_ENCODING = frozenset({"", "identity", "aws-chunked"})  # the last is left over from uploads and means nothing here
_DECODED = {"gzip": "gzip", "x-gzip": "gzip"}

_ERROR_CODE = re.compile(rb"<Code>([A-Za-z0-9_.]{1,80})</Code>")
_ERROR_PAGE = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!doctype html|<html|<error[\s>])", re.IGNORECASE
)
_MARKUP_NAME = re.compile(r"\.(?:x?html?|xml|svg|php|aspx?|jsp)$", re.IGNORECASE)

SNIFF_BYTES = 512
"""An error page shows itself this early."""


def validator_of(headers: Mapping[str, str]) -> Validator:
    """What tells this version of the object from another."""
    return Validator(
        etag=headers.get("etag") or None,
        last_modified=headers.get("last-modified") or None,
        generation=headers.get("x-goog-generation") or None,
    )


def encoding_of(headers: Mapping[str, str], name: str) -> str | None:
    """Content coding of the body (RFC 9110, section 8.4); None for none.

    Raises
    ------
    RefusedError
        A coding that was not asked for and is not understood.
    """
    codings = [item.strip().lower() for item in headers.get("content-encoding", "").split(",")]
    codings = [item for item in codings if item not in _NO_ENCODING]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _DECODED:
        text = escape_for_log(", ".join(codings))
        raise RefusedError(
            f"{name}: the body came with Content-Encoding {text}, which was not asked for", location=name
        )
    return _DECODED[codings[0]]


def whole_head(headers: Mapping[str, str], name: str) -> Head:
    """Head of a 200."""
    encoding = encoding_of(headers, name)
    length = parse_length(headers.get("content-length")) if encoding is None else None
    return Head(
        status=OK,
        start=0,
        stop=length,
        total_bytes=length,
        validator=validator_of(headers),
        content_encoding=encoding,
        headers=headers,
    )


def partial_head(headers: Mapping[str, str], start: int, stop: int | None, name: str) -> Head:
    """Head of a 206, checked against the span that was asked for.

    Parameters
    ----------
    headers : mapping
    start : int
        First byte asked for.
    stop : int or None
        Exclusive end asked for; None for all that follows. The server may end earlier only where the object ends.
    name : str

    Raises
    ------
    RefusedError
        Another span, no span, several spans, or an encoded one.
    """
    if encoding_of(headers, name) is not None:
        raise RefusedError(f"{name}: a range came with a Content-Encoding; its bytes mean nothing alone", location=name)
    came = parse_content_range(headers.get("content-range"))
    wanted = f"bytes {start}-{'' if stop is None else stop - 1}"
    got = escape_for_log(headers.get("content-range", "none"))
    if came is None or came.start != start:
        raise RefusedError(f"{name}: asked for {wanted}, got Content-Range {got}", location=name)
    end = came.total_bytes if stop is None else min(stop, came.total_bytes or stop)
    if end is not None and came.stop != end:
        raise RefusedError(f"{name}: asked for {wanted}, got Content-Range {got}", location=name)
    length = parse_length(headers.get("content-length"))
    if length is not None and length != came.stop - came.start:
        raise RefusedError(f"{name}: Content-Range {got} and Content-Length {length} do not agree", location=name)
    return Head(
        status=PARTIAL,
        start=came.start,
        stop=came.stop,
        total_bytes=came.total_bytes,
        validator=validator_of(headers),
        headers=headers,
    )


def tail_span(headers: Mapping[str, str], tail: Tail, name: str) -> Span:
    """Where the tail that a 206 brings lies in its object, which only the answer can tell.

    Raises
    ------
    RefusedError
        It does not tell, or brings another part.
    """
    came = parse_content_range(headers.get("content-range"))
    span = None if came is None or came.total_bytes is None else tail.of(came.total_bytes)
    if came is None or span is None or (came.start, came.stop) != (span.start, span.stop):
        got = escape_for_log(headers.get("content-range", "none"))
        raise RefusedError(
            f"{name}: asked for the last {tail.size_bytes} bytes, got Content-Range {got}", location=name
        )
    return span


def suspicious(headers: Mapping[str, str], path: str) -> bool:
    """Whether a body may be an error page in disguise: markup under a name that promises something else."""
    kind = headers.get("content-type", "").lower()
    if "html" not in kind and "xml" not in kind:
        return False
    name = unquote(path.rsplit("/", 1)[-1])
    return bool(name) and _MARKUP_NAME.search(name) is None


def check_no_error_page(beginning: bytes, headers: Mapping[str, str], name: str) -> None:
    """Refuse a page that reports an error under status 200.

    Raises
    ------
    RefusedError
        "in-band error page".
    """
    if _ERROR_PAGE.match(beginning):
        kind = escape_for_log(headers.get("content-type", ""))
        raise RefusedError(
            f"{name}: an in-band error page ({kind}) came instead of the object; open the URL in a browser to read it",
            location=name,
        )


def error_code(body: bytes) -> str | None:
    """Code of an S3 or GCS error document (Amazon S3 API reference, "Error responses"); None for other bodies."""
    match = _ERROR_CODE.search(body)
    return match[1].decode("ascii") if match else None


def failure(
    status: int, headers: Mapping[str, str], body: bytes, name: str, *, now_s: float, tried: str
) -> TransportError:
    """The error that an answer other than 200 and 206 stands for.

    Parameters
    ----------
    status : int
    headers : mapping
        Lower-case names.
    body : bytes
        Its beginning, for the error code of object stores.
    name : str
        Of the object.
    now_s : float
        Seconds since 1970-01-01 UTC.
    tried : str
        Credentials that were sent, in words.
    """
    code = error_code(body)
    said = f"status {status}" + (f" {code}" if code else "")
    delay_s = retry_after_s(headers, now_s)
    if status in _THROTTLED or code in _THROTTLED_CODES or (status in _TRANSIENT and delay_s is not None):
        return ThrottledError(f"{name}: the server asks for patience ({said})", location=name, retry_after_s=delay_s)
    if status in _TRANSIENT or code in _TRANSIENT_CODES:
        return TransientError(f"{name}: the server failed ({said})", location=name)
    if status == 416:  # noqa: PLR2004 - RFC 9110, section 15.5.17
        total_bytes = parse_unsatisfied(headers.get("content-range"))
        size = "its size was not told" if total_bytes is None else f"it has {total_bytes} bytes"
        return RangeNotSatisfiedError(f"{name}: ends before the range ({size})", location=name, total_bytes=total_bytes)
    return _final(status, said, name, f"asked {tried}{_denial_hint(code)}")


def _final(status: int, said: str, name: str, asked: str) -> TransportError:
    if status in (404, 410):
        return NotFoundError(f"{name}: not there ({said}); check its name, or list again (--refresh)", location=name)
    if status in DENIED:
        return AccessDeniedError(f"{name}: access denied ({said}), {asked}", location=name)
    if status == PRECONDITION_FAILED:
        return PreconditionFailedError(f"{name}: is another object now ({said})", location=name)
    return RefusedError(f"{name}: expected the object, got {said}; open the URL in a browser to see why", location=name)


def _denial_hint(code: str | None) -> str:
    if code == "RequestTimeTooSkewed":
        return "; this machine's clock is off, set it"
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return "; check the AWS credentials in use"
    return "; what is not public needs credentials (anonymous: false, netrc, a token in the environment)"

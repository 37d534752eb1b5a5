"""The header of an HTTP/1.1 response, read strictly and within bounds (RFC 9112, sections 2 to 6). No I/O.

llhttp (through httptools) reads the fields; a regular expression of our own was no faster by more than a microsecond.
It is given the header only, so that it never copies a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEAD_BYTES = 32 << 10
"""Longest header: status line, fields and the empty line."""

MAX_FIELD_BYTES = 16 << 10
MAX_FIELDS = 128
MAX_INTERIM = 16
"""Interim answers (1xx) before the final one."""

_NO_BODY = (204, 304)
_FIRST_FINAL_STATUS = 200
_SWITCHING = 101
MAX_LENGTH_DIGITS = 19
"""Of a Content-Length: it fits into 64 bits."""

_BEGINNING = b"HTTP/1."


class MalformedHeadError(ValueError):
    """What came is no HTTP/1.1 response header, or one out of bounds.

    Attributes
    ----------
    elsewhere : bool
        Whether a general client may make something of it.
    """

    def __init__(self, reason: str, *, elsewhere: bool = False) -> None:
        super().__init__(reason)
        self.elsewhere = elsewhere


class Framing(Enum):
    """How a body ends (RFC 9112, section 6.3)."""

    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class ResponseHead(NamedTuple):
    """A response header.

    Attributes
    ----------
    status : int
        200 to 999; interim answers are never given.
    fields : mapping of str to str
        Lower-case names; repeated fields are one list (RFC 9110, section 5.3).
    framing : Framing
    length : int
        Bytes of the body for ``Framing.LENGTH``, else 0.
    keep_alive : bool
        Whether the connection may carry another request.
    end : int
        Offset behind the header in what was parsed: the body's first byte.
    """

    status: int
    fields: Mapping[str, str]
    framing: Framing
    length: int
    keep_alive: bool
    end: int


class _Fields:
    """Collects header fields for llhttp."""

    __slots__ = ("complete", "count", "found", "keep_alive", "parser")

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.count = 0
        self.complete = False
        self.keep_alive = False
        self.parser = HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()  # an empty body ends the message, and then nobody knows

    def on_header(self, name: bytes, value: bytes) -> None:
        self.count += 1
        if self.count > MAX_FIELDS or len(value) > MAX_FIELD_BYTES:
            raise MalformedHeadError(f"more than {MAX_FIELDS} header fields, or one above {MAX_FIELD_BYTES} bytes")
        key = name.lower().decode("ascii", "replace")
        text = value.decode("utf-8", "surrogateescape")
        found = self.found
        found[key] = f"{found[key]}, {text}" if key in found else text


def parse_head(data: bytes) -> ResponseHead | None:
    """Read a response header from the beginning of `data`; interim answers (1xx) before it are skipped.

    Parameters
    ----------
    data : bytes
        What has come so far, or its first :data:`MAX_HEAD_BYTES`.

    Returns
    -------
    ResponseHead or None
        None: more bytes are needed.

    Raises
    ------
    MalformedHeadError
    """
    start = 0
    for _ in range(MAX_INTERIM):
        end = data.find(b"\r\n\r\n", start) + 4
        if end < len(b"\r\n\r\n"):
            _check_beginning(data, start)
            return None
        head = _parse(data[start:end], end)
        if head.status >= _FIRST_FINAL_STATUS:
            return head
        start = end
    raise MalformedHeadError(f"{MAX_INTERIM} interim answers, and no end of them")


def _check_beginning(data: bytes, start: int) -> None:
    """Tell a header that goes on from one that is wrong already."""
    if len(data) >= MAX_HEAD_BYTES:
        raise MalformedHeadError(f"a header longer than {MAX_HEAD_BYTES} bytes", elsewhere=True)
    fields = _Fields()
    _feed(fields.parser, data[start:])
    if fields.complete:
        raise MalformedHeadError(f"a header with bare line feeds: {data[start : start + 60]!r}")


def _parse(data: bytes, end: int) -> ResponseHead:
    fields = _Fields()
    parser = fields.parser
    _feed(parser, data)
    del fields.parser  # they hold each other: no work for the garbage collector
    status = parser.get_status_code()
    if status == _SWITCHING or not data.startswith(_BEGINNING):
        raise MalformedHeadError(f"status {status} of {data[:8]!r}: nobody asked for another protocol", elsewhere=True)
    found = fields.found
    framing, length = _framing(status, found)
    keep_alive = framing is not Framing.UNTIL_CLOSE and fields.keep_alive
    return ResponseHead(status, found, framing, length, keep_alive, end)


def _feed(parser: HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except HttpParserUpgrade as error:
        raise MalformedHeadError(f"another protocol: {data[:60]!r}", elsewhere=True) from error
    except HttpParserError as error:
        if isinstance(error.__context__, MalformedHeadError):
            raise error.__context__ from None
        raise MalformedHeadError(f"no HTTP/1.1 header ({error}): {data[:60]!r}") from error


def _framing(status: int, fields: Mapping[str, str]) -> tuple[Framing, int]:
    stated = fields.get("content-length")
    coding = fields.get("transfer-encoding")
    if coding is not None and stated is not None:  # one of them is a lie (RFC 9112, section 6.3)
        raise MalformedHeadError("both Content-Length and Transfer-Encoding")
    if status in _NO_BODY or status < _FIRST_FINAL_STATUS:
        return Framing.LENGTH, 0
    if coding is not None:
        return (Framing.CHUNKED if coding.lower() == "chunked" else Framing.UNTIL_CLOSE), 0
    if stated is None:
        return Framing.UNTIL_CLOSE, 0
    if not (stated.isascii() and stated.isdigit()) or len(stated) > MAX_LENGTH_DIGITS:
        raise MalformedHeadError(f"Content-Length {stated[:40]!r}")
    return Framing.LENGTH, int(stated)

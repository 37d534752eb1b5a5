"""What a client asked and what the archive answers: values between protocol, site and faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, NamedTuple
from urllib.parse import unquote

from emasync.testing.objects import Reader

HEADER_LIMIT_BYTES = 64 << 10
"""A longer request head is refused with 431."""

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n"
"""An interim answer (RFC 8297)."""

Headers = tuple[tuple[str, str], ...]

_REASONS = {int(status): status.phrase for status in HTTPStatus}


class Asked(NamedTuple):
    """One request.

    Attributes
    ----------
    method : str
    path : str
        As sent: percent-encoded, with leading slash.
    query : str
        As sent, without question mark.
    headers : mapping of str to str
        Lower-case names; the last of equal names wins.
    keep_alive : bool
        Whether the client wants to use the connection again.
    body_bytes : int
        Length of a request body that follows and is thrown away.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    keep_alive: bool = True
    body_bytes: int = 0

    @property
    def key(self) -> str:
        """Decoded path without leading slash: ``bucket/key``."""
        path = self.path[1:]
        return unquote(path, errors="surrogateescape") if "%" in path else path


class BadRequest(Exception):  # noqa: N818  # an answer, not a failure of the program
    """The request head is no HTTP/1.1.

    Attributes
    ----------
    status : int
        What to answer: 400, 431 or 505.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How the body goes over the wire, beyond its bytes.

    Attributes
    ----------
    framing : {"length", "chunked", "close"}
        How the client learns where the body ends (RFC 9112, section 6.3).
    cut_at_bytes : int or None
        The body stops after so many bytes; None sends all of it.
    then : {"keep", "close", "cut", "reset", "stall", "vanish", "drop"}
        What happens at the end (or the cut). ``cut`` closes below TLS, which says nothing of it; ``vanish`` closes when
        the next request comes; ``drop`` resets before any byte of the answer.
    rate_bytes_per_s : float or None
        Of the body.
    head_rate_bytes_per_s : float or None
        Of the header.
    stall_head : bool
        The header stops half-way.
    interim : int
        Interim answers (RFC 9110, section 15.2) before the header.
    twice : bool
        Each header field comes twice.
    told_length : str or None
        What Content-Length says; None for the truth.
    delay_s : float
        Before the first byte.
    extra_bytes : int
        Bytes beyond what Content-Length promises.
    """

    framing: Literal["length", "chunked", "close"] = "length"
    cut_at_bytes: int | None = None
    then: Literal["keep", "close", "cut", "reset", "stall", "vanish", "drop"] = "keep"
    rate_bytes_per_s: float | None = None
    head_rate_bytes_per_s: float | None = None
    stall_head: bool = False
    interim: int = 0
    twice: bool = False
    told_length: str | None = None
    delay_s: float = 0.0
    extra_bytes: int = 0


PLAIN = Wire()


@dataclass(frozen=True, slots=True)
class Answer:
    """One response.

    Attributes
    ----------
    status : int
    headers : tuple of (str, str)
        Without Content-Length, Date and Connection.
    read : callable
        ``read(start, stop)`` gives body bytes.
    start, stop : int
        Half-open span of `read` that is the body.
    bodiless : bool
        HEAD, 304: the length is told, no body follows.
    wire : Wire
    """

    status: int
    headers: Headers
    read: Reader
    start: int
    stop: int
    bodiless: bool = False
    wire: Wire = PLAIN

    @property
    def size_bytes(self) -> int:
        """Length of the body as Content-Length tells it."""
        return self.stop - self.start

    def header(self, name: str) -> str | None:
        """Value of the first header called `name` (lower case)."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def head(self, *, close: bool) -> bytes:
        """Status line and header section, ready to send."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        length = self.wire.told_length or str(self.stop - self.start)
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.status != HTTPStatus.NOT_MODIFIED:
            if self.wire.framing == "length":
                lines.append(f"Content-Length: {length}")
            elif self.wire.framing == "chunked":
                lines.append("Transfer-Encoding: chunked")
        if close:
            lines.append("Connection: close")
        if self.wire.twice:
            lines[1:] = [line for line in lines[1:] for _ in range(2)]
        lines.append("\r\n")
        return EARLY * self.wire.interim + "\r\n".join(lines).encode("utf-8", "surrogateescape")


def of_bytes(status: int, headers: Headers, data: bytes, *, bodiless: bool = False) -> Answer:
    """Answer with `data` as its body."""
    return Answer(status, headers, lambda start, stop: data[start:stop], 0, len(data), bodiless)


def parse_head(head: bytes) -> Asked:
    """Read a request head without its final empty line (RFC 9112, sections 2 and 3).

    Raises
    ------
    BadRequest
        Not HTTP/1.x, a malformed line, a body of unknown length.
    """
    text = head.decode("iso-8859-1")
    first, *lines = text.split("\r\n")
    try:
        method, target, version = first.split(" ")
    except ValueError:
        raise BadRequest(400, f"request line {first!r}") from None
    if not version.startswith("HTTP/1."):
        raise BadRequest(505, f"version {version!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name[-1] == " ":
            raise BadRequest(400, f"header line {line!r}")
        headers[name.lower()] = value.strip()
    if target[:1] != "/":  # absolute form, as sent to a proxy (RFC 9112, section 3.2.2)
        _, separator, target = target.partition("://")
        if not separator:
            raise BadRequest(400, f"request target of {first!r}")
        target = "/" + target.partition("/")[2]
    path, _, query = target.partition("?")
    return Asked(method, path, query, headers, _keeps(version, headers), _body_bytes(headers))


def _keeps(version: str, headers: Mapping[str, str]) -> bool:
    said = headers.get("connection")
    if said is None:
        return version != "HTTP/1.0"
    return "close" not in said.lower() and (version != "HTTP/1.0" or "keep-alive" in said.lower())


def _body_bytes(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequest(411, "request bodies need a Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequest(400, f"Content-Length {length!r}")
    return int(length)
